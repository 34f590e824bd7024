//go:build unix

package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/skeinmq/skein/testing/server"
)

// signals skips nothing where processes can be signalled.
func signals(testing.TB) {}

// pause stops a process where it is, until resume. One that has ended stays so. The signal
// is on its way for a while on a busy machine: it returns when all threads stand still, where the
// system tells.
func pause(t testing.TB, p *server.Proc) {
	t.Helper()
	_ = p.Cmd.Process.Signal(syscall.SIGSTOP)
	server.Poll(t, 0, func() bool { return !p.Running() || stopped(p.Cmd.Process.Pid) })
}

func resume(p *server.Proc) { _ = p.Cmd.Process.Signal(syscall.SIGCONT) }

// stopped reports whether no thread of a process runs, as far as that can be seen.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return !slices.ContainsFunc(threads, func(stat string) bool {
		b, err := os.ReadFile(stat)
		_, rest, ok := bytes.Cut(b, []byte(") ")) // behind the name
		return err == nil && ok && len(rest) > 0 && rest[0] != 'T' && rest[0] != 't' && rest[0] != 'Z'
	})
}

// terminate asks a process to end.
func terminate(p *server.Proc) { _ = p.Cmd.Process.Signal(syscall.SIGTERM) }
