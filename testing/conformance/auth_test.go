package conformance

import (
	"context"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/hooks"
	. "github.com/skeinmq/skein/testing/harness"
)

// guard is a hook: it lets in every user but "nobody", refuses topics that end in
// "secret", and re-authenticates who answers "right" to its question.
type guard struct{ mqtt.HookBase }

func (guard) ID() string { return "guard" }

func (guard) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck || b == mqtt.OnAuthPacket
}

func (guard) OnConnectAuthenticate(_ *mqtt.Client, pk packets.Packet) bool {
	return string(pk.Connect.Username) != "nobody"
}

func (guard) OnACLCheck(_ *mqtt.Client, topic string, _ bool) bool {
	const secret = "secret"
	return len(topic) < len(secret) || topic[len(topic)-len(secret):] != secret
}

func (guard) OnAuthPacket(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch {
	case pk.ReasonCode == packets.CodeReAuthenticate.Code:
		pk.ReasonCode = packets.CodeContinueAuthentication.Code
		pk.Properties.AuthenticationData = []byte("question")
	case string(pk.Properties.AuthenticationData) == "right":
		pk.ReasonCode = packets.CodeSuccess.Code
		pk.Properties.AuthenticationData = nil
	default:
		return pk, packets.ErrNotAuthorized
	}
	return pk, nil
}

// quiz is an authenticator that asks for the length of what it was last told, twice,
// and knows no other method.
type quiz struct{ left int }

func (quiz) Begin(_ context.Context, q hooks.Connect) hooks.Step {
	if q.Method != "quiz" {
		return hooks.Refuse(0x8C, "only quiz")
	}
	return hooks.Continue(q.Data, quiz{left: 2})
}

func (q quiz) Continue(_ context.Context, data []byte) hooks.Step {
	switch {
	case string(data) == "wrong":
		return hooks.Refuse(0x87, "wrong answer")
	case q.left == 1:
		return hooks.Accept(auth.Named("quizzed", true), []byte("well done"))
	}
	return hooks.Continue(data, quiz{left: q.left - 1})
}

func TestExchange(t *testing.T) {
	t.Parallel()
	method := Prop(PAuthMethod, Str("quiz"))
	data := func(s string) []byte { return Prop(PAuthData, Str(s)) }
	// ask begins a connect and answers the first question, up to the last.
	ask := func(t *testing.T, b *Broker) *Client {
		t.Helper()
		c := Dial(t, b.TCP)
		c.Send(Connect{ID: Name(), Props: [][]byte{method, data("one")}}.Bytes())
		for _, want := range []string{"one", "two"} {
			p := c.ExpectCode(AUTH, 0x18)
			if p.Props.Text(PAuthMethod) != "quiz" || p.Props.Text(PAuthData) != want {
				t.Fatalf("got %v, want data %q", p, want)
			}
			if want == "one" {
				c.Send(Auth(0x18, method, data("two")))
			}
		}
		return c
	}

	statement(t, "MQTT-4.12.0-2", func(t *testing.T) {
		b := NodeWith(t, Setup{Auth: quiz{}})
		c := ask(t, b)
		c.Send(Auth(0x18, method, data("three")))
		if p := c.ExpectCode(CONNACK, 0); p.Props.Text(PAuthMethod) != "quiz" || p.Props.Text(PAuthData) != "well done" {
			t.Errorf("got %v", p)
		}
		c.ExpectNothing()
		c.Send(Auth(0x19, method, data("again"))) // re-authentication runs the same way
		c.ExpectCode(AUTH, 0x18)
		c.Send(Auth(0x18, method, data("x")))
		c.ExpectCode(AUTH, 0x18)
		c.Send(Auth(0x18, method, data("y")))
		c.ExpectCode(AUTH, 0)
		c.ExpectNothing()
	})

	statement(t, "MQTT-4.12.0-4", func(t *testing.T) {
		b := NodeWith(t, Setup{Auth: quiz{}})
		for _, p := range [][]byte{
			Auth(0x18, method, data("wrong")), Auth(0x18, Prop(PAuthMethod, Str("other"))), Auth(0x18), Auth(0x19, method),
			Publish{Topic: "a"}.Bytes(V5), Ping(), Connect{ID: Name()}.Bytes(), Disconnect(0),
		} {
			c := ask(t, b)
			c.Send(p)
			noSuccess(t, c)
		}
		refused(t, b, Connect{}, 0x8C)
		for _, v := range []byte{V311, V31} {
			c, ack := b.TryConnect(t, Connect{Version: v})
			if ack.Code == 0 {
				t.Errorf("version %d: got %v", v, ack)
			}
			c.ExpectClosed()
		}
	})
}

func TestAuth(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	method := Prop(PAuthMethod, Str("quiz"))

	statement(t, "MQTT-4.12.0-1", func(t *testing.T) {
		c, ack := b.TryConnect(t, Connect{Props: [][]byte{Prop(PAuthMethod, Str("unknown"))}})
		if ack.Code != 0x8C && ack.Code != 0x87 {
			t.Errorf("got %v, want 0x8C or 0x87", ack)
		}
		if ps := c.ExpectClosed(); len(ps) > 0 {
			t.Errorf("got %v after the refusal", ps)
		}
	})

	statement(t, "MQTT-4.12.0-6", func(t *testing.T) {
		c, ack := b.TryConnect(t, Connect{User: "u", Pass: "p"})
		if ack.Code != 0 || ack.Props.Has(PAuthMethod) || ack.Props.Has(PAuthData) {
			t.Errorf("got %v, want no authentication method", ack)
		}
		c.ExpectNothing()
	})

	statement(t, "MQTT-3.15.1-1", func(t *testing.T) {
		badFlags(t, b, V5, Auth(0x19, method), 0)
	})

	both(t, "MQTT-3.1.4-2 3.1.1/MQTT-3.2.2-6", func(t *testing.T, v byte) {
		b := NodeWith(t, Setup{Hooks: []hooks.Loaded{{Hook: &guard{}}}})
		b.Connect(t, Connect{Version: v, User: "somebody"})
		code := map[byte]byte{V5: 0x86, V311: 4}[v]
		refused(t, b, Connect{Version: v, User: "nobody"}, code)
	})

	statement(t, "MQTT-3.1.3-8", func(t *testing.T) {
		// A session that a user name owns is not given to another.
		id := Name()
		o := persistent(V5, id)
		o.User = "one"
		b.Connect(t, o).Leave()
		o.User = "two"
		refused(t, b, o, 0x85)
	})

	statement(t, "MQTT-3.15.2-1 MQTT-4.12.0-5", func(t *testing.T) {
		b := NodeWith(t, Setup{Hooks: []hooks.Loaded{{Hook: &guard{}}}})
		c, ack := b.TryConnect(t, Connect{Props: [][]byte{method}})
		if ack.Code != 0 || ack.Props.Text(PAuthMethod) != "quiz" {
			t.Fatalf("got %v, want the method", ack)
		}
		for range 2 { // again and again
			c.Send(Auth(0x19, method))
			if p := c.ExpectCode(AUTH, 0x18); p.Props.Text(PAuthMethod) != "quiz" || p.Props.Text(PAuthData) != "question" {
				t.Errorf("got %v", p)
			}
			c.Publish(Publish{Topic: Name(), QoS: 1}) // the old identity goes on meanwhile
			c.Send(Auth(0x18, method, Prop(PAuthData, Str("right"))))
			if p := c.ExpectCode(AUTH, 0); p.Props.Text(PAuthMethod) != "quiz" {
				t.Errorf("got %v", p)
			}
		}
		c.Send(Auth(0x19, Prop(PAuthMethod, Str("other"))))
		c.ExpectRefused(0x82)
	})

	statement(t, "MQTT-3.15.2-2 MQTT-3.15.2-3", func(t *testing.T) {
		b := NodeWith(t, Setup{Hooks: []hooks.Loaded{{Hook: &guard{}}}})
		_, ack := b.TryConnect(t, Connect{Props: [][]byte{method}})
		most := ack.Size
		c := b.Connect(t, Connect{Props: [][]byte{method, Prop(PMaximumPacketSize, U32(most))}})
		c.Send(Auth(0x19, method))
		if p := c.ExpectCode(AUTH, 0x18); p.Size > most {
			t.Errorf("%v has %d bytes, want at most %d", p, p.Size, most)
		}
		c.Send(Auth(0x18, method, Prop(PAuthData, Str("wrong"))))
		for _, p := range c.ExpectClosed() {
			if p.Size > most {
				t.Errorf("%v has %d bytes, want at most %d", p, p.Size, most)
			}
		}
	})

	statement(t, "MQTT-4.12.1-2", func(t *testing.T) {
		b := NodeWith(t, Setup{Hooks: []hooks.Loaded{{Hook: &guard{}}}})
		c := b.Connect(t, Connect{Props: [][]byte{method}})
		c.Send(Auth(0x19, method))
		c.ExpectCode(AUTH, 0x18)
		c.Send(Auth(0x18, method, Prop(PAuthData, Str("wrong"))))
		c.ExpectRefused(0x87)
	})

	each(t, "MQTT-4.3.3-9 3.1.1/MQTT-3.3.5-2", func(t *testing.T, v byte) {
		b := NodeWith(t, Setup{Hooks: []hooks.Loaded{{Hook: &guard{}}}})
		sub, pub := b.Client(t, v), b.Client(t, v)
		topic := Name()
		sub.Subscribe(topic+"/#", 2)
		for q := byte(0); q <= 2; q++ {
			for i := range 2 { // the identifier is free again
				ack := pub.Publish(Publish{Topic: topic + "/secret", Payload: "x", QoS: q, ID: 9, Dup: i > 0 && q > 0})
				if v == V5 && q > 0 && ack.Code != 0x87 {
					t.Errorf("QoS %d: got %v, want 0x87", q, ack)
				}
			}
			pub.Publish(Publish{Topic: topic + "/open", Payload: "x", QoS: q, ID: 9})
			sub.ExpectMessage(topic+"/open", "x")
		}
		sub.ExpectNothing()
		refusesFilter(t, sub, map[bool]byte{true: 0x87, false: 0x80}[v == V5], To(topic+"/secret", 0))
	})
}
