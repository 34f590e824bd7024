package session

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/skeinmq/skein/broker/message"
)

const (
	restSize = int(unsafe.Sizeof(rest{}))
	slotSize = int(unsafe.Sizeof(slot{}))
)

// footprint is what a session holds besides the messages, in bytes.
func footprint(s *Session) int {
	own := 0
	if s.rest != &noRest {
		own = restSize
	}
	return own + int(unsafe.Sizeof(Entry{}))*(cap(s.rest.loose.buf)+cap(s.rest.fresh.buf)) + int(unsafe.Sizeof(*s)) + cap(s.queue.buf)*int(unsafe.Sizeof(Entry{})) + cap(s.win.ring)*int(unsafe.Sizeof(slot{})) +
		2*cap(s.received) + 2*cap(s.redeliver)
}

func TestIdleSessionIsSmall(t *testing.T) {
	const idle = 256
	for _, persistent := range []bool{true, false} {
		r := newRig(t, persistent, Limits{})
		if n := footprint(r.Session); n > idle {
			t.Errorf("a new session takes %d bytes", n)
		}
		for n := range 5000 {
			r.put(n, byte(n%3))
		}
		r.Connected(r, 1000)
		for id := range message.PacketID(500) {
			r.Received(&r.out, 2*id+1)
		}
		for !r.Fill(&r.out, 0, everything) {
			for id := range message.PacketID(5000) {
				r.acknowledge(id)
			}
		}
		for id := range message.PacketID(5000) {
			r.acknowledge(id)
			r.Pubrel(&r.out, message.V311, id)
		}
		if q, n, b := r.Counts(); q != 0 || n != 0 || b != 0 || r.ReceivedCount() != 0 {
			t.Fatalf("%d queued, %d in flight, %d bytes, %d received", q, n, b, r.ReceivedCount())
		}
		r.Trim()
		if n := footprint(r.Session); n > idle {
			t.Errorf("connected and idle it takes %d bytes", n)
		}
		r.put(1, 1)
		r.sent()
		r.acknowledge(r.win.last)
		r.Disconnected()
		if n := footprint(r.Session); n > idle {
			t.Errorf("offline it takes %d bytes", n)
		}
	}
}

func TestOfflineSessionShrinks(t *testing.T) {
	r := online(t, true, 10000)
	for n := range 10000 {
		r.put(n, 1)
	}
	r.sent()
	for id := range message.PacketID(9900) {
		r.acknowledge(id)
	}
	r.Trim()
	if n := footprint(r.Session); n > 32<<10 {
		t.Errorf("with 101 in flight it takes %d bytes", n)
	}
	for id := range message.PacketID(9998) {
		r.acknowledge(id)
	}
	r.put(1, 1)
	r.Disconnected()
	if n := footprint(r.Session); n > 4<<10 {
		t.Errorf("with three in flight it takes %d bytes", n)
	}
	r.Connected(r, 9)
	r.want("sent", r.sent(), "P1+ 9997@9998, P1+ 9998@9999, P1+ 9999@10000, P1 1@10001")
}

func TestIDSet(t *testing.T) {
	var s idSet
	want := map[message.PacketID]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		id := message.PacketID(r.UintN(300))
		if s.has(id) != want[id] {
			t.Fatalf("id %d: %v", id, s.has(id))
		}
		if r.IntN(2) == 0 {
			if s.add(id) == want[id] {
				t.Fatalf("add %d", id)
			}
			want[id] = true
		} else {
			if s.remove(id) != want[id] {
				t.Fatalf("remove %d", id)
			}
			delete(want, id)
		}
		if r.IntN(50) == 0 {
			s.trim()
		}
		if len(s) != len(want) {
			t.Fatalf("%d ids, want %d", len(s), len(want))
		}
	}
}
