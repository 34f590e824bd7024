package disk

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

func rich() *message.Message {
	return &message.Message{
		ID: message.ID{Run: 1<<63 + 5, Seq: 300}, Topic: "topic/ü", Payload: []byte{0, 0xFF, '\n'}, Props: []byte{0x01, 1, 0x26, 0, 1, 'k', 0, 1, 'v'},
		Publisher: "pub/lisher", User: "Ümit", Created: 1_700_000_000_000_000_001, Expires: 1_800_000_000_000_000_001, QoS: 2, Retain: true,
	}
}

// values are one of each, with something in every field.
func values() map[string][]byte {
	will := &store.Will{Message: rich(), Delay: 4294967295, At: 1_700_000_000_000_000_002, Expiry: 77, HasExp: true}
	head := &store.Session{ID: "client", User: "user", HasUser: true, Epoch: 300, Version: 5, Expiry: 0xFFFFFFFF, ExpiresAt: 1_900_000_000_000_000_001, Will: will}
	sub := store.Subscription{Filter: "$share/g/a/+", ID: 268435455, QoS: 2, RetainHandling: 2, NoLocal: true, RetainAsPub: true}
	entry := &store.Entry{Msg: rich(), SubIDs: []uint32{1, 268435455}, Seq: 9, QoS: 2, Retain: true}
	f := &figures{queue: store.Queue{Messages: 1000, Bytes: 1 << 40, Last: 2000}, epoch: 301, lane: lane{head: 900, next: 2001, trimmed: 800, shared: 7}}
	asking := *f
	asking.queue.Asking = 300
	return map[string][]byte{
		"asking":    appendFigures(nil, &asking),
		"message":   appendMessage(nil, rich()),
		"session":   appendHead(nil, head),
		"figures":   appendFigures(nil, f),
		"sub":       appendSub(nil, &sub),
		"cursor":    appendCursor(nil, &store.Cursor{Filter: "a/#", Sub: sub, After: "a/b", Since: 1_700_000_000_000_000_003}),
		"inline":    appendMessage(appendEntry(nil, entry, false), entry.Msg),
		"shared":    appendShared(appendEntry(nil, entry, true), 70000, 1234),
		"state":     appendState(nil, store.State{ID: 65535, Phase: store.Released}),
		"delayed":   appendDue(nil, 1_700_000_000_000_000_004, rich()),
		"doomed":    appendDoomed(nil, &doomed{from: 77, shared: 500}),
		"given":     appendGiven(nil, given{1 << 20, 1 << 21}),
		"count":     appendCount(nil, 10_000),
		"format":    appendFormat(nil),
		"keys":      bytes.Join([][]byte{appendClient(nil, "c"), appendPart(nil, 258, partSub), appendSeq(nil, spaceQueue, 258, 1<<40), appendReceived(nil, 258, 513), appendBody(nil, spaceBody, 258), appendRetained(nil, "t"), appendDelayed(nil, 258), appendGroup(nil, "g/f", 258)}, []byte("\n")),
		"importing": {importing},
	}
}

// What was written once is read for good: the encodings are these.
func TestGoldenValues(t *testing.T) {
	all := values()
	for name, v := range all {
		file := filepath.Join("testdata", name+".hex")
		text := hex.Dump(v)
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != text {
			t.Errorf("%s is\n%s\nwant\n%s, %v", name, text, want, err)
		}
	}
	var n names
	m, err := n.message(all["message"])
	if err != nil || !reflect.DeepEqual(m, rich()) {
		t.Errorf("message read as %+v, %v", m, err)
	}
	e, err := parseEntry(all["shared"], 9)
	if err != nil || e.body != 70000 || e.size != 1234 || !reflect.DeepEqual(e.SubIDs, []uint32{1, 268435455}) || e.QoS != 2 || !e.Retain {
		t.Errorf("entry read as %+v, %v", e, err)
	}
	for _, name := range []string{"figures", "asking"} {
		f, err := parseFigures(all[name])
		if err != nil || !bytes.Equal(appendFigures(nil, &f), all[name]) {
			t.Errorf("%s read as %+v, %v", name, f, err)
		}
	}
}

// A value of a later version is that, not damage, and is not misread.
func TestNewerValues(t *testing.T) {
	parsers := map[string]func([]byte) error{
		"message": func(b []byte) error { _, err := new(names).message(b); return err },
		"session": func(b []byte) error { _, err := parseHead(b); return err },
		"figures": func(b []byte) error { _, err := parseFigures(b); return err },
		"asking":  func(b []byte) error { _, err := parseFigures(b); return err },
		"sub":     func(b []byte) error { _, err := parseSub(b, ""); return err },
		"cursor":  func(b []byte) error { _, err := parseCursor(b, ""); return err },
		"inline":  func(b []byte) error { _, err := parseEntry(b, 1); return err },
		"shared":  func(b []byte) error { _, err := sharedBody(b); return err },
		"state":   func(b []byte) error { _, err := parseState(b); return err },
		"delayed": func(b []byte) error { _, _, err := parseDue(b); return err },
		"doomed":  func(b []byte) error { _, err := parseDoomed(b, 1); return err },
		"given":   func(b []byte) error { _, err := parseGiven(b); return err },
		"count":   func(b []byte) error { _, err := parseCount(b); return err },
	}
	all := values()
	for name, parse := range parsers {
		v := all[name]
		if err := parse(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		newer := bytes.Clone(v)
		newer[0] = max(newer[0], askingVersion) + 1
		if err := parse(newer); !errors.Is(err, ErrNewer) {
			t.Errorf("newer %s: %v", name, err)
		}
		for n := range min(len(v), 40) {
			if name == "inline" && n > 8 || name == "delayed" && n > 60 {
				break // the message ends where the value does
			}
			if err := parse(v[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
}

// fill writes one of everything.
func fill(t *testing.T, s *Store) {
	t.Helper()
	shared := rich()
	shared.Payload = bytes.Repeat([]byte("shared"), 40)
	head := &store.Session{ID: "client \xff", User: "user", HasUser: true, Epoch: 3, Version: 5, Expiry: 60, Will: &store.Will{Message: rich(), Delay: 5}}
	sub := &store.Subscription{Filter: "a/+", QoS: 1, NoLocal: true}
	three := store.Entry{Msg: shared, Seq: 3, QoS: 2, SubIDs: []uint32{7}}
	s.Begin()
	var w waiter
	w.Add(3)
	s.Commit(&store.Batch{Client: head.ID, Epoch: 4, Queue: store.Queue{Messages: 1, Bytes: 10, Last: 3}, Ops: []store.Op{
		{Kind: store.KindSession, Session: head}, {Kind: store.KindSubscription, Filter: "a/+", Sub: sub},
		{Kind: store.KindCursor, Filter: "a/+", Cursor: &store.Cursor{Filter: "a/+", Sub: *sub, After: "a/b", Since: 5}},
		{Kind: store.KindReceived, ID: 500}, {Kind: store.KindEntry, Seq: 2, Entry: store.Entry{Msg: rich(), Seq: 2, QoS: 1, Retain: true}},
		{Kind: store.KindEntry, Seq: 3, Entry: three}, {Kind: store.KindState, Seq: 2, State: store.State{ID: 9, Phase: store.Sent}},
	}}, &w)
	s.Commit(begin("other", store.Op{Kind: store.KindEntry, Seq: 1, Entry: store.Entry{Msg: shared, Seq: 1, QoS: 1}}), &w)
	s.Commit(&store.Batch{Ops: []store.Op{
		{Kind: store.KindRetained, Filter: "topic/ü", Msg: rich()}, {Kind: store.KindDelayed, Seq: 4, At: 99, Msg: rich()},
		{Kind: store.KindGroupEntry, Filter: "g/a/#", Seq: 1, Msg: rich()},
	}}, &w)
	s.End()
	if w.Wait(); w.err != nil {
		t.Fatal(w.err)
	}
}

func export(t *testing.T, dir string) string {
	t.Helper()
	v, err := OpenReadOnly(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := v.Export(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is exported is the golden file, and what is imported exports the same.
func TestExport(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	fill(t, s)
	if _, err := OpenReadOnly(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("a store in use: %v", err)
	}
	ids := []message.ClientID{"client \xff", "other"}
	var want []string
	for _, id := range ids {
		want = append(want, render(t, whole{s}, id))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text := export(t, dir)
	file := filepath.Join("testdata", "export.jsonl")
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil || text != string(golden) {
		t.Errorf("export is\n%s\nwant\n%s, %v", text, golden, err)
	}
	to := t.TempDir()
	if err := Import(context.Background(), Options{Dir: to}, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if again := export(t, to); again != text {
		t.Errorf("imported and exported again:\n%s\nwant\n%s", again, text)
	}
	if err := Import(context.Background(), Options{Dir: to}, strings.NewReader(text)); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("import into a full store: %v", err)
	}
	s = open(t, Options{Dir: to})
	for i, id := range ids {
		if got := render(t, whole{s}, id); got != want[i] {
			t.Errorf("session %q is\n%s\nwant\n%s", id, got, want[i])
		}
	}
	checkBodies(t, s)
	if err := do(s, &store.Batch{Client: ids[0], Epoch: 3}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("an older epoch: %v", err)
	}
	must(t, s, &store.Batch{Client: ids[0], Epoch: 4, Ops: []store.Op{del(3)}}, on("other", del(1)))
	checkBodies(t, s)
}

func TestImportErrors(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "export.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(string(golden), "\n")
	head := all[0]
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "unexpected EOF"},
		"cut":            {strings.Join(all[:5], ""), "unexpected EOF"},
		"line missing":   {strings.Join(append(append([]string{}, all[:3]...), all[4:]...), ""), "lines"},
		"no header":      {strings.Join(all[1:], ""), "header"},
		"newer":          {`{"kind":"header","version":2}` + "\n", "version"},
		"not JSON":       {head + "hello\n", "line 2"},
		"unknown kind":   {head + all[2] + `{"kind":"spell"}` + "\n", "unknown kind"},
		"unknown field":  {head + `{"kind":"body","colour":"red"}` + "\n", "colour"},
		"no session":     {head + `{"kind":"received","id":1}` + "\n", "without a session"},
		"no body":        {head + all[2] + `{"kind":"entry","seq":"1","qos":1,"body":"4"}` + "\n", "not there"},
		"session twice":  {head + all[2] + all[2], "twice"},
		"entries astray": {head + all[1] + all[2] + `{"kind":"entry","seq":"2","body":"1"}` + "\n" + `{"kind":"entry","seq":"2","body":"1"}` + "\n", "after"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := Import(context.Background(), Options{Dir: dir}, strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("error is %v", err)
			}
			if _, err := Open(context.Background(), Options{Dir: dir, Ballast: -1}); !errors.Is(err, ErrDamaged) && name != "nothing" && err == nil {
				t.Errorf("opened after it: %v", err)
			}
		})
	}
}

func TestView(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReadOnly(Options{Dir: filepath.Join(dir, "none")}); !errors.Is(err, ErrMissing) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := OpenReadOnly(Options{Dir: dir}); !errors.Is(err, ErrMissing) {
		t.Errorf("no store: %v", err)
	}
	s := open(t, Options{Dir: dir})
	fill(t, s)
	if err := Compact(context.Background(), Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("compacting a store in use: %v", err)
	}
	must(t, s, on("other", store.Op{Kind: store.KindSession, Delete: true}))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Compact(context.Background(), Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	v, err := OpenReadOnly(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }() // it only read
	z, err := v.Sizes(context.Background())
	z.Disk = 0
	if want := (Sizes{Sessions: 1, Subscriptions: 1, Queued: 1, QueuedBytes: 10, Retained: 1, RetainedBytes: 20, Delayed: 1, GroupEntries: 1}); err != nil || z != want {
		t.Errorf("sizes %+v, %v", z, err)
	}
	var got []string
	if err := v.Sessions(context.Background(), func(s *SessionSizes) bool {
		got = append(got, fmt.Sprintf("%q %d %d %d", s.Client, s.Subscriptions, s.Queued, s.InFlight))
		return true
	}); err != nil || len(got) != 1 || got[0] != `"client \xff" 1 1 1` {
		t.Errorf("sessions %v, %v", got, err)
	}
	n := 0
	if err := v.Retained(context.Background(), func(m *message.Message) bool { n++; return true }); err != nil || n != 1 {
		t.Errorf("%d retained, %v", n, err)
	}
}

// Whatever is on disk, a parser answers, and what it accepts is written the same.
func FuzzValues(f *testing.F) {
	for _, v := range values() {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := new(names).message(b); err == nil {
			again, err := new(names).message(appendMessage(nil, m))
			if err != nil || !reflect.DeepEqual(m, again) {
				t.Errorf("message %+v, again %+v, %v", m, again, err)
			}
		}
		if s, err := parseHead(b); err == nil {
			again, err := parseHead(appendHead(nil, &s))
			if err != nil || !reflect.DeepEqual(s, again) {
				t.Errorf("session %+v, again %+v, %v", s, again, err)
			}
		}
		if e, err := parseEntry(b, 1); err == nil && e.body != 0 {
			again, err := parseEntry(appendShared(appendEntry(nil, &e.Entry, true), e.body, e.size), 1)
			if err != nil || !reflect.DeepEqual(e, again) {
				t.Errorf("entry %+v, again %+v, %v", e, again, err)
			}
		}
		if v, err := parseFigures(b); err == nil {
			again, err := parseFigures(appendFigures(nil, &v))
			if err != nil || !reflect.DeepEqual(v, again) {
				t.Errorf("figures %+v, again %+v, %v", v, again, err)
			}
		}
		if c, err := parseCursor(b, "f"); err == nil {
			again, err := parseCursor(appendCursor(nil, &c), "f")
			if err != nil || !reflect.DeepEqual(c, again) {
				t.Errorf("cursor %+v, again %+v, %v", c, again, err)
			}
		}
		_, _ = parseSub(b, "f")
		_, _ = parseState(b)
		_, _, _ = parseDue(b)
		_, _ = parseDoomed(b, 1)
		_, _ = parseGiven(b)
		_, _ = parseCount(b)
		_, _, _ = splitGroup(b)
	})
}

// Whatever is imported, it is refused or it opens and exports again.
func FuzzImport(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "export.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if Import(context.Background(), Options{Dir: dir}, bytes.NewReader(b)) == nil {
			export(t, dir)
		}
	})
}
