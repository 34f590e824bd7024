package wire

import "testing"

func BenchmarkNext(b *testing.B) {
	frame := frameOf(0x30, make([]byte, 80))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, n, err := Next(frame, 1<<20); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bb := range []struct{ name, frame string }{
		{"CONNECT", "10 0004'MQTT' 05 02 003c 05 11 00000e10 0009'client-id'"},
		{"SUBSCRIBE", "82 0001 00 0009'sensors/#' 01"},
		{"PINGREQ", "c0"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			frame := unhex(b, bb.frame)
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if frame[0] == 0x10 {
					_, err = DecodeConnect(frame[1:])
				} else {
					_, err = Decode(5, frame[0], frame[1:])
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("PUBACK", func(b *testing.B) {
		body := []byte{0, 1, 0, 0}
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := DecodeAck(5, 0x40, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReplies(b *testing.B) {
	buf := make([]byte, 0, 512)
	codes := []byte{1}
	c := Connack{RetainAvailable: true, Wildcards: true, SubIDs: true, Shared: true, MaximumQoS: 2, ReceiveMaximum: 1000, MaxPacket: 1 << 20}
	b.ReportAllocs()
	for b.Loop() {
		out := AppendConnack(buf, 5, &c)
		out = AppendSuback(out, 5, 1, codes, "", 0)
		AppendAck(out, 5, TypePuback, 1, 0)
	}
}
