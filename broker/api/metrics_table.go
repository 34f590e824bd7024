package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skeinmq/skein/broker/stats"
)

// metric is one name of /metrics. Value is for one without labels, each for one with.
type metric struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	value  func(s *stats.Snapshot) float64
	each   func(s *stats.Snapshot, add func(v float64, labels ...string))
}

// histogram is one distribution of /metrics. Recorded values divided by per are
// what the name's unit says.
type histogram struct {
	name   string
	help   string
	per    float64
	bounds []int64 // as recorded; powers of two less one are exact
	of     func(n *stats.Node) *stats.Histogram
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// metricTable is all names that read counters of the node. None of them walks anything.
var metricTable = []metric{
	{"skein_connections", "MQTT connections that are open.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Connections) }, nil},
	{"skein_connections_max", "Most MQTT connections that were open at once.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.MaxConnections) }, nil},
	{"skein_sockets_accepted_total", "Sockets that listeners accepted, MQTT or not.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.Sockets) }, nil},
	{"skein_connects_total", "Accepted connects, by protocol version.", counter, []string{"version"}, nil, words(func(s *stats.Snapshot) map[string]uint64 { return s.Connected })},
	{"skein_disconnects_total", "Ended connections, by reason.", counter, []string{"reason"}, nil, words(func(s *stats.Snapshot) map[string]uint64 { return s.Disconnected })},
	{"skein_refused_total", "Refused connections, by the rule that refused them.", counter, []string{"rule"}, nil, words(func(s *stats.Snapshot) map[string]uint64 { return s.Refused })},
	{"skein_throttled_total", "Times that a connection was not read for a while, by the rate that it was above.", counter, []string{"rule"}, nil, words(func(s *stats.Snapshot) map[string]uint64 { return s.Throttled })},
	{"skein_receipts_total", "Delivery receipts that were published.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.Receipts) }, nil},
	{"skein_receipts_failed_total", "Outcomes that could not be told.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.ReceiptsFailed) }, nil},
	{"skein_takeovers_total", "Connections that took a session over from another one.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.Takeovers) }, nil},

	{"skein_packets_received_total", "MQTT packets from clients, by type.", counter, []string{"type"}, nil, packets(in, func(c *stats.PacketCount, t int) uint64 { return c.Packets[t] })},
	{"skein_packets_sent_total", "MQTT packets to clients, by type.", counter, []string{"type"}, nil, packets(out, func(c *stats.PacketCount, t int) uint64 { return c.Packets[t] })},
	{"skein_received_bytes_total", "Bytes of MQTT packets from clients, by packet type.", counter, []string{"type"}, nil, packets(in, func(c *stats.PacketCount, t int) uint64 { return c.Bytes[t] })},
	{"skein_sent_bytes_total", "Bytes of MQTT packets to clients, by packet type.", counter, []string{"type"}, nil, packets(out, func(c *stats.PacketCount, t int) uint64 { return c.Bytes[t] })},
	{"skein_publishes_received_total", "PUBLISH packets from clients, by QoS.", counter, []string{"qos"}, nil, byQoS(in)},
	{"skein_deliveries_total", "PUBLISH packets to clients, by QoS; repeated ones too.", counter, []string{"qos"}, nil, byQoS(out)},
	{"skein_payload_received_bytes_total", "Bytes of PUBLISH payloads from clients.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.In.Payload) }, nil},
	{"skein_payload_sent_bytes_total", "Bytes of PUBLISH payloads to clients.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.Out.Payload) }, nil},
	{"skein_dropped_total", "Messages that were not delivered, by reason; no_subscriber is no loss.", counter, []string{"reason"}, nil, drops},
	{"skein_events_lost_total", "Drops that a slow hook was not told of.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.EventsLost) }, nil},

	{"skein_sessions", "Sessions, connected or not.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Sessions) }, nil},
	{"skein_sessions_persistent", "Sessions that outlive their connection.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.PersistentSessions) }, nil},
	{"skein_sessions_expired_total", "Sessions that expired.", counter, nil, func(s *stats.Snapshot) float64 { return float64(s.ExpiredSessions) }, nil},
	{"skein_subscriptions", "Subscriptions, shared ones too.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Subscriptions) }, nil},
	{"skein_subscriptions_shared", "Shared subscriptions.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.SharedSubscriptions) }, nil},
	{"skein_shared_groups", "Groups of shared subscriptions.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.SharedGroups) }, nil},
	{"skein_queued_messages", "Messages that wait in sessions.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Queued) }, nil},
	{"skein_queued_bytes", "Bytes of messages that wait in sessions.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.QueuedBytes) }, nil},
	{"skein_inflight_messages", "Messages that were sent and not acknowledged.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Inflight) }, nil},
	{"skein_retained_messages", "Retained messages.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Retained) }, nil},
	{"skein_retained_bytes", "Bytes of retained messages.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.RetainedBytes) }, nil},
	{"skein_delayed_messages", "Messages of $delayed that wait for their time.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Delayed) }, nil},
	{"skein_wills_waiting", "Wills that wait for their delay.", gauge, nil, func(s *stats.Snapshot) float64 { return float64(s.Wills) }, nil},
}

// seconds are the bounds of durations in nanoseconds: 2^n-1, from 16 µs to 34 s.
var seconds = powers(14, 35)

// histogramTable is all distributions of the node.
var histogramTable = []histogram{
	{"skein_ack_delay_seconds", "From reading a PUBLISH of QoS 1 or 2 to its acknowledgement.", 1e9, seconds, func(n *stats.Node) *stats.Histogram { return &n.AckDelay }},
	{"skein_commit_seconds", "One commit of the store: encoding, writing and syncing.", 1e9, seconds, func(n *stats.Node) *stats.Histogram { return &n.CommitDelay }},
	{"skein_fsync_seconds", "One write of the store until the disk had it.", 1e9, seconds, func(n *stats.Node) *stats.Histogram { return &n.SyncDelay }},
	{"skein_flush_seconds", "One write to a client's socket.", 1e9, seconds, func(n *stats.Node) *stats.Histogram { return &n.FlushDelay }},
	{"skein_commit_batches", "Batches that one commit of the store had in it.", 1, powers(0, 16), func(n *stats.Node) *stats.Histogram { return &n.CommitSize }},
}

// powers are 2^n-1 for n of a range, which the node's histograms hold exactly.
func powers(from, to int) (list []int64) {
	for n := from + 1; n <= to; n++ {
		list = append(list, 1<<n-1)
	}
	return list
}

var typeNames = [stats.PacketTypes]string{
	1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 8: "SUBSCRIBE",
	9: "SUBACK", 10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH",
}

func in(s *stats.Snapshot) *stats.PacketCount  { return &s.In }
func out(s *stats.Snapshot) *stats.PacketCount { return &s.Out }

// packets is a value of each packet type.
func packets(way func(*stats.Snapshot) *stats.PacketCount, of func(*stats.PacketCount, int) uint64) func(*stats.Snapshot, func(float64, ...string)) {
	return func(s *stats.Snapshot, add func(float64, ...string)) {
		for t := 1; t < stats.PacketTypes; t++ {
			add(float64(of(way(s), t)), typeNames[t])
		}
	}
}

func byQoS(way func(*stats.Snapshot) *stats.PacketCount) func(*stats.Snapshot, func(float64, ...string)) {
	return func(s *stats.Snapshot, add func(float64, ...string)) {
		for q, n := range way(s).Publish {
			add(float64(n), string(rune('0'+q)))
		}
	}
}

func drops(s *stats.Snapshot, add func(float64, ...string)) {
	for i, n := range s.Drops {
		add(float64(n), stats.DropReason(i).String())
	}
}

// words is a value of each label that was counted.
func words(of func(*stats.Snapshot) map[string]uint64) func(*stats.Snapshot, func(float64, ...string)) {
	return func(s *stats.Snapshot, add func(float64, ...string)) {
		for word, n := range of(s) {
			add(float64(n), word)
		}
	}
}
