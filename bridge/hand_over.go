package bridge

import (
	"context"
	"errors"
	"strconv"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Mover is what the router does about a session that is wanted elsewhere.
type Mover interface {
	// Prepare closes a session's connection, ends its input and returns when everything
	// it has is committed; from then on it is noted what it is given. store.ErrNotFound
	// says that it is not here, or ended.
	// wanted is asked before anything is closed.
	Prepare(ctx context.Context, box message.MailboxID, id message.ClientID, token string, wanted func(context.Context) bool) error
	// MoveOrdered is told in the order of the inbox: what comes for the session from now
	// on is kept until Move knows whether it has gone.
	MoveOrdered(id message.ClientID, token string)
	// Move hands a session over by step, which is given the ids of what it got here
	// although it was matched at since or later; false is that it stays.
	Move(ctx context.Context, id message.ClientID, token string, since message.Position, step func(context.Context, []message.ID) (bool, error)) (bool, error)
	// CloseElsewhere closes a connection whose client has connected elsewhere.
	CloseElsewhere(ctx context.Context, id message.ClientID) error
	// Settled is told that nothing matched before a session's move can come any more.
	Settled(id message.ClientID, since message.Position)
}

// Kinds of control entries.
const (
	controlPrepare byte = 'p'
	controlMove    byte = 'm'
	controlClose   byte = 'c'
	controlMerge   byte = 'g' // of a process to itself
)

const controlVersion = 1

// control is what one process wants of another, in the order of its mailbox's inbox.
type control struct {
	kind  byte
	id    message.ClientID
	token string
	from  message.MailboxID // who is answered
	tag   string            // of who claims: controlMove
	since message.Position  // controlMove
}

func (c control) append(dst []byte) []byte {
	dst = append(dst, controlVersion, c.kind)
	dst = appendText(appendText(appendText(dst, c.id), c.token), string(c.from))
	return appendText(appendText(dst, c.tag), strconv.FormatUint(uint64(c.since), 10))
}

func parseControl(b []byte) (c control, err error) {
	d := decoder{b: b}
	switch v := d.byte(); {
	case v > controlVersion:
		return c, ErrNewer
	case v == 0:
		return c, ErrRecord
	}
	c.kind = d.byte()
	c.id, c.token, c.from = message.ClientID(d.bytes()), string(d.bytes()), message.MailboxID(d.bytes())
	c.tag = string(d.bytes())
	since, err := strconv.ParseUint(string(d.bytes()), 10, 64)
	c.since = message.Position(since)
	if err != nil || d.end() != nil {
		return c, ErrRecord
	}
	return c, nil
}

// control takes a control entry from the inbox of a mailbox. done is told when it has
// been dealt with; an entry that comes again finds by its token that it was.
func (c *claims) control(box message.MailboxID, _ message.Position, payload []byte, done store.Committed) {
	if len(payload) > 1 && payload[0] == controlVersion && payload[1] == controlMerge {
		if err := c.mergeOrdered(payload); err != nil {
			c.log.Error("entry of another instance cannot be read", "mailbox", string(box), "error", err)
		}
		done.Committed(nil)
		return
	}
	m, err := parseControl(payload)
	if err != nil {
		c.log.Error("entry of another instance cannot be read", "mailbox", string(box), "error", err)
		done.Committed(nil)
		return
	}
	if m.kind == controlMove {
		c.router.MoveOrdered(m.id, m.token)
	}
	if !c.spawn(func(ctx context.Context) {
		c.obey(ctx, box, &m)
		done.Committed(nil)
	}) {
		done.Committed(store.ErrClosed)
	}
}

func (c *claims) obey(ctx context.Context, box message.MailboxID, m *control) {
	lease, epoch, ok := c.leases.epoch(box)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(lease, cancel)()
	defer cancel()
	p := place{box: box, epoch: epoch}
	switch m.kind {
	case controlPrepare:
		c.prepare(ctx, p, m)
	case controlMove:
		c.handOver(ctx, p, m)
	case controlClose:
		if err := c.router.CloseElsewhere(ctx, m.id); err != nil {
			c.log.Warn("connection did not end for another instance", "client", string(m.id), "error", err)
		}
		_ = c.records.idle(ctx, m.id) // who waits looks at the record
		if err := c.clear(ctx, p, m.id); err != nil && ctx.Err() == nil {
			c.log.Warn("a client id could not be given free for another instance", "client", string(m.id), "error", err)
		}
	}
	c.mail.reply(m.from, []byte(m.token))
}

// clear gives a client id free that the record says is in use here, and is not: what made it
// so came late, when the connection had ended.
func (c *claims) clear(ctx context.Context, p place, id message.ClientID) error {
	if _, ok := c.records.placed(id); ok {
		return nil
	}
	key := c.keys.session(id) + sessionHead
	var s []any
	err := c.retry(ctx, "read a session", func(ctx context.Context) (err error) {
		s, err = c.fields(ctx, key, fieldOwner, fieldFigures, fieldHead, fieldToken)
		return err
	})
	if err != nil || field(s, 0) != p.tag() {
		return err
	}
	if field(s, 1) == "" || field(s, 2) == "" {
		_, err = c.step(ctx, stepClaimRelease, []string{key}, p.tag())
		return err
	}
	head, err := parseHead([]byte(field(s, 2)))
	if err != nil || head.Expiry > 0 {
		return err
	}
	if here, err := c.placeStored(ctx, key, id, p, field(s, 3)); err != nil || !here {
		return err
	}
	done := make(answer, 1)
	c.records.Commit(&store.Batch{Client: id, Ops: []store.Op{{Kind: store.KindSession, Delete: true}}}, done)
	return done.wait(ctx)
}

// prepare makes a session ready to move, if the claim still stands.
func (c *claims) prepare(ctx context.Context, p place, m *control) {
	key := c.keys.session(m.id) + sessionHead
	wanted := func(ctx context.Context) bool {
		s, err := c.fields(ctx, key, fieldOwner, fieldToken)
		return err == nil && field(s, 0) == p.tag() && field(s, 1) == m.token
	}
	if _, ok := c.records.placed(m.id); !ok {
		here, err := c.placeStored(ctx, key, m.id, p, m.token)
		if err != nil {
			c.log.Error("session could not be read for another instance", "client", string(m.id), "error", err)
		}
		if err != nil || !here {
			return // who claims looks, and finds a newer claim, another owner, or asks again
		}
	}
	if err := c.router.Prepare(ctx, c.local(p.box), m.id, m.token, wanted); err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			c.log.Warn("session could not be prepared for another instance", "client", string(m.id), "error", err)
		}
		return
	}
	if _, err := c.step(ctx, stepClaimReady, []string{key}, p.tag(), m.token); err != nil {
		c.log.Warn("session could not be prepared for another instance", "client", string(m.id), "error", err)
	}
}

// placeStored makes a session of this process's mailbox known to the records, if it lives
// there and the claim is still that with token, or empty for none.
func (c *claims) placeStored(ctx context.Context, key string, id message.ClientID, p place, token string) (bool, error) {
	var s []any
	err := c.retry(ctx, "read a session", func(ctx context.Context) (err error) {
		s, err = c.fields(ctx, key, fieldOwner, fieldToken, fieldFigures)
		return err
	})
	if err != nil || field(s, 0) != p.tag() || field(s, 1) != token {
		return false, err
	}
	if raw := field(s, 2); raw != "" {
		g, err := parseFigures([]byte(raw))
		if err != nil {
			return false, damaged(key, err)
		}
		p.n = g.n
	}
	c.records.place(id, p)
	return true, nil
}

// local is how the router names a mailbox: its own one is empty.
func (c *claims) local(box message.MailboxID) message.MailboxID {
	if box == c.leases.mine() {
		return ""
	}
	return box
}

// handOver moves a session's record to who claims it.
func (c *claims) handOver(ctx context.Context, p place, m *control) {
	key := c.keys.session(m.id) + sessionHead
	before := c.records.entries.next() // than its client's return
	moved, err := c.router.Move(ctx, m.id, m.token, m.since, func(ctx context.Context, overlap []message.ID) (bool, error) {
		v, err := c.step(ctx, stepClaimMove, []string{key}, p.tag(), m.token, m.tag, uint64(m.since), appendIDs(nil, overlap))
		if err == nil && v == int64(1) {
			c.records.drop(m.id)
		}
		return v == int64(1), err
	})
	switch {
	case err != nil:
		c.log.Warn("session could not be handed over", "client", string(m.id), "error", err)
	case moved:
		c.unenroll(p.box, m.id, before)
	default: // who claims is told by the record
		_, err = c.step(ctx, stepClaimEnd, []string{key}, m.token, m.tag)
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("claim of a session could not be ended", "client", string(m.id), "error", err)
	}
}
