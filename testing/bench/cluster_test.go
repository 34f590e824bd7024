package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

func TestClusterRowsAreRight(t *testing.T) {
	names := map[string]bool{}
	for _, r := range clusterRows() {
		if names[r.name] || !strings.HasPrefix(r.name, clusterPrefix) {
			t.Errorf("%s is there twice, or named as a row of one node", r.name)
		}
		names[r.name] = true
		o := load.Defaults()
		o.Duration = time.Second
		o.Addresses = []string{"a:1", "b:1", "c:1"}
		r.set(&o)
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		required := 0
		for _, f := range r.figures {
			if f.required != "" {
				required++
			}
		}
		if required == 0 {
			t.Errorf("%s requires nothing", r.name)
		}
	}
	if len(names) != 8 {
		t.Errorf("%d rows", len(names))
	}
}

// A cluster that was not measured, or has nothing to say, passes nothing.
func TestNothingMeasuredAtClustersIsMissed(t *testing.T) {
	for _, res := range []clusterResult{{}, {absent: errors.New("none")}} {
		for _, r := range clusterRows() {
			tab := &clusterTable{tally: tally{w: io.Discard}, peers: []peer{{name: "skein"}}}
			tab.row(&r, []clusterResult{res})
			for _, f := range r.figures {
				if f.required != "" && !strings.Contains(strings.Join(tab.missed, "\n"), r.name+", "+f.title) {
					t.Errorf("%s, %s passes", r.name, f.title)
				}
			}
		}
	}
}

func TestFigures(t *testing.T) {
	a, b := .2, 49.9
	r := &clusterResult{commands: &a, load: load.Result{
		Rate: 1000, Expected: 10, Lost: 1, Latency: &load.LatencyResult{P50: 800, P99: 900, Max: 2e6},
		Offline: &load.OfflineResult{Sessions: 9, Present: 7, EnqueueRate: 50},
	}}
	back := &clusterResult{load: load.Result{Reconnect: &load.ReconnectResult{Sessions: 5, Connected: 4, Present: 3, ConnectsPerSecond: 70}}}
	rests := &clusterResult{load: load.Result{Idle: &load.IdleResult{ConnectsPerSecond: 30}}, commands: &b}
	for _, tt := range []struct {
		f    figure
		of   *clusterResult
		text string
		ok   bool
	}{
		{messages.atLeast(1000), r, "1000", true},
		{messages.atLeast(1001), r, "1000", false},
		{enqueued.atLeast(50), r, "50", true},
		{drained.atLeast(1001), r, "1000", false},
		{lost.none(), r, "1", false},
		{disorder.none(), r, "0", true},
		{gone.none(), r, "2", false},
		{gone.none(), back, "2", false},
		{medianTime.atMost(800 * time.Microsecond), r, "800µs", true},
		{p99Time.atMost(899 * time.Microsecond), r, "900µs", false},
		{longestTime.atMost(2 * time.Second), r, "2s", true},
		{perMessage.below(.2), r, "0.200", false},
		{perSecond.below(50), rests, "49.9", true},
		{connects.atLeast(70), back, "70", true},
		{connects.atLeast(31), rests, "30", false},
	} {
		v, known := tt.f.value(tt.of)
		if !known || tt.f.text(v) != tt.text || tt.f.ok(v) != tt.ok {
			t.Errorf("%s %s: %s, known %v, ok %v", tt.f.title, tt.f.required, tt.f.text(v), known, tt.f.ok(v))
		}
	}
	if f := medianTime.atMost(800 * time.Microsecond); f.required != "≤ 800µs" || messages.required != "" {
		t.Errorf("%q, %q", f.required, messages.required)
	}
}

func TestClusterTable(t *testing.T) {
	var b strings.Builder
	tab := &clusterTable{tally: tally{w: &b}, peers: []peer{{name: "skein"}, {name: "one"}, {name: "two"}}}
	tab.begin("a machine", []string{"redis 1"}, settings{runs: 3, duration: time.Second})
	r := clusterRow{name: clusterPrefix + "-s pairs", figures: []figure{messages.atLeast(100), lost.none(), p99Time}}
	fast := load.Result{Rate: 200, Expected: 9, Latency: &load.LatencyResult{P99: 1000}}
	slow := load.Result{Rate: 50, Expected: 9, Lost: 4}
	if got := ratioText(.00123); got != "0.00123 ×" || ratioText(0) != "" {
		t.Errorf("%q", got)
	}
	tab.row(&r, []clusterResult{{load: fast}, {load: slow}, {absent: errors.New("not to be had")}})
	tab.row(&r, []clusterResult{{load: slow, end: errors.New("did not end")}, {load: fast}, {load: fast}})
	err := tab.end()
	for _, want := range []string{
		"a machine\n\n- redis 1\n- 3 instances", "median of 3 runs, 1s each",
		"| figure | skein | required | verdict | one | ratio | two | ratio |\n|---|---|--:|--:|---|--:|--:|--:|--:|\n",
		"| `-s pairs` | msg/s | 200 | ≥ 100 | OK | 50 | 4.00 × | not measured |  |\n|  | lost | 0 | 0 | OK | 4 |  | not measured |  |\n|  | p99 | 1ms |  |  |  |  | not measured |  |\n",
		"| msg/s | 50 | ≥ 100 | MISSED | 200 | 0.25 × | 200 | 0.25 × |",
		"- one, cluster: -s pairs: 4 messages lost\n- two, cluster: -s pairs: not to be had\n", "- cluster: -s pairs: 4 messages lost\ndid not end",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	want := "missed: cluster: -s pairs, msg/s\nmissed: cluster: -s pairs, lost\ncluster: -s pairs: 4 messages lost\ndid not end"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestSumCalls(t *testing.T) {
	n, err := sumCalls("# Commandstats\r\ncmdstat_evalsha:calls=12,usec=5,usec_per_call=0.1\r\ncmdstat_client|id:calls=3,usec=1\r\n")
	if n != 15 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"cmdstat_x:usec=1\r\n", "cmdstat_x:calls=a,usec=1", "cmdstat_x"} {
		if _, err := sumCalls("# Commandstats\r\n" + bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := sumCalls("cmdstat_x:calls=1,usec=1"); err == nil {
		t.Error("it is not the section")
	}
}

func TestReadBulk(t *testing.T) {
	if s, err := readBulk(bufio.NewReader(strings.NewReader("$3\r\nabc\r\n"))); s != "abc" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	for _, bad := range []string{"", "$3\r\nab", "-NOAUTH no\r\n", "$-1\r\n", "$x\r\n", "$99999999999\r\n", "3\r\nabc"} {
		if s, err := readBulk(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q is %q", bad, s)
		}
	}
}

// answering is a server that reads once from each connection and answers, in turn.
func answering(t *testing.T, answers ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() }) // ends Accept
	wg.Go(func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var b [256]byte
			_, _ = c.Read(b[:])                                       // the answer is the same
			_, _ = io.WriteString(c, answers[min(i, len(answers)-1)]) // who does not get it says so
			_ = c.Close()                                             // it was answered
		}
	})
	return l.Addr().String()
}

// info is what Redis answers that has carried out as many commands.
func info(calls int) string {
	text := fmt.Sprintf("# Commandstats\r\ncmdstat_get:calls=%d,usec=9\r\n", calls)
	return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
}

func TestCommandsAMessageCosts(t *testing.T) {
	redis := answering(t, info(100), info(150), "-ERR no\r\n")
	u := &redisUse{redis: redis}
	run := func() (load.Result, error) { return load.Result{Delivered: 200}, nil }
	if res, err := u.perMessage(t.Context(), run); err != nil || res.Delivered != 200 || u.median() == nil || *u.median() != .25 {
		t.Errorf("%+v, %v, %v", res, err, u.values)
	}
	if _, err := u.perMessage(t.Context(), run); err == nil || len(u.values) != 1 {
		t.Errorf("%v, %v", err, u.values)
	}
	if _, err := (&redisUse{redis: "127.0.0.1:0"}).perMessage(t.Context(), run); err == nil {
		t.Error("no Redis is asked")
	}
	none := &redisUse{}
	if _, err := none.perMessage(t.Context(), run); err != nil || none.median() != nil {
		t.Errorf("%v, %v", err, none.values)
	}
}

func TestCommandsOfClientsThatRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &restCommands{}
		if _, known, err := m.rate(); known || err != nil {
			t.Errorf("%v, %v", known, err)
		}
		begin := time.Now()
		for i, calls := range []int64{1000, 1021, 1042} { // 20 a second and the question
			m.seen(atCalls{begin.Add(time.Duration(i) * time.Second), calls}, nil)
		}
		if rate, known, err := m.rate(); rate != 20 || !known || err != nil {
			t.Errorf("%v, %v, %v", rate, known, err)
		}
		m.seen(atCalls{}, errors.New("away"))
		if _, known, err := m.rate(); known || err == nil {
			t.Error("a question without an answer is not told")
		}
	})
}

// Only what is asked while the clients rest counts.
func TestRestIsLookedAtWhileItIsMeasured(t *testing.T) {
	m := &restCommands{redis: answering(t, info(10))}
	for _, phase := range []string{"connecting", "resting", "measuring", "pinging"} {
		m.progress(t.Context(), load.Progress{Phase: phase})
	}
	if m.asked != 1 || m.from.calls != 10 || m.err != nil {
		t.Errorf("%+v", m)
	}
}

func TestLetsIn(t *testing.T) {
	if err := letsIn(t.Context(), "tcp://"+answering(t, "\x20\x02\x00\x03", "", "\x20\x02\x00\x00")); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := letsIn(ctx, "tcp://"+answering(t, "\x20\x02\x00\x05")); err == nil {
		t.Error("who is refused is in")
	}
}

func TestClusterIsStoppedWhole(t *testing.T) {
	free, err := ports(numbered("mqtt")...)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{dir: filepath.Join(t.TempDir(), "own")}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range numbered("mqtt") {
		if err := c.instance(t.Context(), free[name], os.Args[0], fakeBrokerArg, free[name]); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.addresses) != instances || len(c.pids) != instances || c.addresses[0] != "tcp://"+free["mqtt1"] {
		t.Errorf("%+v", c)
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
	for _, a := range free {
		if conn, err := net.Dial("tcp", a); err == nil {
			_ = conn.Close() // it should not be there
			t.Errorf("%s still answers", a)
		}
	}
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is left: %v", err)
	}
}

// A peer that does not start is not measured, and the next row is.
func TestPeersThatDoNotStart(t *testing.T) {
	b := &benchmark{dir: t.TempDir(), settings: settings{runs: 1, duration: time.Second}}
	r := clusterRows()[0]
	broken := peer{name: "broken", start: func(ctx context.Context, c *cluster) error {
		return c.instance(ctx, "127.0.0.1:1", filepath.Join(b.dir, "none"))
	}}
	if res := b.measurePeer(t.Context(), &r, &broken, false); res.absent == nil {
		t.Errorf("%+v", res)
	}
	never := peer{name: "never", absent: errors.New("no such package")}
	if res := b.measurePeer(t.Context(), &r, &never, true); !errors.Is(res.absent, never.absent) {
		t.Errorf("%+v", res)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestInstallTellsTheLastLine(t *testing.T) {
	err := install(t.Context(), filepath.Join(t.TempDir(), "own"), []string{"go", "no-such-command"})
	if err == nil || !strings.HasPrefix(err.Error(), "go no-such-command: exit status 2: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if lastLine("a\nb\n\n") != "b" || lastLine("") != "" {
		t.Error("not the last")
	}
}

func TestNatsConf(t *testing.T) {
	free, err := ports(append(append(numbered("mqtt"), numbered("nats")...), numbered("route")...)...)
	if err != nil {
		t.Fatal(err)
	}
	conf := natsConf(1, "/d", free)
	for _, want := range []string{"server_name: bench2", `mqtt { listen: "` + free["mqtt2"], `store_dir: "/d/store2"`, "nats://" + free["route3"]} {
		if !strings.Contains(conf, want) {
			t.Errorf("no %s in\n%s", want, conf)
		}
	}
}

func TestRedisIsStarted(t *testing.T) {
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("there is no redis-server")
	}
	free, err := ports("redis")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{dir: t.TempDir()}
	if err := c.addRedis(t.Context(), redis, free["redis"]); err != nil {
		t.Fatal(err)
	}
	from, err := commandCalls(t.Context(), c.redis)
	to, again := commandCalls(t.Context(), c.redis)
	if err := errors.Join(err, again, c.stop()); err != nil || to != from+1 {
		t.Errorf("%d commands, then %d: %v", from, to, err)
	}
}
