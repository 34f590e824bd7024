package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

// stored is what a row found that looks at Skein's store by itself.
type stored struct {
	serving  time.Duration // from the start of the process to the first answer
	resident int64         // bytes, then
	peak     int64         // bytes, the highest until everything was drained
	drained  int64         // messages that came back
	request  time.Duration // the slowest of the HTTP listener
	watch    float64       // percent of a core that a dashboard costs which is open; negative is not told
}

// durableRows are what a broker that keeps everything must bear.
func durableRows() []row {
	return []row{persistentRow(), restartRow(), deepRow()}
}

// persistentRow holds subscribers whose sessions are kept against others.
func persistentRow() row {
	pairs := func(persistent bool) func(*load.Options) {
		return func(o *load.Options) { o.Clients, o.QoS, o.Persistent = 10, 1, persistent }
	}
	return row{
		name: "-s pairs -n 10 -q 1 --persistent, against clean sessions", scheme: "tcp", set: pairs(true), against: pairs(false),
		judge: func(m *measured) []finding { return []finding{m.rate(.5), m.written()} },
	}
}

// restartRow kills a broker whose sessions have much to come, and starts it again.
func restartRow() row {
	const sessions, each = 100_000, 50
	return row{
		name: fmt.Sprintf("-s offline -n %d --subs %d -q 1 --leave, kill -9", sessions, each), scheme: "tcp",
		own: func(ctx context.Context, b *benchmark) (load.Report, stored, error) {
			return b.leaveAndReturn(ctx, sessions, each, 1000)
		},
		judge: func(m *measured) []finding {
			return []finding{m.servesWithin(5 * time.Second), m.residentAtMost("MB resident", m.stored.resident, 500)}
		},
	}
}

// deepRow is one queue that is far longer than memory should be.
func deepRow() row {
	const each = 5_000_000
	return row{
		name: fmt.Sprintf("-s offline -n 1 --subs %d -q 1", each), scheme: "tcp",
		own: func(ctx context.Context, b *benchmark) (load.Report, stored, error) {
			return b.leaveAndReturn(ctx, 1, each, 1)
		},
		judge: func(m *measured) []finding {
			return []finding{m.drains(each), m.residentAtMost("MB at most, drained", m.stored.peak, 300)}
		},
	}
}

// leaveAndReturn queues messages for sessions that are away, kills the broker, starts it
// again, and lets some of the sessions come back.
func (b *benchmark) leaveAndReturn(ctx context.Context, sessions, each, back int) (rep load.Report, s stored, err error) {
	dir, err := os.MkdirTemp(b.dir, "store")
	if err != nil {
		return rep, s, err
	}
	e, err := b.keep(ctx, dir)
	if err != nil {
		return rep, s, err
	}
	o := load.Defaults()
	o.Scenario, o.Clients, o.Subs, o.QoS, o.Prefix, o.Label = load.Offline, sessions, each, 1, "bench-", b.skein.name
	o.Leave, o.Addresses, o.PIDs, o.Stall = true, []string{e.addresses["tcp"]}, e.pids, time.Minute
	b.note("queueing %d messages for %d sessions", sessions*each, sessions)
	left, err := runDriver(ctx, o)
	if err = errors.Join(err, left.Err(), kill(e)); err != nil {
		return rep, s, err
	}
	b.note("starting again")
	from := time.Now()
	if e, err = b.keep(ctx, dir); err != nil {
		return rep, s, err
	}
	s.serving = time.Since(from)
	s.resident, _ = resident(e.pids[0])
	o.Leave, o.Return, o.Clients, o.Addresses, o.PIDs = false, true, back, []string{e.addresses["tcp"]}, e.pids
	b.note("%d sessions come back", back)
	rep.Median, err = runDriver(ctx, o)
	_, s.peak = resident(e.pids[0])
	s.drained = rep.Median.Delivered
	return rep, s, errors.Join(err, e.stop())
}

// keep starts Skein on a directory that outlives it, without limits of its queues.
func (b *benchmark) keep(ctx context.Context, dir string) (*endpoint, error) {
	free, err := ports("tcp")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.yaml")
	conf := fmt.Sprintf("listeners:\n  - url: tcp://%s\nsession:\n  queue: {messages: 100000000, bytes: 100GiB}\n", free["tcp"])
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return start(ctx, free, b.binary, "serve", "--config", file, "--data", filepath.Join(dir, "data"))
}

// kill ends a broker that gets no chance to tidy up.
func kill(e *endpoint) error {
	p, err := os.FindProcess(e.pids[0])
	if err != nil {
		return err
	}
	return errors.Join(p.Kill(), e.stop())
}

// resident is the memory of a process, now and at its highest, in bytes; 0 where there
// is no /proc.
func resident(pid int) (now, peak int64) {
	for line := range strings.Lines(readFile("/proc/" + strconv.Itoa(pid) + "/status")) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // 0 for lines that are no size
		switch name {
		case "VmRSS":
			now = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return now, peak
}

// written tells how much of a message reaches the disk, counted by what the process
// handed to the file system.
func (m *measured) written() finding {
	f := finding{figure: "bytes written/message"}
	if b := m.skein.Broker; b != nil {
		f.skein = two(b.Written)
	}
	if b := m.other.Broker; b != nil {
		f.other = two(b.Written)
	}
	return f
}

func (m *measured) servesWithin(most time.Duration) finding {
	s := m.stored.serving
	return finding{figure: "serving after", skein: s.Round(10 * time.Millisecond).String(), required: "≤ " + most.String(), ok: s > 0 && s <= most}
}

func (m *measured) residentAtMost(figure string, bytes int64, mostMB float64) finding {
	mb := float64(bytes) / (1 << 20)
	return finding{figure: figure, skein: whole(mb), required: fmt.Sprintf("≤ %s MB", short(mostMB)), ok: mb > 0 && mb <= mostMB}
}

// drains requires everything, in order; how fast it came is told.
func (m *measured) drains(all int64) finding {
	f := finding{figure: "msg/s, all in order", skein: whole(m.skein.Rate), required: "lost 0"}
	f.ok = m.stored.drained == all && m.skein.Err() == nil
	return f
}
