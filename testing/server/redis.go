package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Redis is a redis-server of its own, on loopback, with its files in a directory of the
// test. It is killed when the test ends.
type Redis struct {
	Addr string // host:port
	Sock string // file of its Unix socket; empty when it has none
	Dir  string
	*Proc

	t    testing.TB
	args []string
}

// URL is where it is, for clients.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// StartRedis starts a redis-server and waits until it answers. It keeps an append-only
// file that is synced for every command and never evicts, as a broker wants it; args are
// further settings (--name value), of which the later ones win. Without redis-server the
// test is skipped.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	Program(t, "redis-server")
	r := &Redis{t: t, Dir: RedisDir(t), Addr: FreeAddr(t)}
	_, port, _ := net.SplitHostPort(r.Addr)
	r.Sock = filepath.Join(r.Dir, "s")
	r.args = append([]string{
		"--bind", "127.0.0.1", "--port", port, "--unixsocket", r.Sock, "--dir", r.Dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--maxmemory", "1gb",
	}, args...)
	r.Restart()
	return r
}

// Restart starts it again, at the same address with the same files, after Kill.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Proc = Start(r.t, "redis-server", r.args...)
	r.WaitOutput("Ready to accept connections")
}

// StartRedisAt starts a redis-server with nothing but args; it has to listen at addr.
func StartRedisAt(t testing.TB, dir, addr string, args ...string) *Redis {
	t.Helper()
	Program(t, "redis-server")
	r := &Redis{t: t, Dir: dir, Addr: addr, args: args}
	r.Restart()
	return r
}

// StartSentinel starts a Sentinel that watches the primary at addr as name, alone: its
// own vote is enough.
func StartSentinel(t testing.TB, name, addr string, lines ...string) *Redis {
	t.Helper()
	r := &Redis{t: t, Dir: RedisDir(t), Addr: FreeAddr(t)}
	_, port, _ := net.SplitHostPort(r.Addr)
	host, primary, _ := net.SplitHostPort(addr)
	conf := filepath.Join(r.Dir, "sentinel.conf")
	text := append([]string{
		"bind 127.0.0.1", "port " + port, "dir " + r.Dir,
		fmt.Sprintf("sentinel monitor %s %s %s 1", name, host, primary),
		fmt.Sprintf("sentinel down-after-milliseconds %s 500", name),
		fmt.Sprintf("sentinel failover-timeout %s 3000", name),
	}, lines...)
	if err := os.WriteFile(conf, []byte(strings.Join(text, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.args = []string{conf, "--sentinel"}
	r.Proc = Start(t, "redis-server", r.args...)
	r.WaitOutput("+monitor master")
	return r
}

// StartRedisCluster starts a Cluster of three primaries and waits until it serves all
// slots.
func StartRedisCluster(t testing.TB, args ...string) [3]*Redis {
	t.Helper()
	var all [3]*Redis
	create := []string{"--cluster", "create"}
	for i := range all {
		bus := FreeAddr(t)
		_, port, _ := net.SplitHostPort(bus)
		all[i] = StartRedis(t, slices.Concat([]string{
			"--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "2000",
		}, args)...)
		create = append(create, all[i].Addr)
	}
	made := Start(t, "redis-cli", append(create, "--cluster-yes")...)
	if code := made.Wait(); code != 0 {
		t.Fatalf("redis-cli --cluster create: %s", made.Output())
	}
	for _, r := range all {
		r.WaitOutput("Cluster state changed: ok")
	}
	return all
}

// RedisDir is a directory whose name is short enough for a Unix socket in it.
func RedisDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a leftover in the system's directory
	return dir
}

// FreeAddr is a loopback address that nobody listens at, of a port that the system gives to
// no connection by itself: who listens there can be started again. It is the test's until that
// ends: a UDP socket, which nobody else has a use for, keeps other tests away from the port,
// also those of other processes.
func FreeAddr(t testing.TB) string {
	t.Helper()
	const first, count, tries = 20000, 12768, 100
	ip := net.IPv4(127, 0, 0, 1)
	for range tries {
		port := first + rand.IntN(count)
		mine, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port})
		if err != nil {
			continue // another test has it
		}
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port})
		if err != nil {
			_ = mine.Close() // nothing was sent
			continue         // somebody listens there
		}
		addr := l.Addr().String()
		_ = l.Close()                          // it has served
		t.Cleanup(func() { _ = mine.Close() }) // as above
		return addr
	}
	t.Fatal("no free port")
	return ""
}
