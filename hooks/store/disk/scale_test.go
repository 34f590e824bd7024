package disk

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// scaleEnv names a directory for TestScale: a store of 100,000 sessions and
// 5,000,000 messages is made there, if it is not there yet, and opened.
const scaleEnv = "SKEIN_DISK_SCALE"

func TestScale(t *testing.T) {
	dir := os.Getenv(scaleEnv)
	if dir == "" {
		t.Skip(scaleEnv + " is not set")
	}
	const sessions, each = 100_000, 50
	if _, err := os.Stat(dir); err != nil {
		start := time.Now()
		s := open(t, Options{Dir: dir, MemTable: DefaultMemTable})
		f := newFlow(20_000)
		for i := range sessions {
			b := begin(client(i), store.Op{Kind: store.KindSubscription, Filter: "a/+/b", Sub: &store.Subscription{Filter: "a/+/b", QoS: 1}})
			f.commit(s, b)
		}
		for k := range each {
			for i := range sessions {
				b := on(client(i), put(uint64(k+1), text(k, 64)))
				b.Queue = store.Queue{Messages: k + 1, Bytes: int64(64 * (k + 1)), Last: uint64(k + 1)}
				f.commit(s, b)
			}
		}
		f.wait(t)
		t.Logf("written in %v", time.Since(start))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	start := time.Now()
	s := open(t, Options{Dir: dir, MemTable: DefaultMemTable})
	defer s.Close()
	opened := time.Since(start)
	n := 0
	if err := s.Heads(t.Context(), func(*store.Head) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	heads := time.Since(start)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	queued, _ := s.Totals()
	t.Logf("%d sessions, %d queued; open after %v, heads read after %v, %d MiB of heap, %d MiB from the system", n, queued, opened, heads, m.HeapAlloc>>20, m.Sys>>20)
	if page, err := s.Page(t.Context(), message.ClientID("client-77777"), 0, 100, 1<<20); err != nil || len(page) != each {
		t.Errorf("%d entries, %v", len(page), err)
	}
}
