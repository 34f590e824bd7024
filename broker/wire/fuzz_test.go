package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker/message"
)

var seeds = []string{
	"10 0004'MQTT' 05 f6 003c 05 11 00000e10 0002'id' 0c 01 01 18 00000005 02 00000009 0002'wt' 0002'wp' 0001'u' 0001'p'",
	"10 0004'MQTT' 04 02 003c 0002'id'", "10 0006'MQIsdp' 03 c2 0000 0001'c' 0001'u'",
	"30 0001'a' 'pay'", "32 0001'a' 0001 1b 01 01 02 00000009 03 0001'c' 08 0001'r' 09 0001'd' 26 0000 0000 'pay'", "30 0000 03 230001",
	"40 0001", "50 0001 87 04 1f 0001'r'", "62 0001 92", "70 0001 00 00", "6a 0001",
	"82 0001 02 0b7f 0003'a/#' 2d 000a'$share/g/t' 01", "82 0001 0001'a' 00", "82 0001 0000 01 61",
	"a2 0001 00 0001'a' 0001'b'", "a2 0001 0001'a'", "c0", "e0", "e0 04", "e0 00 05 11 00000000", "f0 18 08 15 0001'm' 16 0001'd'",
}

func FuzzNext(f *testing.F) {
	for _, s := range seeds {
		b := unhex(f, s)
		f.Add(frameOf(b[0], b[1:]), 0)
	}
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, 100)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		h, body, n, err := Next(b, limit)
		total, ok := Need(b)
		switch {
		case err != nil:
			if code, rule := ReasonOf(err); n != 0 || body != nil || rule == "" || code != 0x81 && code != 0x95 {
				t.Fatalf("refused with 0x%02X %q, n = %d", code, rule, n)
			}
		case n == 0:
			if ok && len(b) >= total {
				t.Fatalf("asks for more than the %d bytes it needs", total)
			}
		case !ok || n != total || n > len(b) || limit > 0 && n > limit || !bytes.Equal(frameOf(h, body), b[:n]):
			t.Fatalf("frame of %d bytes, needs %d, limit %d", n, total, limit)
		}
		if err == nil { // what is known of a frame does not change with what comes after
			if more, _, m, err := Next(append(bytes.Clone(b), 0), limit); n > 0 && (m != n || more != h || err != nil) {
				t.Fatalf("with a byte more: %d, %v", m, err)
			}
		}
	})
}

func FuzzDecode3(f *testing.F) { fuzzDecode(f, 3) }
func FuzzDecode4(f *testing.F) { fuzzDecode(f, 4) }
func FuzzDecode5(f *testing.F) { fuzzDecode(f, 5) }

// What is accepted here means the same to mochi, and the quick ways for PUBLISH and
// acknowledgements agree with the full one.
func fuzzDecode(f *testing.F, version byte) {
	for _, s := range seeds {
		b := unhex(f, s)
		f.Add(b[0], b[1:])
	}
	f.Fuzz(func(t *testing.T, h byte, body []byte) {
		was := bytes.Clone(body)
		pk, err := Decode(version, h, body)
		if !bytes.Equal(was, body) {
			t.Fatal("the input was changed")
		}
		noPanic(t, err)
		sameAsQuick(t, version, h, body, pk, err)
		if err != nil {
			return
		}
		theirs, err := mochi(version, h, body)
		if version == 3 && err != nil {
			return // the unused bits of an option
		}
		if err != nil {
			t.Fatalf("mochi: %v", err)
		}
		same(t, pk, theirs)
	})
}

func FuzzDecodeConnect(f *testing.F) {
	for _, s := range seeds[:3] {
		f.Add(unhex(f, s)[1:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		pk, err := DecodeConnect(body)
		noPanic(t, err)
		version := ConnectVersion(body)
		if err != nil {
			return
		}
		if version != pk.ProtocolVersion {
			t.Fatalf("version %d is to be answered in %d", pk.ProtocolVersion, version)
		}
		theirs, err := mochi(0, 0x10, body)
		if version == 3 && (err != nil || theirs.ReservedBit != 0 || !theirs.Connect.WillFlag) {
			return // what only 3.1 allows
		}
		if err != nil {
			t.Fatalf("mochi: %v", err)
		}
		same(t, pk, theirs)
		var p message.Publish // the will's properties are those of a PUBLISH
		if props := AppendWillProperties(nil, pk); p.Parse(5, 0x30, append(appendVarint([]byte{0, 1, 't'}, len(props)), props...)) != nil {
			t.Fatalf("will properties % x", props)
		}
	})
}

func noPanic(t *testing.T, err error) {
	t.Helper()
	var bad *Error
	if err != nil && (!errors.As(err, &bad) || bad.Rule == "" || strings.HasPrefix(bad.Rule, rulePanic)) {
		t.Fatalf("refused with %v", err)
	}
}

// sameAsQuick compares with message.Publish, which leaves the topic to its caller, and
// with DecodeAck.
func sameAsQuick(t *testing.T, version, h byte, body []byte, pk *packets.Packet, err error) {
	t.Helper()
	switch typ := h >> 4; {
	case typ == TypePublish:
		var p message.Publish
		quick := p.Parse(version, h, body)
		goodTopic := message.ValidUTF8(p.Topic) && !bytes.ContainsAny(p.Topic, "+#") && (len(p.Topic) > 0 || p.Alias != 0)
		if (err == nil) != (quick == nil && goodTopic) {
			t.Fatalf("Decode says %v, the parser of package message %v", err, quick)
		}
		if err == nil && (pk.PacketID != uint16(p.ID) || !bytes.Equal(pk.Payload, p.Payload) || pk.Properties.TopicAlias != p.Alias ||
			pk.Properties.MessageExpiryInterval != p.Expiry || pk.TopicName != string(p.Topic)) {
			t.Fatalf("Decode says %+v, the parser of package message %+v", pk, p)
		}
		if code, _ := ReasonOf(err); quick != nil && goodTopic {
			if got, _ := ReasonOf(quick); got != code {
				t.Fatalf("Decode says %v, the parser of package message %v", err, quick)
			}
		}
	case typ == TypePingreq:
		if quick := CheckPing(version, h, body); fmt.Sprint(quick) != fmt.Sprint(err) {
			t.Fatalf("Decode says %v, CheckPing %v", err, quick)
		}
	case typ >= TypePuback && typ <= TypePubcomp:
		id, reason, quick := DecodeAck(version, h, body)
		if fmt.Sprint(quick) != fmt.Sprint(err) {
			t.Fatalf("Decode says %v, DecodeAck %v", err, quick)
		}
		if err == nil && (pk.PacketID != id || pk.ReasonCode != reason) {
			t.Fatalf("Decode says %+v, DecodeAck %d 0x%02X", pk, id, reason)
		}
	}
}

// mochi reads with mochi's decoders.
func mochi(version, h byte, body []byte) (*packets.Packet, error) {
	pk := newPacket(version, h, body)
	switch h >> 4 {
	case TypeConnect:
		return pk, pk.ConnectDecode(body)
	case TypePublish:
		return pk, pk.PublishDecode(body)
	case TypePuback, TypePubrec, TypePubrel, TypePubcomp:
		return pk, pk.PubackDecode(body)
	case TypeSubscribe:
		return pk, pk.SubscribeDecode(body)
	case TypeUnsubscribe:
		return pk, pk.UnsubscribeDecode(body)
	case TypeAuth:
		return pk, pk.AuthDecode(body)
	case TypeDisconnect:
		err := pk.DisconnectDecode(body)
		if version == 5 && len(body) == 1 {
			pk.ReasonCode = body[0] // it takes the short form for 0x00
		}
		return pk, err
	}
	return pk, nil
}

// same compares what can be printed: nil and empty are the same, as mochi has it.
func same(t *testing.T, ours, theirs *packets.Packet) {
	t.Helper()
	if a, b := fmt.Sprintf("%+v", *ours), fmt.Sprintf("%+v", *theirs); a != b {
		t.Fatalf("here  %s\nmochi %s", a, b)
	}
}
