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

const (
	quietRate = 256 << 10 // bytes allocated in a second: below it nothing much happens
	tidyFrom  = 4 << 20   // bytes allocated since memory was last given back
)

const (
	slack     = 32 << 20 // bytes: garbage that may gather before it is collected, if that is more than the heap
	defaultGC = 100      // Go's own percentage
	maxGC     = 800
	oftenGC   = 10 // collections a second: more are too many
	rareGC    = 2  // and fewer need no help
)

// memoryWatch looks once a second at how much memory the process has, and tells
// when it is over its watermark: a part of GOMEMLIMIT or, without one, of the
// control group's limit. Without either it never is.
//
// Where a small heap is collected many times a second it lets garbage gather for
// longer: a broker that lives in 5 MB would otherwise spend a quarter of its time on
// that under some loads. GOGC in the environment has the last word.
//
// When a burst is over it gives memory back. The runtime would keep what the burst
// left behind (handshakes of thousands of clients, say) until the next
// collection, and an idle broker allocates nothing that would start one.
type memoryWatch struct {
	log   *slog.Logger
	limit uint64 // bytes; 0 is none
	mark  atomic.Uint64
	above atomic.Bool

	once sync.Once
	quit chan struct{}
	done chan struct{}

	allocs uint64 // owned by the goroutine: bytes allocated when it last looked
	tidied uint64 // and when memory was last given back
	cycles uint64 // collections when it last looked

	percent int  // as set for the collector
	fixed   bool // GOGC is set
}

func newMemoryWatch(part float64, log *slog.Logger) *memoryWatch {
	w := &memoryWatch{
		log: log, limit: memoryLimit(), quit: make(chan struct{}), done: make(chan struct{}),
		percent: defaultGC, fixed: os.Getenv("GOGC") != "",
	}
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
	go func() {
		defer close(w.done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m := readMemory()
				w.look(m.used)
				w.tidy(&m)
				w.pace(&m)
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

// pace sets how much garbage may gather.
func (w *memoryWatch) pace(m *memoryFigures) {
	cycles := m.cycles - w.cycles
	w.cycles = m.cycles
	percent := w.percent
	switch {
	case w.fixed:
		return
	case cycles >= oftenGC:
		percent = int(min(max(slack*100/max(m.live, 1), defaultGC), maxGC))
	case cycles < rareGC:
		percent = defaultGC
	}
	if percent != w.percent {
		w.percent = percent
		debug.SetGCPercent(percent)
	}
}

// tidy gives memory back when a burst is over.
func (w *memoryWatch) tidy(m *memoryFigures) {
	quiet := m.allocs-w.allocs < quietRate
	w.allocs = m.allocs
	if quiet && m.allocs-w.tidied > max(tidyFrom, m.live/4) {
		w.tidied = m.allocs
		debug.FreeOSMemory()
	}
}

// memoryFigures are bytes, and a count.
type memoryFigures struct {
	used   uint64 // what the Go runtime has from the system and has not given back
	live   uint64 // what the last collection found to be in use
	allocs uint64 // allocated since the start
	cycles uint64 // collections since the start
}

func readMemory() memoryFigures {
	s := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(s)
	value := func(i int) uint64 {
		if s[i].Value.Kind() != metrics.KindUint64 {
			return 0 // this runtime does not tell
		}
		return s[i].Value.Uint64()
	}
	return memoryFigures{used: value(0) - value(1), live: value(2), allocs: value(3), cycles: value(4)}
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
