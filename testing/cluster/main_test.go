// Package cluster runs instances of the real program on a real Redis and looks whether
// they are one broker: to clients that come and go between them, and while instances are
// killed, paused, cut off from Redis, drained and replaced by a newer build, and Redis is
// killed, paused, flushed, failed over, or answers with errors.
//
//	make cluster-chaos SEED=1
//
// An instance is a child process of a binary that is built here once. Between an instance
// and each Redis is a cable, a proxy of the test's process that can be cut. Everything
// listens on loopback and is ended by the test that started it. Without redis-server the
// tests are skipped, without haproxy those that need it.
package cluster

import (
	"fmt"
	"os"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) { harness.Main(removing{m}) }

// removing removes the binaries when the tests are done.
type removing struct{ m *testing.M }

func (r removing) Run() int {
	code := r.m.Run()
	if err := removeBuilds(); err != nil {
		fmt.Fprintln(os.Stderr, "remove what was built:", err)
	}
	return code
}

// clusterEnv has the tests run that need a machine to themselves: three instances, Redis and
// load at once do not fit beside the other packages' tests.
const clusterEnv = "CLUSTER"

func enabled(t *testing.T) {
	t.Helper()
	if os.Getenv(clusterEnv) == "" && os.Getenv(chaosEnv) == "" {
		t.Skip("real instances: run by make cluster-test and make cluster-chaos, alone on the machine")
	}
}
