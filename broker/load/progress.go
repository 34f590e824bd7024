package load

import (
	"fmt"
	"time"
)

// progressEvery is how often a run says where it is.
const progressEvery = time.Second

// Progress is where a run is.
type Progress struct {
	Label       string
	Scenario    Scenario
	Phase       string        // such as "measuring"
	Elapsed     time.Duration // since the run began
	Connections int64         // made so far
	Delivered   int64         // so far
	Rate        float64       // deliveries a second since the last report
	P50, P99    time.Duration // of the latencies so far; 0 when there are none
}

// String is the progress as one line.
func (p Progress) String() string {
	s := fmt.Sprintf("%6.1fs  %-8s  %-11s  %d connections  %s msg/s", p.Elapsed.Seconds(), p.Scenario, p.Phase, p.Connections, thousands(p.Rate))
	if p.P99 > 0 {
		s += fmt.Sprintf("  p50 %v  p99 %v", p.P50, p.P99)
	}
	if p.Label != "" {
		s = p.Label + "  " + s
	}
	return s
}

func (r *run) reportProgress(stop <-chan struct{}) {
	beat := time.NewTicker(progressEvery)
	defer beat.Stop()
	last := r.moment()
	for {
		select {
		case <-stop:
			return
		case <-beat.C:
			now := r.moment()
			r.o.Progress(Progress{
				Label:       r.o.Label,
				Scenario:    r.o.Scenario,
				Phase:       r.phase.Load().(string),
				Elapsed:     now.at.Sub(r.begin),
				Connections: r.connected.Load(),
				Delivered:   now.delivered,
				Rate:        perSecond(now.delivered-last.delivered, now.at.Sub(last.at)),
				P50:         r.latency.quantile(.5),
				P99:         r.latency.quantile(.99),
			})
			last = now
		}
	}
}
