package listen

import (
	"runtime"
	"sync"
)

// maxLent is how many stacks there are to lend. When all are lent, a step runs on
// its own connection's, so nobody waits.
const maxLent = 64

// lenders lends stacks to steps. The stack of a goroutine grows for a step and,
// once grown, never comes back to the 2 KB that suffice for waiting in the poller
// (the runtime shrinks only what is used to less than a quarter). A connection
// with little to do therefore has its steps run by another goroutine, and waits for
// it; a busy one runs them itself, which is quicker.
type lenders struct {
	mu    sync.Mutex
	pumps int // calls of Pump at work; with the last one the goroutines end
	lent  int // goroutines
	idle  []*lender
}

// lender is one goroutine with a grown stack.
type lender struct {
	job  chan *pump
	done chan struct{}
}

var stacks lenders

func (s *lenders) enter() {
	s.mu.Lock()
	s.pumps++
	s.mu.Unlock()
}

func (s *lenders) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pumps--; s.pumps > 0 {
		return
	}
	for _, l := range s.idle {
		close(l.job)
	}
	s.lent -= len(s.idle)
	s.idle = nil
}

// borrow returns nil when all stacks are lent.
func (s *lenders) borrow() *lender {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		l := s.idle[n-1] // the one used last: its stack is in the cache
		s.idle = s.idle[:n-1]
		return l
	}
	if s.lent == maxLent {
		return nil
	}
	s.lent++
	l := &lender{job: make(chan *pump, 1), done: make(chan struct{}, 1)}
	go l.run()
	return l
}

func (s *lenders) giveBack(l *lender) {
	s.mu.Lock()
	s.idle = append(s.idle, l)
	s.mu.Unlock()
}

// run runs the step of p on a borrowed stack, if there is one.
func (s *lenders) run(p *pump) bool {
	l := s.borrow()
	if l == nil {
		return false
	}
	l.job <- p
	if _, ok := <-l.done; !ok { // the step has ended its goroutine, and meant this one
		s.mu.Lock()
		s.lent--
		s.mu.Unlock()
		runtime.Goexit()
	}
	s.giveBack(l)
	return true
}

func (l *lender) run() {
	defer close(l.done)
	for p := range l.job {
		p.done = p.step(p.read)
		l.done <- struct{}{}
	}
}
