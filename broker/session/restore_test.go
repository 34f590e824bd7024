package session

import (
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

func TestRestore(t *testing.T) {
	r := restored(t, Limits{Messages: 2}, &store.Image{
		Entries: []store.StoredEntry{
			stored(3, 1, 7, store.Sent), stored(5, 2, 4, store.Released), stored(6, 2, 9, store.Sent),
			stored(8, 1, 0, store.Queued), stored(9, 2, 0, store.Queued), stored(11, 0, 0, store.Queued),
		},
		Received: []message.PacketID{1, 300},
	})
	if q, n, b := r.Counts(); q != 2 || n != 3 || b != 10 || r.ReceivedCount() != 2 || !r.HasReceived(300) {
		t.Errorf("%d queued, %d in flight, %d bytes, %d received", q, n, b, r.ReceivedCount())
	}
	r.Connected(r, 6)
	r.want("sent", r.sent(), "P1+ 3@7, REL@4, P2+ 6@9, P1 8@10 | P2 9@11")
	r.want("records", r.ops(), "state 8 id 10 phase 1, state 9 id 11 phase 1")
	r.put(12, 1)
	r.want("numbers go on", r.ops(), "+entry 12")
}

func TestRestoreOfWhatCannotBe(t *testing.T) {
	r := restored(t, Limits{}, &store.Image{
		Entries: []store.StoredEntry{
			stored(1, 1, 7, store.Sent), stored(2, 2, 7, store.Sent), stored(3, 1, 0, store.Sent),
			stored(4, 1, 8, store.Released), stored(5, 0, 9, store.Sent), stored(6, 1, 10, store.Phase(9)),
		},
	})
	r.Connected(r, 9)
	r.want("anew", r.sent(), "P1+ 1@7, P1 3@9, P1 4@10, P1 6@11 | P2 2@8")
}

func TestRestoreOfDistantIdentifiers(t *testing.T) {
	ids := []message.PacketID{1, 1 + 1<<15, 1 + 1<<14, 65535}
	img := &store.Image{}
	for i, id := range ids {
		img.Entries = append(img.Entries, stored(i+1, 1, id, store.Sent))
	}
	r := restored(t, Limits{}, img)
	r.Disconnected() // trims
	for _, id := range ids {
		r.known(r.Puback(&r.out, id, 0))
	}
	r.Disconnected()
	if len(r.win.ring) != 0 {
		t.Errorf("a ring of %d for nothing", len(r.win.ring))
	}
}

func TestRestoreOfAFullWindow(t *testing.T) {
	img := &store.Image{}
	for id := 1; id <= 65535; id++ {
		img.Entries = append(img.Entries, stored(id, 1, message.PacketID(id), store.Sent))
	}
	r := restored(t, Limits{}, img)
	r.Connected(r, 65535)
	r.put(1, 1)
	for r.resuming() {
		r.Fill(&r.out, 0, 1<<16)
	}
	if r.Window(1) || r.Free() != 0 {
		t.Error("room where all identifiers are in use")
	}
	if q, n, _ := r.Counts(); q != 1 || n != 65535 {
		t.Errorf("%d queued, %d in flight", q, n)
	}
	for id := 1; id <= 40000; id++ {
		r.known(r.Puback(&r.out, message.PacketID(id), 0))
	}
	r.frames()
	r.want("goes on", r.sent(), "P1 1@1")
}
