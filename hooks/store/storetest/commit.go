package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// log collects the answers of one client's batches.
type log struct {
	mu   sync.Mutex
	got  []int
	errs int
	all  chan struct{} // closed when want have come
	want int
}

func newLog(want int) *log { return &log{all: make(chan struct{}), want: want} }

// note is the callback of batch n.
type note struct {
	l *log
	n int
}

// Committed implements store.Committed.
func (c note) Committed(err error) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if err != nil {
		c.l.errs++
	}
	if c.l.got = append(c.l.got, c.n); len(c.l.got) == c.l.want {
		close(c.l.all)
	}
}

// check wants each answer once and in order.
func (l *log) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.errs > 0 || len(l.got) != l.want {
		return fmt.Errorf("%d answers and %d errors, want %d", len(l.got), l.errs, l.want)
	}
	for i, n := range l.got {
		if n != i {
			return fmt.Errorf("answer %d is of batch %d", i, n)
		}
	}
	return nil
}

// write commits n batches of a client without waiting between them.
func (s *suite) write(id message.ClientID, n int, l *log) {
	s.Commit(begin(id, 1), note{l, 0})
	for i := 1; i < n; i++ {
		ops := []store.Op{entry(uint64(i)), state(uint64(i), message.PacketID(i), store.Sent)}
		if i > 3 {
			ops = append(ops, remove(entry(uint64(i-3))))
		}
		s.Commit(on(id, 1, ops...), note{l, i})
	}
}

func answersInOrder(s *suite) {
	const n = 500
	l := newLog(n)
	s.write("client", n, l)
	<-l.all
	s.wrote("client", n)
	if err := s.Close(); err != nil {
		s.Error(err)
	}
	if err := l.check(); err != nil { // after Close nothing may come
		s.Error(err)
	}
}

// wrote checks what write leaves.
func (s *suite) wrote(id message.ClientID, n int) {
	s.Helper()
	img, err := s.Load(ctx, id)
	if err != nil {
		s.Errorf("load %q: %v", id, err)
		return
	}
	if len(img.Entries) != 3 || img.Entries[0].Seq != uint64(n-3) || img.Entries[2].State.ID != message.PacketID(n-1) {
		s.Errorf("stored is\n%s", render(img))
	}
}

// emptyBatch: it waits for those before it.
func emptyBatch(s *suite) {
	l := newLog(3)
	s.Commit(begin("client", 1, entry(1)), note{l, 0})
	s.Commit(on("client", 1), note{l, 1})
	s.Commit(on("client", 1, entry(2)), note{l, 2})
	<-l.all
	if err := l.check(); err != nil {
		s.Error(err)
	}
	s.commit(on("", 0))
}

// chain commits the next batch from the callback of the one before.
type chain struct {
	s    *suite
	left int
	done chan error
}

// Committed implements store.Committed.
func (c *chain) Committed(err error) {
	if c.left--; err != nil || c.left == 0 {
		c.done <- err
		return
	}
	c.s.Commit(on("client", 1, entry(uint64(c.left))), c)
}

func commitFromCallback(s *suite) {
	const n = 50
	c := &chain{s: s, left: n, done: make(chan error, 1)}
	s.Commit(begin("client", 1), c)
	if err := <-c.done; err != nil {
		s.Fatal(err)
	}
	if img, err := s.Load(ctx, "client"); err != nil || len(img.Entries) != n-1 {
		s.Errorf("stored is %v, %v", img, err)
	}
}

// manyClients commit at once, beside the node and readers.
func manyClients(s *suite) {
	const clients, n = 16, 60
	var wg sync.WaitGroup
	logs := make([]*log, clients+1)
	for i := range clients {
		l := newLog(n)
		logs[i] = l
		wg.Go(func() { s.write(message.ClientID(fmt.Sprint("client", i)), n, l) })
	}
	l := newLog(n)
	logs[clients] = l
	wg.Go(func() {
		for i := range n {
			s.Commit(on("", 0, retain(fmt.Sprint("t/", i%7), msg(i)), later(uint64(i), 1, msg(i))), note{l, i})
		}
	})
	wg.Go(func() {
		for range n {
			if err := s.Heads(ctx, func(*store.Head) bool { return true }); err != nil {
				s.Errorf("heads: %v", err)
			}
			s.node()
		}
	})
	wg.Wait()
	for i, l := range logs {
		<-l.all
		if err := l.check(); err != nil {
			s.Errorf("owner %d: %v", i, err)
		}
	}
	for i := range clients {
		s.wrote(message.ClientID(fmt.Sprint("client", i)), n)
	}
}

// nobodySeesHalf: each batch takes away the entries of the one before it and puts
// as many in their place, while others look.
func nobodySeesHalf(s *suite) {
	const n, size = 300, 20
	s.commit(begin("client", 1))
	l := newLog(n)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range uint64(n) {
			ops := []store.Op{received(message.PacketID(i + 1))}
			for k := range uint64(size) {
				ops = append(ops, entry((i+1)*size+k), remove(entry(i*size+k)))
			}
			s.Commit(on("client", 1, append(ops, remove(received(message.PacketID(i))))...), note{l, int(i)})
		}
	})
	for range 2 {
		wg.Go(func() { s.look(l.all, size) })
	}
	wg.Wait()
	<-l.all
	if err := l.check(); err != nil {
		s.Error(err)
	}
}

// look loads until end: there are no entries yet, or those of one batch.
func (s *suite) look(end <-chan struct{}, size int) {
	for {
		img, err := s.Load(ctx, "client")
		switch {
		case err != nil:
			s.Errorf("load: %v", err)
			return
		case len(img.Entries) == 0 && len(img.Received) == 0:
		case len(img.Entries) != size || len(img.Received) != 1 || img.Entries[0].Seq != uint64(img.Received[0])*uint64(size):
			s.Errorf("half a batch: %d entries, received %v", len(img.Entries), img.Received)
			return
		}
		select {
		case <-end:
			return
		default:
		}
	}
}

// closing: nothing after it, and it may be repeated.
func closing(s *suite) {
	s.commit(full("client", 1))
	for range 2 {
		if err := s.Close(); err != nil {
			s.Errorf("close: %v", err)
		}
	}
	s.refused(store.ErrClosed, on("client", 1, entry(9)))
	s.refused(store.ErrClosed, on("", 0, retain("t", msg(1))))
	_, err := s.Load(ctx, "client")
	_, paged := s.Page(ctx, "client", 0, 9, 1<<20)
	errs := []error{
		err,
		s.Heads(ctx, func(*store.Head) bool { return true }),
		s.Retained(ctx, func(*message.Message) bool { return true }),
		s.Delayed(ctx, func(uint64, int64, *message.Message) bool { return true }),
		s.GroupEntries(ctx, func(string, uint64, *message.Message) bool { return true }),
		paged,
	}
	for i, err := range errs {
		if !errors.Is(err, store.ErrClosed) {
			s.Errorf("reader %d answers %v", i, err)
		}
	}
}

// closeWaits: what was handed in before Close is answered when it returns, and
// everything else is refused at once.
func closeWaits(s *suite) {
	const n, writers = 200, 4
	var wg sync.WaitGroup
	var mu sync.Mutex
	answered, handed := 0, 0
	begun := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			id := message.ClientID(fmt.Sprint("client", w))
			for i := range n {
				r := make(result, 1)
				s.Commit(begin(id, 1, entry(uint64(i))), both{r, func() { mu.Lock(); answered++; mu.Unlock() }})
				mu.Lock()
				if handed++; handed == writers {
					close(begun)
				}
				mu.Unlock()
			}
		})
	}
	<-begun
	mu.Lock()
	before := handed
	mu.Unlock()
	if err := s.Close(); err != nil {
		s.Errorf("close: %v", err)
	}
	mu.Lock()
	if answered < before {
		s.Errorf("%d batches were handed in before Close, %d answered when it returned", before, answered)
	}
	mu.Unlock()
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if answered != handed || handed != n*writers {
		s.Errorf("%d of %d batches were answered", answered, handed)
	}
}

// both hands an answer on and counts it.
type both struct {
	result
	count func()
}

// Committed implements store.Committed.
func (b both) Committed(err error) {
	b.result.Committed(err)
	b.count()
}
