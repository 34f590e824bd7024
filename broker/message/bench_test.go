package message

import "testing"

func BenchmarkParse(b *testing.B) {
	pay := string(make([]byte, 64))
	for _, bb := range []struct {
		name    string
		version byte
		h       byte
		body    string
	}{
		{"3.1.1-QoS0", V311, header, "\x00\x0bsensors/one" + pay},
		{"3.1.1-QoS1", V311, header | 2, "\x00\x0bsensors/one\x00\x01" + pay},
		{"5-QoS1", V5, header | 2, "\x00\x0bsensors/one\x00\x01\x00" + pay},
		{"5-alias", V5, header, "\x00\x00" + props5(PropTopicAlias, 0, 1) + pay},
		{"5-user", V5, header, "\x00\x0bsensors/one" + props5(PropUser, 0, 3, 'k', 'e', 'y', 0, 5, 'v', 'a', 'l', 'u', 'e') + pay},
	} {
		b.Run(bb.name, func(b *testing.B) {
			body := []byte(bb.body)
			var p Publish
			b.ReportAllocs()
			for b.Loop() {
				if p.Parse(bb.version, bb.h, body) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkForm(b *testing.B) {
	m := &Message{Topic: "sensors/one", Payload: make([]byte, 64), Props: []byte{PropPayloadFormat, 1}}
	for _, bb := range []struct {
		name string
		form Form
	}{
		{"3.1.1-QoS0", Form{Version: V311}},
		{"5-QoS1", Form{Version: V5, QoS: 1}},
		{"5-subscription-alias", Form{Version: V5, QoS: 1, SubIDs: []uint32{7}, Alias: 3, Known: true}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			buf := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				buf = bb.form.Append(buf[:0], m, 1)
			}
		})
	}
}
