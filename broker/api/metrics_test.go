package api_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/skeinmq/skein/broker/api"
	"github.com/skeinmq/skein/broker/stats"
)

func TestMetricNames(t *testing.T) {
	name := regexp.MustCompile(`^skein_[a-z][a-z0-9_]*$`)
	seen := map[string]bool{}
	for _, m := range api.MetricTable() {
		if !name.MatchString(m[0]) || seen[m[0]] {
			t.Errorf("%s is not a name, or stands twice", m[0])
		}
		seen[m[0]] = true
		if len(m[1]) < 10 || !strings.HasSuffix(m[1], ".") {
			t.Errorf("%s has no help: %q", m[0], m[1])
		}
		if total := strings.HasSuffix(m[0], "_total"); total != (m[2] == "counter") {
			t.Errorf("%s is a %s", m[0], m[2])
		}
		if m[2] == "histogram" && !strings.HasSuffix(m[0], "_seconds") && !strings.HasSuffix(m[0], "_batches") {
			t.Errorf("%s has no unit", m[0])
		}
		if strings.Contains(strings.ToLower(m[1]), "bytes of") && !strings.Contains(m[0], "_bytes") {
			t.Errorf("%s counts bytes", m[0])
		}
	}
}

func (g *rig) scrape() string {
	g.t.Helper()
	w := g.do("GET", "/metrics", "", "")
	if w.Code != 200 {
		g.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// The rules of Prometheus' own linter hold.
func TestMetricsAreWellFormed(t *testing.T) {
	g := newRig(t, nil)
	problems, err := promlint.New(strings.NewReader(g.scrape())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "skein_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// What is counted is what is told, under the label that says it.
func TestMetricValues(t *testing.T) {
	g := newRig(t, nil)
	n := g.stats
	b := &stats.Batch{Inflight: 3, Queued: 4, QueuedBytes: 5}
	b.In.Message(1, 100, 64)
	b.In.Packet(1, 20)
	b.Out.Messages(2, 2, 50, 10)
	n.Add(b)
	for i := range stats.NumDropReasons {
		n.Drop(stats.DropReason(i), uint64(i+1))
	}
	n.Connect("5.0")
	n.Connect("3.1.1")
	n.Disconnect("connection lost")
	n.Refuse("limits.connections")
	n.Throttled.Inc("limits.publish_rate")
	n.CommitDelay.Record(1<<20 - 1)
	n.CommitDelay.Record(1 << 30)
	n.SyncDelay.Record(5)
	n.CommitSize.RecordN(3, 2)
	text := g.scrape()
	for _, want := range []string{
		`skein_connections 1`, `skein_connections_max 2`, `skein_connects_total{version="5.0"} 1`, `skein_disconnects_total{reason="connection lost"} 1`,
		`skein_refused_total{rule="limits.connections"} 1`, `skein_throttled_total{rule="limits.publish_rate"} 1`, `skein_packets_received_total{type="PUBLISH"} 1`, `skein_received_bytes_total{type="CONNECT"} 20`,
		`skein_publishes_received_total{qos="1"} 1`, `skein_deliveries_total{qos="2"} 2`, `skein_payload_sent_bytes_total 20`, `skein_packets_sent_total{type="PUBLISH"} 2`,
		`skein_inflight_messages 3`, `skein_queued_messages 4`, `skein_queued_bytes 5`, `skein_commit_seconds_count 2`, `skein_commit_seconds_bucket{le="0.001048575"} 1`,
		`skein_commit_seconds_bucket{le="+Inf"} 2`, `skein_fsync_seconds_count 1`, `skein_commit_batches_bucket{le="3"} 2`, `skein_commit_batches_bucket{le="1"} 0`,
		`skein_commit_batches_sum 6`, `skein_build_info{version="test"} 1`, `go_goroutines `, `process_start_time_seconds `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("there is no line %s", want)
		}
	}
	for i := range stats.NumDropReasons {
		if want := fmt.Sprintf("\nskein_dropped_total{reason=%q} %d\n", stats.DropReason(i), i+1); !strings.Contains(text, want) {
			t.Errorf("there is no line %s", want)
		}
	}
	for _, m := range api.MetricTable() {
		if !strings.Contains(text, "# HELP "+m[0]+" "+m[1]) {
			t.Errorf("%s is not told", m[0])
		}
	}
}

// nowhere is a router that may not be asked.
type nowhere struct{ api.Router }

// A scrape asks nobody but the counters, however many clients there are.
func TestAScrapeWalksNothing(t *testing.T) {
	g := newRig(t, nil)
	o := g.api.Options
	o.Router = nowhere{}
	o.Collectors = []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skein_other", Help: "x"}, func() float64 { return 7 })}
	other, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	was := g.api
	g.api = other
	if !strings.Contains(g.scrape(), "skein_other 7") {
		t.Error("a further collector is not asked")
	}
	for _, id := range []string{"stats", "nodes"} {
		other.Open()
		g.call(id, "/api/v1/"+id, "", 200)
	}
	g.api = was
	o.Collectors = append(o.Collectors, o.Collectors[0])
	if _, err := api.New(o); err == nil {
		t.Error("a name that stands twice is taken")
	}
}

func BenchmarkScrape(b *testing.B) {
	g := newRig(b, nil)
	for b.Loop() {
		g.scrape()
	}
}
