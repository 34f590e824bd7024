package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/testing/server"
)

// masterName is what the Sentinels call the primary.
const masterName = "skein"

// redises are one Redis, or a primary with a replica and three Sentinels.
type redises struct {
	data      []*server.Redis
	sentinels []*server.Proc
	watching  []string // addresses of the Sentinels
}

// startRedis starts one Redis with further settings (--name value).
func startRedis(t testing.TB, args ...string) *redises {
	t.Helper()
	return &redises{data: []*server.Redis{server.StartRedis(t, args...)}}
}

// startSentinels starts a primary, its replica, and three Sentinels that agree on a
// failure of the primary within half a second.
func startSentinels(t testing.TB, args ...string) *redises {
	t.Helper()
	first := server.StartRedis(t, args...)
	host, port, _ := net.SplitHostPort(first.Addr)
	second := server.StartRedis(t, append([]string{"--replicaof", host + " " + port}, args...)...)
	second.WaitOutput("MASTER <-> REPLICA sync: Finished with success")
	r := &redises{data: []*server.Redis{first, second}}
	for i := range 3 {
		dir, addr := server.RedisDir(t), server.FreeAddr(t)
		_, own, _ := net.SplitHostPort(addr)
		conf := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf(`bind 127.0.0.1
port %s
dir %s
sentinel monitor %[3]s %s %s 2
sentinel down-after-milliseconds %[3]s 1000
sentinel failover-timeout %[3]s 3000
`, own, dir, masterName, host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := server.Start(t, "redis-server", conf, "--sentinel")
		s.WaitOutput("+monitor master")
		r.sentinels, r.watching = append(r.sentinels, s), append(r.watching, addr)
		if i == 0 {
			s.WaitOutput("+slave slave")
		}
	}
	return r
}

// client is a client of its own, of the Redis with a number.
func (r *redises) client(t testing.TB, i int) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: r.data[i].Addr, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() }) // the test is over
	return c
}

// do sends one command to the first Redis, which has to do it.
func (r *redises) do(t testing.TB, args ...any) any {
	t.Helper()
	v, err := r.client(t, 0).Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

// primary is the number of the one that is not a replica now; negative if none answers.
func (r *redises) primary(t testing.TB) int {
	t.Helper()
	for i := range r.data {
		role, err := r.client(t, i).Do(context.Background(), "role").Slice()
		if err == nil && role[0] == "master" {
			return i
		}
	}
	return -1
}

// cables are those of one instance, to each Redis and each Sentinel.
type cables struct {
	url  string // by which the instance finds its Redis
	data []*cable
	all  []*cable
}

// cables connects an instance. What Sentinels say of addresses is changed on the way:
// for this instance everything is at the other end of a cable.
func (r *redises) cables(t testing.TB) *cables {
	t.Helper()
	cs := &cables{}
	var ports []string // real and its cable's, in turns
	add := func(addr string) *cable {
		c := newCable(t, addr)
		cs.all = append(cs.all, c)
		_, real, _ := net.SplitHostPort(addr)
		_, own, _ := net.SplitHostPort(c.addr)
		ports = append(ports, real, own)
		return c
	}
	for _, d := range r.data {
		cs.data = append(cs.data, add(d.Addr))
	}
	cs.url = "redis://" + cs.data[0].addr + "/0"
	if len(r.watching) == 0 {
		return cs
	}
	var watching []string
	var sentinels []*cable
	for _, w := range r.watching {
		c := add(w)
		sentinels = append(sentinels, c)
		watching = append(watching, c.addr)
	}
	replace := strings.NewReplacer(ports...) // of the same length: all have five digits
	for _, c := range sentinels {
		c.rewrite = func(b []byte) []byte { return []byte(replace.Replace(string(b))) }
	}
	cs.url = "redis+sentinel://" + strings.Join(watching, ",") + "/" + masterName + "/0"
	return cs
}

func (c *cables) set(f fault) {
	for _, x := range c.all {
		x.set(f)
	}
}

// keys are those that match, of the first Redis.
func (r *redises) keys(t testing.TB, pattern string) []string {
	t.Helper()
	ks, err := r.client(t, 0).Keys(context.Background(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

