package bridge

import (
	"context"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/testing/server"
)

// A process that slept while another one took its mailbox and trimmed the inbox does not go
// on with what is behind.
func TestTrimmedByAnother(t *testing.T) {
	r := startRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	o := newOutcome()
	b.Append(a.box, bundle("t", "0"), o)
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool { return a.count() == 1 })

	ctx := context.Background()
	meta := a.mail.keys.box(a.box, boxMeta)
	_, err := a.mail.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		p.HSet(ctx, meta, "epoch", 99)
		p.HIncrBy(ctx, meta, "pos", 5) // of which the other has had all
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o = newOutcome()
	b.Append(a.box, bundle("t", "1"), o)
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool {
		a.mail.out.mu.Lock()
		defer a.mail.out.mu.Unlock()
		_, told := a.mail.out.complained["an inbox cannot be read"]
		return told
	})
	if n := a.count(); n != 1 {
		t.Errorf("%d came, of a mailbox that is another's", n)
	}
	if err := a.mail.client.HSet(ctx, meta, "epoch", 1).Err(); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool { return a.count() == 2 }) // nobody else has it
}
