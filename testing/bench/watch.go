package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	watchBeat  = 2 * time.Second // the dashboard's own
	watchBeats = 15              // long enough that one tick of the processor's clock is little
	clockTick  = time.Second / 100
)

// watchPaths are what a dashboard asks for at intervals, in beats. No view asks for all of
// it: somebody who has them all open does.
var watchPaths = []struct {
	path  string
	every int
}{
	{"/api/v1/stats", 1}, {"/api/v1/nodes", 3}, {"/api/v1/clients?limit=50", 5}, {"/api/v1/clients?sort=queued&limit=50", 2}, {"/api/v1/refusals?limit=500", 2},
}

// watched is what an open dashboard costs a broker, in percent of a core: beyond what it
// uses in the same time without one. Negative: it is not told here.
func watched(ctx context.Context, base string, pid int) (float64, error) {
	without, known, err := spent(ctx, pid, func(int) error { return nil })
	if !known || err != nil {
		return -1, err
	}
	with, _, err := spent(ctx, pid, func(beat int) error {
		for _, p := range watchPaths {
			if beat%p.every != 0 {
				continue
			}
			if _, err := request(ctx, base+p.path); err != nil {
				return err
			}
		}
		return nil
	})
	return max(0, 100*float64(with-without)/float64(watchBeats*watchBeat)), err
}

// spent is the processor time of a process while f is called with every beat.
func spent(ctx context.Context, pid int, f func(beat int) error) (d time.Duration, known bool, err error) {
	from, known := processorTime(pid)
	beat := time.NewTicker(watchBeat)
	defer beat.Stop()
	for n := range watchBeats {
		if err := f(n); err != nil {
			return 0, known, err
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return 0, known, ctx.Err()
		}
	}
	to, _ := processorTime(pid)
	return to - from, known, nil
}

// processorTime is the user and system time of a process; known is false where there is
// no /proc.
func processorTime(pid int) (d time.Duration, known bool) {
	const userField, systemField = 11, 12 // behind the command's name, which ends with the last parenthesis
	stat := readFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= systemField {
		return 0, false
	}
	user, _ := strconv.ParseInt(fields[userField], 10, 64)     // 0 is not told
	system, _ := strconv.ParseInt(fields[systemField], 10, 64) // as before
	return time.Duration(user+system) * clockTick, true
}

// watchWithin holds the cost of an open dashboard below a share of a core.
func (m *measured) watchWithin(percent float64) finding {
	v := m.stored.watch
	f := finding{figure: "CPU of an open dashboard, of a core"}
	if v >= 0 {
		f.skein, f.required, f.ok = fmt.Sprintf("%.2f %%", v), fmt.Sprintf("< %g %%", percent), v < percent
	}
	return f
}
