package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	. "github.com/skeinmq/skein/testing/harness"
)

// outage is a Redis that cannot be used, or not for everything.
type outage struct {
	name  string
	begin func(t *testing.T, c *cluster)
	end   func(t *testing.T, c *cluster)
	says  string // of the named error in the log
	away  bool   // it answers nothing: /readyz says so
}

var outages = []outage{
	{
		name: "restarted", away: true, says: "redis cannot be used",
		begin: func(_ *testing.T, c *cluster) { c.redis.data[0].Kill() },
		end:   func(_ *testing.T, c *cluster) { c.redis.data[0].Restart() },
	},
	{
		name: "paused for longer than a lease", away: true, says: "redis cannot be used",
		begin: func(t *testing.T, c *cluster) { pause(t, c.redis.data[0].Proc) },
		end:   func(_ *testing.T, c *cluster) { resume(c.redis.data[0].Proc) },
	},
	{
		name: "unreachable", away: true, says: "redis cannot be used",
		begin: func(_ *testing.T, c *cluster) { c.each(cut) },
		end:   func(_ *testing.T, c *cluster) { c.each(whole) },
	},
	{
		name: "memory full", says: "OOM",
		begin: func(t *testing.T, c *cluster) { c.redis.do(t, "config", "set", "maxmemory", "1") },
		end:   func(t *testing.T, c *cluster) { c.redis.do(t, "config", "set", "maxmemory", "1gb") },
	},
	{
		name: "read-only replica", says: "READONLY",
		begin: func(t *testing.T, c *cluster) { c.redis.do(t, "replicaof", "127.0.0.1", "1") },
		end:   func(t *testing.T, c *cluster) { c.redis.do(t, "replicaof", "no", "one") },
	},
	{
		name: "missing rights", says: "NOPERM",
		begin: func(t *testing.T, c *cluster) {
			c.redis.do(t, "acl", "setuser", "default", "-evalsha", "-eval", "-xadd")
		},
		end: func(t *testing.T, c *cluster) { c.redis.do(t, "acl", "setuser", "default", "+@all") },
	},
	{
		name: "cannot write its snapshots", says: "MISCONF",
		begin: func(t *testing.T, c *cluster) {
			c.redis.do(t, "config", "set", "save", "3600 1000000")
			if err := os.Mkdir(c.redis.dump(), 0o700); err != nil {
				t.Fatal(err)
			}
			c.redis.save(t, "err")
		},
		end: func(t *testing.T, c *cluster) {
			if err := os.Remove(c.redis.dump()); err != nil {
				t.Fatal(err)
			}
			c.redis.save(t, "ok")
		},
	},
}

func (c *cluster) each(f fault) {
	for _, n := range c.nodes {
		n.cables.set(f)
	}
}

// TestOutages: while Redis cannot keep anything, nothing is acknowledged that would have
// to be kept, the instances say what is wrong, and live. All of it goes on by itself.
func TestOutages(t *testing.T) {
	enabled(t)
	t.Parallel()
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			c := start(t, options{nodes: 2})
			o.run(t, c)
		})
	}
}

func (o *outage) run(t *testing.T, c *cluster) {
	a, b := c.nodes[0], c.nodes[1]
	topic, id := Name(), Name()
	k := b.Connect(t, keep(V5, id))
	k.Subscribe(topic, 1)
	p := a.Connect(t, keep(V311, Name()))
	publishes(p, topic, 1, 0, 2)
	receives(t, k, topic, 0, 2)
	local := a.Client(t, V5)
	local.Subscribe(topic+"/loose", 0)
	k.Leave()

	o.begin(t, c)
	p.Send(Publish{Topic: topic, QoS: 1, ID: 1000, Payload: "2"}.Bytes(V311), Publish{Topic: topic, QoS: 1, ID: 1001, Payload: "3"}.Bytes(V311))
	a.said(t, o.says)
	if o.away {
		Poll(t, 0, func() bool { status, _ := a.readyz(t); return status == 503 })
	}
	p.Send(Publish{Topic: topic + "/loose", Payload: "loose"}.Bytes(V311))
	if o.away { // QoS 0 keeps its place behind what waits on its own connection, so another's
		a.Client(t, V5).Publish(Publish{Topic: topic + "/loose", Payload: "loose"})
		local.ExpectMessage(topic+"/loose", "loose")
		if _, ack := a.TryConnect(t, keep(V5, Name())); ack.Code != 0x88 {
			t.Errorf("a new session: %v", ack)
		}
	}
	p.ExpectNothing() // neither is acknowledged
	o.end(t, c)

	if p.Expect(PUBACK).ID != 1000 || p.Expect(PUBACK).ID != 1001 {
		t.Error("acknowledged in another order")
	}
	for _, n := range c.nodes {
		Poll(t, 0, func() bool { status, _ := n.readyz(t); return status == 200 })
	}
	k = resumed(t, a, V5, id)
	receives(t, k, topic, 2, 4)
	publishes(b.Client(t, V5), topic, 1, 4, 6)
	receives(t, k, topic, 4, 6)
	k.ExpectNothing()
}

// TestScriptsFlushed: the steps are given to a Redis that has forgotten them.
func TestScriptsFlushed(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{nodes: 2})
	topic, id := Name(), Name()
	for round := range 3 {
		c.redis.do(t, "script", "flush")
		k := c.nodes[round%2].Connect(t, keep(V5, id))
		k.Subscribe(topic, 1)
		c.redis.do(t, "script", "flush")
		publishes(c.nodes[0].Client(t, V5), topic, 2, 0, 10)
		receives(t, k, topic, 0, 10)
		k.Leave()
	}
}

// TestFlushed: an instance whose data is gone ends, and says why. It does not go on with
// what is there now.
func TestFlushed(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{nodes: 2})
	k := c.nodes[0].Connect(t, keep(V5, Name()))
	k.Subscribe(Name(), 1)
	c.redis.do(t, "flushall")
	k.ExpectClosed()
	for _, n := range c.nodes {
		if code := n.process().Wait(); code == 0 {
			t.Errorf("%s ended as if nothing had happened", n.name)
		}
		n.said(t, "Redis has lost or swapped its data")
	}
	if keys := c.redis.keys(t, "*{s*"); len(keys) > 0 {
		t.Errorf("written after the data was gone: %v", keys)
	}
}

// TestDamaged: what cannot be read harms who it belongs to, is told by name, and nobody
// else notices.
func TestDamaged(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{nodes: 2})
	ctx, r := context.Background(), c.redis.client(0)
	topic := Name()
	healthy := c.nodes[1].Connect(t, keep(V5, Name()))
	healthy.Subscribe(topic, 1)
	p := c.nodes[0].Connect(t, keep(V5, Name()))
	sent := 0
	works := func(what string) {
		t.Helper()
		publishes(p, topic, 1, sent, sent+3)
		for i := range 3 {
			if got := healthy.Receive(); got.Payload != string(rune('0'+sent+i)) {
				t.Errorf("%s: %v", what, got)
			}
		}
		sent += 3
		healthy.ExpectNothing()
	}
	works("before")
	for _, box := range c.redis.keys(t, "*}:inbox") {
		for _, field := range []string{"b", "other"} {
			at, err := r.HIncrBy(ctx, strings.TrimSuffix(box, "inbox")+"meta", "pos", 1).Result()
			if err == nil {
				err = r.XAdd(ctx, &redis.XAddArgs{Stream: box, ID: fmt.Sprintf("%d-0", at), Values: []string{field, "nonsense"}}).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	works("with a damaged entry")
	for _, n := range c.nodes {
		n.said(t, "level=ERROR")
	}
	victims := []string{Name(), Name(), Name()}
	for _, id := range victims {
		k := c.nodes[0].Connect(t, keep(V5, id))
		k.Subscribe(topic+"/victim", 1)
		k.Leave()
	}
	p.Publish(Publish{Topic: topic + "/victim", QoS: 1, Payload: "x"})
	c.nodes[0].kill(t) // nobody has them in memory
	for i, id := range victims {
		key := c.redis.session(t, id)
		switch i {
		case 0:
			for _, f := range r.HKeys(ctx, key+"s").Val() {
				if f != "o" {
					r.HSet(ctx, key+"s", f, "\xffnonsense")
				}
			}
		case 1:
			r.Del(ctx, key+"q")
			r.Set(ctx, key+"q", "a string", 0)
		case 2:
			r.HSet(ctx, key+"f", "not/#/a filter", "\x00")
		}
	}
	for i, id := range victims {
		_, ack := c.nodes[1].TryConnect(t, keep(V5, id))
		if ack.Code == 0 && i < 2 {
			t.Errorf("victim %d: %v", i, ack)
		}
	}
	c.nodes[0].start(t)
	p = resumed(t, c.nodes[0], V5, p.ID)
	works("with damaged records")
}

// TestUpgrade: instances of a newer build join those of an older one, and work with them.
// When the last older one has gone the format is raised; an older one is kept out then.
func TestUpgrade(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{})
	topic, id := Name(), Name()
	k := c.nodes[0].Connect(t, keep(V5, id))
	k.Subscribe(topic, 1)
	k.Leave()
	format := func() string { return c.redis.client(0).HGet(context.Background(), "skein:{r}:meta", "format").Val() }
	for i, n := range c.nodes {
		if got := format(); got != "1" {
			t.Errorf("format %s while an older instance lives", got)
		}
		n.stop(t)
		n.build = newerFormat
		n.start(t)
		from, to := c.nodes[(i+1)%3], c.nodes[i]
		p := from.Client(t, V5)
		publishes(p, topic, 1, 2*i, 2*i+2)
		k := resumed(t, to, V5, id)
		receives(t, k, topic, 2*i, 2*i+2)
		k.Leave()
	}
	Poll(t, 0, func() bool { return format() == "2" })
	old := c.nodes[0]
	old.stop(t)
	old.build = change{}
	old.begin(t)
	if code := old.process().Wait(); code == 0 {
		t.Error("an older build joined")
	}
	old.said(t, "the data in Redis is of a newer format")
	resumed(t, c.nodes[1], V5, id).ExpectNothing()
}
