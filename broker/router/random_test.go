package router

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

const (
	randomPublishers  = 4
	randomSubscribers = 4
	randomMessages    = 600 // of each publisher
)

// world is a run of publishers and subscribers that come, go and are taken over.
type world struct {
	*rig
	seed    uint64
	begun   [randomPublishers]atomic.Int64 // highest number that was handed in
	acked   [randomPublishers]atomic.Int64 // all up to here are acknowledged
	publish sync.WaitGroup
	over    atomic.Bool               // all publishers are done
	ending  atomic.Pointer[time.Time] // when settled gives up
}

// replace connects id again in the place of p, in one of several ways.
func (p *peer) replace(rnd *rand.Rand, d dial) *peer {
	if rnd.IntN(2) == 0 {
		p.drop()
		return p.g.connect(p.id, d)
	}
	next := make(chan *peer)
	go func() { next <- p.g.connect(p.id, d) }()
	<-p.gone
	p.drop()
	return <-next
}

// publisher publishes numbered messages, keeps what is not acknowledged, and sends it
// again on a new connection.
func (w *world) publisher(n int) {
	rnd := rand.New(rand.NewPCG(w.seed, uint64(n)))
	d := dial{version: []byte{4, 5}[n%2], window: 100}
	p := w.connect(fmt.Sprint("p", n), d)
	type flying struct {
		m        message.Message
		id       message.PacketID
		n        int64
		released bool
	}
	var open []*flying
	find := func(id message.PacketID) int {
		for i, f := range open {
			if f.id == id {
				return i
			}
		}
		w.t.Errorf("seed %d: publisher %d: answer to %d, which is not under way", w.seed, n, id)
		return -1
	}
	next, id := int64(1), message.PacketID(0)
	for next <= randomMessages || len(open) > 0 {
		for k := rnd.IntN(8); k > 0 && next <= randomMessages && len(open) < 20; k-- {
			id = id%500 + 1
			f := &flying{id: id, n: next, m: message.Message{
				Topic: fmt.Sprintf("p/%d/%d", n, next%3), Payload: []byte(strconv.FormatInt(next, 10)), QoS: byte(next % 3), Retain: rnd.IntN(20) == 0,
			}}
			w.begun[n].Store(next)
			p.put(f.m, id, false)
			if f.m.QoS > 0 {
				open = append(open, f)
			}
			next++
		}
		p.pub.Flush()
		var acks []Ack
		for _, f := range p.frames() {
			i := find(f.id)
			if i < 0 {
				return
			}
			if f.kind == typePubrec {
				open[i].released = true
				acks = append(acks, Ack{ID: f.id, Type: typePubrel})
				continue
			}
			open = append(open[:i], open[i+1:]...)
		}
		if len(acks) > 0 && w.r.Acked(p.link, acks) != nil {
			w.t.Errorf("seed %d: PUBREL refused", w.seed)
		}
		low := next - 1
		for _, f := range open {
			if !f.released {
				low = min(low, f.n-1)
			}
		}
		w.acked[n].Store(low)
		if rnd.IntN(25) == 0 {
			p = p.replace(rnd, d)
			for _, f := range open {
				if f.released {
					p.ack(typePubrel, f.id)
				} else {
					p.put(f.m, f.id, true)
				}
			}
			p.pub.Flush()
		}
	}
	p.bye()
}

// inbox is what a subscriber has had of one publisher, topic and QoS.
type inbox struct {
	last int64
	seen map[int64]int
}

// subscriber receives with a small window and output, acknowledges late, and loses its
// connection now and then.
type subscriber struct {
	w     *world
	n     int
	p     *peer
	rnd   *rand.Rand
	d     dial
	ids   map[message.PacketID]bool // QoS 2, between PUBLISH and PUBREL
	boxes map[string]*inbox
	owed  []Ack

	unordered bool // what another member gives back comes late
}

func (s *subscriber) fail(format string, args ...any) {
	s.w.t.Errorf("seed %d: subscriber %d: %s", s.w.seed, s.n, fmt.Sprintf(format, args...))
}

// look takes what has come and acknowledges some of it. It reports whether there was
// anything.
func (s *subscriber) look() bool {
	list := s.p.frames()
	for i := range list {
		f := &list[i]
		if f.kind == 3 {
			s.message(f)
		}
		if f.kind == typePubrel {
			delete(s.ids, f.id)
		}
		if a := answer(f); a.Type != 0 {
			s.owed = append(s.owed, a)
		}
	}
	n := len(s.owed)
	if s.rnd.IntN(3) == 0 {
		n = s.rnd.IntN(n + 1)
	}
	if n > 0 {
		if err := s.w.r.Acked(s.p.link, s.owed[:n]); err != nil {
			s.fail("%v", err)
		}
		s.owed = s.owed[n:]
	}
	return len(list) > 0 || n > 0
}

func (s *subscriber) message(f *frame) {
	if f.retain {
		return // of a SUBSCRIBE; live ones come without
	}
	if f.qos == 2 {
		if s.ids[f.id] {
			return // sent again
		}
		s.ids[f.id] = true
	}
	key := fmt.Sprint(f.topic, " ", f.qos)
	box := s.boxes[key]
	if box == nil {
		box = &inbox{seen: map[int64]int{}}
		s.boxes[key] = box
	}
	n, err := strconv.ParseInt(f.payload, 10, 64)
	if err != nil {
		s.fail("%v", err)
	}
	box.seen[n]++
	first := box.seen[n] == 1
	if first && n < box.last && !s.unordered || !first && f.qos != 1 {
		s.fail("%s: %d after %d, the %d-th time, DUP %v", key, n, box.last, box.seen[n], f.dup)
	}
	box.last = max(box.last, n)
}

// must fails unless every QoS 1 and 2 message of a publisher in a range has come.
func (s *subscriber) must(publisher int, from, to int64) {
	for n := from; n <= to; n++ {
		if n%3 == 0 {
			continue
		}
		box := s.boxes[fmt.Sprintf("p/%d/%d %d", publisher, n%3, n%3)]
		if box == nil || box.seen[n] == 0 {
			s.fail("message %d of publisher %d is lost", n, publisher)
		}
	}
}

func (s *subscriber) reconnect() {
	s.p = s.p.replace(s.rnd, s.d)
	s.owed = nil
}

// run receives until the publishers are done and nothing more comes.
func (s *subscriber) run(churn func()) {
	for {
		over := s.w.over.Load()
		some := s.look()
		if over && !some && len(s.owed) == 0 && s.w.settled() {
			break
		}
		if !some {
			select { // what another goroutine commits comes a little later
			case <-s.p.out.some:
			case <-time.After(time.Millisecond):
			}
		}
		if !over && s.rnd.IntN(20) == 0 {
			s.reconnect()
		}
		if !over && churn != nil && s.rnd.IntN(10) == 0 {
			churn()
		}
	}
}

// settled reports, after the end of the load, that nothing is under way to anybody: what a
// member of a group left behind goes to another a little later. It gives up in the end, and
// whoever looks at the totals says so.
func (w *world) settled() bool {
	w.ending.CompareAndSwap(nil, func() *time.Time { t := time.Now().Add(10 * time.Second); return &t }())
	n := w.stats.Snapshot()
	return n.Queued == 0 && n.Inflight == 0 || time.Now().After(*w.ending.Load())
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{rig: newRig(t, func(s *setup) { s.Linger = lingering * time.Duration(seed%2) }), seed: seed}
}

func (w *world) subscriber(n int) *subscriber {
	s := &subscriber{
		w: w, n: n, rnd: rand.New(rand.NewPCG(w.seed, uint64(100+n))), ids: map[message.PacketID]bool{}, boxes: map[string]*inbox{},
		d: dial{version: []byte{4, 5}[n%2], window: 1 + n*7, limit: 300 + n*1000},
	}
	s.p = w.connect(fmt.Sprint("s", n), s.d)
	return s
}

// steady is subscribed all the time: nothing may be missing.
func (w *world) steady(n int) *subscriber {
	s := w.subscriber(n)
	s.p.subscribe(2, "p/#", "p/+/1")
	return s
}

// churn subscribes and unsubscribes: between SUBACK and UNSUBSCRIBE nothing may be
// missing. It learns in the end whether that was so.
func (s *subscriber) churn(claims *[][3]int64) func() {
	var since [randomPublishers]int64
	subscribed := false
	return func() {
		if !subscribed {
			s.p.subscribe(2, "p/#")
			for i := range since {
				since[i] = s.w.begun[i].Load() + 1
			}
		} else {
			for i := range since {
				*claims = append(*claims, [3]int64{int64(i), since[i], s.w.acked[i].Load()})
			}
			s.p.unsubscribe("p/#")
		}
		subscribed = !subscribed
	}
}

// Random publishers and subscribers: no loss, no double at QoS 2, order, and after
// SUBACK everything that is published later.
func TestRandom(t *testing.T) {
	for round := range 4 {
		t.Run(fmt.Sprint("later ", round%2 == 1), func(t *testing.T) {
			w := newWorld(t, rand.Uint64())
			t.Logf("seed %d", w.seed)
			if round%2 == 1 {
				w.store.work(t)
			}
			w.run()
		})
	}
}

func (w *world) run() {
	var subscribers sync.WaitGroup
	for i := range randomSubscribers {
		if i == 0 {
			s := w.subscriber(i)
			subscribers.Go(func() {
				var claims [][3]int64
				s.run(s.churn(&claims))
				for _, c := range claims {
					s.must(int(c[0]), c[1], c[2])
				}
			})
			continue
		}
		s := w.steady(i)
		subscribers.Go(func() {
			s.run(nil)
			for p := range randomPublishers {
				s.must(p, 1, randomMessages)
			}
		})
	}
	for i := range randomPublishers {
		w.publish.Go(func() { w.publisher(i) })
	}
	w.publish.Wait()
	w.store.settle()
	w.over.Store(true)
	subscribers.Wait()
	w.store.settle()
	w.balanced()
}

// Members of a shared group lose their connections, leave and join again: every message
// reaches somebody, one of QoS 2 once.
func TestRandomShared(t *testing.T) {
	for round := range 4 {
		t.Run(fmt.Sprint("later ", round%2 == 1), func(t *testing.T) {
			w := newWorld(t, rand.Uint64())
			t.Logf("seed %d", w.seed)
			if round%2 == 1 {
				w.store.work(t)
			}
			w.runShared()
		})
	}
}

func (w *world) runShared() {
	const messages = 1500
	var mu sync.Mutex
	seen := map[string]int{}
	var members sync.WaitGroup
	for i := range 3 {
		s := w.subscriber(i)
		s.p.subscribe(2, shared)
		s.unordered = true
		joined := true
		members.Go(func() {
			s.run(func() {
				if i == 0 { // the group never ends
					return
				}
				if joined {
					s.p.unsubscribe(shared)
				} else {
					s.p.subscribe(2, shared)
				}
				joined = !joined
			})
			mu.Lock()
			defer mu.Unlock()
			for _, box := range s.boxes {
				for n, k := range box.seen {
					if n%2 == 0 && k > 1 {
						w.t.Errorf("seed %d: %d came %d times to one member", w.seed, n, k)
					}
					seen[strconv.FormatInt(n, 10)]++
				}
			}
		})
	}
	p := w.connect("p", dial{})
	rnd := rand.New(rand.NewPCG(w.seed, 1000))
	id := message.PacketID(0)
	for n := range messages {
		id = id%60000 + 1
		p.put(message.Message{Topic: "t", Payload: strconv.AppendInt(nil, int64(n), 10), QoS: 1 + byte(1-n%2)}, id, false)
		if rnd.IntN(5) == 0 {
			p.pub.Flush()
		}
		for _, f := range p.frames() {
			if f.kind == typePubrec {
				p.ack(typePubrel, f.id)
			}
		}
		runtime.Gosched()
	}
	p.pub.Flush()
	w.store.settle()
	w.over.Store(true)
	members.Wait()
	for n := range messages {
		switch k := seen[strconv.Itoa(n)]; {
		case k == 0:
			w.t.Errorf("seed %d: message %d of QoS %d is lost", w.seed, n, 2-n%2)
		case k > 1 && n%2 == 0:
			w.t.Errorf("seed %d: message %d of QoS 2 came to %d members", w.seed, n, k)
		}
	}
	w.balanced()
}
