package router

import (
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/due"
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// delayed are the messages published to $delayed/SECONDS/topic, until their time.
type delayed struct {
	mu    sync.Mutex
	items map[uint64]*due.Item
	seq   uint64
}

// delay accepts a publish to $delayed. It is acknowledged when stored; its expiry
// runs from now; the rules judge the topic behind the prefix now and when due.
func (p *Publisher) delay(pub *message.Publish, m *message.Message, seconds int64, name string, err error, pend *Pending) Outcome {
	r := p.r
	set := r.Settings()
	switch {
	case err != nil || !set.DelayedEnabled || time.Duration(seconds) > set.DelayedMax/time.Second || name[0] == '$':
		return p.refuse(pub, codeTopicInvalid, stats.DropInvalid, "$delayed topic invalid, too far away or switched off")
	case r.hooks.Authorize(p.hook, hooks.Request{Action: hooks.Publish, Topic: name, QoS: m.QoS, Retain: m.Retain}).Code != 0:
		return p.refuse(pub, codeNotAuthorized, stats.DropACL, "topic behind $delayed refused")
	}
	later := *m
	later.Topic = name
	if pend == nil && pub.QoS > 0 {
		pend = p.newPending()
	}
	if !r.delayed.add(r, &later, m.Created+seconds*int64(time.Second), pend) {
		return p.refuse(pub, codeQuotaExceeded, stats.DropDelayLimit, "too many delayed messages")
	}
	if pub.QoS > 0 {
		p.settle([]message.PacketID{pub.ID}, pub.QoS, 0, pend)
	}
	return Outcome{}
}

// add stores a message until at, Unix nanoseconds. It reports false over the limit.
func (d *delayed) add(r *Router, m *message.Message, at int64, pend *Pending) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.items) >= r.Settings().DelayedCount {
		return false
	}
	d.seq++
	if pend != nil {
		pend.left.Add(1)
	}
	r.store.Commit(&store.Batch{Ops: []store.Op{{Kind: store.KindDelayed, Seq: d.seq, At: at, Msg: m}}}, &commitDone{r: r, pend: pend})
	d.waitLocked(r, d.seq, at, m)
	return true
}

func (d *delayed) waitLocked(r *Router, seq uint64, at int64, m *message.Message) {
	r.stats.Delayed.Inc()
	d.items[seq] = r.due.Add(time.Unix(0, at), func() { d.fire(r, seq, m) })
}

// fire publishes a message whose time has come, then removes its record: a crash
// in between publishes it again rather than never.
func (d *delayed) fire(r *Router, seq uint64, m *message.Message) {
	d.mu.Lock()
	delete(d.items, seq)
	d.mu.Unlock()
	r.stats.Delayed.Dec()
	switch {
	case m.Expired(r.now().UnixNano()):
		r.stats.Drop(stats.DropExpired, 1)
	case topic.ValidName(m.Topic) == nil:
		h := r.hooks.NewClient(hooks.Info{ID: string(m.Publisher), User: m.User, HasUser: m.User != ""})
		if r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: m.Topic, QoS: m.QoS, Retain: m.Retain}).Code != 0 {
			r.stats.Drop(stats.DropACL, 1)
			break
		}
		r.Inject(m)
	}
	r.store.Commit(&store.Batch{Ops: []store.Op{{Kind: store.KindDelayed, Delete: true, Seq: seq}}}, &commitDone{r: r})
}
