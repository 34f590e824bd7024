package stats

import (
	"math"
	"time"
)

// LoadAverage is how much of something happens a minute, averaged over the last
// 1, 5 and 15 minutes with exponential decay, as $SYS/broker/load of mosquitto
// and the load of Unix. It belongs to the goroutine that ticks it.
type LoadAverage struct {
	One, Five, Fifteen float64 // a minute

	last uint64
}

// Tick brings the averages up to date: total is the counter now, elapsed the
// time since the last tick (the first time: since the counter was zero). The
// interval may vary. A counter that went back counts as unchanged.
func (l *LoadAverage) Tick(total uint64, elapsed time.Duration) {
	if elapsed <= 0 {
		return // what was counted meanwhile is in the next tick
	}
	var grown uint64
	if total > l.last {
		grown = total - l.last
	}
	l.last = total
	rate := float64(grown) / elapsed.Minutes()
	l.One = decay(l.One, rate, elapsed, time.Minute)
	l.Five = decay(l.Five, rate, elapsed, 5*time.Minute)
	l.Fifteen = decay(l.Fifteen, rate, elapsed, 15*time.Minute)
}

func decay(avg, rate float64, elapsed, over time.Duration) float64 {
	return rate + math.Exp(-elapsed.Seconds()/over.Seconds())*(avg-rate)
}

// Loads are the averages that mosquitto publishes under $SYS/broker/load. They
// belong to the goroutine that ticks them.
type Loads struct {
	MessagesReceived LoadAverage // packets of any type
	MessagesSent     LoadAverage
	PublishReceived  LoadAverage
	PublishSent      LoadAverage
	PublishDropped   LoadAverage
	BytesReceived    LoadAverage
	BytesSent        LoadAverage
	Sockets          LoadAverage // accepted sockets
	Connections      LoadAverage // completed handshakes
}

// Tick brings all averages up to date from a snapshot.
func (l *Loads) Tick(s *Snapshot, elapsed time.Duration) {
	l.MessagesReceived.Tick(s.In.TotalPackets(), elapsed)
	l.MessagesSent.Tick(s.Out.TotalPackets(), elapsed)
	l.PublishReceived.Tick(s.In.TotalPublish(), elapsed)
	l.PublishSent.Tick(s.Out.TotalPublish(), elapsed)
	l.PublishDropped.Tick(s.TotalDropped(), elapsed)
	l.BytesReceived.Tick(s.In.TotalBytes(), elapsed)
	l.BytesSent.Tick(s.Out.TotalBytes(), elapsed)
	l.Sockets.Tick(s.Sockets, elapsed)
	l.Connections.Tick(s.ConnectsTotal, elapsed)
}
