// Package crash kills a node under load with SIGKILL, again and again, starts it on
// the same data each time, and compares what was acknowledged with what arrived.
//
//	make crash CRASH=200 SEED=1
//
// The node is a process of its own, the test binary. The clients and the judge are those
// of package witness. That they would find what is wrong is shown there, and here by a
// node that acknowledges before it has stored.
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
