package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/testing/server"
)

// rig is the records of one process, with its retained messages, and without the rest of
// a bridge.
type rig struct {
	*records
	*retained
	holds  *holds
	link   *link
	client *redis.Client
}

// newRig opens records on a Redis. Those that were there before, in the same mailbox,
// are this process's again, as after an adoption.
func newRig(t testing.TB, url, prefix string, own message.MailboxID) *rig {
	t.Helper()
	ctx := context.Background()
	client, err := redis.New(redis.Options{URL: url, Scripts: Scripts(), ReadTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Client: client, Clustered: client.Target().Mode == redis.Cluster, Prefix: prefix, Lease: 3 * time.Second, DedupeWindow: time.Hour, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	r := &rig{link: newLink(ctx, &o), client: client}
	r.records = newRecords(r.link, own, &o)
	if r.retained, err = newRetained(ctx, r.link, r.records); err != nil {
		t.Fatal(err)
	}
	r.holds = newHolds(r.link)
	if _, err := r.link.step(ctx, stepBoxOpen, []string{r.link.keys.box(own, boxInbox), r.link.keys.box(own, boxMeta)}); err != nil {
		t.Fatal(err)
	}
	r.hold(own, 1)
	err = r.heads(ctx, own, func(l *loaded) bool {
		r.place(l.Session.ID, place{box: own, epoch: 1, n: l.n})
		if _, err := r.Load(ctx, l.Session.ID); err != nil {
			t.Errorf("load: %v", err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// Close implements store.Store.
func (r *rig) Close() error {
	r.end()
	r.link.close()
	_ = r.client.Close() // a second time it is closed already
	return nil
}

// whole is a store whose Load has the queue too, as the contract wants it.
type whole struct{ *rig }

func (w whole) Load(ctx context.Context, id message.ClientID) (*store.Image, error) {
	for {
		before, err := w.records.load(ctx, id)
		if err != nil {
			return nil, err
		}
		queue, err := w.Page(ctx, id, 0, 1<<20, 1<<40)
		if err != nil {
			return nil, err
		}
		zero, err := w.client.XRange(ctx, w.link.keys.session(id)+sessionQueue, "0-1", "0-1").Result()
		if err != nil {
			return nil, err
		}
		img, err := w.records.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if img.n != before.n {
			continue // a batch came in between
		}
		if len(zero) > 0 { // no page begins before it
			e, err := new(texts).entry([]byte(zero[0].Values["d"].(string)), 0)
			if err != nil {
				return nil, err
			}
			queue = append(queue, e)
		}
		return join(&img.Image, queue), nil
	}
}

func join(img *store.Image, queue []store.Entry) *store.Image {
	begun := map[uint64]bool{}
	for i := range img.Entries {
		begun[img.Entries[i].Seq] = true
	}
	for _, e := range queue {
		if !begun[e.Seq] {
			img.Entries = append(img.Entries, store.StoredEntry{Entry: e})
		}
	}
	sortEntries(img.Entries)
	return img
}

var prefixes atomic.Uint64

// newPrefix keeps tests that share a Redis apart.
func newPrefix() string { return fmt.Sprintf("t%d:", prefixes.Add(1)) }

// result is a callback that hands its error on.
type result chan error

// Committed implements store.Committed.
func (r result) Committed(err error) { r <- err }

func (r *rig) do(b *store.Batch) error {
	done := make(result, 1)
	r.Commit(b, done)
	return <-done
}

func (r *rig) must(t testing.TB, b *store.Batch) {
	t.Helper()
	if err := r.do(b); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func headOp(id message.ClientID) store.Op {
	return store.Op{Kind: store.KindSession, Session: &store.Session{ID: id, Version: message.V5, Expiry: 60}}
}

func entryOp(seq uint64, qos byte) store.Op {
	m := &message.Message{ID: message.ID{Run: 7, Seq: seq}, Topic: "a/b", Payload: make([]byte, 64), QoS: qos}
	return store.Op{Kind: store.KindEntry, Seq: seq, Entry: store.Entry{Seq: seq, QoS: qos, Msg: m}}
}

func unqueueOp(seq uint64) store.Op {
	return store.Op{Kind: store.KindEntry, Delete: true, Seq: seq}
}

func batchOf(id message.ClientID, ops ...store.Op) *store.Batch {
	return &store.Batch{Client: id, Ops: ops}
}

func startRedis(t testing.TB, args ...string) *server.Redis {
	t.Helper()
	return server.StartRedis(t, append([]string{"--appendfsync", "no"}, args...)...)
}

// heard is a follower of retained messages.
type heard struct {
	mu   sync.Mutex
	all  map[string]string
	list []string
}

func (h *heard) Route(message.Position, []store.RouteChange) {}

func (h *heard) Retained(m *message.Message, removed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[string]string{}
	}
	if removed {
		delete(h.all, m.Topic)
		h.list = append(h.list, "-"+m.Topic)
		return
	}
	h.all[m.Topic] = string(m.Payload)
	h.list = append(h.list, m.Topic+"="+string(m.Payload))
}

func (h *heard) get(topic string) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.all[topic]
	return v, ok
}
