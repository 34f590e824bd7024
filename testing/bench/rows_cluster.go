package main

import (
	"context"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

// clusterPrefix begins the names of the rows that three instances and a Redis run; what
// follows are the flags of skein bench, without the addresses of all three.
const clusterPrefix = "cluster: "

// clusterRow is a scenario at clusters, and what is told of it.
type clusterRow struct {
	name    string
	set     func(*load.Options)
	figures []figure
	// drive does a run in its own way; nil is a driver in a process of its own, with the
	// commands of Redis counted around it.
	drive func(ctx context.Context, o load.Options, c *cluster, u *redisUse) (load.Result, error)
}

func clusterRows() []clusterRow {
	rows := pairRows()
	return append(rows, offlineClusterRow(), slowRow(), reconnectRow(), newFiltersRow(), restRow())
}

// pairRows are as fast as they go, publisher and subscriber at different instances.
func pairRows() []clusterRow {
	pairs := func(flags string, qos int, least float64, more ...figure) clusterRow {
		return clusterRow{
			name:    clusterPrefix + flags,
			set:     func(o *load.Options) { o.Clients, o.QoS, o.Cross = 10, qos, true },
			figures: append([]figure{messages.atLeast(least), lost.none()}, append(more, medianTime, p99Time)...),
		}
	}
	return []clusterRow{
		pairs("-s pairs -n 10 -q 0 --cross", 0, 800_000),
		pairs("-s pairs -n 10 -q 1 --cross", 1, 300_000, perMessage.below(.2)),
		pairs("-s pairs -n 10 -q 2 --cross", 2, 120_000, perMessage),
	}
}

// offlineClusterRow queues through another instance than the sessions were at, and
// drains at a third.
func offlineClusterRow() clusterRow {
	return clusterRow{
		name:    clusterPrefix + "-s offline -n 10 --subs 20000 -q 1",
		set:     func(o *load.Options) { o.Scenario, o.Clients, o.Subs, o.QoS = load.Offline, 10, 20_000, 1 },
		figures: []figure{enqueued.atLeast(100_000), drained.atLeast(100_000), lost.none(), disorder.none(), gone.none()},
	}
}

// slowRow is far below what a cluster can do: what counts is when messages arrive.
func slowRow() clusterRow {
	return clusterRow{
		name:    clusterPrefix + "-s pairs -n 10 -q 1 --cross --rate 1000",
		set:     func(o *load.Options) { o.Clients, o.QoS, o.Cross, o.Rate = 10, 1, true, 1000 },
		figures: []figure{medianTime.atMost(800 * time.Microsecond), p99Time, lost.none()},
	}
}

func reconnectRow() clusterRow {
	return clusterRow{
		name:    clusterPrefix + "-s reconnect -n 10000 --window 200",
		set:     func(o *load.Options) { o.Scenario, o.Clients, o.Window = load.Reconnect, 10_000, load.ReconnectWindow },
		figures: []figure{connects.atLeast(3000), longestTime.atMost(2 * time.Second), gone.none(), medianTime, p99Time},
	}
}

func newFiltersRow() clusterRow {
	return clusterRow{
		name:    clusterPrefix + "-s subscribe -n 10 --rate 100",
		set:     func(o *load.Options) { o.Scenario, o.Clients, o.Rate = load.Subscribe, 10, load.SubscribeRate },
		figures: []figure{p99Time.atMost(20 * time.Millisecond), medianTime, longestTime},
	}
}

// restAtLeast is how long clients rest: their Redis is looked at once a second.
const restAtLeast = 5 * time.Second

// restRow is what a cluster costs its Redis that nobody uses.
func restRow() clusterRow {
	return clusterRow{
		name: clusterPrefix + "-s idle -n 10000",
		set: func(o *load.Options) {
			o.Scenario, o.Clients, o.Duration = load.Idle, 10_000, max(o.Duration, restAtLeast)
		},
		figures: []figure{perSecond.below(50), connects},
		drive:   restingRun,
	}
}

// restingRun drives in this process, which then knows when all are connected.
func restingRun(ctx context.Context, o load.Options, c *cluster, u *redisUse) (load.Result, error) {
	m := &restCommands{redis: c.redis}
	o.Progress = func(p load.Progress) { m.progress(ctx, p) }
	res, err := load.Run(ctx, o)
	if err != nil {
		return res, err
	}
	rate, known, err := m.rate()
	if known {
		u.add(rate)
	}
	return res, err
}
