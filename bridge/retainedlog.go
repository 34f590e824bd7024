package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
)

// start hands what is retained to in, unless Retained has visited it before, and follows
// the logs until the bridge ends. When it returns, in has what was retained at the call.
func (t *retained) start(ctx context.Context, in Follower) error {
	t.mu.Lock()
	t.started = true
	t.mu.Unlock()
	for _, s := range t.shards {
		if !s.loaded {
			if err := t.reload(ctx, s, in); err != nil {
				return err
			}
		}
		s.at.reach(s.pos)
	}
	if !t.clustered {
		t.spawn(func(ctx context.Context) { t.follow(ctx, in, t.shards) })
		return nil
	}
	for _, s := range t.shards { // a slot each
		t.spawn(func(ctx context.Context) { t.follow(ctx, in, []*shard{s}) })
	}
	return nil
}

// reload hands a whole shard to in, and what it had and is gone.
func (t *retained) reload(ctx context.Context, s *shard, in Follower) error {
	found, err := t.load(ctx, s.n, func(m *message.Message) bool {
		in.Retained(m, false)
		return true
	})
	if err != nil {
		return err
	}
	for topic := range s.topics {
		if _, there := found.topics[topic]; !there {
			in.Retained(&message.Message{Topic: topic}, true)
		}
	}
	s.take(&found)
	return nil
}

// errMissed says that a log no longer has what comes next.
var errMissed = errors.New("bridge: changes of retained messages were missed")

// follow brings the changes of shards to in until the bridge ends.
func (t *retained) follow(ctx context.Context, in Follower, shards []*shard) {
	for n := 0; ctx.Err() == nil; {
		err := t.readLogs(ctx, in, shards)
		if err == nil {
			n = 0
			continue
		}
		if isOutage(err) {
			t.out.failed("follow retained messages", err)
		} else {
			t.log.Error("changes of retained messages cannot be read", slog.Any("error", err))
		}
		if t.out.pause(ctx, n) != nil {
			return
		}
		n++
	}
}

// readLogs waits for changes and hands them to in.
func (t *retained) readLogs(ctx context.Context, in Follower, shards []*shard) error {
	streams := make([]string, 2*len(shards))
	of := make(map[string]*shard, len(shards))
	for i, s := range shards {
		key := t.keys.shard(s.n, shardLog)
		streams[i], streams[len(shards)+i] = key, entryID(s.pos)
		of[key] = s
	}
	limited, cancel := context.WithTimeout(ctx, blockFor+readTimeout)
	defer cancel()
	found, err := t.client.XRead(limited, &goredis.XReadArgs{Streams: streams, Count: followCount, Block: blockFor}).Result()
	if errors.Is(err, goredis.Nil) {
		return nil // nothing came
	}
	if err != nil {
		return fmt.Errorf("read the logs of retained messages: %w", err)
	}
	t.out.answered()
	for i := range found {
		s := of[found[i].Stream]
		if s == nil {
			continue
		}
		if err := t.apply(ctx, s, found[i].Messages, in); err != nil {
			return err
		}
	}
	return nil
}

// apply hands entries of a log to in.
func (t *retained) apply(ctx context.Context, s *shard, entries []goredis.XMessage, in Follower) error {
	changes := make([]logged, len(entries))
	for i := range entries {
		c, err := parseChange(&entries[i])
		if err == nil && c.pos != s.pos+message.Position(i)+1 {
			err = errMissed
		}
		if err != nil {
			t.log.Warn("retained messages are loaded again", slog.Int("shard", s.n), slog.Any("reason", err))
			if err := t.reload(ctx, s, in); err != nil {
				return err
			}
			s.at.reach(s.pos)
			return nil
		}
		changes[i] = c
	}
	if err := t.fetch(ctx, s, changes); err != nil {
		return err
	}
	var names texts
	for i := range changes {
		t.tell(s, &changes[i], in, &names)
	}
	s.at.reach(s.pos)
	return nil
}

// tell hands one change to in.
func (t *retained) tell(s *shard, c *logged, in Follower, names *texts) {
	s.pos = c.pos
	if c.removed {
		delete(s.topics, c.topic)
		in.Retained(&message.Message{Topic: c.topic}, true)
		return
	}
	if c.value == "" {
		return // it is gone by now, which the log says later
	}
	m, err := names.retained([]byte(c.value), c.topic)
	if err != nil {
		t.log.Error("retained message cannot be read", slog.String("key", t.keys.shard(s.n, shardHash)), slog.String("topic", c.topic), slog.Any("error", err))
		return
	}
	s.topics[m.Topic] = struct{}{}
	in.Retained(m, false)
}

// logged is an entry of a log.
type logged struct {
	pos     message.Position
	topic   string
	removed bool
	value   string // empty: too large for the log
}

func parseChange(e *goredis.XMessage) (c logged, err error) {
	if c.pos, err = position(e.ID); err != nil {
		return c, err
	}
	topic, ok1 := e.Values["t"].(string)
	op, ok2 := e.Values["o"].(string)
	value, ok3 := e.Values["v"].(string)
	if !ok1 || !ok2 || !ok3 || topic == "" || op != "s" && op != "d" {
		return c, ErrRecord
	}
	c.topic, c.removed, c.value = topic, op == "d", value
	return c, nil
}

// fetch reads the messages that were too large for the log, as they are now.
func (t *retained) fetch(ctx context.Context, s *shard, changes []logged) error {
	key := t.keys.shard(s.n, shardHash)
	for i := range changes {
		c := &changes[i]
		if c.removed || c.value != "" {
			continue
		}
		err := t.records.asks(ctx, "read a retained message", func(ctx context.Context) error {
			v, err := t.client.HGet(ctx, key, c.topic).Result()
			if errors.Is(err, goredis.Nil) {
				return nil
			}
			c.value = v
			return err //nolint:wrapcheck // retry says what was attempted
		})
		if err != nil {
			return err
		}
	}
	return nil
}
