package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

// peerWithin bounds one run of what is compared with: some rows are more than it can do.
const peerWithin = 5 * time.Minute

// peerNames are what three instances of Skein can be compared with.
func peerNames() []string { return []string{"nats", "aedes"} }

// besides are the chosen ones of them.
func besides(flag string) ([]string, error) {
	var chosen []string
	for name := range strings.SplitSeq(flag, ",") {
		switch name {
		case "":
		case "nats", "aedes":
			chosen = append(chosen, name)
		default:
			return nil, fmt.Errorf("-beside: %q is none of %s", name, strings.Join(peerNames(), ", "))
		}
	}
	return chosen, nil
}

// prepareCluster finds Redis, and gets what is compared with.
func (b *benchmark) prepareCluster(ctx context.Context) error {
	redis, err := exec.LookPath(b.settings.redis)
	if err != nil {
		return fmt.Errorf("there is no Redis for the rows of a cluster (-redis): %w", err)
	}
	b.clusterVersions = append(b.clusterVersions, firstLine(ctx, redis, "--version"))
	b.peers = []peer{skeinPeer(b.binary, redis)}
	chosen, err := besides(b.settings.beside)
	if err != nil {
		return err
	}
	for _, name := range chosen {
		b.note("getting %s", name)
		var p peer
		switch name {
		case "nats":
			p = natsPeer(ctx, b.dir)
			b.clusterVersions = append(b.clusterVersions, natsModule+", JetStream with three replicas, its default sync")
		case "aedes":
			p = aedesPeer(ctx, b.dir, redis)
			b.clusterVersions = append(b.clusterVersions, strings.Join([]string{npmAedes, npmStore, npmEmitter}, ", "))
		}
		b.peers = append(b.peers, p)
	}
	return nil
}

// measureCluster runs the rows and prints their table; its error is what was missed.
func (b *benchmark) measureCluster(ctx context.Context, rows []clusterRow, stdout io.Writer) error {
	t := &clusterTable{tally: tally{w: stdout}, peers: b.peers}
	t.begin(machine(), append(b.versions[:1:1], b.clusterVersions...), b.settings)
	for i := range rows {
		results := make([]clusterResult, len(b.peers))
		for k := range b.peers {
			results[k] = b.measurePeer(ctx, &rows[i], &b.peers[k], k > 0)
			if ctx.Err() != nil {
				return errors.Join(errors.New("interrupted"), t.end())
			}
		}
		b.note("")
		t.row(&rows[i], results)
	}
	return t.end()
}

// measurePeer runs one row at one kind of cluster, started for it. What does not work is
// in the result: the other rows go on.
func (b *benchmark) measurePeer(ctx context.Context, r *clusterRow, p *peer, bounded bool) clusterResult {
	if p.absent != nil {
		return clusterResult{absent: p.absent}
	}
	c, err := p.up(ctx, b.dir)
	if err != nil {
		return clusterResult{absent: err}
	}
	o := load.Defaults()
	o.Duration, o.Label, o.Addresses, o.PIDs = b.settings.duration, p.name, c.addresses, c.pids
	r.set(&o)
	use := &redisUse{redis: c.redis}
	n := 0
	runner := func(ctx context.Context, o load.Options) (load.Result, error) {
		n++
		b.note("%s: run %d of %d, %s", r.name, n, b.settings.runs, p.name)
		if bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, peerWithin)
			defer cancel()
		}
		res, err := r.run(ctx, o, c, use)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("a run took more than %v", peerWithin)
		}
		return res, err
	}
	rep, err := load.Repeat(ctx, runner, o, nil, b.settings.runs, func(load.Result) {})
	if err != nil {
		return clusterResult{absent: errors.Join(err, c.stop())}
	}
	return clusterResult{load: rep.Median, commands: use.median(), end: c.stop()}
}

// run does one run.
func (r *clusterRow) run(ctx context.Context, o load.Options, c *cluster, u *redisUse) (load.Result, error) {
	if r.drive != nil {
		return r.drive(ctx, o, c, u)
	}
	return u.perMessage(ctx, func() (load.Result, error) { return runDriver(ctx, o) })
}
