package broker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skeinmq/skein/bridge"
	"github.com/skeinmq/skein/broker/stats"
)

// clusterFigures is everything that the bridge counts, read at once.
type clusterFigures struct {
	bridge.ClusterStats
	records bridge.RecordStats
}

// clusterMetric is one name of /metrics that a node of a cluster has.
type clusterMetric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(f *clusterFigures) float64
}

type clusterHistogram struct {
	name, help string
	per        float64 // recorded values divided by it are what the unit says
	bounds     []int64 // powers of two less one, which are exact
	of         func(f *clusterFigures) stats.Distribution
}

var clusterMetrics = []clusterMetric{
	{"skein_redis_up", "1 when Redis can be used.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return flag(!f.Down) }},
	{"skein_redis_errors_total", "Commands that Redis could not do.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Errors) }},
	{"skein_lease_age_seconds", "Time since the leases were renewed.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return f.LeaseAge.Seconds() }},
	{"skein_mailboxes", "Mailboxes that this node has, adopted ones too.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return float64(f.Mailboxes) }},
	{"skein_route_keys", "Filters and groups that this node's mailboxes subscribe to.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return float64(f.Keys) }},
	{"skein_route_changes_waiting", "Route changes that are not written yet.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return float64(f.Changes) }},
	{"skein_route_position", "Position of the route changes that are applied.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return float64(f.Applied) }},
	{"skein_route_reloads_total", "Times that all routes were loaded.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Reloads) }},
	{"skein_mail_appended_total", "Messages of QoS 1 and 2 that went to other mailboxes.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Appended) }},
	{"skein_mail_published_total", "Messages of QoS 0 that went to other mailboxes.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Published) }},
	{"skein_mail_lost_total", "Messages of QoS 0 that another mailbox did not take.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Lost) }},
	{"skein_mail_received_total", "Bundles that came through the inboxes.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Received) }},
	{"skein_mail_waiting_bytes", "Bytes that wait to be appended to other mailboxes.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return float64(f.Waiting) }},
	{"skein_mail_given_up_total", "Batches that an inbox did not take in time: never acknowledged.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.GivenUp) }},
	{"skein_inbox_full_total", "Times that another mailbox's inbox was full.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Full) }},
	{"skein_inbox_unfinished_entries", "Entries of the inboxes that are delivered and not committed.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return float64(f.Unfinished) }},
	{"skein_inbox_aside_total", "Entries of the inboxes that could not be read.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Aside) }},
	{"skein_inbox_held_total", "Entries of the inboxes whose effects were refused.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Held) }},
	{"skein_channel_deaf_total", "Subscriptions to channels that had to be made again.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.Deaf) }},
	{"skein_records_batches_total", "Batches of sessions and mailboxes that were written to Redis.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.records.Batches) }},
	{"skein_records_damaged_total", "Batches that Redis cannot write because a record is damaged.", prometheus.CounterValue, func(f *clusterFigures) float64 { return float64(f.records.Damaged) }},
	{"skein_records_waiting_bytes", "Bytes of batches that wait for Redis.", prometheus.GaugeValue, func(f *clusterFigures) float64 { return float64(f.records.Pending) }},
}

var clusterHistograms = []clusterHistogram{
	{"skein_mail_append_seconds", "One append of a batch to another mailbox.", 1e6, powersOfTwo(4, 25), func(f *clusterFigures) stats.Distribution { return f.Append }},
	{"skein_mail_batch_bytes", "Size of a batch for another mailbox.", 1, powersOfTwo(6, 24), func(f *clusterFigures) stats.Distribution { return f.Batch }},
	{"skein_records_write_seconds", "One write of batches to Redis.", 1e9, powersOfTwo(14, 35), func(f *clusterFigures) stats.Distribution { return f.records.Took }},
	{"skein_records_write_parts", "Sessions and mailboxes of one write.", 1, powersOfTwo(0, 11), func(f *clusterFigures) stats.Distribution { return f.records.Parts }},
	{"skein_records_write_bytes", "Size of one write.", 1, powersOfTwo(6, 24), func(f *clusterFigures) stats.Distribution { return f.records.Bytes }},
}

func powersOfTwo(from, to int) (list []int64) {
	for n := from; n <= to; n++ {
		list = append(list, 1<<n-1)
	}
	return list
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// clusterCollector reads the bridge's counters when it is asked.
type clusterCollector struct {
	bridge     *bridge.Bridge
	values     []*prometheus.Desc
	histograms []*prometheus.Desc
}

func newClusterCollector(b *bridge.Bridge) *clusterCollector {
	c := &clusterCollector{bridge: b}
	for i := range clusterMetrics {
		c.values = append(c.values, prometheus.NewDesc(clusterMetrics[i].name, clusterMetrics[i].help, nil, nil))
	}
	for i := range clusterHistograms {
		c.histograms = append(c.histograms, prometheus.NewDesc(clusterHistograms[i].name, clusterHistograms[i].help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *clusterCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.values {
		ch <- d
	}
	for _, d := range c.histograms {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *clusterCollector) Collect(ch chan<- prometheus.Metric) {
	f := &clusterFigures{ClusterStats: c.bridge.ClusterStats(), records: c.bridge.Records()}
	for i, d := range c.values {
		ch <- prometheus.MustNewConstMetric(d, clusterMetrics[i].kind, clusterMetrics[i].value(f))
	}
	for i, d := range c.histograms {
		h := &clusterHistograms[i]
		dist := h.of(f)
		buckets := make(map[float64]uint64, len(h.bounds))
		for _, b := range h.bounds {
			buckets[float64(b)/h.per] = dist.AtMost(b)
		}
		ch <- prometheus.MustNewConstHistogram(d, dist.Count, float64(dist.Sum)/h.per, buckets)
	}
}
