package router

import (
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
)

// sys publishes what the broker says of itself below $SYS/broker, in the topics
// and words of mosquitto. It runs on the due queue; nothing in it walks clients or
// messages. Only what has changed is published.
type sys struct {
	more    func(say func(topic, value string))
	version string
	started time.Time
	last    time.Time
	said    map[string]string
	loads   [len(loadTopics)]stats.LoadAverage
	heapMax uint64
}

// StartSys publishes $SYS now and every interval, until the due queue stops. more says
// further values; it must not wait.
func (r *Router) StartSys(version string, interval time.Duration, more func(say func(topic, value string))) {
	now := r.now()
	r.sys = sys{more: more, version: version, started: now, last: now, said: map[string]string{}}
	r.sysTick(interval)
}

func (r *Router) sysTick(interval time.Duration) {
	s := &r.sys
	now := r.now()
	elapsed := now.Sub(s.last)
	s.last = now
	snap := r.stats.Snapshot()
	r.say("version", s.version)
	s.more(r.say)
	r.say("uptime", strconv.FormatInt(int64(now.Sub(s.started)/time.Second), 10)+" seconds")
	r.sayHeap()
	for _, c := range sysCounts {
		r.say(c.topic, strconv.FormatInt(c.value(snap), 10))
	}
	for i := range loadTopics {
		l := &s.loads[i]
		l.Tick(uint64(loadTopics[i].value(snap)), elapsed)
		r.say("load/"+loadTopics[i].topic+"/1min", strconv.FormatFloat(l.One, 'f', 2, 64))
		r.say("load/"+loadTopics[i].topic+"/5min", strconv.FormatFloat(l.Five, 'f', 2, 64))
		r.say("load/"+loadTopics[i].topic+"/15min", strconv.FormatFloat(l.Fifteen, 'f', 2, 64))
	}
	r.due.Add(now.Add(interval), func() { r.events.aside(func() { r.sysTick(interval) }) })
}

func (r *Router) sayHeap() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return // this runtime does not tell
	}
	heap := sample[0].Value.Uint64()
	r.sys.heapMax = max(r.sys.heapMax, heap)
	r.say("heap/current", strconv.FormatUint(heap, 10))
	r.say("heap/maximum", strconv.FormatUint(r.sys.heapMax, 10))
}

// say publishes one value, retained, if it is a new one.
func (r *Router) say(name, value string) {
	if was, ok := r.sys.said[name]; ok && was == value {
		return
	}
	r.sys.said[name] = value
	r.Inject(&message.Message{
		ID: r.nextID(), Topic: "$SYS/broker/" + name, Payload: []byte(value), Created: r.now().UnixNano(), Retain: true,
	})
}

type sysValue struct {
	topic string
	value func(*stats.Snapshot) int64
}

var sysCounts = []sysValue{
	{"clients/total", func(s *stats.Snapshot) int64 { return s.Sessions }},
	{"clients/maximum", func(s *stats.Snapshot) int64 { return s.MaxConnections }},
	{"clients/active", func(s *stats.Snapshot) int64 { return s.Connections }},
	{"clients/connected", func(s *stats.Snapshot) int64 { return s.Connections }},
	{"clients/inactive", func(s *stats.Snapshot) int64 { return max(0, s.Sessions-s.Connections) }},
	{"clients/disconnected", func(s *stats.Snapshot) int64 { return max(0, s.Sessions-s.Connections) }},
	{"clients/expired", func(s *stats.Snapshot) int64 { return int64(s.ExpiredSessions) }},
	{"messages/stored", func(s *stats.Snapshot) int64 { return s.Retained + s.Queued + s.Inflight }},
	{"messages/inflight", func(s *stats.Snapshot) int64 { return s.Inflight }},
	{"store/messages/count", func(s *stats.Snapshot) int64 { return s.Retained + s.Queued + s.Inflight }},
	{"store/messages/bytes", func(s *stats.Snapshot) int64 { return s.RetainedBytes + s.QueuedBytes }},
	{"subscriptions/count", func(s *stats.Snapshot) int64 { return s.Subscriptions }},
	{"shared_subscriptions/count", func(s *stats.Snapshot) int64 { return s.SharedSubscriptions }},
	{"retained messages/count", func(s *stats.Snapshot) int64 { return s.Retained }},
	{"messages/received", func(s *stats.Snapshot) int64 { return int64(s.In.TotalPackets()) }},
	{"messages/sent", func(s *stats.Snapshot) int64 { return int64(s.Out.TotalPackets()) }},
	{"publish/messages/received", func(s *stats.Snapshot) int64 { return int64(s.In.TotalPublish()) }},
	{"publish/messages/sent", func(s *stats.Snapshot) int64 { return int64(s.Out.TotalPublish()) }},
	{"publish/messages/dropped", func(s *stats.Snapshot) int64 { return int64(s.TotalDropped()) }},
	{"publish/bytes/received", func(s *stats.Snapshot) int64 { return int64(s.In.Payload) }},
	{"publish/bytes/sent", func(s *stats.Snapshot) int64 { return int64(s.Out.Payload) }},
	{"bytes/received", func(s *stats.Snapshot) int64 { return int64(s.In.TotalBytes()) }},
	{"bytes/sent", func(s *stats.Snapshot) int64 { return int64(s.Out.TotalBytes()) }},
	{"receipts/sent", func(s *stats.Snapshot) int64 { return int64(s.Receipts) }},
	{"receipts/failed", func(s *stats.Snapshot) int64 { return int64(s.ReceiptsFailed) }},
}

var loadTopics = [...]sysValue{
	{"messages/received", func(s *stats.Snapshot) int64 { return int64(s.In.TotalPackets()) }},
	{"messages/sent", func(s *stats.Snapshot) int64 { return int64(s.Out.TotalPackets()) }},
	{"publish/received", func(s *stats.Snapshot) int64 { return int64(s.In.TotalPublish()) }},
	{"publish/sent", func(s *stats.Snapshot) int64 { return int64(s.Out.TotalPublish()) }},
	{"publish/dropped", func(s *stats.Snapshot) int64 { return int64(s.TotalDropped()) }},
	{"bytes/received", func(s *stats.Snapshot) int64 { return int64(s.In.TotalBytes()) }},
	{"bytes/sent", func(s *stats.Snapshot) int64 { return int64(s.Out.TotalBytes()) }},
	{"sockets", func(s *stats.Snapshot) int64 { return int64(s.Sockets) }},
	{"connections", func(s *stats.Snapshot) int64 { return int64(s.ConnectsTotal) }},
}
