package session

import (
	"math"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// sink takes frames and forgets them.
type sink struct{ form message.Form }

func (k *sink) AppendPublish(dst []byte, e *Entry, id message.PacketID, dup bool, now int64) ([]byte, bool) {
	k.form = message.Form{Version: message.V311, QoS: e.QoS, Dup: dup, Now: now}
	return k.form.Append(dst, e.Msg, id), true
}

func BenchmarkAssignPuback(b *testing.B) {
	s := New(false, Limits{})
	s.Connected(&sink{}, 100)
	var o Output
	b.ReportAllocs()
	for b.Loop() {
		id := s.Assign(1)
		if ok, err := s.Puback(&o, id, 0); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkEnqueueFillPuback(b *testing.B) {
	for name, persistent := range map[string]bool{"clean": false, "persistent": true} {
		b.Run(name, func(b *testing.B) {
			s := New(persistent, Limits{Messages: 1000, Bytes: 1 << 20})
			s.Connected(&sink{}, 100)
			var o Output
			e := entry(1, 1, 60)
			b.ReportAllocs()
			for b.Loop() {
				s.Enqueue(&o, e)
				s.Fill(&o, 1, 1<<16)
				if ok, err := s.Puback(&o, s.win.last, 0); !ok || err != nil {
					b.Fatal(ok, err)
				}
				o.Now, o.After, o.Ops = o.Now[:0], o.After[:0], o.Ops[:0]
			}
		})
	}
}

// BenchmarkEnqueueOffline is a message for a session whose queue is in the store.
func BenchmarkEnqueueOffline(b *testing.B) {
	s := New(true, Limits{Messages: math.MaxInt32, PageMessages: 1000, PageBytes: 1 << 20})
	var o Output
	e := entry(1, 1, 60)
	b.ReportAllocs()
	for b.Loop() {
		s.Enqueue(&o, e)
		o.Ops = o.Ops[:0]
	}
}

// BenchmarkPages is what a client does that comes back to a queue in the store,
// without the store.
func BenchmarkPages(b *testing.B) {
	const page = 1000
	s := New(true, Limits{PageMessages: page, PageBytes: 1 << 20})
	var o Output
	e := entry(1, 1, 60)
	entries := make([]store.Entry, page)
	s.Connected(&sink{}, 100)
	b.ReportAllocs()
	for b.Loop() {
		s.Enqueue(&o, e)
		if p, ok := s.WantsPage(); ok {
			page := entries[:min(p.Messages, int(s.seq-p.After))]
			for i := range page {
				page[i] = e.Entry
				page[i].Seq = p.After + uint64(i) + 1
			}
			s.Paged(&o, p, page)
		}
		s.Fill(&o, 1, 1<<16)
		if ok, err := s.Puback(&o, s.win.last, 0); !ok || err != nil {
			b.Fatal(ok, err)
		}
		o.Now, o.After, o.Ops = o.Now[:0], o.After[:0], o.Ops[:0]
	}
}

func BenchmarkQoS2(b *testing.B) {
	s := New(true, Limits{})
	s.Connected(&sink{}, 100)
	var o Output
	e := entry(1, 2, 60)
	b.ReportAllocs()
	for b.Loop() {
		s.Enqueue(&o, e)
		s.Fill(&o, 1, 1<<16)
		id := s.win.last
		_, _ = s.Pubrec(&o, message.V311, id, 0) // errors show in the count below
		_, _ = s.Pubcomp(&o, id)
		s.Received(&o, id)
		s.Pubrel(&o, message.V311, id)
		o.Now, o.After, o.Ops = o.Now[:0], o.After[:0], o.Ops[:0]
	}
	if _, n, _ := s.Counts(); n != 0 {
		b.Fatal(n, "in flight")
	}
}

// BenchmarkQueue100k is what a client does that comes back to 100,000 messages.
func BenchmarkQueue100k(b *testing.B) {
	const n = 100_000
	e := entry(1, 1, 60)
	b.ReportAllocs()
	for b.Loop() {
		s := New(true, Limits{Messages: n})
		var o Output
		for range n {
			s.Enqueue(&o, e)
			o.Ops = o.Ops[:0]
		}
		s.Connected(&sink{}, 1000)
		for first := message.PacketID(1); !s.Fill(&o, 1, 1<<16); {
			for ; first != s.win.last+1; first++ {
				_, _ = s.Puback(&o, first, 0) // 0 comes by once
			}
			o.Now, o.Ops = o.Now[:0], o.Ops[:0]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
}
