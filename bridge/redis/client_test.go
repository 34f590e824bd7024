package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/testing/harness"
)

// open is a client that is closed with the test.
func open(t *testing.T, o redis.Options) *redis.Client {
	t.Helper()
	c, err := redis.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing is under way
	return c
}

// refused is the error of Open, which must be one.
func refused(t *testing.T, o redis.Options) error {
	t.Helper()
	c, err := redis.Open(t.Context(), o)
	if err == nil {
		_ = c.Close() // the test has failed
		t.Fatalf("%v was opened", o)
	}
	return err
}

func TestOpen(t *testing.T) {
	r := harness.StartRedis(t)
	for _, url := range []string{r.URL(), r.URL() + "/3", "redis+unix://" + r.Sock, "redis+unix://" + r.Sock + "?db=3"} {
		c := open(t, redis.Options{URL: url, Name: "skein-1"})
		info, err := c.ClientInfo(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if info.Name != "skein-1" || info.Resp != 2 || info.DB != c.Target().DB {
			t.Errorf("%s: connected as %q, RESP%d, database %d", url, info.Name, info.Resp, info.DB)
		}
	}
}

func TestOpenOfNobody(t *testing.T) {
	r := harness.StartRedis(t)
	r.Kill()
	err := refused(t, redis.Options{URL: "redis://:hunter2@" + r.Addr})
	var dial *redis.DialError
	if !errors.As(err, &dial) || dial.Addr != r.Addr || !redis.IsUnavailable(err) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	for _, url := range []string{"redis+cluster://" + r.Addr, "redis+sentinel://" + r.Addr + "/m"} {
		if err := refused(t, redis.Options{URL: url}); !redis.IsUnavailable(err) {
			t.Errorf("%s: %v is no outage", url, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	r := harness.StartRedis(t, "--requirepass", "hunter2", "--user", "app", "on", ">hunter3", "~skein:*", "+@all", "-config", "-role")
	for what, c := range map[string]struct {
		o  redis.Options
		ok bool
	}{
		"in the URL":         {redis.Options{URL: "redis://:hunter2@" + r.Addr}, true},
		"beside the URL":     {redis.Options{URL: r.URL(), Password: "hunter2"}, true},
		"beside it wins":     {redis.Options{URL: "redis://:wrong@" + r.Addr, Password: "hunter2"}, true},
		"a user":             {redis.Options{URL: "redis://app:hunter3@" + r.Addr}, true},
		"a user beside":      {redis.Options{URL: r.URL(), User: "app", Password: "hunter3"}, true},
		"none":               {redis.Options{URL: r.URL()}, false},
		"wrong":              {redis.Options{URL: "redis://:hunter99@" + r.Addr}, false},
		"wrong of a user":    {redis.Options{URL: "redis://app:hunter2@" + r.Addr}, false},
		"user that is not":   {redis.Options{URL: "redis://hunter2:hunter2@" + r.Addr}, false},
		"wrong of a cluster": {redis.Options{URL: "redis+cluster://:hunter99@" + r.Addr}, false},
	} {
		if c.ok {
			open(t, c.o)
			continue
		}
		err := refused(t, c.o)
		if strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: the error has it: %v", what, err)
		}
		if !strings.Contains(what, "cluster") && redis.Classify(err) != redis.NoLogin {
			t.Errorf("%s: %v is of kind %v", what, err, redis.Classify(err))
		}
	}
	c := open(t, redis.Options{URL: "redis://app:hunter3@" + r.Addr})
	if err := c.Get(t.Context(), "other").Err(); redis.Classify(err) != redis.NoPerm || !redis.IsUnavailable(err) {
		t.Errorf("a key that is not the user's: %v", err)
	}
	f, err := c.Inspect(t.Context())
	if err != nil || len(f.Servers) != 1 || f.Servers[0].AppendFsync != "" || !strings.Contains(strings.Join(f.Warnings, "\n"), "CONFIG GET") {
		t.Errorf("Inspect without CONFIG: %+v, %v", f, err)
	}
}

// A server that does not know AUTH quotes what it was sent.
func TestAnswerThatQuotesThePassword(t *testing.T) {
	r := harness.StartRedis(t, "--rename-command", "AUTH", "", "--rename-command", "HELLO", "")
	err := refused(t, redis.Options{URL: "redis://:hunter2@" + r.Addr})
	if strings.Contains(err.Error(), "hunter2") || redis.Classify(err) != redis.NoLogin {
		t.Errorf("got %v", err)
	}
	c, err := redis.New(redis.Options{URL: "redis://:hunter2@" + r.Addr})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // nothing is under way
	cmds, err := c.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		p.Ping(t.Context())
		return nil
	})
	if err == nil || strings.Contains(fmt.Sprint(err, cmds[0].Err()), "hunter2") {
		t.Errorf("pipeline: %v, %v", err, cmds[0].Err())
	}
}

func TestTLS(t *testing.T) {
	certs := harness.WriteCerts(t)
	r := harness.StartRedisTLS(t, certs)
	both := redis.TLS{CA: certs.CA, Cert: certs.Client, Key: certs.ClientKey}
	c := open(t, redis.Options{URL: "rediss://" + r.Addr, TLS: both})
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	other := both
	other.ServerName = "other.example.com"
	for what, o := range map[string]redis.Options{
		"authority of the system": {URL: "rediss://" + r.Addr, TLS: redis.TLS{Cert: certs.Client, Key: certs.ClientKey}},
		"no certificate":          {URL: "rediss://" + r.Addr, TLS: redis.TLS{CA: certs.CA}},
		"another name":            {URL: "rediss://" + r.Addr, TLS: other},
		"no TLS":                  {URL: "redis://" + r.Addr},
	} {
		if err := refused(t, o); !redis.IsUnavailable(err) {
			t.Errorf("%s: %v is no outage", what, err)
		}
	}
}

// cut is a proxy to a Redis that passes requests on and, when told to, closes instead
// of passing one answer back.
type cut struct {
	addr string
	on   atomic.Bool
}

func startCut(t *testing.T, to string) *cut {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cut{addr: l.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() }) // accept ends with it
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c, to) })
		}
	})
	return p
}

func (p *cut) serve(c net.Conn, to string) {
	defer func() { _ = c.Close() }() // the client closes it too
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(s, c)              // until the client is gone
		_ = s.(*net.TCPConn).CloseWrite() // and then the server
	})
	b := make([]byte, 1<<16)
	for {
		n, err := s.Read(b)
		if err != nil || p.on.CompareAndSwap(true, false) {
			break
		}
		if _, err := c.Write(b[:n]); err != nil {
			break
		}
	}
	_ = c.Close() // ends the copying
	_ = s.Close() // as above
	wg.Wait()
}

// An answer that is cut off is the caller's business: nothing is sent twice, neither by
// one server nor in a Cluster, where go-redis does it unless told otherwise.
func TestNothingIsSentTwice(t *testing.T) {
	one := harness.StartRedis(t)
	all := harness.StartRedisCluster(t)
	for what, c := range map[string]struct {
		scheme string
		server *harness.Redis
		key    string
	}{"single": {"redis://", one, "s"}, "cluster": {"redis+cluster://", all[0], ""}} {
		t.Run(what, func(t *testing.T) {
			p := startCut(t, c.server.Addr)
			key := c.key
			direct := open(t, redis.Options{URL: "redis://" + c.server.Addr})
			if what == "cluster" {
				key = ownKey(t, direct)
				announce(t, direct, p.addr)
			}
			client := open(t, redis.Options{URL: c.scheme + p.addr})
			add := func(pipe goredis.Cmdable) {
				pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: key, Values: []string{"a", "b"}})
			}
			for what, call := range map[string]func() error{
				"XADD": func() error {
					return client.XAdd(t.Context(), &goredis.XAddArgs{Stream: key, Values: []string{"a", "b"}}).Err()
				},
				"pipeline": func() error {
					_, err := client.Pipelined(t.Context(), func(pipe goredis.Pipeliner) error { add(pipe); add(pipe); return nil })
					return err
				},
				"transaction": func() error {
					_, err := client.TxPipelined(t.Context(), func(pipe goredis.Pipeliner) error { add(pipe); add(pipe); return nil })
					return err
				},
			} {
				if err := client.Exists(t.Context(), key).Err(); err != nil { // there is a connection
					t.Fatal(err)
				}
				p.on.Store(true)
				if err := call(); redis.Classify(err) != redis.Network {
					t.Errorf("%s: %v", what, err)
				}
			}
			if p.on.Load() {
				t.Error("nothing was cut off")
			}
			if n, err := direct.XLen(t.Context(), key).Result(); n != 1+2+2 || err != nil {
				t.Errorf("%d entries, %v; want 5", n, err)
			}
		})
	}
}

// ownKey is a key that the server itself serves.
func ownKey(t *testing.T, c *redis.Client) string {
	t.Helper()
	for i := range 1000 {
		key := fmt.Sprint("k", i)
		if c.Exists(t.Context(), key).Err() == nil {
			return key
		}
	}
	t.Fatal("no key is served")
	return ""
}

// announce makes a server of a Cluster name another port for itself.
func announce(t *testing.T, c *redis.Client, addr string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	if err := c.ConfigSet(t.Context(), "cluster-announce-port", port).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestContextEndsACall(t *testing.T) {
	r := harness.StartRedis(t)
	c := open(t, redis.Options{URL: r.URL(), ReadTimeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.BLPop(ctx, 0, "nothing").Err() }()
	direct := open(t, redis.Options{URL: r.URL()})
	harness.Poll(t, 0, func() bool {
		info, err := direct.Info(t.Context(), "clients").Result()
		return err == nil && strings.Contains(info, "blocked_clients:1")
	})
	cancel()
	// go-redis looks at the deadline of a context, not at its cancellation, while it
	// waits for an answer.
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.BLPop(ctx, 0, "nothing").Err(); redis.Classify(err) != redis.Network {
		t.Errorf("got %v", err)
	}
	if err := direct.RPush(t.Context(), "nothing", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && redis.Classify(err) != redis.Network {
		t.Errorf("got %v", err)
	}
}

func TestRefusals(t *testing.T) {
	r := harness.StartRedis(t)
	_, port, _ := net.SplitHostPort(r.Addr)
	replica := harness.StartRedis(t, "--replicaof", "127.0.0.1 "+port)
	c := open(t, redis.Options{URL: replica.URL()})
	harness.Poll(t, 0, func() bool {
		info, _ := c.Info(t.Context(), "replication").Result()
		return strings.Contains(info, "master_link_status:up")
	})
	if err := c.Set(t.Context(), "k", "v", 0).Err(); redis.Classify(err) != redis.ReadOnly {
		t.Errorf("write at a replica: %v", err)
	}
	if _, err := c.Inspect(t.Context()); !errors.Is(err, redis.ErrReplica) {
		t.Errorf("Inspect of a replica: %v", err)
	}
	primary := open(t, redis.Options{URL: r.URL()})
	set := func(key, value string) {
		t.Helper()
		if err := primary.ConfigSet(t.Context(), key, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("min-replicas-to-write", "2")
	if err := primary.Set(t.Context(), "k", "v", 0).Err(); redis.Classify(err) != redis.NoReplicas {
		t.Errorf("write without enough replicas: %v", err)
	}
	set("min-replicas-to-write", "0")
	set("maxmemory", "1")
	if err := primary.Set(t.Context(), "k", "v", 0).Err(); redis.Classify(err) != redis.OutOfMemory {
		t.Errorf("write without memory: %v", err)
	}
	script := redis.NewScript("write", "return redis.call('set', KEYS[1], 'v')")
	if err := script.Run(t.Context(), open(t, redis.Options{URL: r.URL(), Scripts: []*redis.Script{script}}), []string{"k"}).Err(); redis.Classify(err) != redis.OutOfMemory {
		t.Errorf("script without memory: %v", err)
	}
	f, err := primary.Inspect(t.Context())
	if err != nil || f.Servers[0].Replicas != 1 {
		t.Errorf("Inspect: %+v, %v", f, err)
	}
}

func TestInspect(t *testing.T) {
	r := harness.StartRedis(t)
	c := open(t, redis.Options{URL: r.URL()})
	f, err := c.Inspect(t.Context())
	if err != nil || len(f.Warnings) > 0 {
		t.Fatalf("a server as it should be: %+v, %v", f, err)
	}
	s := f.Servers[0]
	if s.Addr != r.Addr || s.Role != "master" || !s.AOF || s.AppendFsync != "always" || s.Eviction != "noeviction" || s.MaxMemory != 1<<30 || s.Cluster {
		t.Errorf("got %+v", s)
	}
	set := func(key, value string) {
		t.Helper()
		if err := c.ConfigSet(t.Context(), key, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("appendfsync", "everysec")
	set("maxmemory", "0")
	f, err = c.Inspect(t.Context())
	if all := strings.Join(f.Warnings, "\n"); err != nil || len(f.Warnings) != 2 || !strings.Contains(all, "everysec") || !strings.Contains(all, "maxmemory is not set") {
		t.Errorf("got %+v, %v", f, err)
	}
	set("appendonly", "no")
	set("maxmemory-policy", "allkeys-lru")
	f, err = c.Inspect(t.Context())
	if !errors.Is(err, redis.ErrEviction) || !strings.Contains(strings.Join(f.Warnings, "\n"), "appendonly is no") {
		t.Errorf("got %+v, %v", f, err)
	}
	r.Kill()
	if _, err := c.Inspect(t.Context()); !redis.IsUnavailable(err) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestCluster(t *testing.T) {
	all := harness.StartRedisCluster(t)
	script := redis.NewScript("add", "return redis.call('incrby', KEYS[1], ARGV[1])")
	c := open(t, redis.Options{URL: "redis+cluster://" + all[0].Addr + "," + all[1].Addr, Scripts: []*redis.Script{script}})
	f, err := c.Inspect(t.Context())
	if err != nil || len(f.Servers) != 3 {
		t.Fatalf("Inspect: %+v, %v", f, err)
	}
	for i := range 20 {
		if n, err := script.Run(t.Context(), c, []string{fmt.Sprintf("{%d}n", i)}, i).Int(); n != i || err != nil {
			t.Errorf("script: %d, %v", n, err)
		}
	}
	cmds, err := c.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		for i := range 100 {
			script.Run(t.Context(), p, []string{fmt.Sprintf("{%d}n", i%20)}, 1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := cmds[99].(*goredis.Cmd).Int(); n != 19+5 || err != nil {
		t.Errorf("the last is %d, %v", n, err)
	}
	if err := refused(t, redis.Options{URL: "redis+cluster://" + harness.StartRedis(t).Addr}); err == nil {
		t.Error("a server that is no Cluster was opened as one")
	}
	single := open(t, redis.Options{URL: all[0].URL()})
	if _, err := single.Inspect(t.Context()); !errors.Is(err, redis.ErrMode) {
		t.Errorf("Inspect of a part as the whole: %v", err)
	}
	all[2].Kill()
	harness.Poll(t, 0, func() bool {
		_, err := c.Inspect(t.Context())
		return err != nil
	})
}

func TestSentinel(t *testing.T) {
	r := harness.StartRedis(t)
	_, port, _ := net.SplitHostPort(r.Addr)
	replica := harness.StartRedis(t, "--replicaof", "127.0.0.1 "+port)
	direct := open(t, redis.Options{URL: r.URL()})
	harness.Poll(t, 0, func() bool {
		info, _ := direct.Info(t.Context(), "replication").Result()
		return strings.Contains(info, "state=online")
	})
	sentinel := harness.StartSentinel(t, "main", r.Addr)
	sentinel.WaitOutput("+slave slave")
	var log syncBuffer
	script := redis.NewScript("add", "return redis.call('incr', KEYS[1])")
	c := open(t, redis.Options{
		URL: "redis+sentinel://" + sentinel.Addr + "/main", Scripts: []*redis.Script{script}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if n, err := script.Run(t.Context(), c, []string{"n"}).Int(); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	copied := open(t, redis.Options{URL: replica.URL()})
	harness.Poll(t, 0, func() bool { return copied.Get(t.Context(), "n").Val() == "1" })
	r.Kill()
	n := 0
	harness.Poll(t, 0, func() bool {
		got, err := script.Run(t.Context(), c, []string{"n"}).Int()
		if err != nil && !redis.IsUnavailable(err) {
			t.Fatalf("while it fails over: %v", err)
		}
		n = got
		return err == nil
	})
	if n != 2 {
		t.Errorf("the new primary counts %d, want 2", n)
	}
	if f, err := c.Inspect(t.Context()); err != nil || f.Servers[0].Role != "master" {
		t.Errorf("Inspect: %+v, %v", f, err)
	}
	if !strings.Contains(log.String(), "primary="+replica.Addr) {
		t.Errorf("the new primary is not in the log: %s", log.String())
	}
	if err := refused(t, redis.Options{URL: "redis+sentinel://" + sentinel.Addr + "/other"}); !redis.IsUnavailable(err) {
		t.Errorf("a name that it does not know: %v", err)
	}
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestScripts(t *testing.T) {
	r := harness.StartRedis(t)
	add := redis.NewScript("add", "return redis.call('rpush', KEYS[1], ARGV[1])")
	broken := redis.NewScript("broken", "return redis.call(")
	direct := open(t, redis.Options{URL: r.URL()})
	forget := func() {
		t.Helper()
		if err := direct.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, redis.Options{URL: r.URL(), Scripts: []*redis.Script{add}})
	if has, err := direct.ScriptExists(t.Context(), add.SHA()).Result(); err != nil || !has[0] {
		t.Errorf("not loaded with the connection: %v, %v", has, err)
	}
	forget()
	if n, err := add.Run(t.Context(), c, []string{"l"}, "0").Int(); n != 1 || err != nil {
		t.Errorf("alone: %d, %v", n, err)
	}
	forget()
	cmds, err := c.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		p.Set(t.Context(), "other", "x", 0)
		add.Run(t.Context(), p, []string{"l"}, "1")
		add.Run(t.Context(), p, []string{"l"}, "2")
		p.Get(t.Context(), "other")
		return nil
	})
	if err != nil || cmds[2].(*goredis.Cmd).Val() != int64(3) {
		t.Errorf("pipeline: %v, %v", cmds, err)
	}
	forget()
	cmds, err = c.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		add.Run(t.Context(), p, []string{"{l}a"}, "3")
		p.RPush(t.Context(), "{l}a", "4")
		add.Run(t.Context(), p, []string{"{m}a"}, "5")
		return nil
	})
	if redis.Classify(err) != redis.NoScript || redis.Classify(cmds[0].Err()) != redis.NoScript || cmds[2].Err() != nil {
		t.Errorf("a later command was done: %v, %v", cmds, err)
	}
	forget()
	cmds, err = c.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
		add.Run(t.Context(), p, []string{"l"}, "6")
		return nil
	})
	if redis.Classify(err) != redis.NoScript {
		t.Errorf("transaction: %v, %v", cmds, err)
	}
	if l, err := direct.LRange(t.Context(), "l", 0, -1).Result(); fmt.Sprint(l) != "[0 1 2]" || err != nil {
		t.Errorf("the list is %v, %v", l, err)
	}
	if err := add.Run(t.Context(), direct, []string{"l"}, "x").Err(); redis.Classify(err) != redis.NoScript {
		t.Errorf("a client without the script: %v", err)
	}
	if err := refused(t, redis.Options{URL: r.URL(), Scripts: []*redis.Script{broken}}); !strings.Contains(err.Error(), "load script broken") || redis.IsUnavailable(err) {
		t.Errorf("a script that is wrong: %v", err)
	}
	// Started again, it has forgotten, and is told again.
	r.Kill()
	r.Restart()
	harness.Poll(t, 0, func() bool { return c.Ping(t.Context()).Err() == nil })
	if has, err := direct.ScriptExists(t.Context(), add.SHA()).Result(); redis.IsUnavailable(err) || err == nil && !has[0] {
		harness.Poll(t, 0, func() bool {
			has, err := direct.ScriptExists(t.Context(), add.SHA()).Result()
			return err == nil && has[0]
		})
	}
}
