package bridge

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/message"
)

// loose is what waits of QoS 0, and of replies, for one other mailbox. It goes by a
// channel. The receiver says what it has taken, as a channel has no back-pressure: Redis
// would cut off a subscriber that is behind, with all that waits for it.
type loose struct {
	own    string        // mailbox to which the receiver says so
	credit chan struct{} // one token: something was taken

	// guarded by outbox.mu
	parcels   []*parcel
	bytes     int // in parcels
	loosening bool
	sent      uint64 // bytes, ever
	taken     uint64 // so much of it is taken, or lost
}

// Bounds of QoS 0 for one mailbox.
const (
	looseBytes = 8 << 20 // that wait; what comes then is dropped
	airBytes   = 4 << 20 // that are sent and not taken
	takenBytes = 512 << 10
	// takenWait is how long nothing is sent while nothing is taken: what was sent is lost.
	takenWait = 500 * time.Millisecond
)

// loosen takes a bundle of QoS 0, or a record of another kind, which always has room.
func (o *outbox) loosen(b *message.Bundle, kind byte, payload []byte) {
	o.mu.Lock()
	if b != nil && (o.bytes > looseBytes || o.err != nil) {
		o.mu.Unlock()
		o.m.figures.Lost.Add(uint64(len(b.Items)))
		return
	}
	n := len(o.parcels)
	if n == 0 || len(o.parcels[n-1].buf) >= batchBytes {
		o.parcels = append(o.parcels, o.newParcel(o.own, o.sent+uint64(o.bytes))) //nolint:gosec // never negative
		n++
	}
	p := o.parcels[n-1]
	before := len(p.buf)
	if b != nil {
		p.bundle(b)
	} else {
		p.other(kind, payload)
	}
	o.bytes += len(p.buf) - before
	start := !o.loosening
	o.loosening = true
	o.mu.Unlock()
	if start {
		o.m.spawn(o.sendLoose) // after close it is lost, as it may be
	}
}

// nextLoose is the parcel to be sent; nil is none.
func (o *outbox) nextLoose() *parcel {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.parcels) == 0 {
		o.loosening = false
		return nil
	}
	p := o.parcels[0]
	o.parcels[0] = nil
	o.parcels = o.parcels[1:]
	o.bytes -= p.size()
	o.sent += uint64(p.size()) //nolint:gosec // never negative
	return p
}

// sendLoose publishes until there is nothing.
func (o *outbox) sendLoose(ctx context.Context) {
	channel := o.m.keys.box(o.to, boxSignal)
	for n := 0; o.air(ctx); {
		p := o.nextLoose()
		if p == nil {
			return
		}
		heard, err := o.m.shout(ctx, channel, p.buf)
		if err != nil || heard == 0 {
			o.m.figures.Lost.Add(uint64(p.items)) //nolint:gosec // never negative
			o.took(p.number + uint64(p.size()))   //nolint:gosec // never negative
		} else {
			o.m.figures.Published.Add(uint64(p.items)) //nolint:gosec // never negative
		}
		o.recycle(p)
		if err == nil {
			o.m.out.answered()
			n = 0
			continue
		}
		if redis.IsUnavailable(err) {
			o.m.out.failed("publish", err)
		} else {
			o.m.complain("messages of QoS 0 were not published", err)
		}
		if o.m.out.pause(ctx, n) != nil {
			return
		}
		n++
	}
}

// air waits until the receiver is not too far behind; false is that the bridge ends.
func (o *outbox) air(ctx context.Context) bool {
	since, last := time.Now(), uint64(0)
	for {
		o.mu.Lock()
		if o.taken != last {
			since, last = time.Now(), o.taken
		}
		if o.sent > o.taken+airBytes && time.Since(since) >= takenWait {
			o.taken = o.sent
		}
		full := o.sent > o.taken+airBytes
		o.mu.Unlock()
		if !full {
			return ctx.Err() == nil
		}
		if sleep(ctx, takenWait, o.credit) != nil {
			return false
		}
	}
}

// took notes what the receiver says.
func (o *outbox) took(number uint64) {
	o.mu.Lock()
	if number <= o.sent {
		o.taken = max(o.taken, number)
	}
	o.mu.Unlock()
	poke(o.credit)
}

// hear takes a message of the mailbox's channel.
func (c *consumer) hear(text string) {
	sender, number, data, err := openParcel([]byte(text))
	if err == nil {
		err = walkRecords(data, c.looseRecord)
	}
	if err != nil {
		c.m.complain("a message on a mailbox's channel cannot be read", err)
		return
	}
	number += uint64(len(data))
	if before := c.taken[sender]; sender != "" && (number >= before+takenBytes || number < before) {
		c.taken[sender] = number
		payload := binary.AppendUvarint(appendString(nil, string(c.box)), number)
		c.m.outbox(message.MailboxID(sender)).loosen(nil, recordTaken, payload)
	}
}

func (c *consumer) looseRecord(kind byte, payload []byte) error {
	switch kind {
	case recordControl:
		c.m.answer(c.box, payload)
	case recordBundle:
		b, err := oneBundle(payload)
		if err != nil {
			return err
		}
		c.in.Loose(c.box, b)
	case recordTaken:
		box, rest, ok := cutString(string(payload))
		number, _, ok2 := cutNumber(rest)
		if !ok || !ok2 {
			return errParcel
		}
		c.m.outbox(message.MailboxID(box)).took(number)
	default:
		return errParcel
	}
	return nil
}
