package hooks

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// errPanicked stands for the answer of a hook that panicked.
var errPanicked = errors.New("hook panicked")

// hook is a mochi hook in the chain.
type hook struct {
	mqtt.Hook
	id     string
	name   string // of its refusals, for the log
	log    *slog.Logger
	panics atomic.Uint64
}

// caught is deferred around every call of a hook: a panic ends the call and not the
// node. The call's named results must say "refused" while it runs.
func (h *hook) caught(e event) {
	r := recover()
	if r == nil {
		return
	}
	report(h.log, &h.panics, names[e], r)
}

// report logs a panic: the first, and then whenever their number has doubled, so
// that a hook that panics for every message does not fill the log.
func report(log *slog.Logger, count *atomic.Uint64, name string, value any) {
	if n := count.Add(1); n&(n-1) == 0 {
		log.Error("hook panicked", "event", name, "panic", value, "times", n, "stack", string(debug.Stack()))
	}
}
