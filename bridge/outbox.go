package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var stepInboxAppend = step("inbox_append")

// outbox is what waits for one other mailbox. While one batch is under way the next one
// collects; a goroutine sends as long as there is something.
//
// A batch whose outcome is not known is repeated, the same bytes with the same number,
// until it is; nothing else goes to that inbox before.
type outbox struct {
	m    *mail
	to   message.MailboxID
	from string
	ctx  context.Context // ends when the process is no longer the sender

	settled mark // number of the last batch that is in the inbox or was given up

	mu      sync.Mutex
	err     error     // what everything is answered with; nil while open
	full    []*parcel // batches that are complete
	filling *parcel   // nil is none
	flying  *parcel   // nil is none
	sending bool

	loose
}

// batchBytes is about how large a batch gets.
const batchBytes = 256 << 10

func newOutbox(m *mail, to message.MailboxID) *outbox {
	return &outbox{m: m, to: to, from: m.sender, ctx: m.ctx, loose: loose{own: string(m.own), credit: make(chan struct{}, 1)}}
}

// newParcel begins a batch.
func (o *outbox) newParcel(sender string, number uint64) *parcel {
	p := o.m.parcels.Get().(*parcel) //nolint:forcetypeassert // the pool has nothing else
	p.begin(sender, number)
	return p
}

// keepBytes is the largest buffer that is kept for another batch.
const keepBytes = 2 * batchBytes

// recycle gives a parcel back whose bytes nobody sends any more.
func (o *outbox) recycle(p *parcel) {
	if cap(p.buf) > keepBytes {
		return
	}
	clear(p.dones)
	p.dones = p.dones[:0]
	o.m.parcels.Put(p)
}

// append takes a bundle, or a payload of control.
func (o *outbox) append(b *message.Bundle, payload []byte, done store.Committed) {
	o.mu.Lock()
	if err := o.err; err != nil {
		o.mu.Unlock()
		done.Committed(err)
		return
	}
	if o.filling != nil && len(o.filling.buf) >= batchBytes {
		o.full = append(o.full, o.filling)
		o.filling = nil
	}
	if o.filling == nil {
		o.filling = o.newParcel(o.from, o.m.numbers.Add(1))
	}
	p := o.filling
	before := len(p.buf)
	if b != nil {
		p.bundle(b)
	} else {
		p.other(recordControl, payload)
	}
	p.dones = append(p.dones, done)
	size := len(p.buf) - before
	start := !o.sending
	o.sending = true
	o.mu.Unlock()
	o.m.count(size)
	if start && !o.m.spawn(o.send) {
		o.close(store.ErrClosed)
	}
}

// last is the number of the newest batch that is not settled; 0 when there is none.
func (o *outbox) last() message.Position {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.filling != nil:
		return message.Position(o.filling.number)
	case len(o.full) > 0:
		return message.Position(o.full[len(o.full)-1].number)
	case o.flying != nil:
		return message.Position(o.flying.number)
	}
	return 0
}

// send sends batches until there are none.
func (o *outbox) send(context.Context) {
	for {
		p := o.next()
		if p == nil {
			return
		}
		began := time.Now()
		err := o.deliver(p)
		if err == nil {
			o.m.figures.Append.Record(time.Since(began).Microseconds())
			o.m.figures.Batch.Record(int64(len(p.buf)))
			o.m.figures.Appended.Add(uint64(p.items))
		}
		o.settle(p, err)
	}
}

func (o *outbox) next() *parcel {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.full) > 0:
		o.flying = o.full[0]
		o.full[0] = nil
		o.full = o.full[1:]
	case o.filling != nil:
		o.flying, o.filling = o.filling, nil
	default:
		o.sending = false
		return nil
	}
	return o.flying
}

// settle tells the outcome of the batch that was under way.
func (o *outbox) settle(p *parcel, err error) {
	o.mu.Lock()
	dones := p.dones
	p.dones = nil
	o.flying = nil
	o.mu.Unlock()
	o.m.count(-p.size())
	for _, d := range dones {
		d.Committed(err)
	}
	o.settled.reach(message.Position(p.number))
	p.dones = dones
	o.recycle(p)
	if err == nil {
		return
	}
	if o.ctx.Err() == nil {
		o.m.complain("a batch was not appended to an inbox", fmt.Errorf("mailbox %s: %w", o.to, err))
	}
	if o.ctx.Err() != nil || errors.Is(err, errBoxGone) {
		o.m.drop(o)
		o.close(err)
	}
}

// size is what the parcel counts as waiting: all but its head.
func (p *parcel) size() int { return len(p.buf) - p.head }

// inboxBytes bounds about how much waits in an inbox; inboxMin and inboxMax how many
// batches do.
const (
	inboxBytes = 256 << 20
	inboxMin   = 256
	inboxMax   = 10_000
)

// fullPause is how long a full inbox is left alone.
const fullPause = 20 * time.Millisecond

// deliver appends a batch, once, whatever it takes. An error is final: the batch is not in
// the inbox, or it is not known and this process is no longer the sender.
func (o *outbox) deliver(p *parcel) error {
	keys := []string{o.m.keys.box(o.to, boxInbox), o.m.keys.box(o.to, boxMeta)}
	field := "s:" + o.from
	room := min(max(inboxBytes/len(p.buf), inboxMin), inboxMax)
	for {
		v, err := o.m.step(o.ctx, stepInboxAppend, keys, field, p.number, p.buf, room)
		if err != nil {
			if o.ctx.Err() != nil {
				return o.reason()
			}
			return err
		}
		switch v {
		case int64(1):
			return nil
		case int64(-1):
			return errBoxGone
		}
		o.m.figures.Full.Inc()
		if sleep(o.ctx, fullPause, nil) != nil {
			return o.reason()
		}
	}
}

// reason is why the outbox ends.
func (o *outbox) reason() error {
	if o.m.link.ctx.Err() != nil {
		return store.ErrClosed
	}
	return errBoxLost
}

// close answers everything that waits, and all that comes, with err. What is under way
// finds that its context has ended, or goes on.
func (o *outbox) close(err error) {
	o.mu.Lock()
	o.err = err
	o.mu.Unlock()
	o.drain(err)
}

// errGivenUp is what is answered to publishers for whose messages others did not wait.
var errGivenUp = errors.New("bridge: an inbox did not take the message in time")

// giveUp answers everything that waits; what is under way may arrive nevertheless.
func (o *outbox) giveUp() { o.drain(errGivenUp) }

func (o *outbox) drain(err error) {
	o.mu.Lock()
	all := o.full
	if o.filling != nil {
		all = append(all, o.filling)
	}
	o.full, o.filling = nil, nil
	var dones []store.Committed
	last := message.Position(0)
	if o.flying != nil {
		dones = append(dones, o.flying.dones...)
		o.flying.dones = nil
		last = message.Position(o.flying.number)
	}
	for _, p := range all {
		dones = append(dones, p.dones...)
		last = message.Position(p.number)
	}
	o.mu.Unlock()
	for _, p := range all {
		o.m.figures.GivenUp.Inc()
		o.m.count(-p.size())
		o.recycle(p)
	}
	for _, d := range dones {
		d.Committed(err)
	}
	o.settled.reach(last)
}
