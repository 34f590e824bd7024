package router

import (
	"context"
	"fmt"
	"time"

	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
)

// The end of a session with a queue in which publishers want to know what became of their
// messages. What of it is in the store alone is read first, a page at a time, and told
// with the records of the entries; should the process end meanwhile, the session is still
// there with the rest.

const (
	endPageMessages = 1000
	endPageBytes    = 1 << 20
	endTimeout      = 5 * time.Minute
)

// readsLocked reports whether the end of the session has to read its queue.
func (c *Client) readsLocked() bool {
	return c.sess.Asking() > 0 && c.Persistent() && (!c.sess.Whole() || c.unloaded)
}

func (c *Client) reads() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readsLocked()
}

// readOut tells what becomes of the queue of a session that has ended, if it must be read
// for that. No lock is held, and the session takes nothing any more.
func (r *Router) readOut(c *Client) {
	if !c.reads() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	n, err := c.readAll(ctx)
	c.mu.Lock()
	c.told = true
	lost := c.sess.Asking() - n
	c.mu.Unlock()
	if err != nil {
		r.stats.ReceiptsFailed.Add(uint64(max(lost, 0)))
		r.log.Error("queue of an ended session could not be read: receipts are missing", "client", string(c.ID), "error", err)
	}
}

// readAll answers how many it has told of.
func (c *Client) readAll(ctx context.Context) (n int, err error) {
	st := c.r.store
	committed := make(commitWait, 1)
	c.mu.Lock()
	st.Commit(c.batchLocked(nil), committed)
	c.mu.Unlock()
	if err = committed.wait(ctx); err != nil {
		return 0, fmt.Errorf("wait for commits: %w", err)
	}
	img, err := st.Load(ctx, c.ID)
	if err != nil {
		return 0, fmt.Errorf("load session: %w", err)
	}
	var flight []store.Entry
	for i := range img.Entries {
		if e := &img.Entries[i]; e.State.Phase != store.Queued {
			flight = append(flight, e.Entry)
		}
	}
	n = c.tellEntries(ctx, flight)
	for after := uint64(0); ; {
		page, err := st.Page(ctx, c.ID, after, endPageMessages, endPageBytes)
		if err != nil {
			return n, fmt.Errorf("read queue: %w", err)
		}
		if len(page) == 0 {
			return n, nil
		}
		n += c.tellEntries(ctx, page)
		after = page[len(page)-1].Seq
	}
}

// tellEntries ends entries of which somebody wants to know.
func (c *Client) tellEntries(ctx context.Context, list []store.Entry) (n int) {
	c.r.store.Wait(ctx.Done)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		e := &list[i]
		if c.r.asks(e.Msg) == "" {
			continue
		}
		n++
		c.out.Ops = append(c.out.Ops, store.Op{Kind: store.KindEntry, Delete: true, Seq: e.Seq})
		c.tellLocked(e.Msg, e.QoS, dropped(c.whyEndedLocked()))
	}
	c.commitLocked(nil)
	return n
}

// askedLocked reports whether there is something to tell of what the session has in
// memory, or to take from groups.
func (c *Client) askedLocked() bool {
	return !c.told && (c.sess.Asking() > 0 || !c.Persistent() && len(c.rareLocked().members) > 0)
}

// tellEndLocked tells that what the session has ends with it.
func (c *Client) tellEndLocked(asked bool) {
	visit := func(e *session.Entry) { c.endedEntry(e, dropped(c.whyEndedLocked())) }
	if asked {
		c.sess.Each(visit)
	} else {
		c.sess.EachLoose(visit)
	}
}

// gaveUpLocked ends messages that the client gave back to a group that has ended.
func (c *Client) gaveUpLocked(g *Group, list []waiting) {
	o := dropped(c.whyEndedLocked())
	for _, w := range list {
		c.r.stats.Drop(stats.DropSessionEnded, 1)
		c.r.follows.dropped(w.m, g)
		if w.seq == 0 {
			c.tellLocked(w.m, 1, o)
			continue
		}
		ended := o
		ended.client = c.ID
		g.finish(w, ended)
	}
}
