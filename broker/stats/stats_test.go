package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fill sets every number that is reachable in v to a value of its own, so that
// a field that is forgotten or mixed up shows.
func fill(v reflect.Value, next *uint64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), next)
		}
	case reflect.Uint64:
		*next++
		v.SetUint(*next)
	case reflect.Int64:
		*next++
		v.SetInt(int64(*next))
	default:
		panic("fill does not know " + v.Type().String())
	}
}

func TestAddTakesEveryFieldAndEmptiesTheBatch(t *testing.T) {
	n := NewNode()
	var b Batch
	for range 2 {
		next := uint64(0)
		fill(reflect.ValueOf(&b).Elem(), &next)
		n.Add(&b)
		if b != (Batch{}) {
			t.Fatal("the batch is not empty after Add")
		}
	}
	n.Add(&b) // nothing
	next := uint64(0)
	fill(reflect.ValueOf(&b).Elem(), &next)
	s := n.Snapshot()
	double := func(c PacketCount) PacketCount {
		for i := range c.Packets {
			c.Packets[i] *= 2
			c.Bytes[i] *= 2
		}
		for i := range c.Publish {
			c.Publish[i] *= 2
		}
		c.Payload *= 2
		return c
	}
	if s.In != double(b.In) || s.Out != double(b.Out) {
		t.Errorf("packets: %+v %+v", s.In, s.Out)
	}
	for i := range s.Drops {
		if s.Drops[i] != 2*b.Drops[i] {
			t.Errorf("drops for %v: %d, want %d", DropReason(i), s.Drops[i], 2*b.Drops[i])
		}
	}
	if s.Inflight != 2*b.Inflight || s.Queued != 2*b.Queued || s.QueuedBytes != 2*b.QueuedBytes {
		t.Errorf("gauges: %d %d %d", s.Inflight, s.Queued, s.QueuedBytes)
	}
}

func TestPacketCount(t *testing.T) {
	var c PacketCount
	c.Packet(1, 20)
	c.Packet(12, 2)
	c.Message(0, 10, 5)
	c.Message(2, 100, 50)
	c.Messages(3, 1, 30, 7)
	c.Message(3, 9, 4) // malformed
	c.Packet(255, 1)   // must not reach beyond the array
	want := PacketCount{
		Packets: [PacketTypes]uint64{1: 1, 3: 6, 12: 1, 15: 1},
		Bytes:   [PacketTypes]uint64{1: 20, 3: 10 + 100 + 90 + 9, 12: 2, 15: 1},
		Publish: [QoSLevels]uint64{1, 3, 1},
		Payload: 5 + 50 + 21,
	}
	if c != want {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	if c.TotalPackets() != 9 || c.TotalBytes() != 232 || c.TotalPublish() != 5 {
		t.Errorf("totals %d %d %d", c.TotalPackets(), c.TotalBytes(), c.TotalPublish())
	}
}

func TestConcurrentBatches(t *testing.T) {
	n := NewNode()
	const workers, rounds, packets = 8, 200, 7
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var b Batch
			for range rounds {
				for range packets {
					b.In.Message(1, 80, 64)
					b.Queued++
				}
				b.Drop(DropQueueFull)
				n.Add(&b)
				b.Queued -= packets
				n.Add(&b)
				n.Drop(DropACL, 2)
				_ = n.Snapshot()
			}
		})
	}
	wg.Wait()
	s := n.Snapshot()
	const all = workers * rounds
	if s.In.Publish[1] != all*packets || s.In.TotalBytes() != all*packets*80 || s.In.Payload != all*packets*64 {
		t.Errorf("in: %+v", s.In)
	}
	if s.Dropped(DropQueueFull) != all || s.Dropped(DropACL) != 2*all || s.Queued != 0 {
		t.Errorf("drops %v, queued %d", s.Drops, s.Queued)
	}
}

func TestConnections(t *testing.T) {
	n := NewNode()
	const workers, rounds = 8, 100
	var wg sync.WaitGroup
	for range 3 {
		n.Connect("5.0")
	}
	for range workers {
		wg.Go(func() {
			for range rounds {
				n.Accepted()
				n.Connect("3.1.1")
				n.Disconnect("client")
			}
		})
	}
	wg.Wait()
	n.Refuse("acl")
	s := n.Snapshot()
	if s.Connections != 3 || s.Sockets != workers*rounds || s.ConnectsTotal != workers*rounds+3 {
		t.Errorf("open %d, sockets %d, connects %d", s.Connections, s.Sockets, s.ConnectsTotal)
	}
	if s.MaxConnections < 4 || s.MaxConnections > 3+workers {
		t.Errorf("at most %d open, want 4 to %d", s.MaxConnections, 3+workers)
	}
	if s.Connected["5.0"] != 3 || s.Disconnected["client"] != workers*rounds || s.Refused["acl"] != 1 {
		t.Errorf("labels %v %v %v", s.Connected, s.Disconnected, s.Refused)
	}
	for range 7 {
		n.Connect("5.0")
	}
	if got := n.Snapshot().MaxConnections; got < 10 {
		t.Errorf("at most %d open with 10 open", got)
	}
}

// TestGaugesReachTheSnapshot finds a gauge or counter that Snapshot forgot.
func TestGaugesReachTheSnapshot(t *testing.T) {
	n := NewNode()
	node := reflect.ValueOf(n).Elem()
	want := map[string]int64{}
	for i := range node.NumField() {
		name := node.Type().Field(i).Name
		if !node.Type().Field(i).IsExported() {
			continue
		}
		v := int64(100 + i)
		switch f := node.Field(i).Addr().Interface().(type) {
		case *Gauge:
			f.Set(v)
		case *Counter:
			f.Add(uint64(v))
		default:
			continue
		}
		want[name] = v
	}
	if len(want) < 10 {
		t.Fatalf("only %d gauges found", len(want))
	}
	snap := reflect.ValueOf(n.Snapshot()).Elem()
	for name, v := range want {
		f := snap.FieldByName(name)
		if !f.IsValid() {
			t.Errorf("no %s in the snapshot", name)
			continue
		}
		if got := f.Convert(reflect.TypeFor[int64]()).Int(); got != v {
			t.Errorf("%s = %d, want %d", name, got, v)
		}
	}
}

func TestGaugeIsNeverNegative(t *testing.T) {
	var g Gauge
	g.Dec()
	if g.Load() != 0 {
		t.Errorf("%d", g.Load())
	}
	g.Inc()
	g.Inc()
	if g.Load() != 1 {
		t.Errorf("%d: what went below zero is forgotten", g.Load())
	}
}

func TestDropReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for i := range NumDropReasons {
		name := DropReason(i).String()
		if name == "" || seen[name] {
			t.Errorf("reason %d has no name of its own: %q", i, name)
		}
		seen[name] = true
	}
	if got := DropReason(NumDropReasons).String(); got != fmt.Sprintf("drop_%d", NumDropReasons) {
		t.Errorf("unknown reason: %q", got)
	}
}

func TestNoSubscriberIsNotLost(t *testing.T) {
	n := NewNode()
	n.Drop(DropNoSubscriber, 5)
	n.Drop(DropQueueFull, 2)
	if got := n.Snapshot().TotalDropped(); got != 2 {
		t.Errorf("dropped %d, want 2", got)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	var l Labels
	if l.Total() != 0 || len(l.Load()) != 0 {
		t.Error("not empty")
	}
	for i := range MaxLabels + 36 {
		l.Inc(fmt.Sprint("label ", i))
		l.Inc("label 0")
	}
	m := l.Load()
	if len(m) != MaxLabels+1 || m[OtherLabel] != 36 || m["label 0"] != MaxLabels+37 {
		t.Errorf("%d labels, other %d, known %d", len(m), m[OtherLabel], m["label 0"])
	}
	if l.Total() != 2*(MaxLabels+36) {
		t.Errorf("total %d", l.Total())
	}
}

func TestLoadAverageFollowsASteadyRate(t *testing.T) {
	var l LoadAverage
	var total uint64
	for range 6 * 60 * 4 { // four hours of 100 each 10 s
		total += 100
		l.Tick(total, 10*time.Second)
	}
	for _, v := range []float64{l.One, l.Five, l.Fifteen} {
		if math.Abs(v-600) > 0.01 {
			t.Errorf("averages %v %v %v, want 600 a minute", l.One, l.Five, l.Fifteen)
			break
		}
	}
	before := l
	l.Tick(total, time.Minute) // silence: decays by 1/e over its own time
	for _, c := range []struct{ got, want float64 }{
		{l.One, before.One / math.E},
		{l.Five, before.Five * math.Exp(-1./5)},
		{l.Fifteen, before.Fifteen * math.Exp(-1./15)},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("after a silent minute %v, want %v", c.got, c.want)
		}
	}
}

func TestLoadAverageKeepsWhatCameWithoutTime(t *testing.T) {
	var a, b LoadAverage
	a.Tick(50, 0)
	a.Tick(100, time.Minute)
	b.Tick(100, time.Minute)
	if a != b {
		t.Errorf("%+v, want %+v", a, b)
	}
	a.Tick(10, time.Minute) // the counter went back
	if a.One < 0 || a.One > b.One {
		t.Errorf("a counter that went back made %v of %v", a.One, b.One)
	}
}

// TestLoadsTakeTheirCounters finds two averages that are mixed up.
func TestLoadsTakeTheirCounters(t *testing.T) {
	s := &Snapshot{Sockets: 8, ConnectsTotal: 9}
	s.In = PacketCount{Packets: [PacketTypes]uint64{3: 1}, Publish: [QoSLevels]uint64{0: 3}, Bytes: [PacketTypes]uint64{3: 6}}
	s.Out = PacketCount{Packets: [PacketTypes]uint64{3: 2}, Publish: [QoSLevels]uint64{0: 4}, Bytes: [PacketTypes]uint64{3: 7}}
	s.Drops[DropExpired] = 5
	var l Loads
	l.Tick(s, time.Minute)
	part := 1 - 1/math.E
	for i, got := range []float64{
		l.MessagesReceived.One, l.MessagesSent.One, l.PublishReceived.One, l.PublishSent.One, l.PublishDropped.One,
		l.BytesReceived.One, l.BytesSent.One, l.Sockets.One, l.Connections.One,
	} {
		if want := float64(i+1) * part; math.Abs(got-want) > 1e-9 {
			t.Errorf("average %d is %v, want %v", i, got, want)
		}
	}
}

func TestHistogramBuckets(t *testing.T) {
	// Buckets join without a gap: one begins after the last value of the one before.
	first := int64(0)
	for i := range numBuckets {
		last := lastOf(i)
		if last < first {
			t.Fatalf("bucket %d ends at %d before it begins at %d", i, last, first)
		}
		if bucketOf(first) != i || bucketOf(last) != i {
			t.Fatalf("bucket %d: %d is in %d and %d in %d", i, first, bucketOf(first), last, bucketOf(last))
		}
		if width := last - first + 1; width > 1 && width > first/subBuckets {
			t.Fatalf("bucket %d from %d is %d wide", i, first, width)
		}
		if last == math.MaxInt64 {
			if i != numBuckets-1 {
				t.Fatalf("buckets beyond %d are never used", i)
			}
			return
		}
		first = last + 1
	}
	t.Errorf("values from %d have no bucket", first)
}

func TestHistogramQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		var h Histogram
		values := make([]int64, 1+rnd.IntN(3000))
		var sum uint64
		for i := range values {
			values[i] = rnd.Int64N(1 << (1 + rnd.IntN(40)))
			h.Record(values[i])
			sum += uint64(values[i])
		}
		slices.Sort(values)
		d := h.Snapshot()
		if d.Count != uint64(len(values)) || d.Sum != sum || d.Max != values[len(values)-1] {
			t.Fatalf("count %d sum %d max %d", d.Count, d.Sum, d.Max)
		}
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			rank := max(1, int(math.Ceil(q*float64(len(values)))))
			exact := values[rank-1]
			if got := d.Quantile(q); got < exact || got > exact+exact/subBuckets {
				t.Errorf("quantile %v of %d is %d, want %d and at most 1/16 more", q, len(values), got, exact)
			}
		}
		for _, bound := range []int64{0, 1, 1023, 1<<20 - 1} {
			n, _ := slices.BinarySearch(values, bound+1)
			if got := d.AtMost(bound); got != uint64(n) {
				t.Errorf("at most %d: %d, want %d", bound, got, n)
			}
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if d := h.Snapshot(); d.Count != 0 || d.Quantile(0.5) != 0 || d.Mean() != 0 || d.AtMost(100) != 0 {
		t.Errorf("empty: %+v", d)
	}
	h.Record(-5)
	h.Record(math.MaxInt64)
	h.RecordN(4, 0)
	d := h.Snapshot()
	if d.Count != 2 || d.Quantile(0) != 0 || d.Quantile(1) != math.MaxInt64 || d.AtMost(0) != 1 {
		t.Errorf("edges: count %d, %d to %d", d.Count, d.Quantile(0), d.Quantile(1))
	}
	var many Histogram
	many.RecordN(10, 1000)
	if d := many.Snapshot(); d.Count != 1000 || d.Mean() != 10 || d.Quantile(0.5) != 10 {
		t.Errorf("many: %+v", d)
	}
}

func TestHistogramConcurrent(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				h.Record(int64(w*1000 + i))
				if i%100 == 0 {
					_ = h.Snapshot().Quantile(0.5)
				}
			}
		})
	}
	wg.Wait()
	if d := h.Snapshot(); d.Count != 8000 || d.Max != 7999 || d.Sum != 7999*8000/2 {
		t.Errorf("count %d max %d sum %d", d.Count, d.Max, d.Sum)
	}
}

// Counting must not allocate: it is on the path of each message.
func TestCountingDoesNotAllocate(t *testing.T) {
	n := NewNode()
	var b Batch
	if a := testing.AllocsPerRun(100, func() {
		b.In.Message(1, 80, 64)
		b.Out.Messages(10, 0, 80, 64)
		b.Drop(DropExpired)
		n.Add(&b)
		n.AckDelay.Record(1000)
		n.Refuse("rule")
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkMessage(b *testing.B) {
	var batch Batch
	for b.Loop() {
		batch.In.Message(1, 80, 64)
	}
}

func BenchmarkAdd(b *testing.B) {
	n := NewNode()
	b.RunParallel(func(pb *testing.PB) {
		var batch Batch
		for pb.Next() {
			batch.In.Message(1, 80, 64)
			batch.Out.Packet(4, 4)
			n.Add(&batch)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Record(123456)
	}
}
