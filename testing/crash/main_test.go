// Package crash kills a node under load with SIGKILL, again and again, starts it on
// the same data each time, and compares what was acknowledged with what arrived.
//
//	make crash CRASH=200 SEED=1
//
// The node is a process of its own, the test binary. The clients record what they do
// and see into a History; Check, a function of it alone, finds what breaks a promise:
// lost, doubled, reordered, wrong retained, a will too few or too many. That it would
// find it is shown by histories with each fault, and by a node that acknowledges
// before it has stored.
//
// Goroutines: each client is one, started by load.run and stopped by its context.
package crash

import (
	"os"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv(dataEnv) != "" {
		os.Exit(serve())
	}
	harness.Main(m)
}
