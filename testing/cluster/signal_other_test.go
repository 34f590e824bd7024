//go:build !unix

package cluster

import (
	"testing"

	"github.com/skeinmq/skein/testing/server"
)

func signals(t testing.TB) {
	t.Helper()
	t.Skip("processes cannot be paused and asked to end here")
}

func pause(testing.TB, *server.Proc) {}
func resume(*server.Proc)            {}
func terminate(*server.Proc)         {}
