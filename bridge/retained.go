package bridge

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var stepRetainedEnd = step("retained_end")

// retainedShards is over how many hash slots the retained messages of a new cluster are
// spread. It is written into Redis once and never changed.
const retainedShards = 16

// fieldShards of {r}:meta.
const fieldShards = "shards"

// retained follows the retained messages of all instances. They change in steps of the
// records; the logs of the shards say in which order, and the own changes come back
// through them like everybody else's.
type retained struct {
	*link
	records *records
	shards  []*shard

	mu      sync.Mutex
	started bool
	next    *lookup // who wants to be up to date, and no look has begun for
	running bool
}

// shard is one log. Its fields are guarded by mu until start, and then those of the
// goroutine that follows it.
type shard struct {
	n      int
	at     mark // what the router has
	pos    message.Position
	loaded bool
	topics map[string]struct{} // what the router has: a shard that is loaded again tells what is gone
}

// newRetained reads over how many shards the cluster spreads its retained messages.
func newRetained(ctx context.Context, l *link, r *records) (*retained, error) {
	var n int
	err := l.retry(ctx, "read the number of shards", func(ctx context.Context) error {
		if err := l.client.HSetNX(ctx, l.keys.meta(), fieldShards, retainedShards).Err(); err != nil {
			return err //nolint:wrapcheck // retry says what was attempted
		}
		text, err := l.client.HGet(ctx, l.keys.meta(), fieldShards).Result()
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > 1<<14 {
			return damaged(l.keys.meta(), fmt.Errorf("%w: shards %q", ErrRecord, text))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	t := &retained{link: l, records: r, shards: make([]*shard, n)}
	for i := range t.shards {
		t.shards[i] = &shard{n: i, topics: map[string]struct{}{}}
	}
	r.mu.Lock()
	r.shardCount = n
	r.mu.Unlock()
	return t, nil
}

// shardOf is where a topic's retained message is. It must stay as it is.
func shardOf(topic string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(topic)) // it never fails
	return int(h.Sum32() % uint32(n))
}

// byShard sorts changes of retained messages, each shard's in order.
func (r *records) byShard(ops []*store.Op) map[int][]*store.Op {
	if len(ops) == 0 {
		return nil
	}
	all := map[int][]*store.Op{}
	for _, op := range ops {
		n := shardOf(op.Filter, r.shardCount)
		all[n] = append(all[n], op)
	}
	return all
}

// encodeRetained writes the changes of a shard: the sender and, for each, topic, message
// and what is done with it.
func (r *records) encodeRetained(p *part, n int, ops []*store.Op) *enc {
	e := p.enc(partNode | partRetain)
	e.key = r.keys.shard(n, shardHash)
	e.args = append(e.args, string(r.own), int64(r.lease))
	if r.clustered {
		e.args = append(e.args, "", "")
	} else {
		e.args = append(e.args, r.keys.box(r.own, boxMeta), strconv.FormatUint(r.boxes[r.own], 10))
	}
	for _, op := range ops {
		what, value := "s", []byte{}
		if op.Msg != nil {
			value = e.value(appendMessage(e.buf, op.Msg))
		}
		if op.Delete {
			what = "d"
		}
		e.args = append(e.args, op.Filter, value, what)
	}
	return e
}

// Retained implements store.Node: what is retained now. The follower goes on from there.
func (t *retained) Retained(ctx context.Context, visit func(*message.Message) bool) error {
	for _, s := range t.shards {
		found, err := t.load(ctx, s.n, visit)
		if err != nil {
			return err
		}
		if !found.whole {
			return nil
		}
		t.mu.Lock()
		if !t.started {
			s.take(&found)
		}
		t.mu.Unlock()
	}
	return nil
}

// contents are what a shard has.
type contents struct {
	whole  bool // the visitor wanted all
	topics map[string]struct{}
	pos    message.Position // where its log ended before
}

func (s *shard) take(c *contents) { s.loaded, s.topics, s.pos = true, c.topics, c.pos }

// load visits a shard.
func (t *retained) load(ctx context.Context, n int, visit func(*message.Message) bool) (c contents, err error) {
	ends, err := t.ends(ctx, t.shards[n])
	if err != nil {
		return c, err
	}
	c = contents{whole: true, topics: map[string]struct{}{}, pos: ends[0]}
	key := t.keys.shard(n, shardHash)
	var names texts
	err = t.records.scan(ctx, key, func(page []string) {
		for i := 0; i+1 < len(page) && c.whole; i += 2 {
			if _, twice := c.topics[page[i]]; twice {
				continue
			}
			m, err := names.retained([]byte(page[i+1]), page[i])
			if err != nil {
				t.log.Error("retained message cannot be read", slog.String("key", key), slog.String("topic", page[i]), slog.Any("error", err))
				continue
			}
			c.topics[m.Topic] = struct{}{}
			c.whole = visit(m)
		}
	})
	return c, err
}

// retained reads the retained message of a topic.
func (n *texts) retained(b []byte, topic string) (*message.Message, error) {
	m, err := n.message(b)
	if err == nil && m.Topic != topic {
		return nil, fmt.Errorf("%w: of the topic %q", ErrRecord, m.Topic)
	}
	return m, err
}

// ends asks where logs end.
func (t *retained) ends(ctx context.Context, shards ...*shard) ([]message.Position, error) {
	var all []message.Position
	err := t.records.asks(ctx, "read where the logs of retained messages end", func(ctx context.Context) error {
		keys := make([]string, len(shards))
		for i, s := range shards {
			keys[i] = t.keys.shard(s.n, shardLog)
		}
		texts, err := t.askEnds(ctx, keys)
		if err != nil {
			return err
		}
		all = make([]message.Position, len(texts))
		for i, text := range texts {
			if all[i], err = parsePosition(text); err != nil {
				return damaged(keys[i], err)
			}
		}
		return nil
	})
	return all, err
}

func (t *retained) askEnds(ctx context.Context, keys []string) ([]string, error) {
	if !t.clustered {
		return stepRetainedEnd.Run(ctx, t.client, keys).StringSlice() //nolint:wrapcheck // retry says what was attempted
	}
	pipe := t.client.Pipeline()
	ask := make([]interface{ StringSlice() ([]string, error) }, len(keys))
	for i, key := range keys {
		ask[i] = stepRetainedEnd.Run(ctx, pipe, []string{key})
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	all := make([]string, len(keys))
	for i := range ask {
		one, err := ask[i].StringSlice()
		if err != nil {
			return nil, err //nolint:wrapcheck // retry says what was attempted
		}
		if len(one) != 1 {
			return nil, damaged(keys[i], ErrRecord)
		}
		all[i] = one[0]
	}
	return all, nil
}

// lookup is one look at where the logs end, for all who asked before it began.
type lookup struct {
	done chan struct{}
	err  error
}

// Latest waits until every retained message that was set before the call, anywhere, has
// been handed to the follower.
func (t *retained) Latest(ctx context.Context) error {
	t.mu.Lock()
	if t.next == nil {
		t.next = &lookup{done: make(chan struct{})}
	}
	mine := t.next
	if !t.running {
		if !t.spawn(t.rounds) {
			t.mu.Unlock()
			return store.ErrClosed
		}
		t.running = true
	}
	t.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return fmt.Errorf("wait for retained messages: %w", context.Cause(ctx))
	}
}

// rounds goes on as long as somebody waits.
func (t *retained) rounds(ctx context.Context) {
	for {
		t.mu.Lock()
		r := t.next
		t.next = nil
		if r == nil {
			t.running = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		r.err = t.catchUp(ctx)
		close(r.done)
	}
}

func (t *retained) catchUp(ctx context.Context) error {
	ends, err := t.ends(ctx, t.shards...)
	if err != nil {
		return err
	}
	for i, s := range t.shards {
		if err := s.at.wait(ctx, ends[i]); err != nil {
			return fmt.Errorf("wait for retained messages: %w", err)
		}
	}
	return nil
}
