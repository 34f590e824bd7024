//go:build unix

package auth

import (
	"syscall"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func hangUp(t *testing.T, p *harness.Proc) {
	t.Helper()
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
