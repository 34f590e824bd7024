package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Report is one scenario, run several times.
type Report struct {
	Runs    []Result    `json:"runs"`
	Median  Result      `json:"median"` // of the figures; what went wrong is added up
	Against *Comparison `json:"against,omitempty"`
}

// Comparison is the same scenario at a second broker, its runs in turn with the first's.
type Comparison struct {
	Runs   []Result `json:"runs"`
	Median Result   `json:"median"`
	Ratio  Ratio    `json:"ratio"`
}

// Ratio is the first broker's medians over the second's. A figure that either of the
// two does not have is 0, and absent in JSON.
type Ratio struct {
	Rate               float64 `json:"rate,omitempty"`
	P50                float64 `json:"p50,omitempty"`
	P99                float64 `json:"p99,omitempty"`
	CPUMicros          float64 `json:"cpu_us_per_message,omitempty"`
	RSS                float64 `json:"rss_bytes,omitempty"`
	ConnectsPerSecond  float64 `json:"connects_per_second,omitempty"`
	BytesPerConnection float64 `json:"bytes_per_connection,omitempty"`
	EnqueueRate        float64 `json:"enqueue_rate,omitempty"`
}

// Runner does one run; [Run] is one.
type Runner func(context.Context, Options) (Result, error)

// Repeat runs a scenario several times, and with a second broker both in turn, so that
// what else the machine does meets both alike. After each run it calls seen. It ends
// early with the context, and with the first error, which it answers together with
// what there is.
func Repeat(ctx context.Context, runner Runner, o Options, against *Options, runs int, seen func(Result)) (Report, error) {
	var rep Report
	if runs < 1 {
		return rep, fmt.Errorf("--runs: %d is not above 0", runs)
	}
	if against != nil {
		rep.Against = &Comparison{}
	}
	once := func(o Options, to *[]Result) error {
		res, err := runner(ctx, o)
		if err == nil {
			*to = append(*to, res)
			seen(res)
		}
		return err
	}
	var err error
	for i := 0; i < runs && err == nil && ctx.Err() == nil; i++ {
		err = once(o, &rep.Runs)
		if against != nil && err == nil && ctx.Err() == nil {
			err = once(*against, &rep.Against.Runs)
		}
	}
	rep.summarise()
	return rep, err
}

func (rep *Report) summarise() {
	rep.Median = median(rep.Runs)
	if a := rep.Against; a != nil {
		a.Median = median(a.Runs)
		a.Ratio = ratio(&rep.Median, &a.Median)
	}
}

// Err says what went wrong in any of the runs, of either broker; nil when nothing did.
func (rep *Report) Err() error {
	var errs []error
	sides := [][]Result{rep.Runs}
	if rep.Against != nil {
		sides = append(sides, rep.Against.Runs)
	}
	for _, runs := range sides {
		for i := range runs {
			if err := runs[i].Err(); err != nil {
				errs = append(errs, fmt.Errorf("%s, run %d: %w", runs[i].Name(), i+1, err))
			}
		}
	}
	return errors.Join(errs...)
}

// figures are all that is compared, in one order for medians and ratios. A figure that
// was not measured is answered as nil.
func (res *Result) figures() []*float64 {
	all := make([]*float64, 0, 16)
	all = append(all, &res.Rate, &res.Seconds)
	if l := res.Latency; l != nil {
		all = append(all, &l.P50, &l.P99, &l.P999, &l.Max)
	} else {
		all = append(all, nil, nil, nil, nil)
	}
	if b := res.Broker; b != nil {
		all = append(all, &b.CPUMicros, &b.CPUPercent, &b.Written)
	} else {
		all = append(all, nil, nil, nil)
	}
	if d := res.Driver; d != nil {
		all = append(all, &d.CPUPercent)
	} else {
		all = append(all, nil)
	}
	if i := res.Idle; i != nil {
		all = append(all, &i.ConnectsPerSecond, &i.BytesPerConnection)
	} else {
		all = append(all, nil, nil)
	}
	if r := res.Retained; r != nil {
		all = append(all, &r.PublishSeconds)
	} else {
		all = append(all, nil)
	}
	if o := res.Offline; o != nil {
		all = append(all, &o.EnqueueRate, &o.EnqueueCPU)
	} else {
		all = append(all, nil, nil)
	}
	if r := res.Reconnect; r != nil {
		all = append(all, &r.ConnectsPerSecond)
	} else {
		all = append(all, nil)
	}
	if s := res.Subscribe; s != nil {
		all = append(all, &s.GrantsPerSecond)
	} else {
		all = append(all, nil)
	}
	return all
}

// median takes each figure's median over the runs that were not interrupted, or over
// all if none was left alone. Counters are added up over all runs.
func median(runs []Result) Result {
	if len(runs) == 0 {
		return Result{}
	}
	whole := slices.DeleteFunc(slices.Clone(runs), func(r Result) bool { return r.Interrupted })
	if len(whole) == 0 {
		whole = runs
	}
	m := whole[0].clone()
	into := m.figures()
	for i, f := range into {
		var values []float64
		for k := range whole {
			if v := whole[k].figures()[i]; v != nil {
				values = append(values, *v)
			}
		}
		if f != nil {
			*f = middle(values)
		}
	}
	m.addUp(runs)
	m.medianMemory(whole)
	return m
}

// clone copies what figures point to.
func (res *Result) clone() Result {
	c := *res
	c.Latency, c.Broker, c.Driver = copyOf(res.Latency), copyOf(res.Broker), copyOf(res.Driver)
	c.Idle, c.Retained, c.Offline = copyOf(res.Idle), copyOf(res.Retained), copyOf(res.Offline)
	c.Reconnect, c.Subscribe = copyOf(res.Reconnect), copyOf(res.Subscribe)
	return c
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// addUp has the counters be those of all runs.
func (res *Result) addUp(runs []Result) {
	res.Sent, res.Expected, res.Delivered, res.Lost = 0, 0, 0, 0
	res.Duplicates, res.Disorder, res.Refused, res.Unexpected = 0, 0, 0, 0
	res.FailedConnections, res.FirstFailure = 0, ""
	for i := range runs {
		r := &runs[i]
		res.Sent += r.Sent
		res.Expected += r.Expected
		res.Delivered += r.Delivered
		res.Lost += r.Lost
		res.Duplicates += r.Duplicates
		res.Disorder += r.Disorder
		res.Refused += r.Refused
		res.Unexpected += r.Unexpected
		res.FailedConnections += r.FailedConnections
		res.Stalled = res.Stalled || r.Stalled
		res.Interrupted = res.Interrupted || r.Interrupted
		if res.FirstFailure == "" {
			res.FirstFailure = r.FirstFailure
		}
	}
	res.addUpSessions(runs)
}

// addUpSessions has those that are gone in any run be gone.
func (res *Result) addUpSessions(runs []Result) {
	if res.Offline != nil {
		res.Offline.Sessions, res.Offline.Present = 0, 0
	}
	if res.Reconnect != nil {
		res.Reconnect.Sessions, res.Reconnect.Connected, res.Reconnect.Present = 0, 0, 0
	}
	for i := range runs {
		if o := runs[i].Offline; o != nil && res.Offline != nil {
			res.Offline.Sessions += o.Sessions
			res.Offline.Present += o.Present
		}
		if r := runs[i].Reconnect; r != nil && res.Reconnect != nil {
			res.Reconnect.Sessions += r.Sessions
			res.Reconnect.Connected += r.Connected
			res.Reconnect.Present += r.Present
		}
	}
}

func (res *Result) medianMemory(runs []Result) {
	if res.Broker == nil {
		return
	}
	var rss []float64
	for i := range runs {
		if b := runs[i].Broker; b != nil {
			rss = append(rss, float64(b.RSS))
			res.Broker.PeakRSS = max(res.Broker.PeakRSS, b.PeakRSS)
		}
	}
	res.Broker.RSS = int64(middle(rss))
}

// middle is the median; of an even number of values the mean of the two in the middle,
// of none 0.
func middle(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	switch n := len(v); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (v[n/2-1] + v[n/2]) / 2
	default:
		return v[n/2]
	}
}

func ratio(a, b *Result) Ratio {
	var r Ratio
	r.Rate = over(a.Rate, b.Rate)
	if a.Latency != nil && b.Latency != nil {
		r.P50, r.P99 = over(a.Latency.P50, b.Latency.P50), over(a.Latency.P99, b.Latency.P99)
	}
	if a.Broker != nil && b.Broker != nil {
		r.CPUMicros = over(a.Broker.CPUMicros, b.Broker.CPUMicros)
		r.RSS = over(float64(a.Broker.RSS), float64(b.Broker.RSS))
	}
	r.ConnectsPerSecond = over(a.connectRate(), b.connectRate())
	if a.Idle != nil && b.Idle != nil {
		r.BytesPerConnection = over(a.Idle.BytesPerConnection, b.Idle.BytesPerConnection)
	}
	if a.Offline != nil && b.Offline != nil {
		r.EnqueueRate = over(a.Offline.EnqueueRate, b.Offline.EnqueueRate)
	}
	return r
}

// over is a/b, and 0 where that says nothing.
func over(a, b float64) float64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	return a / b
}
