package router

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// A store that broke or was full refuses a batch, and what it should have done is not
// done when it recovers. What a publisher waited for is published again; everything else
// is repeated here: a session's records when its client comes back, which a refused
// commit made it do, and the node's own, and the deletion of sessions, after a while.

// debt is what was refused of a session, newest first.
type debt struct {
	ops  []store.Op
	next *debt
}

// debts are a session's. They are noted by callbacks of the store, which hold no lock
// that they could not want.
type debts struct{ list atomic.Pointer[debt] }

func (d *debts) add(ops []store.Op) {
	for {
		n := &debt{ops, d.list.Load()}
		if d.list.CompareAndSwap(n.next, n) {
			return
		}
	}
}

// repayLocked adds to what the next commit takes what earlier ones were refused, as it is
// now: deletions, and all that is in flight.
func (c *Client) repayLocked() {
	if c.page == nil || c.page.debts.list.Load() == nil {
		return
	}
	o := &c.out
	for d := c.page.debts.list.Swap(nil); d != nil; d = d.next {
		for i := range d.ops {
			if op, ok := c.asOfNowLocked(&d.ops[i]); ok {
				o.Ops = append(o.Ops, op)
			}
		}
	}
	c.sess.Rewrite(o)
}

// asOfNowLocked answers what is to be written of a record that an operation was refused
// for, if it is not written with all others.
func (c *Client) asOfNowLocked(op *store.Op) (store.Op, bool) {
	gone := store.Op{Kind: op.Kind, Delete: true, Seq: op.Seq, ID: op.ID, Filter: op.Filter}
	switch op.Kind {
	case store.KindEntry, store.KindGroupEntry:
		return gone, op.Delete
	case store.KindReceived:
		return gone, !c.sess.HasReceived(op.ID)
	case store.KindSubscription:
		if s := c.subs.get(op.Filter); s != nil {
			return store.Op{Kind: op.Kind, Filter: op.Filter, Sub: &s.Subscription}, true
		}
		return gone, true
	case store.KindCursor:
		for _, cu := range c.rareLocked().cursors {
			if cu.spelled == op.Filter {
				return *op, !op.Delete // it goes on from a place behind
			}
		}
		return gone, true
	case store.KindDelayed: // tells of an entry whose end is written now
		c.tells = true
		return *op, true
	}
	return store.Op{}, false
}

// repayTellsLocked adds what was refused that tells of outcomes, of a session that ends.
func (c *Client) repayTellsLocked() {
	if c.page == nil {
		return
	}
	for d := c.page.debts.list.Swap(nil); d != nil; d = d.next {
		for i := range d.ops {
			if d.ops[i].Kind == store.KindDelayed {
				c.out.Ops, c.tells = append(c.out.Ops, d.ops[i]), true
			}
		}
	}
}

// repeatAfter is when what was refused is tried again.
const repeatAfter = time.Second

// owed are records of the node's own, and ends of sessions, that were refused. The list
// is as long as there are such records; it is tried again as long as there is one.
type owed struct {
	mu      sync.Mutex
	records map[owedKey]owedRecord
	waiting bool // an item of the due queue will repeat
}

type owedKey struct {
	kind   store.Kind
	box    message.MailboxID
	filter string
	seq    uint64
	client message.ClientID
}

type owedRecord struct {
	op    store.Op
	epoch message.Epoch
}

// add notes what must be repeated of a refused batch: deletions, retained messages, and
// what tells of outcomes, unless it is repeated with the records of its session. What else the node writes is answered for by whoever waits for it.
func (w *owed) add(r *Router, b *store.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range b.Ops {
		op := &b.Ops[i]
		k := owedKey{kind: op.Kind, box: b.Box, filter: op.Filter, seq: op.Seq}
		switch {
		case op.Kind == store.KindSession && op.Delete:
			k = owedKey{kind: op.Kind, client: b.Client}
		case op.Kind == store.KindRetained, b.Client == "" && op.Delete, isReceipt(op) && (b.Client == "" || ends(b)):
		default:
			continue
		}
		if w.records == nil {
			w.records = map[owedKey]owedRecord{}
		}
		w.records[k] = owedRecord{*op, b.Epoch}
	}
	if len(w.records) > 0 && !w.waiting {
		w.waiting = true
		r.due.Add(r.now().Add(repeatAfter), func() { w.repeat(r) })
	}
}

// ends reports whether a batch ends its session.
func ends(b *store.Batch) bool {
	return slices.ContainsFunc(b.Ops, func(op store.Op) bool { return op.Kind == store.KindSession && op.Delete })
}

// owesRetained reports whether the store may have another message of a topic.
func (w *owed) owesRetained(topic string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, owes := w.records[owedKey{kind: store.KindRetained, filter: topic}]
	return owes
}

func (w *owed) repeat(r *Router) {
	w.mu.Lock()
	list := w.records
	w.records, w.waiting = nil, false
	w.mu.Unlock()
	for k, rec := range list {
		switch {
		case k.kind == store.KindRetained:
			r.retained.again(k.filter)
		case k.client == "":
			ops := []store.Op{rec.op}
			r.commit(&store.Batch{Box: k.box, Ops: ops}, &commitDone{r: r, told: ops})
		case r.reg.get(k.client) == nil: // otherwise the new session's first batch did it
			r.commit(&store.Batch{Client: k.client, Epoch: rec.epoch, Ops: []store.Op{rec.op}}, &commitDone{r: r})
		}
	}
}

// again commits what is retained for a topic now.
func (t *retained) again(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k, ok := t.names.Get(name); ok {
		t.record(k.m, false, nil)
		return
	}
	t.record(&message.Message{Topic: name}, true, nil)
}

// commit hands a batch to the store; what must be repeated if it is refused is.
func (r *Router) commit(b *store.Batch, d *commitDone) {
	d.b = b
	r.store.Commit(b, d)
}

// awaited is a batch of a session that a goroutine waits for.
type awaited struct {
	c    *Client
	ops  []store.Op
	wait commitWait
}

func (c *Client) commitAndWaitLocked(ops []store.Op, w commitWait) {
	c.r.store.Commit(c.batchLocked(ops), &awaited{c, ops, w})
}

// Committed implements store.Committed.
func (a *awaited) Committed(err error) {
	if err != nil && a.c.page != nil && !lost(err) {
		a.c.page.debts.add(a.ops)
	}
	if err == nil {
		a.c.r.settleAll(a.ops)
	}
	a.wait <- err
}

// lost reports whether it makes no sense to try again.
func lost(err error) bool {
	return errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrNotFound)
}

// owe notes what a batch should have done.
func (d *commitDone) owe(err error) {
	if lost(err) {
		return
	}
	d.r.owed.add(d.r, d.b)
	if d.c == nil {
		return
	}
	if d.c.page != nil {
		d.c.page.debts.add(d.b.Ops)
	}
	if l := d.c.live.Load(); l != nil && l != d.link { // the client has come back meanwhile: once more
		l.End(codeUnavailable, "commit refused")
	}
}
