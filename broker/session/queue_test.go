package session

import (
	"strings"
	"testing"
)

func TestOverflow(t *testing.T) {
	type put struct {
		n   int
		qos byte
		pad int // the message counts 5 bytes and these
	}
	four := []put{{1, 1, 0}, {2, 2, 0}, {3, 1, 0}, {4, 1, 0}}
	for _, c := range []struct {
		name   string
		limits Limits
		window int // 0 is offline
		puts   []put
		drops  string
		refuse bool // the last one answers false
		queued int
		bytes  int64
	}{
		{"no limit", Limits{}, 0, four, "", false, 4, 20},
		{"messages, oldest", Limits{Messages: 2}, 0, four, "1:0 2:0", false, 2, 10},
		{"messages, newest", Limits{Messages: 2, Overflow: DropNewest}, 0, four, "3:0 4:0", false, 2, 10},
		{"messages, disconnect", Limits{Messages: 2, Overflow: Disconnect}, 0, four[:3], "3:0", true, 2, 10},
		{"bytes, oldest", Limits{Bytes: 14}, 0, four, "1:0 2:0", false, 2, 10},
		{"bytes, exactly", Limits{Bytes: 15}, 0, four, "1:0", false, 3, 15},
		{"bytes, newest", Limits{Bytes: 14, Overflow: DropNewest}, 0, four, "3:0 4:0", false, 2, 10},
		{"bytes, disconnect", Limits{Bytes: 14, Overflow: Disconnect}, 0, four[:3], "3:0", true, 2, 10},
		{"a large one takes several", Limits{Bytes: 15}, 0, append(four[:3:3], put{5, 1, 6}), "1:0 2:0 3:0", false, 1, 11},
		{"too large for the queue", Limits{Bytes: 15}, 0, append(four[:3:3], put{5, 1, 11}), "5:0", false, 3, 15},
		{"too large, disconnect", Limits{Bytes: 15, Overflow: Disconnect}, 0, append(four[:3:3], put{5, 1, 11}), "5:0", true, 3, 15},
		{"too large for an empty queue", Limits{Bytes: 10}, 0, []put{{5, 1, 11}}, "5:0", false, 0, 0},
		{"too large and may leave at once", Limits{Bytes: 10}, 1, []put{{5, 1, 11}}, "", false, 1, 16},
		{"too large and one is before it", Limits{Bytes: 10}, 9, []put{{1, 1, 0}, {5, 1, 11}}, "5:0", false, 1, 5},
		{"the window is room", Limits{Messages: 1}, 3, four, "", false, 4, 20},
		{"the window is room, and full", Limits{Messages: 1}, 2, four, "1:0", false, 3, 15},
		{"QoS 0 takes no place of QoS 1", Limits{Messages: 2}, 0, []put{{1, 1, 0}, {2, 0, 0}, {3, 0, 0}}, "3:0", false, 2, 10},
		{"QoS 0 takes that of QoS 0", Limits{Messages: 2}, 0, []put{{1, 0, 0}, {2, 1, 0}, {3, 0, 0}}, "1:0", false, 2, 10},
		{"QoS 1 takes that of QoS 0", Limits{Messages: 2}, 0, []put{{1, 0, 0}, {2, 1, 0}, {3, 1, 0}}, "1:0", false, 2, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, true, c.limits)
			if c.window > 0 {
				r.Connected(r, c.window)
			}
			for i, p := range c.puts {
				ok := r.Enqueue(&r.out, entry(p.n, p.qos, p.pad))
				if refused := c.refuse && i == len(c.puts)-1; ok == refused {
					t.Errorf("message %d: answered %v", p.n, ok)
				}
			}
			r.want("drops", strings.Join(r.drops, " "), c.drops)
			if q, _, b := r.Counts(); q != c.queued || b != c.bytes {
				t.Errorf("%d queued with %d bytes, want %d with %d", q, b, c.queued, c.bytes)
			}
			kept := 0
			for i := range r.out.Ops {
				if kept++; r.out.Ops[i].Delete {
					kept -= 2
				}
			}
			want := 0
			for i := range r.queue.n {
				want += int(min(r.queue.at(i).QoS, 1))
			}
			if kept != want {
				t.Errorf("%d records stay, want %d", kept, want)
			}
		})
	}
}

func TestOverflowLeavesFlightsAlone(t *testing.T) {
	r := newRig(t, true, Limits{Messages: 2})
	r.Connected(r, 2)
	for n := range 12 {
		r.put(n, 1)
		r.sent()
	}
	if q, n, _ := r.Counts(); q != 2 || n != 2 || len(r.drops) != 8 {
		t.Errorf("%d queued, %d in flight, dropped %v", q, n, r.drops)
	}
	r.again(2)
	r.want("sent again", r.sent(), "P1+ 0@1, P1+ 1@2")
}

func TestFillStopsAtRoom(t *testing.T) {
	r := newRig(t, true, Limits{})
	for n := range 5 {
		r.put(n, byte(1+n%2))
	}
	if r.Fill(&r.out, 0, everything) {
		t.Error("drained without a connection")
	}
	r.Connected(r, 9)
	r.out.Now = append(r.out.Now, 0xD0, 0, 0xD0, 0) // what was there does not count
	for range 4 {
		if r.Fill(&r.out, 0, 1) {
			t.Error("drained")
		}
	}
	r.want("one at a time", render(r.out.Now[4:])+" | "+render(r.out.After), "P1 0@1, P1 2@3 | P2 1@2, P2 3@4")
	for range 2 {
		if !r.Fill(&r.out, 0, 1) {
			t.Error("not drained")
		}
	}
}

func TestQueueRing(t *testing.T) {
	var q deque
	in, out := 0, 0
	for round := range 300 {
		for range round % 37 {
			q.push(entry(in, 1, 0))
			in++
		}
		for i := range q.n {
			if got := q.at(i).Msg.Payload; int(got[3])|int(got[2])<<8 != out+i {
				t.Fatalf("place %d holds %v, want %d", i, got, out+i)
			}
		}
		if round%5 == 0 {
			q.trim()
		}
		for range min(q.n, round%41) {
			q.pop()
			out++
		}
		if q.n != in-out || q.bytes != int64(5*q.n) {
			t.Fatalf("%d entries, %d bytes, want %d", q.n, q.bytes, in-out)
		}
	}
}
