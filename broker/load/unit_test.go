package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestStream(t *testing.T) {
	tests := []struct {
		name string
		in   []uint64
		want []verdict
		lost int
	}{
		{"in order", []uint64{0, 1, 2}, []verdict{inOrder, inOrder, inOrder}, 0},
		{"gap", []uint64{0, 3}, []verdict{inOrder, inOrder}, 2},
		{"swap", []uint64{0, 2, 1, 3}, []verdict{inOrder, inOrder, overtaken, inOrder}, 0},
		{"repeated", []uint64{0, 0, 1, 0}, []verdict{inOrder, repeated, inOrder, repeated}, 0},
		{"late and repeated", []uint64{1, 0, 0}, []verdict{inOrder, overtaken, repeated}, 0},
	}
	for _, tt := range tests {
		var s stream
		var got []verdict
		for _, seq := range tt.in {
			got = append(got, s.mark(seq))
		}
		if !slices.Equal(got, tt.want) || len(s.missing) != tt.lost {
			t.Errorf("%s: %v, missing %v", tt.name, got, s.missing)
		}
	}
}

func TestStreamRemembersABoundedNumber(t *testing.T) {
	var s stream
	s.mark(10 * maxMissing)
	if len(s.missing) != maxMissing {
		t.Errorf("%d missing", len(s.missing))
	}
}

func TestGroup(t *testing.T) {
	g := newGroup(2)
	a, b := g.member(), g.member()
	var got []verdict
	commit := func(m *member, ns ...note) {
		m.notes = append(m.notes, ns...)
		m.commit(func(_ int, v verdict) { got = append(got, v) })
	}
	commit(b, note{0, 1}, note{0, 3}, note{1, 0}) // what comes after gaps that others fill
	commit(a, note{0, 0}, note{0, 2})             // fills them: in order for this member
	commit(b, note{0, 2}, note{0, 5}, note{0, 4}) // one that a had, two swapped
	want := []verdict{inOrder, inOrder, inOrder, inOrder, inOrder, repeated, inOrder, overtaken}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestOrderWord(t *testing.T) {
	b := make([]byte, orderSize)
	putOrder(b, 999_999, seqMask)
	if p, seq := readOrder(b); p != 999_999 || seq != seqMask {
		t.Errorf("%d, %d", p, seq)
	}
}

func TestBitmap(t *testing.T) {
	b := newBitmap(65)
	for seq, want := range map[uint64]verdict{0: inOrder, 64: inOrder, 128: repeated, math.MaxUint64: repeated} {
		if got := b.mark(seq); got != want {
			t.Errorf("%d: %d", seq, got)
		}
	}
	if b.mark(64) != repeated {
		t.Error("64 again")
	}
}

func TestGateHoldsBack(t *testing.T) {
	g := newGate(4, 2, 3)
	if n := g.room(0); n != 3 {
		t.Errorf("room %d, want the 3 that may be unacknowledged", n)
	}
	g.acknowledge(3)
	if n := g.room(3); n != 1 {
		t.Errorf("room %d, want 1 of the window of 4", n)
	}
	g.deliver(1)
	if n := g.room(3); n != 1 {
		t.Errorf("room %d, half of a fan is no delivery", n)
	}
	g.deliver(1)
	if n := g.room(3); n != 2 {
		t.Errorf("room %d, want 2", n)
	}
	if u := newGate(unbounded, 1, unbounded); u.room(1<<40) < 1<<40 {
		t.Error("unbounded is bounded")
	}
}

func TestGateWakes(t *testing.T) {
	for name, release := range map[string]func(*gate){
		"delivery":        func(g *gate) { g.deliver(1) },
		"acknowledgement": func(g *gate) { g.acknowledge(1) },
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(unbounded, 1, unbounded)
			if name == "delivery" {
				g.window = 5
			} else {
				g.inflight = 5
			}
			open := make(chan bool)
			go func() { open <- g.wait(5, nil) }()
			synctest.Wait()
			release(g)
			if !<-open {
				t.Error(name)
			}
		})
	}
	stop := make(chan struct{})
	close(stop)
	if newGate(1, 1, unbounded).wait(1, stop) {
		t.Error("stopped, and it waited")
	}
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(10 * time.Millisecond)
		defer p.stop()
		for sent := range int64(5) {
			if n := p.due(sent); n != 0 {
				t.Fatalf("%d due after %d", n, sent)
			}
			if !p.wait(sent, nil) || p.due(sent) != 1 {
				t.Fatalf("not due after the wait for %d", sent)
			}
		}
		if d := time.Since(p.begin); d != 50*time.Millisecond {
			t.Errorf("five messages took %v", d)
		}
		stop := make(chan struct{})
		close(stop)
		if p.wait(5, stop) {
			t.Error("stopped, and it waited")
		}
	})
}

func TestFrameReader(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 300)
	raw := slices.Concat(frame(headPingreq, nil), frame(headPublish, long), frame(headPuback, []byte{0, 1}))
	for name, src := range map[string]io.Reader{
		"at once": bytes.NewReader(raw), "byte by byte": iotest.OneByteReader(bytes.NewReader(raw)),
		"error with the data": iotest.DataErrReader(bytes.NewReader(raw)),
	} {
		r := frameReader{src: src, buf: make([]byte, 16)}
		for _, want := range []struct {
			head byte
			body []byte
		}{{headPingreq, nil}, {headPublish, long}, {headPuback, []byte{0, 1}}} {
			head, body, err := r.read()
			if err != nil || head != want.head || !bytes.Equal(body, want.body) {
				t.Fatalf("%s: %x, %d bytes, %v", name, head, len(body), err)
			}
		}
		if _, _, err := r.read(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v at the end", name, err)
		}
	}
	r := frameReader{src: bytes.NewReader([]byte{0x30, 128, 128, 128, 128, 1}), buf: make([]byte, 16)}
	if _, _, err := r.read(); !errors.Is(err, errMalformed) {
		t.Errorf("a length of five bytes: %v", err)
	}
}

func TestSplitPublishOfBadFrames(t *testing.T) {
	for _, body := range [][]byte{nil, {0}, {0, 5, 'a'}, {0, 1, 'a', 0}, {0, 1, 'a', 0, 1}, {0, 1, 'a', 0, 1, 9}, {0, 1, 'a', 0, 1, 128}} {
		if _, _, _, err := splitPublish(MQTT5, headPublish|1<<qosShift, body); err == nil {
			t.Errorf("%v is taken", body)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	if h.quantile(.5) != 0 {
		t.Error("an empty one has a median")
	}
	for range 99 {
		h.observe(100 * time.Microsecond)
	}
	h.observe(-time.Second)
	h.observe(1000 * time.Hour)
	if q := h.quantile(.5); q < 100*time.Microsecond || q > 107*time.Microsecond {
		t.Errorf("median %v", q)
	}
	if q := h.quantile(1); q < time.Hour {
		t.Errorf("maximum %v", q)
	}
	for d := time.Microsecond; d < time.Hour; d += d/5 + 1 {
		if b := bucketOf(d); edge(b) <= d || b > 0 && edge(b-1) > d {
			t.Errorf("%v is in bucket %d, up to %v", d, b, edge(b))
		}
	}
}

func TestProcessFiles(t *testing.T) {
	cpu, err := parseStat([]byte("12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0"))
	if err != nil || cpu != 2*time.Second {
		t.Errorf("%v, %v", cpu, err)
	}
	for _, bad := range []string{"", "1 (x) S 1", "1 (x) S 1 2 3 4 5 6 7 8 9 10 a 50", "1 (x) S 1 2 3 4 5 6 7 8 9 10 1 b"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if rss, peak := parseStatus("Name:\tx\nVmHWM:\t 20 kB\nVmRSS:\t 10 kB\n"); rss != 10<<10 || peak != 20<<10 {
		t.Errorf("%d, %d", rss, peak)
	}
}

func TestUsage(t *testing.T) {
	if !canMeasureProcesses {
		if u, err := usageOf([]int{1}); err != nil || u != (usage{}) {
			t.Errorf("%+v, %v", u, err)
		}
		return
	}
	u, err := usageOf([]int{os.Getpid()})
	if err != nil || u.rss == 0 || u.peak < u.rss {
		t.Errorf("%+v, %v", u, err)
	}
	b := startBroker(t, faults{}, nil)
	o := small(Idle, b.address())
	o.PIDs = []int{math.MaxInt32}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--pid") {
		t.Errorf("%v", err)
	}
	o.PIDs = []int{os.Getpid()}
	if res := mustRun(t, o); res.Broker == nil || res.Broker.RSS == 0 || res.Broker.PeakRSS == 0 {
		t.Errorf("%+v", res.Broker)
	}
}

func TestValidate(t *testing.T) {
	if o := Defaults(); o.Validate() != nil {
		t.Fatal(o.Validate())
	}
	tests := []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Addresses = nil }, "--addr"},
		{func(o *Options) { o.Addresses = []string{"http://x"} }, "--addr"},
		{func(o *Options) { o.Scenario = "swim" }, "--scenario"},
		{func(o *Options) { o.Clients = 0 }, "--clients"},
		{func(o *Options) { o.Members = 0 }, "--members"},
		{func(o *Options) { o.Subs = 0 }, "--subs"},
		{func(o *Options) { o.QoS = 3 }, "--qos"},
		{func(o *Options) { o.SubQoS = -2 }, "--sq"},
		{func(o *Options) { o.Size = -1 }, "--size"},
		{func(o *Options) { o.Window = 0 }, "--window"},
		{func(o *Options) { o.Rate = -1 }, "--rate"},
		{func(o *Options) { o.Duration = 0 }, "--duration"},
		{func(o *Options) { o.Warmup = -1 }, "--warmup"},
		{func(o *Options) { o.Settle = -1 }, "--settle"},
		{func(o *Options) { o.Stall = 0 }, "--stall"},
		{func(o *Options) { o.Version = 3 }, "--mqtt"},
		{func(o *Options) { o.Password = "x" }, "--password"},
		{func(o *Options) { o.CertFile = "x" }, "--cert"},
		{func(o *Options) { o.PIDs = []int{0} }, "--pid"},
		{func(o *Options) { o.Cross = true }, "--cross"},
		{func(o *Options) { o.Scenario = Offline }, "--qos"},
		{func(o *Options) { o.Leave = true }, "--leave"},
		{func(o *Options) { o.Scenario, o.QoS, o.Return = Offline, 1, true }, "--return"},
		{func(o *Options) { o.Scenario, o.Size = Shared, 4 }, "--size"},
	}
	for _, tt := range tests {
		o := Defaults()
		tt.change(&o)
		if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), tt.want+":") {
			t.Errorf("want %s: %v", tt.want, err)
		}
	}
	o := Options{SubQoS: -5, QoS: -1}
	if err := o.Validate(); len(strings.Split(err.Error(), "\n")) < 8 {
		t.Errorf("not all at once: %v", err)
	}
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("it runs")
	}
}

func TestVersions(t *testing.T) {
	for in, want := range map[string]Version{"3.1.1": MQTT311, "v5": MQTT5, "5.0": MQTT5, "V3.1.1": MQTT311} {
		if v, err := ParseVersion(in); err != nil || v != want {
			t.Errorf("%s: %v, %v", in, v, err)
		}
	}
	if _, err := ParseVersion("4"); err == nil || Version(9).String() != "level 9" {
		t.Error("4 is taken")
	}
}

func TestConnectFrame(t *testing.T) {
	o := Options{Version: MQTT5, User: "u", Password: "pw"}
	want := []byte("\x10\x1b\x00\x04MQTT\x05\xc0\x00\x00\x05\x11\x00\x00\x0e\x10\x00\x02id\x00\x01u\x00\x02pw")
	if got := connectFrame(&o, "id", keptSession); !bytes.Equal(got, want) {
		t.Errorf("%q", got)
	}
	o = Options{Version: MQTT311}
	if got, want := connectFrame(&o, "i", cleanSession), "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01i"; string(got) != want {
		t.Errorf("%q", got)
	}
}

// canned is a runner that answers what is given, a call each.
func canned(results ...Result) Runner {
	i := 0
	return func(_ context.Context, o Options) (Result, error) {
		r := results[i%len(results)]
		r.Label = o.Label
		i++
		return r, nil
	}
}

func TestRepeatAlternatesAndCompares(t *testing.T) {
	latency := func(p50 float64) *LatencyResult { return &LatencyResult{P50: p50, P99: 10 * p50} }
	runner := canned(
		Result{Rate: 300, Latency: latency(1), Lost: 1}, Result{Rate: 10, Latency: latency(4)},
		Result{Rate: 100, Latency: latency(3)}, Result{Rate: 30, Latency: latency(8)},
		Result{Rate: 200, Latency: latency(2), Lost: 1}, Result{Rate: 20},
	)
	var order []string
	rep, err := Repeat(t.Context(), runner, Options{Label: "a"}, &Options{Label: "b"}, 3, func(r Result) { order = append(order, r.Label) })
	if err != nil || strings.Join(order, "") != "ababab" {
		t.Fatalf("%v, %v", order, err)
	}
	if rep.Median.Rate != 200 || rep.Median.Latency.P50 != 2 || rep.Median.Lost != 2 || rep.Against.Median.Rate != 20 {
		t.Errorf("%+v, %+v", rep.Median, rep.Against.Median)
	}
	if r := rep.Against.Ratio; r.Rate != 10 || r.P50 != 2.0/6 || r.P99 != 20.0/60 || r.RSS != 0 {
		t.Errorf("%+v", r)
	}
	if rep.Runs[0].Latency.P50 != 1 {
		t.Error("the median has changed a run")
	}
	if err := rep.Err(); err == nil || !strings.Contains(err.Error(), "a, run 1: 1 messages lost\na, run 3") {
		t.Errorf("%v", err)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := middle(tt.in); got != tt.want {
			t.Errorf("%v: %v", tt.in, got)
		}
	}
	m := median([]Result{
		{Rate: 1, Broker: &BrokerResult{RSS: 10, PeakRSS: 50}},
		{Rate: 9, Interrupted: true, FailedConnections: 2, FirstFailure: "f"},
		{Rate: 3, Broker: &BrokerResult{RSS: 30, PeakRSS: 40}},
	})
	if m.Rate != 2 || !m.Interrupted || m.FailedConnections != 2 || m.FirstFailure != "f" || m.Broker.RSS != 20 || m.Broker.PeakRSS != 50 {
		t.Errorf("%+v, %+v", m, m.Broker)
	}
	if m := median([]Result{{Rate: 7, Interrupted: true}}); m.Rate != 7 {
		t.Errorf("%+v", m)
	}
}

// Each figure of a result has a place in figures: one that is forgotten would stay
// that of the first run.
func TestEveryFigureIsCompared(t *testing.T) {
	res := Result{
		Latency: &LatencyResult{}, Broker: &BrokerResult{}, Driver: &DriverResult{},
		Idle: &IdleResult{}, Retained: &RetainedResult{}, Offline: &OfflineResult{},
		Reconnect: &ReconnectResult{}, Subscribe: &SubscribeResult{},
	}
	floats := 0
	v := reflect.ValueOf(res)
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Float64 {
			floats++
		}
		if f.Kind() == reflect.Pointer {
			for k := range f.Elem().NumField() {
				if f.Elem().Field(k).Kind() == reflect.Float64 {
					floats++
				}
			}
		}
	}
	if n := len(res.figures()); n != floats || slices.Contains(res.figures(), nil) {
		t.Errorf("%d figures of %d", n, floats)
	}
	if n := len((&Result{}).figures()); n != floats {
		t.Errorf("%d figures of %d when they are absent", n, floats)
	}
}

func TestRepeatEndsEarly(t *testing.T) {
	broken := errors.New("broken")
	calls := 0
	runner := func(context.Context, Options) (Result, error) {
		if calls++; calls == 3 {
			return Result{}, broken
		}
		return Result{Rate: 5}, nil
	}
	rep, err := Repeat(t.Context(), runner, Options{}, nil, 9, func(Result) {})
	if !errors.Is(err, broken) || len(rep.Runs) != 2 || rep.Median.Rate != 5 {
		t.Errorf("%v, %+v", err, rep)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rep, err = Repeat(ctx, canned(Result{}), Options{}, &Options{}, 9, func(Result) { cancel() })
	if err != nil || len(rep.Runs) != 1 || len(rep.Against.Runs) != 0 {
		t.Errorf("%v, %+v", err, rep)
	}
	if _, err = Repeat(t.Context(), runner, Options{}, nil, 0, nil); err == nil {
		t.Error("no runs are taken")
	}
}

func TestTable(t *testing.T) {
	rep := Report{Against: &Comparison{}}
	rep.Runs = []Result{{Label: "one", Scenario: Pairs, MQTT: "5", Clients: 10, QoS: 1, SubQoS: 2, Size: 64, Rate: 1234567, Lost: 2,
		Latency: &LatencyResult{P50: 100, P99: 1500, P999: 2000}}}
	rep.Runs = append(rep.Runs, rep.Runs[0])
	rep.Runs[1].Interrupted = true
	rep.Against.Runs = []Result{{Addresses: []string{"a:1", "b:2"}, Rate: 100, Broker: &BrokerResult{CPUMicros: 1.5, CPUPercent: 99, RSS: 3 << 20, PeakRSS: 4 << 20}}}
	rep.summarise()
	var b strings.Builder
	if err := rep.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"pairs, 10 clients, MQTT 5, QoS 1, 64 bytes, subscriptions QoS 2\n\n",
		"msg/s", "1,234,567", "100µs", "1.5ms", "median", "2 (interrupted)", "a:1,b:2", "1.50", "3.0", "ratio", "12345.67 x", "lost",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	for _, not := range []string{"connects/s", "duplicates"} {
		if strings.Contains(b.String(), not) {
			t.Errorf("%q in\n%s", not, b.String())
		}
	}
	b.Reset()
	if err := (&Report{}).WriteTable(&b); err != nil || b.String() != "nothing was measured\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	if err := rep.WriteTable(brokenWriter{}); err == nil {
		t.Error("a write that failed is not told")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestTableOfScenarios(t *testing.T) {
	for want, res := range map[string]Result{
		"connects/s":    {Idle: &IdleResult{ConnectsPerSecond: 10, BytesPerConnection: 2048}},
		"publish s":     {Retained: &RetainedResult{PublishSeconds: 1}},
		"enqueue msg/s": {Offline: &OfflineResult{EnqueueRate: 1}},
		"disorder":      {Disorder: 1},
		"2 of 3":        {Reconnect: &ReconnectResult{Sessions: 3, Connected: 3, Present: 2}},
		"1,234":         {Reconnect: &ReconnectResult{ConnectsPerSecond: 1234}},
		"granted/s":     {Subscribe: &SubscribeResult{GrantsPerSecond: 100}},
		"max":           {Latency: &LatencyResult{Max: 5}},
	} {
		rep := Report{Runs: []Result{res}}
		var b strings.Builder
		if err := rep.WriteTable(&b); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%v, no %q in\n%s", err, want, b.String())
		}
	}
}

func TestThousands(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568", -123456: "-123,456"} {
		if got := thousands(x); got != want {
			t.Errorf("%v: %s", x, got)
		}
	}
}

func TestProgressLine(t *testing.T) {
	p := Progress{Label: "x", Scenario: Pairs, Phase: "measuring", Elapsed: 1500 * time.Millisecond, Connections: 20, Rate: 5000, P50: time.Millisecond, P99: time.Second}
	if got, want := p.String(), "x     1.5s  pairs     measuring    20 connections  5,000 msg/s  p50 1ms  p99 1s"; got != want {
		t.Errorf("%q", got)
	}
}
