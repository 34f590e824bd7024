package router

import (
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// maxTold is how many receipts may wait to be published before publishers that ask for
// more have to wait: some tens of megabytes.
const maxTold = 50_000

// outcomes publish receipts. Outcomes come about under locks of those they are of; here
// a goroutine publishes what tells of them, in their order. It is started when there is
// something, and ends when nothing is left. What has a record and is not published when
// the process ends is published by the next one.
type outcomes struct {
	r       *Router
	closing chan struct{}  // closed by close
	done    sync.WaitGroup // the goroutine

	// mu is taken under any other lock; nothing is called under it that takes one.
	mu      sync.Mutex
	list    []told // bounded by what sessions have at a time; publishers that add to it wait
	running bool
	held    bool // the store is being read
	closed  bool
	room    chan struct{} // made by who waits; closed when half of maxTold is free
	tallies map[message.ID]*tally
	loose   []looseNote // while the store is being read
}

// told is a receipt to publish.
type told struct {
	m       *message.Message // nil: its records are all there is
	records []delayedKey     // that end with it
	again   bool             // it was read from the store: it may have been published
}

// settle publishes what a record tells of, or counts it; the record is durable, or has
// none.
func (r *Router) settle(op *store.Op) {
	var records []delayedKey
	if op.Seq != 0 {
		records = []delayedKey{{seq: op.Seq}}
	}
	if op.At != neverDue {
		r.outcomes.push(told{m: op.Msg, records: records})
		return
	}
	if op.Msg.Topic != "" { // of the summary itself, repeated
		return
	}
	ok := r.outcomes.count(op.Msg.ID, func(t *tally) {
		t.counts[string(op.Msg.Payload)]++
		t.notes = append(t.notes, records...)
	})
	if !ok && len(records) > 0 { // there is nothing any more that it could be part of
		r.outcomes.push(told{records: records})
	}
}

// settleAll settles the receipts among the operations of a batch that was committed.
func (r *Router) settleAll(ops []store.Op) {
	for i := range ops {
		if isReceipt(&ops[i]) {
			r.settle(&ops[i])
		}
	}
}

// untold takes note of receipts whose batch was refused for good: the session is another
// process's, or gone. A summary counts it, because it would wait for ever.
func (r *Router) untold(ops []store.Op) {
	for i := range ops {
		op := &ops[i]
		if !isReceipt(op) {
			continue
		}
		r.stats.ReceiptsFailed.Inc()
		if op.At == neverDue {
			lost := *op
			lost.Seq = 0
			r.settle(&lost)
		}
	}
}

// admit reports whether a publish may be followed. One that asks waits here until others
// have been told, or gone is closed.
func (s *outcomes) admit(m *message.Message, targets int, gone func() <-chan struct{}) bool {
	if s.r.asks(m) == "" {
		return true
	}
	for room := s.full(); room != nil; room = s.full() {
		select {
		case <-room:
			continue
		case <-gone():
		case <-s.closing:
		}
		break
	}
	set := s.r.Settings()
	if targets <= set.ReceiptsEach {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !over(len(s.tallies)+1, set.ReceiptsOpen)
}

// full answers nil, or what is closed when there is room.
func (s *outcomes) full() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) < maxTold {
		return nil
	}
	if s.room == nil {
		s.room = make(chan struct{})
	}
	return s.room
}

func (s *outcomes) push(t told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushLocked(t)
}

func (s *outcomes) pushLocked(t told) {
	s.list = append(s.list, t)
	s.runLocked()
}

func (s *outcomes) runLocked() {
	if len(s.list) > 0 && !s.running && !s.held && !s.closed {
		s.running = true
		s.done.Go(s.run)
	}
}

// start publishes what was read from the store.
func (s *outcomes) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	s.runLocked()
}

// close waits until what is left has been published. Nothing may come afterwards.
func (s *outcomes) close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.done.Wait()
}

func (s *outcomes) run() {
	for {
		list := s.take()
		if len(list) == 0 {
			return
		}
		for i := range list {
			s.r.publishTold(&list[i])
		}
	}
}

// takeAtOnce is how many receipts the goroutine takes out in one step.
const takeAtOnce = 256

func (s *outcomes) take() []told {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(takeAtOnce, len(s.list))
	list := s.list[:n:n]
	if s.list = s.list[n:]; len(s.list) == 0 {
		s.list = nil
	}
	if s.room != nil && len(s.list) <= maxTold/2 {
		close(s.room)
		s.room = nil
	}
	s.running = n > 0
	return list
}

// publishTold publishes a receipt, in one with the end of its records.
func (r *Router) publishTold(t *told) {
	r.store.Wait(func() <-chan struct{} { return r.outcomes.closing })
	if t.m == nil {
		r.store.Begin()
		r.forgetTold(t)
		r.store.End()
		return
	}
	r.stats.Receipts.Inc()
	r.injectThen(t.m, t.again && r.peers != nil, func() { r.forgetTold(t) })
}

// forgetTold takes the records of a receipt away, which are mostly all of one mailbox.
func (r *Router) forgetTold(t *told) {
	for i := 0; i < len(t.records); {
		b := &store.Batch{Box: t.records[i].box}
		for ; i < len(t.records) && t.records[i].box == b.Box; i++ {
			b.Ops = append(b.Ops, store.Op{Kind: store.KindDelayed, Delete: true, Seq: t.records[i].seq})
		}
		r.commit(b, &commitDone{r: r})
	}
}
