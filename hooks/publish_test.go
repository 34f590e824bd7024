package hooks

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
)

type edit func(pk packets.Packet) (packets.Packet, error)

func publisher(id string, f edit) *fake {
	return &fake{id: id, events: []byte{mqtt.OnPublish}, publish: f}
}

func fail(err error) edit {
	return func(pk packets.Packet) (packets.Packet, error) { return pk, err }
}

// TestRejectedPublish: every error rejects, whatever version and QoS.
func TestRejectedPublish(t *testing.T) {
	for _, tc := range []struct {
		err  error
		fate Fate
		code byte
	}{
		{packets.ErrRejectPacket, Reject, 0x83},
		{errors.New("anything"), Reject, 0x80},
		{packets.CodeSuccess, Reject, 0x80},
		{packets.CodeNoMatchingSubscribers, Reject, 0x80},
		{packets.ErrNotAuthorized, Reject, 0x87},
		{packets.ErrTopicNameInvalid, Reject, 0x90},
		{packets.ErrQuotaExceeded, Reject, 0x97},
		{packets.ErrPayloadFormatInvalid, Reject, 0x99},
		{packets.ErrImplementationSpecificError, Reject, 0x83},
		{packets.ErrMalformedPacket, Reject, 0x80}, // PUBACK cannot carry 0x81
		{packets.ErrServerBusy, Reject, 0x80},
		{fmt.Errorf("wrapped: %w", packets.ErrNotAuthorized), Reject, 0x87},
		{fmt.Errorf("wrapped: %w", packets.ErrRejectPacket), Reject, 0x83},
		{packets.CodeSuccessIgnore, Ignore, 0},
		{fmt.Errorf("wrapped: %w", packets.CodeSuccessIgnore), Ignore, 0},
	} {
		after := publisher("after", nil)
		c := chain(t, Options{}, publisher("judge", fail(tc.err)), after)
		h := c.client(connectPacket("c1", "", ""))
		for _, version := range []byte{3, 4, 5} {
			for qos := range byte(3) {
				m := hello()
				m.QoS = qos
				got, v := c.Publish(h, m, version)
				if got != m || v.Fate != tc.fate || v.Code != tc.code || !strings.HasPrefix(v.Why, "hook judge: ") {
					t.Errorf("%v, version %d, QoS %d: %+v", tc.err, version, qos, v)
				}
			}
		}
		equal(t, "hooks asked after an error", len(after.noted()), 0)
	}
}

// TestPublishUnchanged: a hook that only looks costs no new message, and what its
// packet says is what was published.
func TestPublishUnchanged(t *testing.T) {
	f := publisher("f", nil)
	c := chain(t, Options{}, f)
	m := hello()
	m.Retain, m.Expires = true, m.Created+90*second
	m.Props = sampleProps()
	if got, v := c.Publish(c.client(connectPacket("c1", "", "")), m, 5); got != m || v.Fate != Pass {
		t.Errorf("%+v %+v", got, v)
	}
	pk := f.seen[1].(packets.Packet) // 0 is what Init was given
	want := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1, Retain: true},
		TopicName:   "a/b", Payload: []byte("hello"), Origin: "c1", Created: 1000, Expiry: 1090, ProtocolVersion: 5,
		Properties: packets.Properties{
			MessageExpiryInterval: 90, PayloadFormat: 1, PayloadFormatFlag: true, ContentType: "text/plain", ResponseTopic: "re/ply",
			CorrelationData: []byte{0, 1}, User: []packets.UserProperty{{Key: "k", Val: "v"}, {Key: "k", Val: ""}},
		},
	}
	equal(t, "packet", pk, want)
}

// sampleProps has one of everything that travels on, not in the order in which
// this package would write it.
func sampleProps() []byte {
	b := []byte{message.PropUser, 0, 1, 'k', 0, 1, 'v'}
	b = appendString(append(b, message.PropContentType), "text/plain")
	b = append(b, message.PropPayloadFormat, 1, message.PropCorrelationData, 0, 2, 0, 1)
	b = append(b, message.PropUser, 0, 1, 'k', 0, 0)
	return appendString(append(b, message.PropResponseTopic), "re/ply")
}

func TestPublishChanged(t *testing.T) {
	base := func() *message.Message {
		m := hello()
		m.ID, m.User, m.Props, m.Expires = message.ID{Run: 1, Seq: 2}, "bob", sampleProps(), m.Created+90*second
		return m
	}
	for name, tc := range map[string]struct {
		edit edit
		want func(m *message.Message)
	}{
		"topic":            {set(func(pk *packets.Packet) { pk.TopicName = "c" }), func(m *message.Message) { m.Topic = "c" }},
		"payload":          {set(func(pk *packets.Packet) { pk.Payload = []byte("bye") }), func(m *message.Message) { m.Payload = []byte("bye") }},
		"payload in place": {set(func(pk *packets.Packet) { pk.Payload[0] = 'j' }), func(m *message.Message) { m.Payload = []byte("jello") }},
		"retain":           {set(func(pk *packets.Packet) { pk.FixedHeader.Retain = true }), func(m *message.Message) { m.Retain = true }},
		"expiry":           {set(func(pk *packets.Packet) { pk.Properties.MessageExpiryInterval = 7 }), func(m *message.Message) { m.Expires = m.Created + 7*second }},
		"no expiry":        {set(func(pk *packets.Packet) { pk.Properties.MessageExpiryInterval = 0 }), func(m *message.Message) { m.Expires = 0 }},
		"content type": {
			set(func(pk *packets.Packet) { pk.Properties.ContentType = "" }),
			func(m *message.Message) {
				m.Props = append([]byte{message.PropPayloadFormat, 1, message.PropResponseTopic, 0, 6}, "re/ply\x09\x00\x02\x00\x01\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x00"...)
			},
		},
		"nothing of its own": {
			set(func(pk *packets.Packet) {
				pk.Properties = packets.Properties{ContentType: "x", MessageExpiryInterval: 90}
			}),
			func(m *message.Message) { m.Props = []byte{message.PropContentType, 0, 1, 'x'} },
		},
	} {
		f := publisher("f", tc.edit)
		c := chain(t, Options{}, f)
		m, want := base(), base()
		tc.want(want)
		got, v := c.Publish(c.client(connectPacket("c1", "", "")), m, 5)
		if v.Fate != Pass || got == m {
			t.Errorf("%s: %+v, the same message %v", name, v, got == m)
		}
		equal(t, name, *got, *want)
		equal(t, name+": the original", *m, *base())
	}
}

func set(change func(pk *packets.Packet)) edit {
	return func(pk packets.Packet) (packets.Packet, error) {
		change(&pk)
		return pk, nil
	}
}

// TestPublishKeeps: what hooks cannot change.
func TestPublishKeeps(t *testing.T) {
	c := chain(t, Options{}, publisher("f", set(func(pk *packets.Packet) {
		pk.FixedHeader.Qos, pk.Origin, pk.Created, pk.Expiry, pk.PacketID = 2, "other", 1, 1, 9
		pk.Properties.TopicAlias, pk.Properties.SubscriptionIdentifier = 3, []int{4}
	})))
	m := hello()
	if got, v := c.Publish(c.client(connectPacket("c1", "", "")), m, 5); got != m || v.Fate != Pass {
		t.Errorf("%+v %+v", got, v)
	}
}

func TestHooksSeeWhatTheOneBeforeMade(t *testing.T) {
	more := set(func(pk *packets.Packet) { pk.Payload = append(pk.Payload, '!') })
	a, b := publisher("a", more), publisher("b", more)
	c := chain(t, Options{}, a, b)
	got, _ := c.Publish(c.client(connectPacket("c1", "", "")), hello(), 4)
	equal(t, "payload", string(got.Payload), "hello!!")
	equal(t, "calls of b", b.noted(), []string{"OnPublish c1 a/b hello!"})
}

func TestPublishThatCannotBeSent(t *testing.T) {
	long := strings.Repeat("x", 65536)
	for name, change := range map[string]func(pk *packets.Packet){
		"topic":            func(pk *packets.Packet) { pk.TopicName = long },
		"content type":     func(pk *packets.Packet) { pk.Properties.ContentType = long },
		"response topic":   func(pk *packets.Packet) { pk.Properties.ResponseTopic = "a/#" },
		"correlation data": func(pk *packets.Packet) { pk.Properties.CorrelationData = []byte(long) },
		"user property":    func(pk *packets.Packet) { pk.Properties.User = []packets.UserProperty{{Key: "k", Val: long}} },
		"UTF-8":            func(pk *packets.Packet) { pk.Properties.User = []packets.UserProperty{{Key: "\xff", Val: ""}} },
		"U+0000":           func(pk *packets.Packet) { pk.Properties.ContentType = "a\x00" },
		"format":           func(pk *packets.Packet) { pk.Properties.PayloadFormat, pk.Properties.PayloadFormatFlag = 2, true },
	} {
		c := chain(t, Options{}, publisher("f", set(change)))
		m := hello()
		got, v := c.Publish(c.client(connectPacket("c1", "", "")), m, 5)
		if got != m || v.Fate != Reject || v.Code != CodeSpecific {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestHooksMayKeep: what hooks were given stays what it was, and what they write
// into it reaches nobody.
func TestHooksMayKeep(t *testing.T) {
	var kept []byte
	c := chain(t, Options{}, publisher("f", set(func(pk *packets.Packet) {
		pk.Payload = []byte("mine")
		kept = pk.Payload
	})))
	m := hello()
	got, _ := c.Publish(c.client(connectPacket("c1", "", "")), m, 5)
	copy(kept, "XXXX")
	if !bytes.Equal(got.Payload, []byte("mine")) {
		t.Errorf("payload %q", got.Payload)
	}
}

func TestWillOfHooks(t *testing.T) {
	var change func(w *mqtt.Will) error
	f := &fake{id: "f", events: []byte{mqtt.OnWill}, will: func(w mqtt.Will) (mqtt.Will, error) { err := change(&w); return w, err }}
	c := chain(t, Options{}, f)
	h := c.client(connectPacket("c1", "", ""))
	m := hello()
	m.Props = sampleProps()
	ask := func(f func(w *mqtt.Will) error) (*message.Message, error) {
		change = f
		return c.Will(h, m, 30)
	}

	got, err := ask(func(*mqtt.Will) error { return nil })
	if got != m || err != nil {
		t.Errorf("unchanged: %+v %v", got, err)
	}
	equal(t, "shown", f.seen[1], any(mqtt.Will{
		Payload: []byte("hello"), User: []packets.UserProperty{{Key: "k", Val: "v"}, {Key: "k", Val: ""}}, TopicName: "a/b", Flag: 1, WillDelayInterval: 30, Qos: 1,
	}))

	got, err = ask(func(w *mqtt.Will) error {
		w.TopicName, w.Payload, w.Qos, w.Retain = "c", []byte("bye"), 2, true
		return nil
	})
	want := *m
	want.Topic, want.Payload, want.QoS, want.Retain = "c", []byte("bye"), 2, true
	if err != nil {
		t.Error(err)
	}
	equal(t, "changed", *got, want)

	got, err = ask(func(w *mqtt.Will) error { w.User = nil; return nil })
	if err != nil {
		t.Error(err)
	}
	if _, ok := message.UserProperty(got.Props, "k"); ok || string(message.Property(got.Props, message.PropContentType)) != "text/plain" {
		t.Errorf("properties %q", got.Props)
	}

	boom := errors.New("boom")
	if got, err = ask(func(*mqtt.Will) error { return boom }); got != nil || !errors.Is(err, boom) {
		t.Errorf("error: %+v %v", got, err)
	}
	if _, err = ask(func(w *mqtt.Will) error { w.Qos = 3; return nil }); err == nil {
		t.Error("QoS 3 was taken")
	}
	if _, err = ask(func(w *mqtt.Will) error { w.User = []packets.UserProperty{{Key: "\x00"}}; return nil }); err == nil {
		t.Error("U+0000 was taken")
	}
	equal(t, "the original", *m, *func() *message.Message { o := hello(); o.Props = sampleProps(); return o }())
}
