package broker

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skeinmq/skein/auth"
)

// loginCollector reads the counters of logins when it is asked.
type loginCollector struct {
	counters                 *auth.Counters
	logins, hashed, recalled *prometheus.Desc
}

func newLoginCollector(c *auth.Counters) *loginCollector {
	return &loginCollector{
		counters: c,
		logins:   prometheus.NewDesc("skein_logins_total", "Logins, by the source that decided (none: a ban, a back-off, a user whom none knows) and why they were denied (or allowed).", []string{"source", "reason"}, nil),
		hashed:   prometheus.NewDesc("skein_passwords_hashed_total", "Passwords that were hashed.", nil, nil),
		recalled: prometheus.NewDesc("skein_passwords_recalled_total", "Passwords that were remembered to be right.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *loginCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.logins
	ch <- c.hashed
	ch <- c.recalled
}

// Collect implements prometheus.Collector.
func (c *loginCollector) Collect(ch chan<- prometheus.Metric) {
	add := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, l := range c.counters.Logins() {
		add(c.logins, l.Count, cmp.Or(l.Source, "none"), cmp.Or(l.Reason, "allowed"))
	}
	add(c.hashed, c.counters.Hashed.Load())
	add(c.recalled, c.counters.Recalled.Load())
}
