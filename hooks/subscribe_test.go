package hooks

import (
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

func TestHooksChangeFilters(t *testing.T) {
	rename := func(prefix string) func(pk packets.Packet) packets.Packet {
		return func(pk packets.Packet) packets.Packet {
			for i := range pk.Filters { // in place, as hooks do
				pk.Filters[i].Filter = prefix + pk.Filters[i].Filter
			}
			return pk
		}
	}
	drop := func(pk packets.Packet) packets.Packet { pk.Filters = pk.Filters[:1]; return pk }
	bad := func(pk packets.Packet) packets.Packet { pk.Filters[1].Qos = 3; return pk }
	for name, tc := range map[string]struct {
		change []func(pk packets.Packet) packets.Packet
		code   byte
		want   []string
	}{
		"renamed twice": {[]func(pk packets.Packet) packets.Packet{rename("t/"), rename("u/")}, 0, []string{"u/t/a", "u/t/b"}},
		"one too few":   {[]func(pk packets.Packet) packets.Packet{rename("t/"), drop}, 0x80, []string{"a", "b"}},
		"QoS 3":         {[]func(pk packets.Packet) packets.Packet{rename("t/"), bad}, 0x80, []string{"a", "b"}},
	} {
		var hooks []mqtt.Hook
		for _, f := range tc.change {
			hooks = append(hooks, &fake{id: name, events: []byte{mqtt.OnSubscribe, mqtt.OnUnsubscribe}, filters: f})
		}
		c := chain(t, Options{}, hooks...)
		for event, call := range map[string]func(*Client, *packets.Packet) byte{"subscribe": c.Subscribe, "unsubscribe": c.Unsubscribe} {
			pk := subscribePacket("a", "b")
			if code := call(c.client(connectPacket("c1", "", "")), pk); code != tc.code {
				t.Errorf("%s %s: code %#x", event, name, code)
			}
			var got []string
			for _, f := range pk.Filters {
				got = append(got, f.Filter)
			}
			equal(t, event+" "+name, got, tc.want)
		}
	}
}
