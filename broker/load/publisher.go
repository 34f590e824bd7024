package load

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

const (
	// flushAt is how many bytes are put together before they are written although
	// the window has room for more.
	flushAt = 64 << 10
	// sampleEvery is how often a message carries its time. It is prime, so that it
	// falls on every place of a window in turn.
	sampleEvery = 17
)

// publisher sends messages through its gate, on a goroutine of its own.
type publisher struct {
	r      *run
	c      *client
	number int
	qos    byte
	gate   *gate

	// prepare answers the frame up to the payload of the nth message (from 0), and the
	// message's place in the order of its subscriber.
	prepare func(n int64) (head []byte, seq uint64)
	count   int64 // how many to send; unbounded until it is told to stop

	payload []byte
	out     []byte // frames that are not written yet
	id      uint16 // last packet id
	gap     time.Duration
	sample  int64

	stopped atomic.Bool
	done    chan struct{} // closed when send has returned
}

// newPublisher takes a connected client. The goroutines of the publisher begin here
// (its acknowledgements are read) and where send is called.
func (r *run) newPublisher(c *client, number int, g *gate) *publisher {
	p := &publisher{
		r: r, c: c, number: number, qos: byte(r.o.QoS), gate: g, count: unbounded,
		payload: make([]byte, r.o.Size), sample: sampleEvery, done: make(chan struct{}),
	}
	r.wg.Go(p.readAcks)
	return p
}

// inflight is how many unacknowledged publishes the client may have.
func (r *run) inflight(c *client) int64 {
	if r.o.QoS == 0 {
		return unbounded
	}
	return int64(c.grant.inflight)
}

// toOneTopic has the publisher send every message to one topic.
func (p *publisher) toOneTopic(topic string) {
	head := publishHead(p.c.version, topic, p.qos<<qosShift, len(p.payload))
	p.prepare = func(n int64) ([]byte, uint64) { return head, uint64(n) }
}

// send runs until count is reached, stop is called, or the connection fails.
func (p *publisher) send(stop <-chan struct{}) {
	defer close(p.done)
	pace := newPacer(p.gap)
	defer pace.stop()
	for sent := int64(0); sent < p.count && !p.stopped.Load(); {
		k := min(p.count-sent, p.gate.room(sent), pace.due(sent))
		if k <= 0 {
			if !p.flush() || !p.gate.wait(sent, stop) || !pace.wait(sent, stop) {
				return
			}
			continue
		}
		sent = p.add(sent, k)
		if len(p.out) >= flushAt && !p.flush() {
			return
		}
	}
	p.flush()
}

// add puts up to k messages to those that wait to be written, and answers how many
// have been sent with them.
func (p *publisher) add(sent, k int64) int64 {
	for end := sent + k; sent < end && len(p.out) < flushAt; sent++ {
		head, seq := p.prepare(sent)
		p.out = append(p.out, head...)
		at := len(p.out)
		p.out = append(p.out, p.payload...)
		if p.qos > 0 {
			binary.BigEndian.PutUint16(p.out[at-idOffset(p.c.version):], p.nextID())
		}
		if len(p.payload) >= orderSize {
			putOrder(p.out[at:], p.number, seq)
		}
		if len(p.payload) >= stampSize && sent%p.sample == 0 {
			binary.LittleEndian.PutUint64(p.out[at+orderSize:], uint64(time.Now().UnixNano()))
		}
	}
	p.gate.sent.Store(sent)
	return sent
}

func (p *publisher) nextID() uint16 {
	p.id++
	if p.id == 0 {
		p.id = 1
	}
	return p.id
}

// flush writes what is put together; false when the connection has failed.
func (p *publisher) flush() bool {
	if len(p.out) == 0 {
		return true
	}
	_, err := p.c.conn.Write(p.out)
	p.out = p.out[:0]
	if err != nil {
		p.r.connectionFailed(p.c, err)
	}
	return err == nil
}

// stop asks send to end. A broker that no longer reads is given patience before the
// write that it holds up fails.
func (p *publisher) stop(patience time.Duration) {
	p.stopped.Store(true)
	_ = p.c.conn.SetWriteDeadline(time.Now().Add(patience)) // a closed connection has ended the write as well
}

// join waits for send to end. Handshakes still go on, as long as they take.
func (p *publisher) join() {
	<-p.done
	_ = p.c.conn.SetWriteDeadline(time.Time{}) // a closed connection needs none
}

// readAcks finishes the QoS 1 and 2 handshakes, until the connection is closed.
func (p *publisher) readAcks() {
	var out []byte
	for {
		out = out[:0]
		done, err := p.takeAcks(&out)
		if done > 0 {
			p.gate.acknowledge(done)
		}
		if err == nil && len(out) > 0 {
			_, err = p.c.conn.Write(out)
		}
		if err == nil {
			err = p.c.in.fill()
		}
		if err != nil {
			p.r.connectionFailed(p.c, err)
			return
		}
	}
}

// takeAcks handles all frames that have arrived: how many publishes are finished.
func (p *publisher) takeAcks(out *[]byte) (done int64, err error) {
	for {
		head, body, ok, err := p.c.in.next()
		if !ok || err != nil {
			return done, err
		}
		switch head >> 4 {
		case typePuback, typePubrec, typePubcomp:
			id, reason, err := splitAck(body)
			if err != nil {
				return done, err
			}
			if reason >= failure {
				p.r.refused.Add(1)
			}
			if head>>4 == typePubrec && reason < failure {
				*out = appendAck(*out, headPubrel, id)
			} else {
				done++
			}
		case typePingresp:
			p.c.pinged()
		case typeDisconnect:
			return done, disconnected(body)
		}
	}
}

// pacer spreads the messages of a publisher over time; with a gap of 0 all are due.
type pacer struct {
	gap   time.Duration
	begin time.Time
	timer *time.Timer
}

func newPacer(gap time.Duration) *pacer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &pacer{gap: gap, begin: time.Now(), timer: t}
}

func (p *pacer) stop() { p.timer.Stop() }

// due is how many messages may go out now, after sent of them. What a wait has made
// late is sent at once.
func (p *pacer) due(sent int64) int64 {
	if p.gap == 0 {
		return unbounded
	}
	return int64(time.Since(p.begin)/p.gap) - sent
}

// late is by how much the next message is overdue, after sent of them; 0 when it is not
// or nothing is ever due.
func (p *pacer) late(sent int64) time.Duration {
	if p.gap == 0 {
		return 0
	}
	return max(0, time.Since(p.begin)-p.gap*time.Duration(sent+1))
}

// wait blocks until the next message is due, and answers false when stop was closed first.
func (p *pacer) wait(sent int64, stop <-chan struct{}) bool {
	if p.gap == 0 {
		return true
	}
	d := p.gap*time.Duration(sent+1) - time.Since(p.begin)
	if d <= 0 {
		return true
	}
	p.timer.Reset(d)
	select {
	case <-p.timer.C:
		return true
	case <-stop:
		return false
	}
}
