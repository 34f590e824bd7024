package bridge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// readMany is how many records are asked for at once.
const readMany = 128

// Heads implements store.Sessions, for the sessions of the own mailbox: none when the
// bridge was opened just now.
func (r *records) Heads(ctx context.Context, visit func(*store.Head) bool) error {
	return r.heads(ctx, r.own, func(l *loaded) bool {
		return visit(&store.Head{Session: l.Session, Queue: l.Queue, Subs: l.Subs})
	})
}

// heads visits the sessions of a mailbox. One that cannot be read is logged and left out.
func (r *records) heads(ctx context.Context, box message.MailboxID, visit func(*loaded) bool) error {
	ids, err := r.residents(ctx, box)
	if err != nil {
		return fmt.Errorf("list the sessions of a mailbox: %w", err)
	}
	for part := range slices.Chunk(ids, readMany) {
		list, err := r.readHeads(ctx, part)
		if err != nil {
			return err
		}
		for _, l := range list {
			if !visit(l) {
				return nil
			}
		}
	}
	return nil
}

func (r *records) readHeads(ctx context.Context, ids []string) ([]*loaded, error) {
	cmds := make([]*goredis.Cmd, len(ids))
	err := r.asks(ctx, "read sessions", func(ctx context.Context) error {
		pipe := r.client.Pipeline()
		for i, id := range ids {
			cmds[i] = stepHead.Run(ctx, pipe, []string{r.keys.session(message.ClientID(id)) + sessionHead})
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		for _, c := range cmds {
			if isOutage(c.Err()) {
				return c.Err() //nolint:wrapcheck // retry says what was attempted
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var list []*loaded
	for i, c := range cmds {
		l, err := r.decodeHeadOf(message.ClientID(ids[i]), c)
		if err != nil {
			r.log.Error("session cannot be read", slog.String("client", ids[i]), slog.Any("error", err))
			continue
		}
		if l != nil && l.Session.ID != "" {
			list = append(list, l)
		}
	}
	return list, nil
}

func (r *records) decodeHeadOf(id message.ClientID, c *goredis.Cmd) (*loaded, error) {
	base := r.keys.session(id)
	v, err := c.Result()
	if err != nil {
		return nil, r.readError(base+sessionHead, err)
	}
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		return nil, nil // there is none
	}
	l := new(loaded)
	if err := l.decodeHead(base, list[0]); err != nil {
		return nil, err
	}
	l.Subs, err = decodeSubs(base, list[1])
	return l, err
}

// residents are the client ids that are entered in a mailbox.
func (r *records) residents(ctx context.Context, box message.MailboxID) ([]string, error) {
	all, err := r.scanHash(ctx, r.keys.box(box, boxSessions))
	return slices.Sorted(maps.Keys(all)), err
}

// scanHash is all fields of a hash.
func (r *records) scanHash(ctx context.Context, key string) (map[string]string, error) {
	all := map[string]string{}
	err := r.scan(ctx, key, func(page []string) {
		for i := 0; i+1 < len(page); i += 2 {
			all[page[i]] = page[i+1]
		}
	})
	return all, err
}

func (r *records) scan(ctx context.Context, key string, each func([]string)) error {
	for cursor := "0"; ; {
		var v any
		err := r.asks(ctx, "hscan", func(ctx context.Context) (err error) {
			v, err = r.client.Do(ctx, "hscan", key, cursor, "count", 4*readMany).Result()
			return err //nolint:wrapcheck // retry says what was attempted
		})
		if err != nil {
			return r.readError(key, err)
		}
		list, ok := v.([]any)
		if !ok || len(list) != 2 {
			return damaged(key, ErrRecord)
		}
		page, _ := list[1].([]any)
		texts := make([]string, len(page))
		for i := range page {
			texts[i], _ = page[i].(string)
		}
		each(texts)
		if cursor, ok = list[0].(string); !ok || cursor == "0" {
			return nil
		}
	}
}

// Delayed implements store.Node for the own mailbox.
func (r *records) Delayed(ctx context.Context, visit func(seq uint64, at int64, m *message.Message) bool) error {
	return r.delayedOf(ctx, r.own, visit)
}

// delayedOf visits the delayed messages of a mailbox. One that cannot be read is logged
// and left where it is.
func (r *records) delayedOf(ctx context.Context, box message.MailboxID, visit func(seq uint64, at int64, m *message.Message) bool) error {
	key := r.keys.box(box, boxDelayed)
	all, err := r.scanHash(ctx, key)
	if err != nil {
		return fmt.Errorf("read delayed messages: %w", err)
	}
	list := make([]store.DelayedEntry, 0, len(all))
	for field, value := range all {
		seq, err := strconv.ParseUint(field, 10, 64)
		at, m, err2 := parseDue([]byte(value))
		if err = cmp.Or(err, err2); err != nil {
			r.log.Error("delayed message cannot be read", slog.String("key", key), slog.String("field", field), slog.Any("error", err))
			continue
		}
		list = append(list, store.DelayedEntry{Seq: seq, At: at, Msg: m})
	}
	slices.SortFunc(list, func(a, b store.DelayedEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	for i := range list {
		if d := &list[i]; !visit(d.Seq, d.At, d.Msg) {
			break
		}
	}
	return nil
}

// GroupEntries implements store.Groups for the own mailbox.
func (r *records) GroupEntries(ctx context.Context, visit func(group string, seq uint64, m *message.Message) bool) error {
	return r.groupsOf(ctx, r.own, visit)
}

// groupsOf visits what waits in the shared groups of a mailbox, each group's in order.
// What cannot be read is logged and left where it is.
func (r *records) groupsOf(ctx context.Context, box message.MailboxID, visit func(group string, seq uint64, m *message.Message) bool) error {
	key := r.keys.box(box, boxGroups)
	all, err := r.scanHash(ctx, key)
	if err != nil {
		return fmt.Errorf("read what waits in groups: %w", err)
	}
	list := make([]store.GroupEntry, 0, len(all))
	for field, value := range all {
		num, group, _ := strings.Cut(field, " ")
		seq, err := strconv.ParseUint(num, 10, 64)
		m, err2 := parseMessage([]byte(value))
		if err = cmp.Or(err, err2); err != nil {
			r.log.Error("message of a group cannot be read", slog.String("key", key), slog.String("field", field), slog.Any("error", err))
			continue
		}
		list = append(list, store.GroupEntry{Group: group, Seq: seq, Msg: m})
	}
	slices.SortFunc(list, func(a, b store.GroupEntry) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Seq, b.Seq))
	})
	for i := range list {
		if g := &list[i]; !visit(g.Group, g.Seq, g.Msg) {
			break
		}
	}
	return nil
}
