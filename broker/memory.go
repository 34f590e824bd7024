package broker

import (
	"bytes"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// memoryWatch looks once a second at how much memory the process has, and tells
// when it is over its watermark: a part of GOMEMLIMIT or, without one, of the
// control group's limit. Without either it never is.
type memoryWatch struct {
	log   *slog.Logger
	limit uint64 // bytes; 0 is none
	mark  atomic.Uint64
	above atomic.Bool

	once sync.Once
	quit chan struct{}
	done chan struct{}
}

func newMemoryWatch(part float64, log *slog.Logger) *memoryWatch {
	w := &memoryWatch{log: log, limit: memoryLimit(), quit: make(chan struct{}), done: make(chan struct{})}
	w.configure(part)
	return w
}

// configure sets the watermark as a part of the limit; 0 is off.
func (w *memoryWatch) configure(part float64) {
	w.mark.Store(uint64(part * float64(w.limit)))
	if part == 0 {
		w.above.Store(false)
	}
}

// over reports whether memory is short. It costs one load.
func (w *memoryWatch) over() bool { return w.above.Load() }

func (w *memoryWatch) start() {
	if w.limit == 0 {
		close(w.done)
		return
	}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.look(memoryUsed())
			case <-w.quit:
				return
			}
		}
	}()
}

func (w *memoryWatch) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}

func (w *memoryWatch) look(used uint64) {
	mark := w.mark.Load()
	above := mark > 0 && used > mark
	if w.above.Swap(above) == above {
		return
	}
	if above {
		w.log.Warn("memory above its high watermark: new connections and QoS 0 are refused", "used", used, "watermark", mark)
	} else {
		w.log.Info("memory below its high watermark again", "used", used, "watermark", mark)
	}
}

// memoryUsed is what the Go runtime has from the system and has not given back.
func memoryUsed() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 || s[1].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

// memoryLimit is GOMEMLIMIT, else the control group's limit, else 0.
func memoryLimit() uint64 {
	if limit := debug.SetMemoryLimit(-1); limit > 0 && limit != math.MaxInt64 {
		return uint64(limit)
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // another version of control groups, or none
		}
		v, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
		if err == nil && v < 1<<62 { // version 1 has a huge number for "none", version 2 a word
			return v
		}
	}
	return 0
}
