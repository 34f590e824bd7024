package hooks

import (
	"errors"
	"fmt"
	"testing"
	"unsafe"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/auth"
)

func TestConnectCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want byte
	}{
		{nil, 0},
		{errors.New("any"), 0x80},
		{packets.ErrBanned, 0x8A},
		{packets.ErrServerMoved, 0x9D},
		{fmt.Errorf("wrapped: %w", packets.ErrNotAuthorized), 0x87},
		{packets.Err3UnsupportedProtocolVersion, 0x84},
		{packets.Err3ClientIdentifierNotValid, 0x85},
		{packets.Err3ServerUnavailable, 0x88},
		{packets.ErrMalformedUsernameOrPassword, 0x86},
		{packets.Err3NotAuthorized, 0x87},
		{packets.CodeSuccess, 0x80},
		{packets.ErrSessionTakenOver, 0x80}, // not one of CONNACK
	} {
		after := &fake{id: "after", events: []byte{mqtt.OnConnect}}
		c := chain(t, Options{}, &fake{id: "f", events: []byte{mqtt.OnConnect}, connect: func(*mqtt.Client, packets.Packet) error { return tc.err }}, after)
		pk := connectPacket("c1", "", "")
		code, why := c.Connect(c.client(pk), pk)
		if code != tc.want || (code != 0) != (why != "") {
			t.Errorf("%v: code %#x, why %q", tc.err, code, why)
		}
		if asked := len(after.noted()) > 0; asked != (tc.err == nil) {
			t.Errorf("%v: the next hook was asked: %v", tc.err, asked)
		}
	}
}

func TestKeepAliveOfHooks(t *testing.T) {
	c := chain(t, Options{}, &fake{id: "f", events: []byte{mqtt.OnConnect}, connect: func(cl *mqtt.Client, pk packets.Packet) error {
		if pk.Connect.ClientIdentifier == "slow" {
			cl.State.Keepalive, cl.State.ServerKeepalive = 300, true
		}
		return nil
	}})
	for id, want := range map[string]uint16{"slow": 300, "other": 0} {
		pk := connectPacket(id, "", "")
		h := c.client(pk)
		c.Connect(h, pk)
		if got, ok := h.ServerKeepAlive(); got != want || ok != (want != 0) {
			t.Errorf("%s: %d %v", id, got, ok)
		}
	}
	if _, ok := chain(t, Options{}).client(connectPacket("c", "", "")).ServerKeepAlive(); ok {
		t.Error("a keep alive without hooks")
	}
}

// TestClientThatHooksSee: identity, address, listener and properties are there, and
// its methods do not panic.
func TestClientThatHooksSee(t *testing.T) {
	var cl *mqtt.Client
	c := chain(t, Options{}, &fake{id: "f", events: []byte{mqtt.OnConnect, mqtt.OnDisconnect}, connect: func(got *mqtt.Client, _ packets.Packet) error { cl = got; return nil }})
	pk := connectPacket("", "bob", "secret")
	pk.Connect.Clean = true
	pk.Properties = packets.Properties{SessionExpiryInterval: 7, SessionExpiryIntervalFlag: true, User: []packets.UserProperty{{Key: "k", Val: "v"}}}
	pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload, pk.Connect.WillQos, pk.Connect.WillRetain = true, "w", []byte("gone"), 1, true
	pk.Connect.WillProperties.WillDelayInterval = 5
	h := c.client(pk)
	h.SetID("assigned")
	c.Connect(h, pk)
	if cl.ID != "assigned" || cl.Properties.Props.AssignedClientID != "assigned" || h.ID() != "assigned" {
		t.Errorf("id %q, assigned %q", cl.ID, cl.Properties.Props.AssignedClientID)
	}
	p := &cl.Properties
	if string(p.Username) != "bob" || p.ProtocolVersion != 5 || !p.Clean || p.Props.SessionExpiryInterval != 7 || len(p.Props.User) != 1 || cl.State.Keepalive != 60 {
		t.Errorf("properties %+v", p)
	}
	equal(t, "will", p.Will, mqtt.Will{TopicName: "w", Payload: []byte("gone"), Flag: 1, WillDelayInterval: 5, Qos: 1, Retain: true})
	if cl.Net.Remote != "127.0.0.1:4711" || cl.Net.Listener != "default" || cl.Net.Inline || cl.Net.Conn != nil {
		t.Errorf("net %+v", cl.Net)
	}
	if n := len(cl.State.Subscriptions.GetAll()) + cl.State.Inflight.Len(); n != 0 || cl.Closed() || cl.IsTakenOver() {
		t.Error("a new client has subscriptions, messages or is closed")
	}
	if err := cl.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingresp}}); err != nil {
		t.Errorf("a packet to nowhere: %v", err)
	}
	err := Ended(0x8E, "session taken over")
	c.Disconnect(h, err, false)
	if !cl.Closed() || cl.StopCause() != err || !errors.Is(cl.StopCause(), packets.ErrSessionTakenOver) {
		t.Errorf("closed %v, cause %v", cl.Closed(), cl.StopCause())
	}
}

func TestEnded(t *testing.T) {
	var code packets.Code
	err := Ended(0x8D, "keep alive timeout after 90 s")
	if !errors.As(err, &code) || code != packets.ErrKeepAliveTimeout || err.Error() != "keep alive timeout after 90 s" {
		t.Errorf("%v, code %v", err, code)
	}
	if err = Ended(0xF0, "odd"); !errors.As(err, &code) || code != (packets.Code{Code: 0xF0, Reason: "odd"}) {
		t.Errorf("%v, code %v", err, code)
	}
}

// TestClientOfStoredSession: hooks get one for a session without a connection too.
func TestClientOfStoredSession(t *testing.T) {
	f := &fake{id: "f", events: []byte{mqtt.OnClientExpired}}
	c := chain(t, Options{}, f)
	h := c.NewClient(Info{ID: "old", User: "bob", HasUser: true, Version: 4})
	if h.mochi.Load() != nil {
		t.Error("the client was made before a hook wanted it")
	}
	c.ClientExpired(h)
	equal(t, "calls", f.noted(), []string{"OnClientExpired old"})
	if cl := h.bare(); cl != h.bare() || string(cl.Properties.Username) != "bob" || cl.Properties.ProtocolVersion != 4 {
		t.Errorf("client %+v", cl.Properties)
	}
}

// TestIdleClientIsSmall: what an idle connection costs here without hooks.
func TestIdleClientIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Client{}) + unsafe.Sizeof(auth.Identity{}); n > 192 {
		t.Errorf("%d bytes", n)
	}
	c := chain(t, Options{})
	if n := testing.AllocsPerRun(100, func() { c.NewClient(Info{ID: "c"}) }); n > 1 {
		t.Errorf("%v allocations for an anonymous client", n)
	}
}

func TestClientSays(t *testing.T) {
	h := chain(t, Options{}).client(connectPacket("c1", "bob", ""))
	equal(t, "what it says", []any{h.ID(), h.Remote(), h.Listener(), h.ListenerKind(), h.Version()}, []any{"c1", "127.0.0.1:4711", "default", "tcp", byte(5)})
	h.SetIdentity(auth.Identity{User: "ann", HasUser: true, ExpiresAt: 9})
	equal(t, "identity", h.Identity(), auth.Identity{User: "ann", HasUser: true, ExpiresAt: 9})
}
