package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

// measured is the report of a row.
type measured struct {
	skein load.Result // medians
	other load.Result
	ratio load.Ratio
	// stored is of the rows that have own.
	stored stored
}

// finding is one line of the table: a figure of both sides, and whether it is as required.
type finding struct {
	figure   string
	skein    string
	other    string
	ratio    float64 // 0 when there is none
	required string  // "" is that the figure is only told
	ok       bool
	p50, p99 string // of both, where latency was measured
}

func newMeasured(rep *load.Report) *measured {
	m := &measured{skein: rep.Median}
	if rep.Against != nil {
		m.other, m.ratio = rep.Against.Median, rep.Against.Ratio
	}
	return m
}

// rate requires a multiple of the other's messages a second.
func (m *measured) rate(least float64) finding {
	f := finding{
		figure: "msg/s", skein: whole(m.skein.Rate), other: whole(m.other.Rate),
		ratio: m.ratio.Rate, required: fmt.Sprintf("≥ %s ×", short(least)), ok: m.ratio.Rate >= least,
	}
	f.p50 = latencies(&m.skein, &m.other, func(l *load.LatencyResult) float64 { return l.P50 })
	f.p99 = latencies(&m.skein, &m.other, func(l *load.LatencyResult) float64 { return l.P99 })
	return f
}

func (m *measured) latencyNotAbove() finding {
	return finding{
		figure: "p50", skein: latency(&m.skein, p50), other: latency(&m.other, p50),
		ratio: m.ratio.P50, required: "≤ 1 ×", ok: m.ratio.P50 > 0 && m.ratio.P50 <= 1,
	}
}

// p99AtMost requires microseconds.
func (m *measured) p99AtMost(most float64) finding {
	l := m.skein.Latency
	return finding{
		figure: "p99", skein: latency(&m.skein, p99), other: latency(&m.other, p99),
		ratio: m.ratio.P99, required: "≤ " + duration(most), ok: l != nil && l.P99 <= most,
	}
}

// latencyWithin requires both percentiles to be at most a multiple of the other's.
func (m *measured) latencyWithin(most float64) finding {
	worst := max(m.ratio.P50, m.ratio.P99)
	return finding{
		figure: "p50 and p99", skein: latency(&m.skein, p50) + ", " + latency(&m.skein, p99), other: latency(&m.other, p50) + ", " + latency(&m.other, p99),
		ratio: worst, required: fmt.Sprintf("≤ %s ×", short(most)), ok: m.ratio.P50 > 0 && m.ratio.P99 > 0 && worst <= most,
	}
}

// connectsAtLeast requires a multiple of the other's connects a second.
func (m *measured) connectsAtLeast(least float64) finding {
	f := m.connects(true)
	f.required, f.ok = fmt.Sprintf("≥ %s ×", short(least)), m.ratio.ConnectsPerSecond >= least
	return f
}

func (m *measured) memoryPerConnection(mostKB float64) finding {
	kb := func(r *load.Result) float64 {
		if r.Idle == nil {
			return 0
		}
		return r.Idle.BytesPerConnection / 1024
	}
	f := finding{
		figure: "KB/connection", skein: two(kb(&m.skein)), other: two(kb(&m.other)),
		ratio: m.ratio.BytesPerConnection, required: fmt.Sprintf("≤ %s KB", short(mostKB)),
	}
	f.ok = kb(&m.skein) > 0 && kb(&m.skein) <= mostKB
	return f
}

func (m *measured) connects(required bool) finding {
	rate := func(r *load.Result) float64 {
		if r.Idle == nil {
			return 0
		}
		return r.Idle.ConnectsPerSecond
	}
	f := finding{
		figure: "connects/s", skein: whole(rate(&m.skein)), other: whole(rate(&m.other)),
		ratio: m.ratio.ConnectsPerSecond, ok: true,
	}
	if required {
		f.required, f.ok = "≥ 1 ×", m.ratio.ConnectsPerSecond >= 1
	}
	return f
}

// memoryPerSubscription compares what is resident with many subscriptions and with few.
func (m *measured) memoryPerSubscription(more, filterBytes int, most float64) finding {
	f := finding{figure: "bytes/subscription beyond its filter", required: fmt.Sprintf("≤ %s", short(most))}
	if m.skein.Broker == nil || m.other.Broker == nil {
		return f
	}
	bytes := float64(m.skein.Broker.RSS-m.other.Broker.RSS-int64(filterBytes)) / float64(more)
	f.skein, f.ok = whole(bytes), bytes <= most
	return f
}

func p50(l *load.LatencyResult) float64 { return l.P50 }
func p99(l *load.LatencyResult) float64 { return l.P99 }

func latency(r *load.Result, get func(*load.LatencyResult) float64) string {
	if r.Latency == nil {
		return ""
	}
	return duration(get(r.Latency))
}

func latencies(a, b *load.Result, get func(*load.LatencyResult) float64) string {
	x, y := latency(a, get), latency(b, get)
	if x == "" || y == "" {
		return x
	}
	return x + " / " + y
}

// duration writes microseconds with at most three digits.
func duration(us float64) string {
	d := time.Duration(us * float64(time.Microsecond))
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func whole(x float64) string { return strconv.FormatFloat(x, 'f', 0, 64) }
func two(x float64) string   { return strconv.FormatFloat(x, 'f', 2, 64) }
func short(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }
