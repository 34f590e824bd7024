package bridge

import (
	"context"
	"hash/maphash"
	"strings"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

var (
	stepInboxRaise = step("inbox_raise")
	stepInboxAgain = step("inbox_again")
)

// origin tells whether the server that a reader reads from is another than before, or was
// started again: what was read may be lost there, and its positions given to other entries.
type origin struct {
	*link
	key string

	run  string // of the server, as it names it; empty is unknown
	when time.Time
}

// askOrigin is how often a reader that met no error looks: a connection may change
// between two reads.
const askOrigin = 10 * time.Second

// changed reports whether it is another than at the last call. doubt says that something
// was wrong since. A server that does not tell counts as another when there is doubt.
func (o *origin) changed(ctx context.Context, doubt bool) (bool, error) {
	now := time.Now()
	if !doubt && now.Sub(o.when) < askOrigin {
		return false, nil
	}
	var run string
	err := o.retry(ctx, "ask a server who it is", func(ctx context.Context) error {
		node, err := o.node(ctx, o.key)
		if err != nil {
			return err
		}
		text, err := node.Info(ctx, "server").Result()
		_, rest, _ := strings.Cut(text, "run_id:")
		run, _, _ = strings.Cut(rest, "\r\n")
		return err //nolint:wrapcheck // retry says what was attempted
	})
	if ctx.Err() != nil {
		return false, err
	}
	if err != nil {
		o.complain("the server does not tell who it is: each time that it was away, what was read is compared", err)
		run = ""
	}
	before := o.run
	o.run, o.when = run, now
	if run == "" {
		return doubt, nil
	}
	return before != "" && before != run, nil
}

// known remembers which entries were read, to tell one from another that has got its
// position.
type known struct {
	seed maphash.Seed
	last [knownCount]knownEntry
}

// knownCount is more than an inbox has under way.
const knownCount = 4 * maxUnder

type knownEntry struct {
	at  message.Position
	sum uint64
}

// sum is that of a batch's sender and number, which no other batch has.
func (k *known) sum(data string) uint64 {
	sender, number, _, err := openParcel([]byte(data[:min(len(data), 256)]))
	if err != nil {
		return maphash.String(k.seed, data)
	}
	return maphash.Comparable(k.seed, struct {
		sender string
		number uint64
	}{sender, number})
}

func (k *known) add(at message.Position, data string) {
	k.last[at%knownCount] = knownEntry{at, k.sum(data)}
}

// other reports that what stands at a position now is not what was read there.
func (k *known) other(at message.Position, data string) bool {
	e := k.last[at%knownCount]
	return e.at == at && e.sum != k.sum(data)
}

// compare looks at what stands where the consumer has read already, after the server was
// another: what it has not read gets a new position.
func (c *consumer) compare(ctx context.Context) error {
	at := c.handed.now()
	v, err := c.m.step(ctx, stepInboxRaise, []string{c.m.keys.box(c.box, boxMeta)}, c.epoch, uint64(at))
	if err != nil {
		return err
	}
	if v == int64(0) {
		c.m.leases.kick()
		return errBoxLost
	}
	for from := "-"; ; {
		page, err := c.m.reader.XRangeN(ctx, c.inbox(), from, entryID(at), readCount).Result()
		if err != nil || len(page) == 0 {
			return err //nolint:wrapcheck // the caller logs what was attempted
		}
		for i := range page {
			pos, err := position(page[i].ID)
			if err != nil || !c.known.other(pos, textOf(&page[i])) {
				continue
			}
			c.m.log.Warn("redis has lost entries of an inbox that were read: one in the same place is read as well",
				"mailbox", string(c.box), "entry", page[i].ID)
			if _, err := c.m.step(ctx, stepInboxAgain, []string{c.inbox(), c.m.keys.box(c.box, boxMeta)}, c.epoch, page[i].ID); err != nil {
				return err
			}
		}
		from = "(" + page[len(page)-1].ID
	}
}
