package api

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skeinmq/skein/broker/stats"
)

// collector reads the node's counters when it is asked, so that nothing is counted
// twice and the paths of messages know nothing of it.
type collector struct {
	stats      *stats.Node
	metrics    []*prometheus.Desc
	histograms []*prometheus.Desc
}

func newCollector(n *stats.Node) *collector {
	c := &collector{stats: n}
	for i := range metricTable {
		m := &metricTable[i]
		c.metrics = append(c.metrics, prometheus.NewDesc(m.name, m.help, m.labels, nil))
	}
	for i := range histogramTable {
		h := &histogramTable[i]
		c.histograms = append(c.histograms, prometheus.NewDesc(h.name, h.help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.metrics {
		ch <- d
	}
	for _, d := range c.histograms {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	snap := c.stats.Snapshot()
	for i := range metricTable {
		m, d := &metricTable[i], c.metrics[i]
		if m.value != nil {
			ch <- prometheus.MustNewConstMetric(d, m.kind, m.value(snap))
			continue
		}
		m.each(snap, func(v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, m.kind, v, labels...)
		})
	}
	for i := range histogramTable {
		h := &histogramTable[i]
		d := h.of(c.stats).Snapshot()
		buckets := make(map[float64]uint64, len(h.bounds))
		for _, b := range h.bounds {
			buckets[float64(b)/h.per] = d.AtMost(b)
		}
		ch <- prometheus.MustNewConstHistogram(c.histograms[i], d.Count, float64(d.Sum)/h.per, buckets)
	}
}

// metrics makes the registry: the node's figures, those of the process and of Go, and
// the further collectors.
func (s *Server) metrics() (http.Handler, error) {
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skein_http_requests_total", Help: "Requests to the HTTP listener, by operation and status.",
	}, []string{"operation", "status"})
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "skein_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": s.Info.Version},
	}, func() float64 { return 1 })
	reg := prometheus.NewRegistry()
	for _, c := range append([]prometheus.Collector{
		newCollector(s.Stats), s.requests, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, s.Collectors...) {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError}), nil
}
