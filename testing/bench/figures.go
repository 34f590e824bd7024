package main

import (
	"fmt"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

// figure is one line of a row: what is read from its runs, and what Skein must reach.
type figure struct {
	title    string
	value    func(r *clusterResult) (v float64, known bool)
	text     func(v float64) string
	required string // empty is that it is only told
	ok       func(v float64) bool
}

// clusterResult is what the runs of a row found at one kind of cluster.
type clusterResult struct {
	load     load.Result // medians
	commands *float64    // of Redis: a message, or a second while clients rest; nil is not known
	absent   error       // why it was not measured
	end      error       // of its processes, when they did not end as they should
}

func (f figure) atLeast(least float64) figure {
	f.required, f.ok = "≥ "+f.text(least), func(v float64) bool { return v >= least }
	return f
}

func (f figure) below(most float64) figure {
	f.required, f.ok = "< "+short(most), func(v float64) bool { return v < most }
	return f
}

// atMost is of a time.
func (f figure) atMost(d time.Duration) figure {
	most := micro(d)
	f.required, f.ok = "≤ "+duration(most), func(v float64) bool { return v <= most }
	return f
}

func (f figure) none() figure {
	f.required, f.ok = "0", func(v float64) bool { return v == 0 }
	return f
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// The figures of the rows. What was not measured is not known, and a zero that
// is a rate or a time is not measured.
var (
	messages    = figure{title: "msg/s", value: positive(func(r *load.Result) float64 { return r.Rate }), text: whole}
	drained     = figure{title: "drained msg/s", value: messages.value, text: whole}
	enqueued    = figure{title: "enqueued msg/s", value: positive(enqueueRate), text: whole}
	connects    = figure{title: "connects/s", value: positive(connectRate), text: whole}
	medianTime  = figure{title: "p50", value: positive(of(p50)), text: duration}
	p99Time     = figure{title: "p99", value: positive(of(p99)), text: duration}
	longestTime = figure{title: "slowest", value: positive(of(func(l *load.LatencyResult) float64 { return l.Max })), text: duration}
	lost        = figure{title: "lost", value: counted(func(r *load.Result) int64 { return r.Lost }), text: whole}
	disorder    = figure{title: "out of order", value: counted(func(r *load.Result) int64 { return r.Disorder }), text: whole}
	gone        = figure{title: "sessions gone", value: sessionsGone, text: whole}
	perMessage  = figure{title: "Redis commands/message", value: commandsKnown, text: three}
	perSecond   = figure{title: "Redis commands/s", value: commandsKnown, text: one}
)

func positive(get func(*load.Result) float64) func(*clusterResult) (float64, bool) {
	return func(r *clusterResult) (float64, bool) {
		v := get(&r.load)
		return v, r.absent == nil && v > 0
	}
}

func counted(get func(*load.Result) int64) func(*clusterResult) (float64, bool) {
	return func(r *clusterResult) (float64, bool) {
		return float64(get(&r.load)), r.absent == nil && r.load.Expected > 0
	}
}

func of(get func(*load.LatencyResult) float64) func(*load.Result) float64 {
	return func(r *load.Result) float64 {
		if r.Latency == nil {
			return 0
		}
		return get(r.Latency)
	}
}

func enqueueRate(r *load.Result) float64 {
	if r.Offline == nil {
		return 0
	}
	return r.Offline.EnqueueRate
}

func connectRate(r *load.Result) float64 {
	switch {
	case r.Reconnect != nil:
		return r.Reconnect.ConnectsPerSecond
	case r.Idle != nil:
		return r.Idle.ConnectsPerSecond
	}
	return 0
}

// sessionsGone counts those that did not come back too.
func sessionsGone(r *clusterResult) (float64, bool) {
	switch {
	case r.absent != nil:
	case r.load.Offline != nil:
		return float64(r.load.Offline.Sessions - r.load.Offline.Present), true
	case r.load.Reconnect != nil:
		return float64(r.load.Reconnect.Sessions - r.load.Reconnect.Present), true
	}
	return 0, false
}

func commandsKnown(r *clusterResult) (float64, bool) {
	if r.absent != nil || r.commands == nil {
		return 0, false
	}
	return *r.commands, true
}

func one(x float64) string   { return fmt.Sprintf("%.1f", x) }
func three(x float64) string { return fmt.Sprintf("%.3f", x) }
