package wire

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unhex reads bytes as a specification prints them; text in quotes stands for itself.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		out = append(out, b...)
	}
	return out
}

// frameOf puts a fixed header before body.
func frameOf(h byte, body []byte) []byte {
	return append(appendVarint([]byte{h}, len(body)), body...)
}

// decodeBody decodes what hex says, the first byte and then the body.
func decodeBody(t testing.TB, version byte, s string) (*packets.Packet, error) {
	t.Helper()
	b := unhex(t, s)
	if b[0] == TypeConnect<<4 {
		return DecodeConnect(b[1:])
	}
	return Decode(version, b[0], b[1:])
}

// refused fails unless err is an *Error with the code and a rule that is no panic.
func refused(t testing.TB, err error, code byte) {
	t.Helper()
	var bad *Error
	if !errors.As(err, &bad) {
		t.Fatalf("error %v, want a refusal with 0x%02X", err, code)
	}
	if bad.Reason() != code || bad.Rule == "" || strings.HasPrefix(bad.Rule, rulePanic) {
		t.Errorf("refused with 0x%02X %q, want 0x%02X", bad.Reason(), bad.Rule, code)
	}
	if got, rule := ReasonOf(err); got != code || rule != bad.Rule {
		t.Errorf("ReasonOf: 0x%02X %q", got, rule)
	}
}

type refusal struct {
	name    string
	version byte
	frame   string // first byte and body
	code    byte
}

func testRefusals(t *testing.T, tests []refusal) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pk, err := decodeBody(t, tt.version, tt.frame)
			if pk != nil {
				t.Errorf("accepted as %+v", pk)
			}
			refused(t, err, tt.code)
		})
	}
}
