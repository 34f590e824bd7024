package load

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Result is what one run found. Figures that were not measured are absent in JSON.
type Result struct {
	Label     string   `json:"label,omitempty"`
	Addresses []string `json:"addresses"`
	Scenario  Scenario `json:"scenario"`
	MQTT      string   `json:"mqtt"`
	Clients   int      `json:"clients"`
	QoS       int      `json:"qos"`
	SubQoS    int      `json:"sub_qos"`
	Size      int      `json:"size"`

	Seconds float64 `json:"seconds"` // that the rate is of
	Rate    float64 `json:"rate"`    // deliveries a second

	Sent       int64 `json:"sent"`       // publishes
	Expected   int64 `json:"expected"`   // deliveries that these make
	Delivered  int64 `json:"delivered"`  // without duplicates
	Lost       int64 `json:"lost"`       // expected and not delivered
	Duplicates int64 `json:"duplicates"` // delivered again
	Disorder   int64 `json:"disorder"`   // overtaken by a later one of the same publisher
	Refused    int64 `json:"refused"`    // publishes acknowledged with a failure
	Unexpected int64 `json:"unexpected"` // deliveries that are not of this run

	FailedConnections int64  `json:"failed_connections"` // not made, or ended by the broker
	FirstFailure      string `json:"first_failure,omitempty"`
	Stalled           bool   `json:"stalled"`     // ended because nothing moved
	Interrupted       bool   `json:"interrupted"` // ended because its context did

	Latency  *LatencyResult  `json:"latency,omitempty"`
	Broker   *BrokerResult   `json:"broker,omitempty"`
	Driver   *DriverResult   `json:"driver,omitempty"`
	Idle     *IdleResult     `json:"idle,omitempty"`
	Retained *RetainedResult `json:"retained,omitempty"`
	Offline  *OfflineResult  `json:"offline,omitempty"`

	Reconnect *ReconnectResult `json:"reconnect,omitempty"`
	Subscribe *SubscribeResult `json:"subscribe,omitempty"`
}

// LatencyResult is a time in microseconds: from before the write of a publisher to the
// subscriber; for Reconnect from before the connect of the socket to CONNACK; for
// Subscribe from before the write to SUBACK, and from when it was due where the SUBACK
// before it came later than that.
type LatencyResult struct {
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	P999    float64 `json:"p999_us"`
	Max     float64 `json:"max_us"`
	Samples int64   `json:"samples"`
}

// BrokerResult is what the broker's processes used, in the seconds of the rate.
type BrokerResult struct {
	CPUMicros  float64 `json:"cpu_us_per_message"`
	CPUPercent float64 `json:"cpu_percent"` // of one core
	RSS        int64   `json:"rss_bytes"`   // at their end
	PeakRSS    int64   `json:"peak_rss_bytes"`
	Written    float64 `json:"written_bytes_per_message"` // to disks
}

// DriverResult is what the driver itself used, in the same seconds.
type DriverResult struct {
	CPUPercent float64 `json:"cpu_percent"`
}

// IdleResult is of connections that do nothing.
type IdleResult struct {
	Connections        int64   `json:"connections"` // that were made
	ConnectsPerSecond  float64 `json:"connects_per_second"`
	BytesPerConnection float64 `json:"bytes_per_connection,omitempty"` // resident, beyond what was before
}

// RetainedResult is of the time before the retained messages were read.
type RetainedResult struct {
	PublishSeconds float64 `json:"publish_seconds"` // until the last could be read
}

// OfflineResult is of the time while the sessions were away.
type OfflineResult struct {
	Sessions    int64   `json:"sessions"`
	Present     int64   `json:"present"`      // that the broker still had
	EnqueueRate float64 `json:"enqueue_rate"` // deliveries a second that were queued
	EnqueueCPU  float64 `json:"enqueue_cpu_us_per_message,omitempty"`
}

// ReconnectResult is of sessions that come back.
type ReconnectResult struct {
	Sessions          int64   `json:"sessions"`
	Connected         int64   `json:"connected"` // of these, again
	Present           int64   `json:"present"`   // of those, that the broker still had
	ConnectsPerSecond float64 `json:"connects_per_second"`
}

// SubscribeResult is of subscriptions to new filters.
type SubscribeResult struct {
	Granted         int64   `json:"granted"` // in the seconds of the rate
	GrantsPerSecond float64 `json:"grants_per_second"`
}

// carries is whether the scenario is about messages.
func (res *Result) carries() bool {
	return res.Idle == nil && res.Reconnect == nil && res.Subscribe == nil
}

// connectRate is connects a second; 0 where none were measured.
func (res *Result) connectRate() float64 {
	switch {
	case res.Idle != nil:
		return res.Idle.ConnectsPerSecond
	case res.Reconnect != nil:
		return res.Reconnect.ConnectsPerSecond
	}
	return 0
}

func (r *run) newResult() Result {
	return Result{
		Label: r.o.Label, Addresses: r.o.Addresses, Scenario: r.o.Scenario, MQTT: r.o.Version.String(),
		Clients: r.o.Clients, QoS: r.o.QoS, SubQoS: int(r.o.subQoS()), Size: r.o.Size,
	}
}

// hasUsage is whether the broker's processes can be looked at.
func (r *run) hasUsage() bool { return canMeasureProcesses && len(r.o.PIDs) > 0 }

// between takes rate and use from two moments.
func (res *Result) between(from, to moment) {
	d := to.at.Sub(from.at)
	n := to.delivered - from.delivered
	res.Seconds = d.Seconds()
	res.Rate = perSecond(n, d)
	percent := func(a, b usage) float64 { return 100 * (b.cpu - a.cpu).Seconds() / d.Seconds() }
	if canMeasureProcesses {
		res.Driver = &DriverResult{CPUPercent: percent(from.driver, to.driver)}
	}
	if to.broker.rss == 0 {
		return
	}
	res.Broker = &BrokerResult{CPUPercent: percent(from.broker, to.broker), RSS: to.broker.rss, PeakRSS: to.broker.peak}
	if n > 0 {
		res.Broker.CPUMicros = micros(to.broker.cpu-from.broker.cpu) / float64(n)
		res.Broker.Written = float64(to.broker.written-from.broker.written) / float64(n)
	}
}

// finish takes over the counters, after everything that counts has ended.
func (r *run) finish(res *Result, interrupted bool) {
	res.Interrupted = interrupted
	res.Delivered = r.delivered.Load()
	res.Duplicates = r.duplicates.Load()
	res.Disorder = r.disorder.Load()
	res.Refused = r.refused.Load()
	res.Unexpected = r.unexpected.Load()
	res.FailedConnections = r.failed.Load()
	if r.firstErr != nil {
		res.FirstFailure = r.firstErr.Error()
	}
	if interrupted && !r.streams() {
		res.Expected = res.Delivered // what was not read yet is not lost
	}
	res.Lost = max(0, res.Expected-res.Delivered)
	if n := r.latency.count(); n > 0 {
		res.Latency = &LatencyResult{
			P50: micros(r.latency.quantile(.5)), P99: micros(r.latency.quantile(.99)),
			P999: micros(r.latency.quantile(.999)), Max: micros(r.latency.highest()), Samples: n,
		}
	}
}

// streams is whether the scenario delivers while it publishes.
func (r *run) streams() bool {
	switch r.o.Scenario {
	case Idle, Retained, Offline, Sessions, Reconnect, Subscribe:
		return false
	}
	return true
}

// Err says what the broker did wrong, nil when nothing. Lost messages, failed
// connections, refused publishes and disorder are wrong at every QoS: the window keeps
// a broker from having to drop. Duplicates are wrong unless messages arrive with
// QoS 1, where a broker may repeat itself.
func (res *Result) Err() error {
	var errs []string
	add := func(n int64, format string) {
		if n > 0 {
			errs = append(errs, fmt.Sprintf(format, n))
		}
	}
	add(res.Lost, "%d messages lost")
	if min(res.QoS, res.SubQoS) != 1 {
		add(res.Duplicates, "%d duplicates")
	}
	add(res.Disorder, "%d messages out of order")
	add(res.Refused, "%d publishes refused")
	add(res.Unexpected, "%d messages that nobody sent")
	add(res.FailedConnections, "%d connections failed")
	if res.Offline != nil && !res.Interrupted && !res.Stalled {
		add(res.Offline.Sessions-res.Offline.Present, "%d sessions gone")
	}
	if res.Reconnect != nil {
		add(res.Reconnect.Connected-res.Reconnect.Present, "%d sessions gone")
	}
	if len(errs) == 0 {
		return nil
	}
	s := strings.Join(errs, ", ")
	if res.FirstFailure != "" {
		s += " (first: " + res.FirstFailure + ")"
	}
	return errors.New(s)
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
