//go:build unix

package cluster

import (
	"syscall"
	"testing"

	"github.com/skeinmq/skein/testing/server"
)

// signals skips nothing where processes can be signalled.
func signals(testing.TB) {}

// pause stops a process where it is, until resume. One that has ended stays so.
func pause(p *server.Proc)  { _ = p.Cmd.Process.Signal(syscall.SIGSTOP) }
func resume(p *server.Proc) { _ = p.Cmd.Process.Signal(syscall.SIGCONT) }

// terminate asks a process to end.
func terminate(p *server.Proc) { _ = p.Cmd.Process.Signal(syscall.SIGTERM) }
