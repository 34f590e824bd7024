package router

import (
	"slices"
	"sync"

	"github.com/skeinmq/skein/broker/message"
)

// output is a Sink whose bytes wait until the test takes them.
type output struct {
	limit   int
	drained func()
	some    chan struct{} // 1 deep: there is something

	mu      sync.Mutex
	buf     []byte
	written []func(bool)
	waiting bool
	closed  bool
}

func (o *output) Begin() []byte {
	o.mu.Lock()
	return o.buf
}

func (o *output) End(b []byte) {
	if o.closed {
		b = nil
	}
	more := len(b) > 0
	o.buf = b
	o.mu.Unlock()
	if more {
		select {
		case o.some <- struct{}{}:
		default:
		}
	}
}

func (o *output) Room() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.limit - len(o.buf)
}

func (o *output) Full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) < o.limit || o.closed {
		return false
	}
	o.waiting = true
	return true
}

func (o *output) Written(done func(bool)) {
	o.mu.Lock()
	now := o.closed || len(o.buf) == 0
	if !now {
		o.written = append(o.written, done)
	}
	ok := !o.closed
	o.mu.Unlock()
	if now {
		done(ok)
	}
}

// tell answers those who wait for what was written.
func (o *output) tell(ok bool) {
	o.mu.Lock()
	list := o.written
	o.written = nil
	o.mu.Unlock()
	for _, done := range list {
		done(ok)
	}
}

func (o *output) take() []byte {
	defer o.tell(true)
	o.mu.Lock()
	b := o.buf
	o.buf = nil
	call := o.waiting && !o.closed
	o.waiting = false
	o.mu.Unlock()
	if call {
		o.drained()
	}
	return b
}

func (o *output) close() {
	defer o.tell(false)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.buf = true, nil
}

// ackQueue is an Acker like that of package conn.
type ackQueue struct {
	out     *output
	mu      sync.Mutex
	queue   []*Pending
	refused bool
}

func (a *ackQueue) Ack(ids []message.PacketID, qos, code byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, &Pending{IDs: slices.Clone(ids), QoS: qos, Code: code, Ready: true})
	a.writeLocked()
}

func (a *ackQueue) Defer(p *Pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, p)
}

func (a *ackQueue) Complete(p *Pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.Ready = true
	a.writeLocked()
}

func (a *ackQueue) Refuse(*Pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = true
}

func (a *ackQueue) writeLocked() {
	for len(a.queue) > 0 && a.queue[0].Ready {
		p := a.queue[0]
		a.queue = a.queue[1:]
		b := a.out.Begin()
		for _, id := range p.IDs {
			b = append(b, []byte{0, 0x40, 0x50}[p.QoS], 3, byte(id>>8), byte(id), p.Code)
		}
		a.out.End(b)
	}
}
