package cluster

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/testing/server"
)

// masterName is what the Sentinels call the primary.
const masterName = "skein"

// redises are one Redis, or a primary with a replica and three Sentinels.
type redises struct {
	clients   []*redis.Client // of the tests
	data      []*server.Redis
	sentinels []*server.Proc
	watching  []string // addresses of the Sentinels
}

// startRedis starts one Redis with further settings (--name value).
func startRedis(t testing.TB, args ...string) *redises {
	t.Helper()
	return (&redises{data: []*server.Redis{server.StartRedis(t, args...)}}).connect(t)
}

// startSentinels starts a primary, its replica, and three Sentinels that agree on a
// failure of the primary within half a second.
func startSentinels(t testing.TB, args ...string) *redises {
	t.Helper()
	first := configuredRedis(t, args...)
	host, port, _ := net.SplitHostPort(first.Addr)
	second := configuredRedis(t, append([]string{"--replicaof", host + " " + port}, args...)...)
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
	return r.connect(t)
}

// configuredRedis is a Redis with a file of settings, in which a change of its role is
// kept when it is started again.
func configuredRedis(t testing.TB, args ...string) *server.Redis {
	t.Helper()
	server.Program(t, "redis-server")
	dir, addr := server.RedisDir(t), server.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsave \"\"\nappendonly yes\nappendfsync always\nmaxmemory 1gb\nmaxmemory-policy noeviction\nrepl-diskless-sync-delay 0\n", port, dir)
	for i := 0; i+1 < len(args); i += 2 {
		text += strings.TrimPrefix(args[i], "--") + " " + args[i+1] + "\n"
	}
	conf := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.StartRedisAt(t, dir, addr, conf)
}

// promoted waits until a replica is the primary.
func (r *redises) promoted(t testing.TB, i int) {
	t.Helper()
	server.Poll(t, pairDeadline, func() bool { return r.role(i) == "master" })
}

// pairDeadline is how long Sentinels may take to agree and to set roles right.
const pairDeadline = 60 * time.Second

// paired waits until one is the primary and the other its replica, that has all.
func (r *redises) paired(t testing.TB) {
	t.Helper()
	server.Poll(t, pairDeadline, func() bool {
		for i := range r.data {
			if r.role(i) != "master" || r.role(1-i) != "slave" {
				continue
			}
			info, err := r.client(i).Info(context.Background(), "replication").Result()
			return err == nil && strings.Contains(info, "state=online")
		}
		return false
	})
}

// role is "master" or "slave", or empty when there is no answer.
func (r *redises) role(i int) string {
	v, err := r.client(i).Do(context.Background(), "role").Slice()
	if err != nil || len(v) == 0 {
		return ""
	}
	s, _ := v[0].(string)
	return s
}

// client is a client of the tests, of the Redis with a number.
func (r *redises) client(i int) *redis.Client { return r.clients[i] }

// connect makes the clients.
func (r *redises) connect(t testing.TB) *redises {
	t.Helper()
	for _, d := range r.data {
		c := redis.NewClient(&redis.Options{Addr: d.Addr, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: time.Second, DisableIdentity: true})
		t.Cleanup(func() { _ = c.Close() }) // the test is over
		r.clients = append(r.clients, c)
	}
	return r
}

// do sends one command to the first Redis, which has to do it.
func (r *redises) do(t testing.TB, args ...any) any {
	t.Helper()
	v, err := r.client(0).Do(context.Background(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

// primary is the number of the one that is not a replica now; negative if none answers.
func (r *redises) primary() int {
	for i := range r.data {
		if r.role(i) == "master" {
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
	ks, err := r.client(0).Keys(context.Background(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

// session is the beginning of a session's keys.
func (r *redises) session(t testing.TB, id string) string {
	t.Helper()
	part := "{s" + base64.RawURLEncoding.EncodeToString([]byte(id)) + "}:"
	ks := r.keys(t, "*"+part+"*")
	if len(ks) == 0 {
		t.Fatalf("no records of session %s", id)
	}
	return ks[0][:strings.Index(ks[0], part)+len(part)]
}

// dump is the file of the first Redis's snapshots.
func (r *redises) dump() string { return filepath.Join(r.data[0].Dir, "dump.rdb") }

// save has a snapshot written, which ends as it is wanted.
func (r *redises) save(t testing.TB, want string) {
	t.Helper()
	r.do(t, "bgsave")
	server.Poll(t, 0, func() bool {
		info := r.client(0).Info(context.Background(), "persistence").Val()
		return strings.Contains(info, "rdb_bgsave_in_progress:0") && strings.Contains(info, "rdb_last_bgsave_status:"+want)
	})
}
