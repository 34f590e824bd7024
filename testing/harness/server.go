package harness

import (
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/server"
)

// What package server has, which tests inside the rooms of the broker import directly.
type (
	// Proc is a child process.
	Proc = server.Proc
	// Redis is a redis-server of its own.
	Redis = server.Redis
)

// Deadline is how long a test waits for what must happen.
const Deadline = server.Deadline

// Poll calls f until it reports true and fails the test when it has not within the
// deadline (0 is Deadline). It is the only helper that waits.
func Poll(t testing.TB, deadline time.Duration, f func() bool) {
	t.Helper()
	server.Poll(t, deadline, f)
}

// Program finds an installed program; without it the test is skipped, by name.
func Program(t testing.TB, name string) string {
	t.Helper()
	return server.Program(t, name)
}

// Start starts an installed program.
func Start(t testing.TB, name string, args ...string) *Proc {
	t.Helper()
	return server.Start(t, name, args...)
}

// StartCmd starts a command whose output goes to the Proc.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Proc {
	t.Helper()
	return server.StartCmd(t, cmd)
}

// StartRedis starts a redis-server, see [server.StartRedis].
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	return server.StartRedis(t, args...)
}

// StartSentinel starts a Sentinel, see [server.StartSentinel].
func StartSentinel(t testing.TB, name, addr string, lines ...string) *Redis {
	t.Helper()
	return server.StartSentinel(t, name, addr, lines...)
}

// StartRedisCluster starts a Cluster of three primaries and waits until it serves all
// slots.
func StartRedisCluster(t testing.TB, args ...string) [3]*Redis {
	t.Helper()
	return server.StartRedisCluster(t, args...)
}

// StartRedisTLS is StartRedis for TLS alone, with the certificates of the harness. It
// wants one of clients too.
func StartRedisTLS(t testing.TB, c Certs, args ...string) *Redis {
	t.Helper()
	dir, addr := server.RedisDir(t), server.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	return server.StartRedisAt(t, dir, addr, append([]string{
		"--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--dir", dir, "--save", "",
		"--tls-cert-file", c.Server, "--tls-key-file", c.ServerKey, "--tls-ca-cert-file", c.CA,
	}, args...)...)
}
