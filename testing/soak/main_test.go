// Package soak runs a node under a mixed load for as long as SOAK says and looks
// whether it stays as it was: live memory flat, and at the end no goroutine, no
// descriptor and no message more than before.
//
//	make soak SOAK=1h
//
// The node is a process of its own, so that the memory of the load is not in its
// figures. Each kind of client checks what it receives while it makes load.
package soak

import (
	"os"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv(nodeEnv) != "" {
		os.Exit(serve())
	}
	harness.Main(m)
}
