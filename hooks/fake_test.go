package hooks

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a hook that provides events and notes its calls. A function that is nil
// does what HookBase does, apart from the yes of the two that answer a bool.
type fake struct {
	mqtt.HookBase
	id     string
	events []byte
	panics bool // in every event

	authenticate func(cl *mqtt.Client, pk packets.Packet) bool
	acl          func(cl *mqtt.Client, topic string, write bool) bool
	connect      func(cl *mqtt.Client, pk packets.Packet) error
	authPacket   func(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error)
	filters      func(pk packets.Packet) packets.Packet
	publish      func(pk packets.Packet) (packets.Packet, error)
	will         func(w mqtt.Will) (mqtt.Will, error)
	init, stop   func() error

	mu    sync.Mutex
	calls []string // guarded by mu
	seen  []any    // guarded by mu; what the calls were given
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	f.mu.Unlock()
	if f.panics {
		panic("fake panics")
	}
}

func (f *fake) keep(v any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, v)
}

func (f *fake) noted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) ID() string           { return f.id }
func (f *fake) Provides(b byte) bool { return slices.Contains(f.events, b) }

func (f *fake) Init(config any) error {
	f.keep(config)
	if f.init != nil {
		return f.init()
	}
	return nil
}

func (f *fake) Stop() error {
	f.mu.Lock()
	f.calls = append(f.calls, "Stop")
	f.mu.Unlock()
	if f.stop != nil {
		return f.stop()
	}
	return nil
}

func (f *fake) OnStarted() { f.note("OnStarted") }
func (f *fake) OnStopped() { f.note("OnStopped") }

func (f *fake) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	f.note("OnConnectAuthenticate %s %s %s", cl.ID, cl.Properties.Username, pk.Connect.Password)
	return f.authenticate == nil || f.authenticate(cl, pk)
}

func (f *fake) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	f.note("OnACLCheck %s %s %v", cl.ID, topic, write)
	return f.acl == nil || f.acl(cl, topic, write)
}

func (f *fake) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	f.note("OnConnect %s %d", cl.ID, pk.FixedHeader.Type)
	if f.connect != nil {
		return f.connect(cl, pk)
	}
	return nil
}

func (f *fake) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	f.note("OnSessionEstablish %s %d", cl.ID, pk.FixedHeader.Type)
}

func (f *fake) OnSessionEstablished(cl *mqtt.Client, pk packets.Packet) {
	f.note("OnSessionEstablished %s %d", cl.ID, pk.FixedHeader.Type)
}

func (f *fake) OnDisconnect(cl *mqtt.Client, err error, expire bool) {
	f.keep(err)
	f.note("OnDisconnect %s %v %v", cl.ID, err, expire)
}

func (f *fake) OnAuthPacket(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	f.note("OnAuthPacket %s %x", cl.ID, pk.ReasonCode)
	if f.authPacket != nil {
		return f.authPacket(cl, pk)
	}
	return pk, nil
}

func (f *fake) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	f.note("OnSubscribe %s %s", cl.ID, pk.Filters[0].Filter)
	if f.filters != nil {
		return f.filters(pk)
	}
	return pk
}

func (f *fake) OnSubscribed(cl *mqtt.Client, pk packets.Packet, codes []byte) {
	f.note("OnSubscribed %s %s %x", cl.ID, pk.Filters[0].Filter, codes)
}

func (f *fake) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	f.note("OnUnsubscribe %s %s", cl.ID, pk.Filters[0].Filter)
	if f.filters != nil {
		return f.filters(pk)
	}
	return pk
}

func (f *fake) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	f.note("OnUnsubscribed %s %s", cl.ID, pk.Filters[0].Filter)
}

func (f *fake) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	f.keep(pk)
	f.note("OnPublish %s %s %s", cl.ID, pk.TopicName, pk.Payload)
	if f.publish != nil {
		return f.publish(pk)
	}
	return pk, nil
}

func (f *fake) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	f.note("OnPublished %s %s %s", cl.ID, pk.TopicName, pk.Payload)
}

func (f *fake) OnPublishDropped(cl *mqtt.Client, pk packets.Packet) {
	f.note("OnPublishDropped %s %s %s", cl.ID, pk.TopicName, pk.Payload)
}

func (f *fake) OnWill(cl *mqtt.Client, w mqtt.Will) (mqtt.Will, error) {
	f.keep(w)
	f.note("OnWill %s %s %s", cl.ID, w.TopicName, w.Payload)
	if f.will != nil {
		return f.will(w)
	}
	return w, nil
}

func (f *fake) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	f.note("OnWillSent %s %s %s", cl.ID, pk.TopicName, pk.Payload)
}

func (f *fake) OnClientExpired(cl *mqtt.Client) { f.note("OnClientExpired %s", cl.ID) }

func chain(t *testing.T, o Options, hooks ...mqtt.Hook) *Chain {
	t.Helper()
	for _, h := range hooks {
		o.Hooks = append(o.Hooks, Loaded{Hook: h})
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return c
}

// connectPacket is a CONNECT of user with password.
func connectPacket(id, user, password string) *packets.Packet {
	return &packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: 5,
		Connect: packets.ConnectParams{
			ClientIdentifier: id, Username: []byte(user), UsernameFlag: user != "", Password: []byte(password), PasswordFlag: password != "", Keepalive: 60,
		},
	}
}

func subscribePacket(filters ...string) *packets.Packet {
	pk := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, ProtocolVersion: 5}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: 1})
	}
	return pk
}

// client makes the Client of a CONNECT.
func (c *Chain) client(pk *packets.Packet) *Client {
	return c.NewClient(Info{
		ID: pk.Connect.ClientIdentifier, User: string(pk.Connect.Username), HasUser: pk.Connect.UsernameFlag,
		Remote: "127.0.0.1:4711", Listener: "default", ListenerKind: "tcp", Version: pk.ProtocolVersion, Packet: pk,
	})
}

func hello() *message.Message {
	return &message.Message{Topic: "a/b", Payload: []byte("hello"), QoS: 1, Publisher: "c1", Created: 1000 * second}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("%s:\n got %#v\nwant %#v", what, got, want)
	}
}
