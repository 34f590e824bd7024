package router

import (
	"fmt"

	"github.com/skeinmq/skein/broker/message"
)

// Packet types of acknowledgements, as in the fixed header.
const (
	typePuback  = 4
	typePubrec  = 5
	typePubrel  = 6
	typePubcomp = 7
)

// Ack is an acknowledgement that a client sent.
type Ack struct {
	ID   message.PacketID
	Type byte // 4 PUBACK, 5 PUBREC, 6 PUBREL, 7 PUBCOMP
	Code byte
}

// Acked takes the acknowledgements of one read, in their order, answers them and
// sends what they made room for. An error is a protocol error of the client
// (0x82); what came before it was done.
func (r *Router) Acked(l *Link, acks []Ack) error {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	c.out.Watch = c.r.follows.watched()
	c.out.Now = l.Out.Begin()
	for i := range acks {
		if acks[i].ID == c.lend.probe && acks[i].ID != 0 && acks[i].Type < typePubrel {
			c.timedLocked(r.since() - c.lend.at)
			c.lend.probe = 0
		}
		if err = c.ackLocked(&acks[i], l.Version); err != nil {
			err = fmt.Errorf("packet type %d: %w", acks[i].Type, err)
			break
		}
	}
	l.Out.End(c.out.Now)
	c.out.Now = nil
	if c.waitsLocked() {
		c.pumpLocked(nil)
	} else {
		c.commitLocked(nil)
		c.accountLocked()
	}
	return err
}

func (c *Client) ackLocked(a *Ack, version byte) (err error) {
	switch a.Type {
	case typePuback:
		_, err = c.sess.Puback(&c.out, a.ID, a.Code)
	case typePubrec:
		_, err = c.sess.Pubrec(&c.out, version, a.ID, a.Code)
	case typePubrel:
		c.sess.Pubrel(&c.out, version, a.ID)
	case typePubcomp:
		_, err = c.sess.Pubcomp(&c.out, a.ID)
	}
	return err
}

// waitsLocked reports whether room in the window may be used.
func (c *Client) waitsLocked() bool {
	return !c.sess.Ready(0) || c.rare != nil
}
