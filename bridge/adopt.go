package bridge

import (
	"context"
	"errors"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// adoptPage is how many sessions of a mailbox are taken over in one round trip.
const adoptPage = 256

// Adopt takes over what belongs to a mailbox whose lease and epoch are this process's by
// now: each session of its set in one step, so that its old owner can commit nothing any
// more, then what the mailbox itself has. Only then its inbox is read.
func (c *claims) adopt(ctx context.Context, box message.MailboxID, epoch uint64) (*store.Adoption, error) {
	c.records.hold(box, epoch)
	a := &store.Adoption{}
	var cursor uint64
	for {
		var page []string // of client ids and numbers, in turns
		err := c.retry(ctx, "read the sessions of a mailbox", func(ctx context.Context) (err error) {
			var next uint64
			if page, next, err = c.client.HScan(ctx, c.keys.box(box, boxSessions), cursor, "", adoptPage).Result(); err == nil {
				cursor = next
			}
			return err
		})
		if err == nil {
			ids := page[:0]
			for i := 0; i+1 < len(page); i += 2 {
				if n, err := strconv.ParseUint(page[i+1], 10, 64); err == nil {
					c.records.entries.raise(n)
				}
				ids = append(ids, page[i])
			}
			err = c.adoptSessions(ctx, a, place{box: box, epoch: epoch}, ids)
		}
		if err != nil {
			return nil, err
		}
		if cursor == 0 {
			break
		}
	}
	if err := c.adoptBox(ctx, a, box); err != nil {
		return nil, err
	}
	return a, nil
}

func (c *claims) adoptSessions(ctx context.Context, a *store.Adoption, p place, ids []string) error {
	var cmds []*goredis.Cmd
	err := c.retry(ctx, "take over sessions", func(ctx context.Context) error {
		pipe := c.client.Pipeline()
		cmds = cmds[:0]
		for _, id := range ids {
			key := c.keys.session(message.ClientID(id)) + sessionHead
			cmds = append(cmds, stepClaimAdopt.Run(ctx, pipe, []string{key}, string(p.box), p.epoch))
		}
		_, err := pipe.Exec(ctx)
		if isAnswer(err) {
			return nil // each has its own
		}
		return err //nolint:wrapcheck // retry does
	})
	if err != nil {
		return err
	}
	for i, cmd := range cmds {
		id := message.ClientID(ids[i])
		h, err := c.adopted(ctx, cmd, p, id)
		switch {
		case errors.Is(err, store.ErrFenced):
			return err
		case err != nil:
			c.log.Error("session of another instance's mailbox cannot be taken over", "client", ids[i], "error", err)
		case h != nil:
			a.Heads = append(a.Heads, *h)
		}
	}
	return nil
}

// isAnswer tells an error that is one command's from one of the way to Redis.
func isAnswer(err error) bool {
	var answer goredis.Error
	return err == nil || errors.As(err, &answer) && !isOutage(err)
}

// adopted reads the answer about one session; nil is that it is not there.
func (c *claims) adopted(ctx context.Context, cmd *goredis.Cmd, p place, id message.ClientID) (*store.AdoptedHead, error) {
	key := c.keys.session(id) + sessionHead
	v, err := cmd.Slice()
	if err != nil {
		return nil, damaged(key, err)
	}
	switch state, _ := v[0].(int64); state {
	case 0:
		c.unenroll(p.box, id, c.records.entries.next())
		return nil, nil
	case 2:
		return nil, errBoxLost
	}
	if len(v) < 3 {
		return nil, damaged(key, ErrRecord)
	}
	fields, subs := pairs(v[1]), pairs(v[2])
	if fields[fieldFigures] == "" || fields[fieldHead] == "" { // a client id in use, without a session
		c.records.place(id, p)
		_, err := c.step(ctx, stepClaimRelease, []string{key}, p.tag())
		c.records.drop(id)
		c.unenroll(p.box, id, c.records.entries.next())
		return nil, err
	}
	h, n, err := parseStored(key, fields, subs)
	if err != nil {
		return nil, err
	}
	p.n = n
	c.records.place(id, p)
	return h, nil
}

// pairs makes a map of a hash as a script answers it.
func pairs(v any) map[string]string {
	list, _ := v.([]any)
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		k, _ := list[i].(string)
		m[k], _ = list[i+1].(string)
	}
	return m
}

// parseStored reads a session's head and subscriptions, and the number of its last batch.
func parseStored(key string, fields, subs map[string]string) (*store.AdoptedHead, uint64, error) {
	h := &store.AdoptedHead{}
	var err error
	if h.Session, err = parseHead([]byte(fields[fieldHead])); err != nil {
		return nil, 0, damaged(key, err)
	}
	g, err := parseFigures([]byte(fields[fieldFigures]))
	if err != nil {
		return nil, 0, damaged(key, err)
	}
	h.Queue = g.queue
	for filter, raw := range subs {
		s, err := parseSub([]byte(raw), filter)
		if err != nil {
			return nil, 0, damaged(key, err)
		}
		h.Subs = append(h.Subs, s)
	}
	if h.At, err = parsePosition(fields[fieldAt]); err == nil {
		h.Since, err = parsePosition(fields[fieldSince])
	}
	if err != nil {
		return nil, 0, damaged(key, ErrRecord)
	}
	if h.Overlap, err = parseIDs([]byte(fields[fieldOverlap])); err != nil {
		return nil, 0, damaged(key, err)
	}
	return h, g.n, nil
}

// adoptBox reads what the mailbox itself has.
func (c *claims) adoptBox(ctx context.Context, a *store.Adoption, box message.MailboxID) error {
	var meta map[string]string
	err := c.retry(ctx, "read a mailbox", func(ctx context.Context) (err error) {
		meta, err = c.client.HGetAll(ctx, c.keys.box(box, boxMeta)).Result()
		return err
	})
	if err != nil {
		return err
	}
	if a.End, err = parsePosition(meta["pos"]); err != nil {
		return damaged(c.keys.box(box, boxMeta), err)
	}
	if n, err := strconv.ParseUint(meta["n"], 10, 64); err == nil {
		c.records.above(n)
	}
	if err := c.records.groupsOf(ctx, box, func(group string, seq uint64, m *message.Message) bool {
		a.Groups = append(a.Groups, store.GroupEntry{Group: group, Seq: seq, Msg: m})
		return true
	}); err != nil {
		return err
	}
	return c.records.delayedOf(ctx, box, func(seq uint64, at int64, m *message.Message) bool {
		a.Delayed = append(a.Delayed, store.DelayedEntry{Seq: seq, At: at, Msg: m})
		return true
	})
}
