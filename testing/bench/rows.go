package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/skeinmq/skein/broker/load"
)

// row is one scenario, measured at two brokers or with two settings, and what is
// required of it.
type row struct {
	name   string // the flags of skein bench that repeat it, without addresses
	scheme string // of the listener: tcp, ws or ssl
	set    func(*load.Options)
	// against sets the options of the other side where that is Skein too; nil is the
	// other broker with the same options.
	against func(*load.Options)
	// own measures Skein alone, in its own way; nil is what set says.
	own    func(ctx context.Context, b *benchmark) (load.Report, stored, error)
	fresh  bool // a broker just started for every run, because memory is measured
	access bool // the first side has users and rules, see writeAccess; the other has them too if there is a storm
	storm  int  // wrong passwords a second at the first side meanwhile
	judge  func(m *measured) []finding
}

func allRows() []row {
	rows := append(speedRows(), latencyRow())
	rows = append(rows, idleRows()...)
	rows = append(rows, standingRow())
	rows = append(rows, accessRows()...)
	return append(append(rows, durableRows()...), apiRow())
}

// speedRow is a row whose messages a second are compared.
func speedRow(args string, least float64, set func(*load.Options)) row {
	return row{name: args, scheme: "tcp", set: set, judge: func(m *measured) []finding {
		return []finding{m.rate(least)}
	}}
}

func speedRows() []row {
	scenario := func(s load.Scenario, n, qos int) func(*load.Options) {
		return func(o *load.Options) { o.Scenario, o.Clients, o.QoS = s, n, qos }
	}
	return []row{
		speedRow("-s pairs -n 10 -q 0", 16, scenario(load.Pairs, 10, 0)),
		speedRow("-s pairs -n 10 -q 1", 14, scenario(load.Pairs, 10, 1)),
		speedRow("-s pairs -n 10 -q 2", 25, scenario(load.Pairs, 10, 2)),
		speedRow("-s fanout -n 50 -q 0", 20, scenario(load.Fanout, 50, 0)),
		speedRow("-s fanout -n 50 -q 1", 8, scenario(load.Fanout, 50, 1)),
		speedRow("-s fanin -n 50 -q 0", 10, scenario(load.Fanin, 50, 0)),
		speedRow("-s fanin -n 50 -q 1", 20, scenario(load.Fanin, 50, 1)),
		speedRow("-s wild -n 10 --subs 50000 -q 0", 10, func(o *load.Options) {
			o.Scenario, o.Clients, o.Subs = load.Wild, 10, 50_000
		}),
		speedRow("-s pairs -n 10 -q 0 --size 4096 --window 100", 2, func(o *load.Options) {
			o.Clients, o.Size, o.Window = 10, 4096, 100
		}),
		speedRow("-s retained --subs 500000", 3, func(o *load.Options) {
			o.Scenario, o.Subs = load.Retained, 500_000
		}),
		speedRow("-s pairs -n 500 --window 2 -q 1", 1.2, func(o *load.Options) {
			o.Clients, o.Window, o.QoS = 500, 2, 1
		}),
	}
}

// latencyRow is far below what either broker can do: what counts is when messages arrive.
func latencyRow() row {
	const mostP99 = 1000 // microseconds
	return row{
		name:   "-s pairs -n 10 -q 1 --rate 10000",
		scheme: "tcp",
		set:    func(o *load.Options) { o.Clients, o.QoS, o.Rate = 10, 1, 10_000 },
		judge: func(m *measured) []finding {
			return []finding{m.latencyNotAbove(), m.p99AtMost(mostP99)}
		},
	}
}

// idleRows are what an idle connection costs over each transport.
func idleRows() []row {
	var rows []row
	for _, t := range []struct {
		scheme string
		mostKB float64
	}{{"tcp", 6}, {"ws", 8}, {"ssl", 18}} {
		name := "-s idle -n 10000"
		if t.scheme != "tcp" {
			name += " --addr " + t.scheme + "://"
		}
		rows = append(rows, row{
			name: name, scheme: t.scheme, fresh: true,
			set: func(o *load.Options) { o.Scenario, o.Clients, o.Insecure = load.Idle, 10_000, true },
			judge: func(m *measured) []finding {
				return []finding{m.memoryPerConnection(t.mostKB), m.connects(t.scheme == "tcp")}
			},
		})
	}
	return rows
}

// standingRow holds Skein against itself: subscriptions that do not match must not
// cost time, and little memory.
func standingRow() row {
	const many, few = 1_000_000, 1000
	wild := func(subs int) func(*load.Options) {
		return func(o *load.Options) { o.Scenario, o.Clients, o.Subs = load.Wild, 10, subs }
	}
	return row{
		name:   fmt.Sprintf("-s wild -n 10 --subs %d, against --subs %d", many, few),
		scheme: "tcp", fresh: true, set: wild(many), against: wild(few),
		judge: func(m *measured) []finding {
			return []finding{m.rate(1 / 1.5), m.memoryPerSubscription(many-few, filterBytes(few, many), 400)}
		},
	}
}

// filterBytes is how long the filters of the standing subscriptions are, together.
func filterBytes(from, to int) int {
	n := 0
	for i := from; i < to; i++ {
		n += len(load.StandingFilter(i))
	}
	return n
}

// options are those of one side of a row.
func (r *row) options(s settings, label string, set func(*load.Options)) load.Options {
	o := load.Defaults()
	o.Duration = s.duration
	o.Label = label
	set(&o)
	return o
}

// otherLabel names the second side where that is Skein too, by the end of the row's name.
func (r *row) otherLabel() string {
	_, with, _ := strings.Cut(r.name, ", against ")
	return "skein " + with
}
