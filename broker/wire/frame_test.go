package wire

import (
	"bytes"
	"testing"
)

func TestNext(t *testing.T) {
	long := append([]byte{0x30, 0x80, 0x01}, make([]byte, 128)...)
	tests := []struct {
		name  string
		b     []byte
		limit int
		n     int
		code  byte // refused with it
	}{
		{"nothing", nil, 0, 0, 0},
		{"first byte only", []byte{0x30}, 0, 0, 0},
		{"length not complete", []byte{0x30, 0x80}, 0, 0, 0},
		{"length not complete, three bytes", []byte{0x30, 0x80, 0x80, 0x80}, 0, 0, 0},
		{"body not complete", []byte{0x30, 2, 0}, 0, 0, 0},
		{"empty body", []byte{0xc0, 0}, 0, 2, 0},
		{"two frames", []byte{0xc0, 0, 0xc0, 0}, 0, 2, 0},
		{"length of two bytes", long, 0, 131, 0},
		{"[MQTT-1.5.5-1] length not minimal", []byte{0x30, 0x80, 0x00}, 0, 0, 0x81},
		{"[MQTT-1.5.5-1] length of four bytes not minimal", []byte{0x30, 0xff, 0xff, 0xff, 0x00}, 0, 0, 0x81},
		{"length of five bytes", []byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x01}, 0, 0, 0x81},
		{"length of five bytes, the fifth not there", []byte{0x10, 0xff, 0xff, 0xff, 0xff}, 0, 0, 0x81},
		{"longest, its body to come", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 0, 0, 0},
		{"[MQTT-3.2.2-15] at the limit", long, 131, 131, 0},
		{"[MQTT-3.2.2-15] above the limit", long, 130, 0, 0x95},
		{"[MQTT-3.2.2-15] above the limit, its body to come", []byte{0x30, 0x80, 0x01}, 130, 0, 0x95},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, body, n, err := Next(tt.b, tt.limit)
			if tt.code != 0 {
				refused(t, err, tt.code)
				return
			}
			if err != nil || n != tt.n {
				t.Fatalf("n = %d, %v; want %d", n, err, tt.n)
			}
			if n > 0 && (h != tt.b[0] || !bytes.Equal(frameOf(h, body), tt.b[:n]) || cap(body) != len(body)) {
				t.Errorf("first byte 0x%02X, body of %d bytes and room for %d", h, len(body), cap(body))
			}
		})
	}
}

func TestNeed(t *testing.T) {
	for _, tt := range []struct {
		b     string
		total int
		ok    bool
	}{
		{"", 0, false}, {"\x30", 0, false}, {"\x30\x80", 0, false}, {"\x30\x80\x01", 131, true}, {"\xc0\x00\xc0", 2, true},
		{"\x30\x80\x00", 0, false}, {"\x30\xff\xff\xff\x7f", 268_435_460, true}, {"\x30\xff\xff\xff\xff\x7f", 0, false},
	} {
		if total, ok := Need([]byte(tt.b)); total != tt.total || ok != tt.ok {
			t.Errorf("% x: %d, %v; want %d, %v", tt.b, total, ok, tt.total, tt.ok)
		}
	}
}

func TestCheckFirst(t *testing.T) {
	for h := range 256 {
		err := CheckFirst(byte(h))
		switch {
		case h == 0x10:
			if err != nil {
				t.Errorf("CONNECT: %v", err)
			}
		case h>>4 == 1:
			refused(t, err, 0x81) // [MQTT-2.1.3-1]
		default:
			refused(t, err, 0x82) // [MQTT-3.1.0-1]
		}
	}
}

// The flags of every packet type [MQTT-2.1.3-1].
func TestCheckHeader(t *testing.T) {
	allowed := map[byte]string{ // by version, first bytes but those of PUBLISH
		3: "\x40\x50\x62\x6a\x70\x82\x8a\xa2\xaa\xc0\xe0",
		4: "\x40\x50\x62\x70\x82\xa2\xc0\xe0",
		5: "\x40\x50\x62\x70\x82\xa2\xc0\xe0\xf0",
	}
	publish := "\x30\x31\x32\x33\x34\x35\x3a\x3b\x3c\x3d"
	fromServer := map[byte]bool{TypeConnack: true, TypeSuback: true, TypeUnsuback: true, TypePingresp: true}
	for version, first := range allowed {
		for i := range 256 {
			h := byte(i)
			err := CheckHeader(version, h)
			switch {
			case bytes.IndexByte([]byte(first+publish), h) >= 0:
				if err != nil {
					t.Errorf("version %d, 0x%02X: %v", version, h, err)
				}
			case h>>4 == TypeConnect || fromServer[h>>4]: // [MQTT-3.1.0-2]
				refused(t, err, 0x82)
			default:
				refused(t, err, 0x81)
			}
			if _, err := Decode(version, h, nil); bytes.IndexByte([]byte(first+publish), h) < 0 && err == nil {
				t.Errorf("version %d: Decode accepts 0x%02X", version, h)
			}
		}
	}
}
