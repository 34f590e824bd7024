package harness

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A packet of a broker that is right is read, with all that is in it.
func TestReadPacket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		version byte
		b       []byte
		want    Packet
	}{
		{"connack 3.1.1", V311, []byte{0x20, 2, 1, 0}, Packet{Type: CONNACK, Present: true}},
		{"connack 5", V5, Frame(0x20, []byte{0, 0x87}, Props(Prop(PReasonString, Str("no")))), Packet{Type: CONNACK, Code: 0x87, Props: Properties{{ID: PReasonString, Str: "no"}}}},
		{"publish 0", V311, Publish{Topic: "a", Payload: "x", Retain: true}.Bytes(V311), Packet{Type: PUBLISH, Flags: 1, Topic: "a", Payload: "x"}},
		{"publish 2", V5, Publish{Topic: "a", QoS: 2, ID: 7, Dup: true, Props: [][]byte{UserProp("k", "v"), Prop(PSubscriptionID, VarInt(300))}}.Bytes(V5),
			Packet{Type: PUBLISH, Flags: 12, ID: 7, Topic: "a", Props: Properties{{ID: PUserProperty, Str: "k", Value: "v"}, {ID: PSubscriptionID, Num: 300}}}},
		{"puback short", V5, Ack(PUBACK, 1, 0), Packet{Type: PUBACK, ID: 1}},
		{"puback code", V5, Ack(PUBACK, 1, 0x10), Packet{Type: PUBACK, ID: 1, Code: 0x10}},
		{"pubrel", V311, Ack(PUBREL, 1, 0), Packet{Type: PUBREL, Flags: 2, ID: 1}},
		{"suback 3.1.1", V311, Frame(0x90, U16(1), []byte{0, 0x80}), Packet{Type: SUBACK, ID: 1, Codes: []byte{0, 0x80}}},
		{"suback 5", V5, Frame(0x90, U16(1), []byte{0, 2, 0x8F}), Packet{Type: SUBACK, ID: 1, Codes: []byte{2, 0x8F}}},
		{"unsuback 3.1.1", V311, Frame(0xB0, U16(1)), Packet{Type: UNSUBACK, ID: 1, Codes: []byte{}}},
		{"pingresp", V311, []byte{0xD0, 0}, Packet{Type: PINGRESP}},
		{"disconnect", V5, Disconnect(0x8E), Packet{Type: DISCONNECT, Code: 0x8E}},
		{"auth", V5, Auth(0x18, Prop(PAuthMethod, Str("m"))), Packet{Type: AUTH, Code: 0x18, Props: Properties{{ID: PAuthMethod, Str: "m"}}}},
	} {
		got, err := readPacket(bytes.NewReader(c.b), c.version)
		c.want.Size = len(c.b)
		if err != nil || got.String() != c.want.String() || got.Present != c.want.Present || got.Size != c.want.Size || got.Flags != c.want.Flags {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// What a broker must not send is refused.
func TestReadPacketIsStrict(t *testing.T) {
	t.Parallel()
	props := func(ps ...[]byte) []byte { return Frame(0x20, []byte{0, 0}, Props(ps...)) }
	for name, c := range map[string]struct {
		version byte
		b       []byte
	}{
		"a client's packet":            {V5, Subscribe(V5, 1, nil, To("a", 0))},
		"type 0":                       {V5, []byte{0, 0}},
		"flags":                        {V5, []byte{0xD1, 0}},
		"length not the shortest":      {V5, []byte{0xD0, 0x80, 0x00}},
		"length of five bytes":         {V5, []byte{0xD0, 0x80, 0x80, 0x80, 0x80, 0x00}},
		"bytes left over":              {V5, []byte{0xD0, 1, 0}},
		"connack flags":                {V5, []byte{0x20, 3, 2, 0, 0}},
		"session present in a refusal": {V311, []byte{0x20, 2, 1, 5}},
		"return code 6":                {V311, []byte{0x20, 2, 0, 6}},
		"connack reason code":          {V5, []byte{0x20, 3, 0, 1, 0}},
		"no property length":           {V5, []byte{0x20, 2, 0, 0}},
		"property twice":               {V5, props(alias(1), alias(1))},
		"property of another packet":   {V5, props(alias(1))},
		"property unknown":             {V5, props([]byte{0x7F, 0})},
		"maximum QoS 2":                {V5, props(PropByte(PMaximumQoS, 2))},
		"session expiry in DISCONNECT": {V5, Disconnect(0x8E, Prop(PSessionExpiry, U32(1)))},
		"QoS 3":                        {V5, Publish{Topic: "a", QoS: 3, ID: 1}.Bytes(V5)},
		"DUP at QoS 0":                 {V5, Publish{Topic: "a", Dup: true}.Bytes(V5)},
		"publish id 0":                 {V5, Publish{Topic: "a", QoS: 1}.Bytes(V5)},
		"wildcard in a topic":          {V5, Publish{Topic: "a/#"}.Bytes(V5)},
		"topic not UTF-8":              {V5, Publish{Topic: "\xff"}.Bytes(V5)},
		"topic with U+0000":            {V5, Publish{Topic: "\x00"}.Bytes(V5)},
		"puback id 0":                  {V5, Ack(PUBACK, 0, 0)},
		"puback code":                  {V5, Ack(PUBACK, 1, 0x01)},
		"puback code in 3.1.1":         {V311, Ack(PUBACK, 1, 0x10)},
		"suback code 3":                {V311, Frame(0x90, U16(1), []byte{3})},
		"unsuback codes in 3.1.1":      {V311, Frame(0xB0, U16(1), []byte{0})},
		"disconnect in 3.1.1":          {V311, Disconnect(0)},
		"disconnect code of a client":  {V5, Disconnect(0x04)},
		"auth code of a client":        {V5, Auth(0x19)},
		"properties end in a property": {V5, Frame(0x20, []byte{0, 0, 2, PTopicAliasMaximum, 0, 1})},
		"properties beyond the packet": {V5, Frame(0x20, []byte{0, 0, 9})},
		"cut":                          {V5, []byte{0x20, 3, 0}},
	} {
		if p, err := readPacket(bytes.NewReader(c.b), c.version); err == nil {
			t.Errorf("%s: % x was read as %v", name, c.b, p)
		}
	}
	if _, err := readPacket(strings.NewReader(""), V5); !errors.Is(err, io.EOF) {
		t.Errorf("the end between packets is %v", err)
	}
}

func alias(n int) []byte { return Prop(PTopicAlias, U16(n)) }

// FuzzReadPacket must neither panic nor read beyond what is there.
func FuzzReadPacket(f *testing.F) {
	f.Add(V5, Publish{Topic: "a", QoS: 1, ID: 1, Props: [][]byte{UserProp("k", "v")}}.Bytes(V5))
	f.Add(V311, []byte{0x20, 2, 0, 0})
	f.Fuzz(func(t *testing.T, version byte, b []byte) {
		if len(b) > 4 && b[1]&b[2]&b[3]&0x80 != 0 {
			return // a length that would be allocated
		}
		if p, err := readPacket(bytes.NewReader(b), version); err == nil && p.Size > len(b) {
			t.Errorf("%v has %d bytes of %d", p, p.Size, len(b))
		}
	})
}

// failed notes a failure of a helper under test.
type failed struct {
	testing.TB
	with string
}

func (f *failed) Helper() {}

func (f *failed) Fatalf(format string, _ ...any) {
	f.with = format
	panic(f) // as the end of the test's goroutine
}

func TestPoll(t *testing.T) {
	t.Parallel()
	n := 0
	Poll(t, 0, func() bool { n++; return n == 3 })
	if n != 3 {
		t.Errorf("called %d times, want 3", n)
	}
	f := &failed{TB: t}
	func() {
		defer func() { _ = recover() }() // Fatalf's
		Poll(f, time.Millisecond, func() bool { return false })
	}()
	if f.with == "" {
		t.Error("a condition that never holds did not fail the test")
	}
}

func TestProc(t *testing.T) {
	t.Parallel()
	p := Start(t, "sh", "-c", "echo out; echo err >&2; exit 3")
	p.WaitOutput("err")
	if code := p.Wait(); code != 3 || !strings.Contains(p.Output(), "out") || p.Running() {
		t.Errorf("got code %d, output %q, running %v", code, p.Output(), p.Running())
	}
	long := Start(t, "sh", "-c", "echo on; exec sleep 60")
	long.WaitOutput("on")
	long.Kill()
	if long.Running() {
		t.Error("a killed process runs")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if a, b := Name(), Name(); a == b || len(a) > 23 {
		t.Errorf("names %q and %q", a, b)
	}
}
