package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	mochiauth "github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/testing/harness"
)

// recorder is a hook of mochi's interface that notes every event it is offered.
type recorder struct {
	mqtt.HookBase
	mu    sync.Mutex
	notes []string
}

func (*recorder) ID() string { return "recorder" }

func (*recorder) Provides(b byte) bool {
	return slices.Contains([]byte{
		mqtt.OnStarted, mqtt.OnStopped, mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablish,
		mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnClientExpired, mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnUnsubscribe,
		mqtt.OnUnsubscribed, mqtt.OnPublish, mqtt.OnPublished, mqtt.OnPublishDropped, mqtt.OnWill, mqtt.OnWillSent,
	}, b)
}

func (r *recorder) note(cl *mqtt.Client, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := ""
	if cl != nil {
		who = cl.ID + ": "
	}
	r.notes = append(r.notes, who+fmt.Sprintf(format, args...))
}

// await waits until something was noted, and answers all of it.
func (r *recorder) await(t *testing.T, note string) []string {
	t.Helper()
	var got []string
	harness.Poll(t, 0, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = slices.Clone(r.notes)
		return slices.Contains(got, note)
	})
	return got
}

func (r *recorder) OnStarted() { r.note(nil, "started") }
func (r *recorder) OnStopped() { r.note(nil, "stopped") }

func (r *recorder) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	r.note(cl, "connect %s from %v", pk.Connect.Username, cl.Net.Remote != "")
	if cl.ID == "banned" {
		return packets.ErrBanned
	}
	return nil
}

func (r *recorder) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	r.note(cl, "authenticate %s %s", pk.Connect.Username, pk.Connect.Password)
	return cl.ID != "nobody"
}

func (r *recorder) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	r.note(cl, "acl %s %v", topic, write)
	return topic != "forbidden"
}

func (r *recorder) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	r.note(cl, "establish")
}

func (r *recorder) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	r.note(cl, "established")
}

func (r *recorder) OnDisconnect(cl *mqtt.Client, err error, expire bool) {
	var code packets.Code
	errors.As(err, &code)
	r.note(cl, "disconnect %v %02x %v", err != nil, code.Code, expire)
}

func (r *recorder) OnClientExpired(cl *mqtt.Client) { r.note(cl, "expired") }

func (r *recorder) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	r.note(cl, "subscribe %s", pk.Filters[0].Filter)
	pk.Filters[0].Filter = strings.Replace(pk.Filters[0].Filter, "mine", cl.ID, 1)
	return pk
}

func (r *recorder) OnSubscribed(cl *mqtt.Client, pk packets.Packet, codes []byte) {
	r.note(cl, "subscribed %s %x", pk.Filters[0].Filter, codes)
}

func (r *recorder) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	r.note(cl, "unsubscribe %s", pk.Filters[0].Filter)
	return pk
}

func (r *recorder) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	r.note(cl, "unsubscribed %s", pk.Filters[0].Filter)
}

func (r *recorder) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	r.note(cl, "publish %s", pk.Payload)
	if string(pk.Payload) == "reject" {
		return pk, packets.ErrQuotaExceeded
	}
	return pk, nil
}

func (r *recorder) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	r.note(cl, "published %s", pk.Payload)
}

func (r *recorder) OnPublishDropped(cl *mqtt.Client, pk packets.Packet) {
	r.note(cl, "dropped %s", pk.Payload)
}

func (r *recorder) OnWill(cl *mqtt.Client, w mqtt.Will) (mqtt.Will, error) {
	r.note(cl, "will %s", w.Payload)
	return w, nil
}

func (r *recorder) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	r.note(cl, "sent will %s", pk.Payload)
}

// inOrder fails unless the words were noted in this order, others between them.
func inOrder(t *testing.T, notes []string, words ...string) {
	t.Helper()
	at := 0
	for _, w := range words {
		i := slices.Index(notes[at:], w)
		if i < 0 {
			t.Errorf("%q is missing or in the wrong place in\n%s", w, strings.Join(notes, "\n"))
			return
		}
		at += i + 1
	}
}

func TestEventsInTheirOrder(t *testing.T) {
	r := &recorder{}
	n, b := start(t, settings(t), broker.Options{Hooks: []hooks.Loaded{{Hook: r}}})

	for id, code := range map[string]byte{"banned": 0x8A, "nobody": 0x86} {
		if _, ack := b.TryConnect(t, harness.Connect{ID: id}); ack.Code != code {
			t.Errorf("%s: %v", id, ack)
		}
	}
	a := b.Connect(t, harness.Connect{ID: "a", User: "ann", Pass: "secret", Will: &harness.Will{Topic: "w", Payload: "gone"}})
	if got := a.Subscribe("mine/t", 1); got != 1 { // the hook makes it a/t
		t.Errorf("%#x", got)
	}
	r.await(t, "a: subscribed a/t 01") // told after SUBACK
	p := b.Connect(t, harness.Connect{ID: "p", Version: harness.V311})
	p.Publish(harness.Publish{Topic: "a/t", Payload: "hello", QoS: 1})
	a.ExpectMessage("a/t", "hello")
	if ack := a.Publish(harness.Publish{Topic: "a/t", Payload: "reject", QoS: 1}); ack.Code != 0x97 {
		t.Errorf("%v", ack)
	}
	for qos := range byte(3) { // rejected for every version and QoS
		p.Publish(harness.Publish{Topic: "a/t", Payload: "reject", QoS: qos})
	}
	if ack := a.Publish(harness.Publish{Topic: "forbidden", Payload: "f", QoS: 1}); ack.Code != 0x87 {
		t.Errorf("%v", ack)
	}
	a.ExpectNothing()
	a.Unsubscribe("a/t")
	a.Drop()
	p.Leave(harness.Disconnect(0)[:2])
	exp := b.Connect(t, harness.Connect{ID: "e", Props: [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(1))}})
	exp.Leave()
	r.await(t, "e: expired")
	r.await(t, "a: sent will gone")
	r.await(t, "p: disconnect false 00 true")
	last := b.Connect(t, harness.Connect{ID: "last"})
	stop(t, n)
	last.ExpectRefused(0x8B)
	got := r.await(t, "stopped")
	inOrder(t, got, "started", "a: connect ann from true", "a: authenticate ann secret", "a: establish", "a: established",
		"a: subscribe mine/t", "a: acl a/t false", "a: subscribed a/t 01", "p: connect  from true",
		"p: publish hello", "p: published hello", "a: publish reject", "p: publish reject", "a: acl forbidden true",
		"a: unsubscribe a/t", "a: unsubscribed a/t", "a: will gone", "a: sent will gone", "a: disconnect true 80 true", "e: disconnect false 00 false", "e: expired",
		"last: disconnect true 8b true", "stopped")
	for _, never := range []string{"p: published reject", "a: published reject", "a: published f", "nobody: establish", "banned: authenticate  "} {
		if slices.Contains(got, never) {
			t.Errorf("noted %q", never)
		}
	}
}

// deny_action decides what a 3.x client is told of a publish that is refused.
func TestDenyAction(t *testing.T) {
	for _, action := range []config.DenyAction{config.DenyDrop, config.DenyDisconnect} {
		cfg := settings(t)
		cfg.MQTT.DenyAction = action
		_, b := start(t, cfg, broker.Options{Hooks: []hooks.Loaded{{Hook: &recorder{}}}})
		p := b.Connect(t, harness.Connect{Version: harness.V311})
		p.Send(harness.Publish{Topic: "forbidden", Payload: "x", QoS: 1, ID: 1}.Bytes(harness.V311))
		if action == config.DenyDisconnect {
			p.ExpectRefused(0)
			continue
		}
		p.Expect(harness.PUBACK)
	}
}

// mochi's own hook for users and rules works end to end.
func TestLedger(t *testing.T) {
	const ledger = `
auth:
  - {username: bob, password: secret, allow: true}
acl:
  - {username: bob, filters: {"out/#": 2, "in/#": 1, "#": 0}}
`
	_, b := start(t, settings(t), broker.Options{Hooks: []hooks.Loaded{{Hook: new(mochiauth.Hook), Config: &mochiauth.Options{Data: []byte(ledger)}}}})
	if _, ack := b.TryConnect(t, harness.Connect{User: "bob", Pass: "wrong"}); ack.Code != 0x86 {
		t.Errorf("a wrong password: %v", ack)
	}
	if _, ack := b.TryConnect(t, harness.Connect{Version: harness.V311}); ack.Code != 4 && ack.Code != 5 {
		t.Errorf("nobody: %v", ack)
	}
	bob := b.Connect(t, harness.Connect{User: "bob", Pass: "secret"})
	if ack := bob.Publish(harness.Publish{Topic: "out/x", Payload: "x", QoS: 1}); ack.Code >= 0x80 {
		t.Errorf("%v", ack)
	}
	if ack := bob.Publish(harness.Publish{Topic: "in/x", Payload: "x", QoS: 2}); ack.Code != 0x87 {
		t.Errorf("%v", ack)
	}
	bob.Subscribe("in/#", 1)
	bob.Send(harness.Subscribe(harness.V5, 9, nil, harness.To("out/#", 1), harness.To("#", 1)))
	if p := bob.Expect(harness.SUBACK); string(p.Codes) != "\x87\x87" {
		t.Errorf("%v", p)
	}
}
