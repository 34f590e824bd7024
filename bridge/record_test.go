package bridge

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var update = flag.Bool("update", false, "write the golden files")

func goldenMessage() *message.Message {
	return &message.Message{
		ID: message.ID{Run: 1<<63 + 5, Seq: 6}, Topic: "topic/ü", Payload: []byte{0, 0xFF}, Props: []byte{0x01, 1}, Publisher: "pub", User: "Ümit",
		Created: 1_700_000_000_000_000_001, Expires: 1_800_000_000_000_000_001, QoS: 2, Retain: true,
	}
}

// values is one value of each kind, and how it is read.
func values() map[string]struct {
	value []byte
	want  any
	read  func([]byte) (any, error)
} {
	m := goldenMessage()
	bare := &message.Message{Topic: "t", QoS: 1, Payload: []byte{}}
	head := store.Session{ID: "client", User: "u", HasUser: true, Epoch: 9, Version: message.V5, Expiry: 0xFFFFFFFF, ExpiresAt: 77,
		Will: &store.Will{Message: m, Delay: 4294967295, At: 5, Expiry: 77, HasExp: true}}
	plain := store.Session{ID: "client", Version: message.V311}
	entry := store.Entry{Msg: m, SubIDs: []uint32{1, 268435455}, Seq: 3, QoS: 2, Retain: true}
	sub := store.Subscription{Filter: "a/#", ID: 268435455, QoS: 2, RetainHandling: 1, NoLocal: true, RetainAsPub: true}
	cursor := store.Cursor{Filter: "a/#", Sub: sub, After: "a/b", Since: 9}
	state := store.State{ID: 65534, Phase: store.Released}
	f := figures{n: 1 << 40, queue: store.Queue{Messages: 3, Bytes: 1 << 33, Last: 1 << 63, Asking: 2}, fence: 4}
	type due struct {
		at int64
		m  *message.Message
	}
	type row = struct {
		value []byte
		want  any
		read  func([]byte) (any, error)
	}
	return map[string]row{
		"message":      {appendMessage(nil, m), m, func(b []byte) (any, error) { return parseMessage(b) }},
		"bare message": {appendMessage(nil, bare), bare, func(b []byte) (any, error) { return parseMessage(b) }},
		"head":         {appendHead(nil, &head), head, func(b []byte) (any, error) { return parseHead(b) }},
		"plain head":   {appendHead(nil, &plain), plain, func(b []byte) (any, error) { return parseHead(b) }},
		"entry":        {appendEntry(nil, &entry), entry, func(b []byte) (any, error) { return new(texts).entry(b, 3) }},
		"subscription": {appendSub(nil, &sub), sub, func(b []byte) (any, error) { return parseSub(b, "a/#") }},
		"cursor":       {appendCursor(nil, &cursor), cursor, func(b []byte) (any, error) { return parseCursor(b, "a/#") }},
		"state":        {appendState(nil, state), state, func(b []byte) (any, error) { return parseState(b) }},
		"figures":      {appendFigures(nil, &f), f, func(b []byte) (any, error) { return parseFigures(b) }},
		"received":     {appendReceived(nil, nil), (*message.Message)(nil), func(b []byte) (any, error) { return parseReceived(b) }},
		"unrouted":     {appendReceived(nil, m), m, func(b []byte) (any, error) { return parseReceived(b) }},
		"due":          {appendDue(nil, 5, m), due{5, m}, func(b []byte) (any, error) { at, m, err := parseDue(b); return due{at, m}, err }},
	}
}

// The encodings stay as they are: a rolling upgrade has old and new processes side by side.
func TestGolden(t *testing.T) {
	for name, v := range values() {
		file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".hex")
		got := hex.EncodeToString(v.value)
		if *update {
			if err := os.WriteFile(file, []byte(got+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != strings.TrimSpace(string(want)) {
			t.Errorf("%s is written as\n%s, want\n%s", name, got, want)
		}
		if back, err := v.read(v.value); err != nil || !reflect.DeepEqual(back, v.want) {
			t.Errorf("%s comes back as %+v, %v", name, back, err)
		}
	}
}

// A newer version and a value that is cut off are errors with a name.
func TestUnreadable(t *testing.T) {
	for name, v := range values() {
		newer := append([]byte{recordVersion + 1}, v.value[1:]...)
		if _, err := v.read(newer); !errors.Is(err, ErrNewer) {
			t.Errorf("%s of a newer version: %v", name, err)
		}
		if _, err := v.read(append([]byte{0}, v.value[1:]...)); !errors.Is(err, ErrRecord) {
			t.Errorf("%s of version 0: %v", name, err)
		}
		for n := range v.value {
			if _, err := v.read(v.value[:n:n]); err != nil && !errors.Is(err, ErrRecord) {
				t.Errorf("%d bytes of %s: %v", n, name, err)
			} else if err == nil && n < 8 && name != "unrouted" {
				t.Errorf("%d bytes of %s were read", n, name)
			}
		}
	}
}

func FuzzRecord(f *testing.F) {
	all := values()
	for _, v := range all {
		f.Add(v.value)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, v := range all {
			if _, err := v.read(b); err != nil && !errors.Is(err, ErrRecord) && !errors.Is(err, ErrNewer) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, _ = parseIDs(b) // must not panic
	})
}
