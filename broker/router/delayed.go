package router

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

const delayedPrefix = "$delayed/"

// delayed are the messages published to $delayed/SECONDS/topic, until their time.
type delayed struct {
	seq atomic.Uint64 // of the own mailbox's records

	mu    sync.Mutex
	waits map[delayedKey]delayedMessage
}

type delayedMessage struct {
	item *due.Item
	at   int64 // Unix nanoseconds
	m    *message.Message
	// again says that it may have been published before: in a cluster, by a process that
	// died, or under another record.
	again bool
}

// delayedKey names a delayed message: mailboxes number theirs by themselves.
type delayedKey struct {
	box message.MailboxID
	seq uint64
}

// adopt waits for the time of a stored message.
func (d *delayed) adopt(r *Router, b *box, seq uint64, at int64, m *message.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b == r.own {
		d.given(seq)
	}
	d.waitLocked(r, delayedKey{b.id, seq}, at, m, b.id != "")
}

// delay accepts a publish to $delayed. It is acknowledged when stored; its expiry
// runs from now; the rules judge the topic behind the prefix now and when due.
func (p *Publisher) delay(pub *message.Publish, m *message.Message) Outcome {
	r := p.r
	set := r.Settings()
	seconds, name, _, err := topic.ParseDelayed(m.Topic)
	switch {
	case err != nil:
		return p.refuse(pub, codeTopicInvalid, stats.DropInvalid, err.Error())
	case !set.DelayedEnabled || seconds > int64(set.DelayedMax/time.Second):
		return p.refuse(pub, codeTopicInvalid, stats.DropInvalid, "$delayed is switched off or too far away")
	}
	if code := r.judgeTopic(name); code != codeSuccess {
		return p.refuse(pub, code, stats.DropInvalid, "topic behind $delayed refused")
	}
	if d := r.hooks.Authorize(p.hook, hooks.Request{Action: hooks.Publish, Topic: name, QoS: m.QoS, Retain: m.Retain}); d.Code != 0 {
		return p.refuse(pub, d.Code, stats.DropACL, d.Rule)
	}
	r.traceMessage(m, DecidedDelayed, "", name)
	later := *m
	later.Topic = name
	p.accept(pub, m)
	if !p.routed() {
		p.lose()
		return Outcome{}
	}
	var pend *Pending
	if pub.QoS > 0 {
		pend = p.pending()
	}
	if !r.delayed.add(r, &later, m.Created+seconds*int64(time.Second), pend) {
		return p.refuse(pub, codeQuotaExceeded, stats.DropDelayLimit, "too many delayed messages")
	}
	p.settleOne(pub, codeSuccess)
	return Outcome{}
}

// add stores a message until at, Unix nanoseconds. It reports false over the limit.
func (d *delayed) add(r *Router, m *message.Message, at int64, pend *Pending) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if limit := r.Settings().DelayedCount; limit > 0 && len(d.waits) >= limit {
		return false
	}
	seq := d.number()
	r.commitNode(store.Op{Kind: store.KindDelayed, Seq: seq, At: at, Msg: m}, pend)
	d.waitLocked(r, delayedKey{"", seq}, at, m, false)
	return true
}

// addAgain is add of a message whose publish was cut off, and may have been added before,
// here or by another process: who gets both knows its id.
func (d *delayed) addAgain(r *Router, m *message.Message, at int64, pend *Pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := delayedKey{"", d.number()}
	r.commitNode(store.Op{Kind: store.KindDelayed, Seq: key.seq, At: at, Msg: m}, pend)
	d.waitLocked(r, key, at, m, true)
}

// given notes a number that a record of the own mailbox has.
func (d *delayed) given(seq uint64) {
	for {
		have := d.seq.Load()
		if have >= seq || d.seq.CompareAndSwap(have, seq) {
			return
		}
	}
}

// number gives a record of the own mailbox a number. It takes no lock.
func (d *delayed) number() uint64 { return d.seq.Add(1) }

// waitLocked waits for a message's time. It may have been published already, with again.
func (d *delayed) waitLocked(r *Router, seq delayedKey, at int64, m *message.Message, again bool) {
	r.stats.Delayed.Inc()
	item := r.due.Add(time.Unix(0, at), func() { r.events.aside(func() { d.fire(r, seq, m) }) })
	d.waits[seq] = delayedMessage{item, at, m, again}
}

// fire publishes a message whose time has come, and removes its record.
func (d *delayed) fire(r *Router, seq delayedKey, m *message.Message) {
	d.mu.Lock()
	w, waits := d.waits[seq]
	delete(d.waits, seq)
	d.mu.Unlock()
	if !waits { // it was moved to another mailbox
		return
	}
	r.stats.Delayed.Dec()
	drop, why := m.Expired(r.now().UnixNano()), stats.DropExpired
	if !drop {
		h := r.hooks.NewClient(hooks.Info{ID: string(m.Publisher), User: m.User, HasUser: m.User != "", Version: message.V5})
		drop = r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: m.Topic, QoS: m.QoS, Retain: m.Retain, Again: true}).Code != codeSuccess
		why = stats.DropACL
	}
	ends := store.Op{Kind: store.KindDelayed, Delete: true, Seq: seq.seq}
	if drop {
		r.stats.Drop(why, 1)
		r.tell(seq.box, m, dropped(why), []store.Op{ends}, nil)
		return
	}
	r.injectThen(m, w.again, func() {
		r.commit(&store.Batch{Box: seq.box, Ops: []store.Op{ends}}, &commitDone{r: r})
	})
}
