package bridge

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/testing/server"
)

// sink counts what comes.
type sink struct {
	router
	n    atomic.Int64
	want int64
	all  chan struct{}
}

func (s *sink) take(n int) {
	if s.n.Add(int64(n)) == s.want {
		close(s.all)
	}
}

func (s *sink) Loose(_ message.MailboxID, b *message.Bundle) { s.take(len(b.Items)) }

func (s *sink) Deliver(_ message.MailboxID, _ message.Position, b *message.Bundle, done store.Committed) {
	s.take(len(b.Items))
	done.Committed(nil)
}

// window lets a publisher have so many bundles under way.
type window struct {
	m    *mailNode
	free chan struct{}
}

func (w window) Committed(error) {
	w.m.Confirm(w.m.routes.applied.now(), confirmed{w.free})
}

type confirmed struct{ free chan struct{} }

func (c confirmed) Committed(error) { <-c.free }

// benchmark sends messages of 64 bytes from publishers at one instance to another, in
// bundles as one read of a busy connection makes them.
func benchmark(b *testing.B, publishers, items, inflight int, loose bool) {
	r := server.StartRedis(b, "--appendfsync", "no")
	from := joined(b, r.Addr)
	to := newNode(b, r.Addr)
	s := &sink{router: router{to}, want: int64(b.N / items / publishers * items * publishers), all: make(chan struct{})}
	if s.want == 0 {
		s.want = int64(items * publishers)
	}
	ctx := within(b)
	if err := to.open(ctx, to.box); err != nil {
		b.Fatal(err)
	}
	if err := to.start(ctx, s); err != nil {
		b.Fatal(err)
	}
	if err := to.serve(); err != nil {
		b.Fatal(err)
	}
	server.Poll(b, 0, func() bool {
		n, err := from.shout(b.Context(), from.keys.box(to.box, boxSignal), probe)
		return n == 1 && err == nil
	})
	batch := bundle("bench/topic", strings.Split(strings.Repeat(strings.Repeat("x", 64)+",", items), ",")[:items]...)
	before := commands(b, from)
	b.ResetTimer()
	start := time.Now()
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			w := window{from, make(chan struct{}, inflight)}
			for range s.want / int64(items*publishers) {
				w.free <- struct{}{}
				if loose {
					from.Loose(to.box, batch)
					<-w.free
					server.Poll(b, 0, func() bool { return !from.outbox(to.box).behind() })
				} else {
					from.Append(to.box, batch, w)
				}
			}
		})
	}
	wg.Wait()
	select {
	case <-s.all:
	case <-ctx.Done():
		b.Fatalf("%d of %d came, %d lost", s.n.Load(), s.want, from.figures.Lost.Load())
	}
	b.ReportMetric(float64(s.want)/time.Since(start).Seconds(), "msg/s")
	b.ReportMetric(float64(commands(b, from)-before)/float64(s.want), "commands/msg")
}

func (o *outbox) behind() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes > looseBytes/2
}

// commands is how many the server has done.
func commands(b *testing.B, n *mailNode) int {
	text, err := n.link.client.Info(b.Context(), "stats").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "total_commands_processed:")
	count := 0
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		count = 10*count + int(c-'0')
	}
	return count
}

// BenchmarkJoin is subscriptions to new filters with three instances, each until its
// barrier has passed, from so many clients at a time.
func BenchmarkJoin(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) {
			r := server.StartRedis(b, "--appendfsync", "no")
			nodes := []*mailNode{joined(b, r.Addr), joined(b, r.Addr), joined(b, r.Addr)}
			var took stats.Histogram
			var next atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					n := nodes[c%len(nodes)]
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						o, start := newOutcome(), time.Now()
						n.Join(n.box, []string{"f/" + strconv.FormatInt(i, 10)}, o)
						if err := <-o; err != nil {
							b.Error(err)
							return
						}
						took.Record(time.Since(start).Microseconds())
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "joins/s")
			d := took.Snapshot()
			b.ReportMetric(float64(d.Quantile(0.5))/1000, "p50-ms")
			b.ReportMetric(float64(d.Quantile(0.99))/1000, "p99-ms")
		})
	}
}

func BenchmarkAppend(b *testing.B)  { benchmark(b, 10, 20, 5, false) }
func BenchmarkAppend1(b *testing.B) { benchmark(b, 1, 1, 1, false) }
func BenchmarkLoose(b *testing.B)   { benchmark(b, 10, 50, 5, true) }
