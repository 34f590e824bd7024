package router

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

const (
	pagers     = 2           // goroutines that read pages
	pageRetry  = time.Second // after a failed read
	pageExpiry = 30 * time.Second
)

// pager reads queues from the store, a page at a time, for sessions that are about to
// run dry. Its goroutines are started with the router and end with close; a client
// is in the list at most once, so the list is bounded by the clients.
type pager struct {
	r    *Router
	wake chan struct{} // full: somebody will look anyway
	quit chan struct{}
	done sync.WaitGroup
	once sync.Once

	mu   sync.Mutex
	list []*Client
}

// paging is what the pager does about a client.
type paging struct {
	state   atomic.Int32
	issued  uint64        // guarded by Client.mu: batches of the client's given to the store
	commits atomic.Uint64 // of them, answered
	debts   debts         // what the store refused
	hungry  atomic.Bool   // a page was empty: what there must be is not committed yet

	// In a cluster, guarded by Client.mu:
	at      message.Position        // of the mailbox's inbox: everything up to there is in the session
	since   message.Position        // what was matched before came through the mailbox that the session was in
	overlap map[message.ID]struct{} // what was matched later, but came through it, too
	transit *transit                // nil but while the session moves
	sending *abroad                 // of the last connection; nil for a node alone
}

const (
	pageIdle  int32 = iota
	pageAsked       // in the list
	pageRead        // being read
	pageAgain       // being read, and asked for again
)

func newPager(r *Router) *pager {
	p := &pager{r: r, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	for range pagers {
		p.done.Go(p.run)
	}
	return p
}

func (p *pager) close() {
	p.once.Do(func() { close(p.quit) })
	p.done.Wait()
}

// ask has a page read for a client. It takes no lock of the client's.
func (p *pager) ask(c *Client) {
	s := &c.page.state
	for {
		switch {
		case s.CompareAndSwap(pageIdle, pageAsked):
			p.push(c)
			return
		case s.CompareAndSwap(pageRead, pageAgain):
			return
		case s.Load() == pageAsked, s.Load() == pageAgain:
			return
		}
	}
}

func (p *pager) push(c *Client) {
	p.mu.Lock()
	p.list = append(p.list, c)
	p.mu.Unlock()
	p.signal()
}

func (p *pager) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pager) next() *Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		p.list = nil
		return nil
	}
	c := p.list[0]
	p.list[0], p.list = nil, p.list[1:]
	return c
}

func (p *pager) run() {
	for {
		for c := p.next(); c != nil; c = p.next() {
			p.signal() // the others may help
			c.page.state.Store(pageRead)
			p.read(c)
			if !c.page.state.CompareAndSwap(pageRead, pageIdle) {
				c.page.state.Store(pageAsked)
				p.push(c)
			}
		}
		select {
		case <-p.wake:
		case <-p.quit:
			return
		}
	}
}

// read reads the next page of a client's queue, if its session wants one.
func (p *pager) read(c *Client) {
	c.mu.Lock()
	t, ok := c.sess.WantsPage()
	ok = ok && !c.ended
	commits := c.page.commits.Load()
	all := c.page.issued == commits && len(c.out.Ops) == 0 // there is nothing that is not committed
	c.mu.Unlock()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pageExpiry)
	entries, err := p.r.store.Page(ctx, c.ID, t.After, t.Messages, t.Bytes)
	cancel()
	if err != nil {
		p.r.log.Error("queue could not be read", "client", string(c.ID), "error", err)
		p.r.due.Add(p.r.now().Add(pageRetry), func() { p.ask(c) })
		return
	}
	if len(entries) == 0 && all { // the figures tell of entries whose commit was refused
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sess.Nothing(t)
		c.pumpLocked(nil)
		return
	}
	if len(entries) == 0 { // what there must be is not committed yet
		c.page.hungry.Store(true)
		if c.page.commits.Load() != commits { // it was meanwhile
			p.ask(c)
		}
		return
	}
	c.page.hungry.Store(false) // there may be more at once, without another commit
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sess.Paged(&c.out, t, entries)
	c.pumpLocked(nil)
}

// wantPageLocked asks for a page if the session is about to run dry.
func (c *Client) wantPageLocked() {
	if c.page == nil {
		return
	}
	if _, ok := c.sess.WantsPage(); ok && !c.page.hungry.Load() {
		c.r.pager.ask(c)
	}
}

// committed is told of each commit of the client's that may have held entries.
func (c *Client) committed() {
	if c.page == nil {
		return
	}
	c.page.commits.Add(1)
	if c.page.hungry.CompareAndSwap(true, false) {
		c.r.pager.ask(c)
	}
}
