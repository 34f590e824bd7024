package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/load"
)

// fakeBrokerArg makes the test binary a process that accepts connections and ends
// when it is told to.
const fakeBrokerArg = "fake-broker"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == driverArg:
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	case len(os.Args) > 2 && os.Args[1] == fakeBrokerArg:
		os.Exit(fakeBroker(os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

func fakeBroker(address string) int {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	l, err := net.Listen("tcp", address)
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error()) // the test misses it
		return 1
	}
	go func() {
		<-told
		_ = l.Close() // the end of the process
	}()
	for {
		if _, err := l.Accept(); err != nil {
			return 0
		}
	}
}

func TestRowsAreRight(t *testing.T) {
	names := map[string]bool{}
	for _, r := range allRows() {
		if names[r.name] {
			t.Errorf("%s is there twice", r.name)
		}
		names[r.name] = true
		for _, set := range []func(*load.Options){r.set, r.against} {
			if set == nil {
				continue
			}
			o := r.options(settings{duration: time.Second}, "x", set)
			if err := o.Validate(); err != nil || o.Label != "x" || o.Duration != time.Second {
				t.Errorf("%s: %v, %+v", r.name, err, o)
			}
		}
		if len(r.judge(newMeasured(&load.Report{Against: &load.Comparison{}}))) == 0 {
			t.Errorf("%s judges nothing", r.name)
		}
	}
	if n := len(names); n != 23 {
		t.Errorf("%d rows", n)
	}
	if r := standingRow(); r.otherLabel() != "skein --subs 1000" {
		t.Errorf("%q", r.otherLabel())
	}
}

// A row that was not measured must not pass.
func TestNothingMeasuredIsMissed(t *testing.T) {
	for _, r := range allRows() {
		ok := true
		for _, f := range r.judge(newMeasured(&load.Report{Against: &load.Comparison{}})) {
			ok = ok && (f.ok || f.required == "")
		}
		if ok {
			t.Errorf("%s passes", r.name)
		}
	}
}

func TestVerdicts(t *testing.T) {
	m := &measured{
		skein: load.Result{
			Rate: 1000, Latency: &load.LatencyResult{P50: 200, P99: 900},
			Idle: &load.IdleResult{ConnectsPerSecond: 50, BytesPerConnection: 5 * 1024}, Broker: &load.BrokerResult{RSS: 501_000},
		},
		other: load.Result{
			Rate: 100, Latency: &load.LatencyResult{P50: 220, P99: 9000},
			Idle: &load.IdleResult{ConnectsPerSecond: 60}, Broker: &load.BrokerResult{RSS: 1000},
		},
		ratio:  load.Ratio{Rate: 10, P50: 0.9, ConnectsPerSecond: 50.0 / 60},
		stored: stored{serving: 3 * time.Second, resident: 400 << 20, drained: 7},
	}
	tests := []struct {
		name string
		f    finding
		ok   bool
	}{
		{"rate", m.rate(10), true},
		{"rate too low", m.rate(10.5), false},
		{"p50", m.latencyNotAbove(), true},
		{"p99", m.p99AtMost(900), true},
		{"p99 too high", m.p99AtMost(899), false},
		{"memory", m.memoryPerConnection(5), true},
		{"memory too high", m.memoryPerConnection(4.9), false},
		{"connects", m.connects(true), false},
		{"connects told", m.connects(false), true},
		{"subscription", m.memoryPerSubscription(1000, 100_000, 400), true},
		{"subscription too large", m.memoryPerSubscription(1000, 99_000, 400), false},
		{"serving", m.servesWithin(3 * time.Second), true},
		{"serving late", m.servesWithin(2999 * time.Millisecond), false},
		{"resident", m.residentAtMost("MB", m.stored.resident, 400), true},
		{"resident too much", m.residentAtMost("MB", m.stored.resident, 399), false},
		{"drained", m.drains(7), true},
		{"not all drained", m.drains(8), false},
	}
	for _, tt := range tests {
		if tt.f.ok != tt.ok {
			t.Errorf("%s: %+v", tt.name, tt.f)
		}
	}
	if f := m.rate(10); f.p50 != "200µs / 220µs" || f.p99 != "900µs / 9ms" || f.required != "≥ 10 ×" || f.skein != "1000" {
		t.Errorf("%+v", f)
	}
}

func TestDuration(t *testing.T) {
	for us, want := range map[float64]string{123: "120µs", 9876: "9.88ms", 12_345: "12ms", 1_234_567: "1.23s"} {
		if got := duration(us); got != want {
			t.Errorf("%v: %s", us, got)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	tab := &table{tally: tally{w: &b}, other: "other"}
	tab.begin("a machine", []string{"one 1", "two 2"}, settings{runs: 3, duration: time.Second})
	r := speedRow("-s pairs", 10, nil)
	rep := load.Report{Median: load.Result{Rate: 50}, Against: &load.Comparison{Median: load.Result{Rate: 5, Label: "other", Lost: 1}, Ratio: load.Ratio{Rate: 10}}}
	tab.row(&r, &rep, stored{})
	rep.Against.Ratio.Rate = 9
	rep.Median.Lost = 4
	tab.row(&r, &rep, stored{})
	err := tab.end()
	for _, want := range []string{
		"a machine\n\n- one 1\n- two 2\n- median of 3 runs", "| `skein bench` | figure | skein | other |",
		"| `-s pairs` | msg/s | 50 | 5 | 10.00 × | ≥ 10 × | OK |", "| 9.00 × | ≥ 10 × | MISSED |",
		"- other, -s pairs: 1 messages lost", "- -s pairs: 4 messages lost",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if err == nil || err.Error() != "missed: -s pairs, msg/s\n-s pairs: 4 messages lost" {
		t.Errorf("%v", err)
	}
}

func TestWhatTheOtherBrokerLosesIsOnlyTold(t *testing.T) {
	tab := &table{tally: tally{w: io.Discard}}
	r := speedRow("x", 1, nil)
	tab.row(&r, &load.Report{Against: &load.Comparison{Median: load.Result{Lost: 1}, Ratio: load.Ratio{Rate: 2}}}, stored{})
	if err := tab.end(); err != nil {
		t.Error(err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-runs", "0"}, {"-d", "0s"}, {"-d", "x"}, {"-only", "("}, {"-only", "no such row"}, {"more"},
		{"-beside", "nats,x"}, {"-broker", "nix"}, {"-broker", "=a"}, {"-broker", "a=b,x"}, {"-broker", "a=b,0"},
	} {
		var errs strings.Builder
		if code := run(t.Context(), args, nil, io.Discard, &errs); code != 2 || !strings.Contains(errs.String(), "bench: wrong usage: ") {
			t.Errorf("%v: %d, %s", args, code, errs.String())
		}
	}
	if code := run(t.Context(), []string{"-h"}, nil, io.Discard, io.Discard); code != 0 {
		t.Errorf("-h: %d", code)
	}
	var out strings.Builder
	if code := run(t.Context(), []string{"-list", "-only", "idle"}, nil, &out, io.Discard); code != 0 || strings.Count(out.String(), "\n") != 6 {
		t.Errorf("-list: %d, %s", code, out.String())
	}
	all := settings{only: regexp.MustCompile("")}
	if c := chosen(all); len(c.rows) != len(allRows()) || len(c.cluster) != len(clusterRows()) {
		t.Errorf("%d and %d rows without -only", len(c.rows), len(c.cluster))
	}
	if all.broker = "a=b"; len(chosen(all).cluster) > 0 {
		t.Error("one address is a cluster")
	}
	var errs strings.Builder
	if code := run(t.Context(), []string{"-skein", "none", "-mosquitto", "none-either"}, nil, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), "no mosquitto") {
		t.Errorf("%d, %s", code, errs.String())
	}
}

func TestParseRunning(t *testing.T) {
	r, err := parseRunning("flash=ws://h:1/x,12,13")
	if err != nil || r.name != "flash" || r.address != "ws://h:1/x" || !slices.Equal(r.pids, []int{12, 13}) {
		t.Errorf("%+v, %v", r, err)
	}
	e, err := runningSide(r).start(t.Context())
	if err != nil || e.addresses["tcp"] != "ws://h:1/x" || e.stop() != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestDriverTellsWhatWentWrong(t *testing.T) {
	o := load.Defaults()
	o.Label = "nobody"
	o.Addresses = []string{"unix:///none"}
	if _, err := runDriver(t.Context(), o); err == nil || !strings.Contains(err.Error(), "driving nobody: exit status 1: bench: connecting") {
		t.Errorf("%v", err)
	}
	if err := drive(t.Context(), strings.NewReader("{"), io.Discard); err == nil {
		t.Error("half an object is taken")
	}
}

// An idle run of a broker that nobody reaches has a result, with what failed.
func TestDriverHandsTheResultOver(t *testing.T) {
	o := load.Defaults()
	o.Scenario, o.Clients, o.Label = load.Idle, 2, "nobody"
	o.Addresses = []string{"unix:///none"}
	o.Duration, o.Settle = time.Millisecond, 0
	res, err := runDriver(t.Context(), o)
	if err != nil || res.FailedConnections != 2 || res.Label != "nobody" || res.Idle == nil {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestBrokerProcess(t *testing.T) {
	free, err := ports("tcp", "ws")
	if err != nil {
		t.Fatal(err)
	}
	if free["tcp"] == free["ws"] {
		t.Fatal("one port twice")
	}
	delete(free, "ws")
	e, err := start(t.Context(), free, os.Args[0], fakeBrokerArg, free["tcp"])
	if err != nil {
		t.Fatal(err)
	}
	if e.addresses["tcp"] != "tcp://"+free["tcp"] || len(e.pids) != 1 {
		t.Errorf("%+v", e)
	}
	s := rowSide{endpoint: e}
	if err := errors.Join(s.stop(), s.stop()); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", free["tcp"]); err == nil {
		_ = c.Close() // it should not be there
		t.Error("it still answers")
	}
}

func TestABrokerThatDoesNotStart(t *testing.T) {
	free, err := ports("tcp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(t.Context(), free, os.Args[0], fakeBrokerArg, "nowhere"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
	if _, err := start(t.Context(), free, "none"); err == nil {
		t.Error("no binary, and it starts")
	}
}

func TestTailIsBounded(t *testing.T) {
	var log tail
	for range 100 {
		_, _ = log.Write(bytes.Repeat([]byte("x"), 1000)) // it never fails
	}
	if n := len(log.String()); n == 0 || n > tailSize+1000 {
		t.Errorf("%d bytes", n)
	}
}

func TestMachine(t *testing.T) {
	if got := processor("processor : 0\nmodel name\t: A B\nmodel name\t: C\n"); got != "A B" {
		t.Errorf("%q", got)
	}
	if processor("") == "" || strings.HasSuffix(kernel("\n"), " ") || !strings.Contains(machine(), "cores") {
		t.Errorf("%q", machine())
	}
}
