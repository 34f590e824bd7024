package load

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// second gives a broker another address.
func (b *testBroker) second(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.wg.Go(func() { b.acceptFrom(l) })
	t.Cleanup(func() { _ = l.Close() }) // the test is over
	return l.Addr().String()
}

func TestReconnectIsAtAnotherAddress(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	o := small(Reconnect, b.address())
	o.Addresses = append(o.Addresses, b.second(t))
	o.Clients, o.Window = 7, 3
	res := mustRun(t, o)
	if err := res.Err(); err != nil {
		t.Error(err)
	}
	if r := res.Reconnect; r == nil || r.Sessions != 7 || r.Connected != 7 || r.Present != 7 || r.ConnectsPerSecond <= 0 {
		t.Errorf("%+v", r)
	}
	if l := res.Latency; l == nil || l.Samples != 7 || l.Max <= 0 || l.P50 > l.Max {
		t.Errorf("%+v", l)
	}
	b.empty(t)
	if len(b.visits) != 7 || len(b.asked) != 7 || len(slices.Compact(slices.Sorted(slices.Values(b.asked)))) != 7 {
		t.Errorf("%d clients, filters %q", len(b.visits), b.asked)
	}
	for id, at := range b.visits {
		if len(at) != 3 || at[0] == at[1] {
			t.Errorf("%s was at %q", id, at)
		}
	}
}

func TestReconnectTellsWhatIsGone(t *testing.T) {
	res := mustRun(t, small(Reconnect, startBroker(t, faults{forget: true}, nil).address()))
	if err := res.Err(); err == nil || !strings.Contains(err.Error(), "3 sessions gone") || res.Reconnect.Connected != 3 {
		t.Errorf("%v, %+v", err, res.Reconnect)
	}
}

// One that is refused is counted, and is neither a session that is gone nor a time.
func TestReconnectCountsFailures(t *testing.T) {
	res := mustRun(t, small(Reconnect, startBroker(t, faults{shut: "r1"}, nil).address()))
	if r := res.Reconnect; r.Connected != 2 || r.Present != 2 || res.FailedConnections != 1 || res.Latency.Samples != 2 {
		t.Errorf("%+v, %+v", res, r)
	}
	if err := res.Err(); err == nil || strings.Contains(err.Error(), "gone") || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("%v", err)
	}
}

func TestAnInterruptedReconnectCleansUp(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	o := small(Reconnect, b.address())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.connected = func(id string, visit int) {
		if visit == 2 {
			cancel()
		}
	}
	o.Window = 1
	res, err := Run(ctx, o)
	if err != nil || !res.Interrupted || res.Err() != nil || res.Reconnect.Connected == 3 {
		t.Errorf("%v, %+v, %+v", err, res, res.Reconnect)
	}
	b.empty(t)
}

func TestSubscribeAsksForNewFilters(t *testing.T) {
	for _, rate := range []int{0, 2000} {
		b := startBroker(t, faults{}, nil)
		o := small(Subscribe, b.address())
		o.Addresses = append(o.Addresses, b.second(t))
		o.Rate = rate
		res := mustRun(t, o)
		if err := res.Err(); err != nil {
			t.Error(err)
		}
		s, l := res.Subscribe, res.Latency
		if s.Granted == 0 || s.GrantsPerSecond == 0 || l == nil || l.Samples != s.Granted || l.Max < l.P50 {
			t.Errorf("%+v, %+v", s, l)
		}
		if most := float64(rate) * (res.Seconds + 1); rate > 0 && float64(len(b.asked)) > most {
			t.Errorf("%d filters in %.2f s at %d a second", len(b.asked), res.Seconds, rate)
		}
		if n := len(slices.Compact(slices.Sorted(slices.Values(b.asked)))); n != len(b.asked) {
			t.Errorf("%d filters of %d are new", n, len(b.asked))
		}
		var at []string
		for _, v := range b.visits {
			at = append(at, v...)
		}
		if n := len(slices.Compact(slices.Sorted(slices.Values(at)))); n != 2 {
			t.Errorf("clients at %d addresses", n)
		}
	}
}

func TestSubscribeTellsRefusals(t *testing.T) {
	res := mustRun(t, small(Subscribe, startBroker(t, faults{suback: failure}, nil).address()))
	if err := res.Err(); err == nil || !strings.Contains(err.Error(), "refused with 0x80") || res.FailedConnections != 3 {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestSubscribeEndsWithABrokerThatDoesNotAnswer(t *testing.T) {
	o := small(Subscribe, startBroker(t, faults{deaf: true}, nil).address())
	o.Stall = 20 * time.Millisecond
	if res := mustRun(t, o); res.FailedConnections != 3 || res.Subscribe.Granted != 0 || res.Latency != nil {
		t.Errorf("%+v, %+v", res, res.Subscribe)
	}
}

func TestAnInterruptedSubscribe(t *testing.T) {
	b := startBroker(t, faults{}, nil)
	o := small(Subscribe, b.address())
	o.Rate, o.Duration = 1000, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancelIn(&o, "measuring", cancel)
	if res, err := Run(ctx, o); err != nil || !res.Interrupted || res.Err() != nil || res.Subscribe.Granted == 0 {
		t.Errorf("%v, %+v, %+v", err, res, res.Subscribe)
	}
}

// Clients take turns at a steady rate, and what waited for the SUBACK before it counts
// from when it was due.
func TestAskerPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{o: Options{Rate: 10, Clients: 5}}
		begin := time.Now()
		for i := range 5 {
			p := r.askerPace(begin, i)
			for n := range int64(3) {
				due := begin.Add(time.Duration(i)*100*time.Millisecond + time.Duration(n)*500*time.Millisecond)
				if got := p.begin.Add(p.gap * time.Duration(n+1)); !got.Equal(due) {
					t.Errorf("client %d, filter %d: %v, want %v", i, n, got.Sub(begin), due.Sub(begin))
				}
			}
			p.stop()
		}
		p := r.askerPace(begin, 0)
		defer p.stop()
		if p.late(0) != 0 || p.late(1) != 0 {
			t.Error("it is late at once")
		}
		<-time.After(700 * time.Millisecond)
		if p.late(1) != 200*time.Millisecond || p.late(2) != 0 {
			t.Errorf("late by %v and %v", p.late(1), p.late(2))
		}
		if p := newPacer(0); p.late(9) != 0 {
			t.Error("what is never due is late")
		}
	})
}

func TestHistogramKnowsTheHighest(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{5, 100_003, 7} {
		h.observe(d)
	}
	if h.highest() != 100_003 || h.quantile(1) != 100_003 {
		t.Errorf("%v, %v", h.highest(), h.quantile(1))
	}
}

// What is gone in one of several runs is gone in what is told of all.
func TestMedianKeepsSessionsThatAreGone(t *testing.T) {
	m := median([]Result{
		{Offline: &OfflineResult{Sessions: 2, Present: 2}, Reconnect: &ReconnectResult{Sessions: 5, Connected: 5, Present: 5}},
		{Offline: &OfflineResult{Sessions: 2, Present: 1}, Reconnect: &ReconnectResult{Sessions: 5, Connected: 4, Present: 3}},
	})
	if *m.Offline != (OfflineResult{Sessions: 4, Present: 3}) || *m.Reconnect != (ReconnectResult{Sessions: 10, Connected: 9, Present: 8}) {
		t.Errorf("%+v, %+v", m.Offline, m.Reconnect)
	}
}
