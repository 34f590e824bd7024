package conformance

import (
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// badStrings are not UTF-8, or hold what MQTT does not allow.
var badStrings = map[string]string{
	"a lone continuation byte": "a\x80", "a cut sequence": "a\xe2\x82", "an overlong slash": "a\xc0\xaf", "an overlong NUL": "\xc0\x80",
	"a surrogate": "\xed\xa0\x80", "a surrogate pair": "\xed\xa0\xbd\xed\xb8\x80", "beyond U+10FFFF": "\xf4\x90\x80\x80", "0xFF": "a\xff",
}

func TestUTF8(t *testing.T) {
	t.Parallel()
	b := Shared(t)

	bad := func(t *testing.T, v byte, s string) {
		t.Helper()
		for _, p := range [][]byte{
			Publish{Topic: s}.Bytes(v), Subscribe(v, 1, nil, To(s, 0)), Unsubscribe(v, 1, s),
		} {
			c := b.Client(t, v)
			c.Send(p)
			c.ExpectRefused(0x81)
		}
		badConnect(t, b, Connect{Version: v, ID: s})
	}

	each(t, "MQTT-1.5.4-1 3.1.1/MQTT-1.5.3-1", func(t *testing.T, v byte) {
		for _, s := range badStrings {
			bad(t, v, s)
		}
	})

	each(t, "MQTT-1.5.4-2 3.1.1/MQTT-1.5.3-2", func(t *testing.T, v byte) {
		bad(t, v, "\x00")
		bad(t, v, "a\x00b")
	})

	each(t, "MQTT-1.5.4-3 3.1.1/MQTT-1.5.3-3", func(t *testing.T, v byte) {
		topic := Name()
		c := b.Client(t, v)
		c.Subscribe("\ufeff"+topic, 0)
		c.Publish(Publish{Topic: topic, Payload: "without"})
		c.Publish(Publish{Topic: "\ufeff" + topic, Payload: "with"})
		c.ExpectMessage("\ufeff"+topic, "with")
		c.ExpectNothing()
	})

	statement(t, "MQTT-1.5.7-1", func(t *testing.T) {
		for _, u := range [][]byte{UserProp("\xff", "v"), UserProp("k", "\xff"), UserProp("\x00", "v"), UserProp("k", "\x00")} {
			c := b.Client(t, V5)
			c.Send(Publish{Topic: Name(), Props: [][]byte{u}}.Bytes(V5))
			c.ExpectRefused(0x81)
			c = b.Client(t, V5)
			c.Send(Subscribe(V5, 1, u, To(Name(), 0)))
			c.ExpectRefused(0x81)
			badConnect(t, b, Connect{Props: [][]byte{u}})
		}
	})
}
