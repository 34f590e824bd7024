package router

import (
	"context"

	"github.com/skeinmq/skein/broker/message"
)

// postings are the messages of one call of a Sender and what is waited for.
type postings struct {
	r        *Router
	list     []*posting
	receipts bool
}

func newPostings(r *Router, n int, receipts bool) *postings {
	return &postings{r: r, list: make([]*posting, 0, n), receipts: receipts}
}

// posting is one of them. It implements Acker for its own Pending: there is no order
// to keep among messages that are answered together.
type posting struct {
	Posted
	r         *Router
	pend      Pending
	committed chan struct{} // closed when all commits are done, or one was refused
	failed    bool          // valid then
	follow    *follow       // nil when no receipts were asked for
}

// begin is called before a message is given to anybody; posting.end must follow.
func (w *postings) begin(m *message.Message) *posting {
	at := &posting{r: w.r, committed: make(chan struct{})}
	at.pend.owner = at
	at.pend.left.Store(1)
	if w.receipts {
		at.follow = w.r.follows.begin(m.ID)
	}
	w.list = append(w.list, at)
	return at
}

// pending is what the commits of the message are waited for in.
func (at *posting) pending() *Pending { return &at.pend }

// wait is pending for a message that promises something; nil for QoS 0.
func (at *posting) wait(m *message.Message) func() *Pending {
	if m.QoS == 0 && !m.Retain {
		return nil
	}
	return at.pending
}

// routed says by which routes the message went to other mailboxes.
func (at *posting) routed(p *Publisher) {
	if a := p.abroad; a != nil {
		at.pend.away = &away{cluster: p.r.cluster, matched: a.matched}
	}
}

// expect names whom the message is going to be given to.
func (at *posting) expect(targets []target, groups []*Group) {
	at.Matched = len(targets) + len(groups)
	if at.follow != nil {
		at.follow.expect(targets, groups)
	}
}

// end says that everybody has been given the message.
func (at *posting) end() {
	if at.follow != nil {
		at.follow.routed()
	}
	at.pend.done()
}

// wait waits for all of them, or the end of ctx.
func (w *postings) wait(ctx context.Context) (out []Posted, done bool) {
	done = true
	for _, at := range w.list {
		done = within(ctx, at.committed) && done
		if at.follow != nil {
			done = within(ctx, at.follow.done) && done
		}
	}
	out = make([]Posted, len(w.list))
	for i, at := range w.list {
		out[i] = at.posted()
	}
	return out, done
}

// within waits for ch. What is there already counts even if ctx has ended.
func within(ctx context.Context, ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
	}
	select {
	case <-ch:
		return true
	case <-ctx.Done():
		return false
	}
}

func (at *posting) posted() Posted {
	o := at.Posted
	if at.follow != nil {
		at.follow.fill(&o)
	}
	select {
	case <-at.committed:
		if o.Committed = !at.failed && !o.Refused(); at.failed {
			o.Code, o.Why = codeUnavailable, "the store refused it"
		}
	default:
	}
	return o
}

// forget ends what is still being followed.
func (w *postings) forget() {
	for _, at := range w.list {
		if at.follow != nil {
			w.r.follows.forget(at.follow)
		}
	}
}

// Ack implements Acker; nothing comes by it.
func (at *posting) Ack([]message.PacketID, byte, byte) {}

// Defer implements Acker; nothing comes by it.
func (at *posting) Defer(*Pending) {}

// Complete implements Acker.
func (at *posting) Complete(*Pending) { close(at.committed) }

// Refuse implements Acker.
func (at *posting) Refuse(*Pending) {
	at.failed = true
	close(at.committed)
}
