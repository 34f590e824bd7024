package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// socket is a Writer like a net.Conn: a write takes as many bytes as gate allows, one
// value after the other, until it has taken all or its deadline passes. Without a gate
// it takes everything.
type socket struct {
	gate chan int      // bytes that the peer reads
	gone chan struct{} // closed: writes fail with errGone

	mu       sync.Mutex
	got      []byte
	largest  int // longest write
	deadline time.Time
	armed    int // calls of SetWriteDeadline
}

var errGone = errors.New("socket closed")

func gated() *socket { return &socket{gate: make(chan int), gone: make(chan struct{})} }

func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.largest = max(s.largest, len(p))
	deadline := s.deadline
	s.mu.Unlock()
	if s.gate == nil {
		s.take(p)
		return len(p), nil
	}
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	n := 0
	for n < len(p) {
		select {
		case <-late:
			return n, os.ErrDeadlineExceeded
		case <-s.gone:
			return n, errGone
		case k := <-s.gate:
			k = min(k, len(p)-n)
			s.take(p[n : n+k])
			n += k
		}
	}
	return n, nil
}

func (s *socket) take(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, p...)
}

func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	s.armed++
	return nil
}

// open lets everything through.
func (s *socket) open(t *testing.T, o *Output) {
	t.Helper()
	for o.Pending() > 0 {
		select {
		case s.gate <- 1 << 30:
		case <-o.Flushed():
		}
	}
	synctest.Wait()
}

// calls counts what an output calls.
type calls struct {
	failed  atomic.Int32
	drained atomic.Int32
	err     error // of the last fail
}

func (c *calls) fail(err error) { c.err = err; c.failed.Add(1) }
func (c *calls) drain()         { c.drained.Add(1) }

const minute = time.Minute

func newTestOutput(w Writer, limit int) (*Output, *calls) {
	c := &calls{}
	return NewOutput(w, limit, minute, c.fail, c.drain), c
}

// atRest fails unless the output has no flusher and holds nothing.
func atRest(t *testing.T, o *Output) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flushing || o.cur != nil || o.sealed != nil || o.idle != nil || o.size.Load() != 0 {
		t.Errorf("not at rest: flushing %v, a block %v, %d sealed, %d pending", o.flushing, o.cur != nil, len(o.sealed), o.size.Load())
	}
}

func TestOutputWritesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o, c := newTestOutput(s, 1<<20)
		const appenders, each = 8, 500
		var wg sync.WaitGroup
		for a := range appenders {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(a)))
				for i := range each {
					b := append(o.Begin(), byte(a))
					b = binary.BigEndian.AppendUint32(b, uint32(i))
					size := rnd.IntN(600)
					b = binary.BigEndian.AppendUint32(b, uint32(size))
					o.End(append(b, bytes.Repeat([]byte{byte(i)}, size)...))
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		rnd := rand.New(rand.NewPCG(2, 2))
		for done != nil {
			select {
			case <-done:
				done = nil
			case s.gate <- 1 + rnd.IntN(2000):
			}
		}
		s.open(t, o)
		atRest(t, o)
		var next [appenders]uint32
		for b := s.got; len(b) > 0; {
			a, i, size := b[0], binary.BigEndian.Uint32(b[1:]), int(binary.BigEndian.Uint32(b[5:]))
			if i != next[a] {
				t.Fatalf("appender %d: %d after %d", a, i, next[a])
			}
			if rest := b[9 : 9+size]; bytes.Count(rest, []byte{byte(i)}) != size {
				t.Fatalf("appender %d, %d: mixed with others", a, i)
			}
			next[a]++
			b = b[9+size:]
		}
		for a, n := range next {
			if n != each {
				t.Errorf("appender %d: %d of %d", a, n, each)
			}
		}
		if c.failed.Load() != 0 || c.drained.Load() != 0 {
			t.Errorf("fail called %d times, drained %d", c.failed.Load(), c.drained.Load())
		}
	})
}

func TestOutputGathersDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o, _ := newTestOutput(s, 1<<20)
		o.Append([]byte("a"))
		synctest.Wait() // the flusher writes "a"
		o.Append([]byte("b"))
		o.Append([]byte("c"))
		if o.Pending() != 3 || o.Room() != 1<<20-3 {
			t.Errorf("Pending = %d, Room = %d", o.Pending(), o.Room())
		}
		s.gate <- 1
		synctest.Wait()
		s.gate <- 10 // one write for both
		atRest(t, o)
		if string(s.got) != "abc" {
			t.Errorf("wrote %q", s.got)
		}
	})
}

func TestOutputKeepsNoBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{}
		o, _ := newTestOutput(s, 1<<30)
		run := o.run
		o.run = func() { t.Error("a flusher for nothing") }
		o.End(o.Begin())
		o.run = run
		atRest(t, o) // nothing appended, nothing kept
		o.Append(make([]byte, 8<<20))
		atRest(t, o)
		if len(s.got) != 8<<20 || s.largest > chunk {
			t.Errorf("wrote %d bytes, %d at once", len(s.got), s.largest)
		}
	})
}

func TestOutputEmptyAppendDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o, _ := newTestOutput(s, 1<<20)
		o.Append([]byte("a"))
		synctest.Wait()
		o.End(o.Begin())
		s.open(t, o)
		atRest(t, o)
	})
}

// A backlog is a list of blocks that are not copied again.
func TestOutputBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o, _ := newTestOutput(s, 1<<30)
		var want []byte
		for i := range 20_000 {
			b := bytes.Repeat([]byte{byte(i)}, 50+i%400)
			want = append(want, b...)
			o.Append(b)
		}
		synctest.Wait()
		o.mu.Lock()
		blocks := len(o.sealed)
		o.mu.Unlock()
		if least := len(want) / (2 * largeBlock); blocks < least {
			t.Errorf("%d bytes in %d blocks, want %d or more", len(want), blocks, least)
		}
		s.open(t, o)
		atRest(t, o)
		if !bytes.Equal(s.got, want) {
			t.Errorf("%d bytes written differ from the %d appended", len(s.got), len(want))
		}
	})
}

func TestOutputFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o, c := newTestOutput(s, 10)
		o.Append(make([]byte, 20))
		if !o.Full() || !o.Notify() {
			t.Error("not full")
		}
		flushed := o.Flushed()
		synctest.Wait()
		o.Append([]byte("more"))
		close(s.gone)
		<-flushed // not written, but nothing is left to write
		atRest(t, o)
		if c.failed.Load() != 1 || !errors.Is(c.err, errGone) {
			t.Errorf("fail called %d times, with %v", c.failed.Load(), c.err)
		}
		o.Append(make([]byte, 20)) // dropped
		atRest(t, o)
		if o.Full() || o.Notify() {
			t.Error("a failed output promises to call drained")
		}
		<-o.Flushed()
		o.Close()
		if c.failed.Load() != 1 || c.drained.Load() != 0 {
			t.Errorf("fail called %d times, drained %d", c.failed.Load(), c.drained.Load())
		}
	})
}

func TestOutputShortWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := newTestOutput(stuck{}, 10)
		o.Append([]byte("a"))
		atRest(t, o)
		if c.failed.Load() != 1 || !errors.Is(c.err, io.ErrShortWrite) {
			t.Errorf("fail called %d times, with %v", c.failed.Load(), c.err)
		}
	})
}

// stuck writes nothing and says nothing.
type stuck struct{}

func (stuck) Write([]byte) (int, error)        { return 0, nil }
func (stuck) SetWriteDeadline(time.Time) error { return nil }

// Progress is whatever the peer takes, be it a byte of a long write.
func TestOutputTimeout(t *testing.T) {
	for gap := time.Second; gap < minute; gap += 3 * time.Second {
		synctest.Test(t, func(t *testing.T) {
			s := gated()
			o, c := newTestOutput(s, 10)
			o.Append([]byte("abcdefghij"))
			for range 20 { // many timeouts together, but never one without progress
				<-time.After(gap)
				o.Append([]byte("x"))
				s.gate <- 1
			}
			synctest.Wait()
			if c.failed.Load() != 0 {
				t.Fatalf("failed with progress every %v: %v", gap, c.err)
			}
			last := time.Now()
			<-o.Flushed()
			if stalled := time.Since(last); stalled < minute || stalled > minute*5/2 {
				t.Errorf("closed after %v without progress, want %v to %v", stalled, minute, minute*5/2)
			}
			atRest(t, o)
			if c.failed.Load() != 1 || !errors.Is(c.err, os.ErrDeadlineExceeded) {
				t.Errorf("fail called %d times, with %v", c.failed.Load(), c.err)
			}
		})
	}
}

// A write that begins late in the time of the last deadline has a timeout of its own.
func TestOutputStuckWrite(t *testing.T) {
	for gap := time.Second; gap < 2*minute; gap += 3 * time.Second {
		synctest.Test(t, func(t *testing.T) {
			s := gated()
			o, c := newTestOutput(s, 10)
			o.Append([]byte("a"))
			s.open(t, o)
			<-time.After(gap)
			o.Append([]byte("b"))
			last := time.Now()
			<-o.Flushed()
			if stalled := time.Since(last); stalled < minute || stalled > minute*5/4 {
				t.Errorf("closed %v after it began, want %v to %v", stalled, minute, minute*5/4)
			}
			atRest(t, o)
			if c.failed.Load() != 1 || !errors.Is(c.err, os.ErrDeadlineExceeded) {
				t.Errorf("fail called %d times, with %v", c.failed.Load(), c.err)
			}
		})
	}
}

func TestOutputMovesTheDeadlineRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{}
		o, _ := newTestOutput(s, 10)
		for range 1000 {
			o.Append([]byte("a"))
			synctest.Wait()
		}
		if s.armed != 1 {
			t.Errorf("the deadline was set %d times for 1000 writes at one moment", s.armed)
		}
		<-time.After(10 * minute) // it has passed while nothing was written
		o.Append([]byte("a"))
		synctest.Wait()
		if s.armed != 2 || !s.deadline.After(time.Now()) {
			t.Errorf("set %d times, to %v", s.armed, s.deadline)
		}
		forEver := NewOutput(s, 10, 0, func(error) {}, func() {})
		forEver.Append([]byte("a"))
		synctest.Wait()
		if s.armed != 2 {
			t.Error("a deadline without a timeout")
		}
	})
}

func TestOutputDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o, c := newTestOutput(s, 100)
		if o.Full() || o.Notify() {
			t.Error("an empty output promises to call drained")
		}
		o.Append(make([]byte, 60))
		synctest.Wait() // being written
		if o.Full() {
			t.Error("full with 60 of 100")
		}
		o.Append(make([]byte, 60))
		if !o.Full() || o.Room() != -20 {
			t.Errorf("not full with 120 of 100; Room = %d", o.Room())
		}
		s.gate <- 60
		synctest.Wait()
		if n := c.drained.Load(); n != 0 {
			t.Errorf("drained called %d times with 60 of 100 pending", n)
		}
		s.gate <- 60
		atRest(t, o)
		if n := c.drained.Load(); n != 1 {
			t.Errorf("drained called %d times, want once", n)
		}
		o.Append(make([]byte, 60)) // nobody asked
		s.open(t, o)
		if n := c.drained.Load(); n != 1 {
			t.Errorf("drained called %d times without being asked for", n)
		}
	})
}

// What drained appends is written, by the same flusher or the next.
func TestOutputDrainedAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{}
		left := 50
		var o *Output
		o = NewOutput(s, 1, minute, func(err error) { t.Error(err) }, func() {
			if left--; left >= 0 {
				o.Append([]byte("xy"))
				if left > 0 && !o.Full() {
					t.Error("not full with 2 of 1")
				}
			}
		})
		b := append(o.Begin(), "xy"...)
		o.waiting = true // as Full would say, before the flusher can have written
		o.End(b)
		atRest(t, o)
		if len(s.got) < 2*50 {
			t.Errorf("%d bytes written", len(s.got))
		}
	})
}

// A true answer of Notify or Full is kept whatever the flusher does at that moment.
func TestOutputLosesNoWakeUp(t *testing.T) {
	for i := range 3000 {
		synctest.Test(t, func(t *testing.T) {
			s := &socket{}
			o, c := newTestOutput(s, 2)
			var promised atomic.Bool
			o.Append([]byte("a"))
			for range 2 {
				go func() {
					for range i % 7 {
						runtime.Gosched()
					}
					if o.Notify() {
						promised.Store(true)
					}
				}()
			}
			go func() {
				o.Append([]byte("bcd"))
				if o.Full() {
					promised.Store(true)
				}
			}()
			atRest(t, o)
			if promised.Load() && c.drained.Load() == 0 {
				t.Fatal("promised to call drained and did not")
			}
			if string(s.got) != "abcd" {
				t.Fatalf("wrote %q", s.got)
			}
		})
		if t.Failed() {
			return
		}
	}
}

func TestOutputClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gated()
		o, c := newTestOutput(s, 3)
		o.Append([]byte("first"))
		synctest.Wait()
		o.Append(make([]byte, 300_000))
		if !o.Full() {
			t.Error("not full")
		}
		flushed := o.Flushed()
		o.Close()
		<-flushed
		if o.Pending() != len("first") { // the write that has begun
			t.Errorf("Pending = %d", o.Pending())
		}
		o.Append([]byte("dropped"))
		o.Close()
		<-o.Flushed()
		close(s.gone)
		atRest(t, o)
		o.End(append(o.Begin(), "dropped too"...))
		atRest(t, o)
		if c.failed.Load() != 0 || c.drained.Load() != 0 || len(s.got) != 0 {
			t.Errorf("fail called %d times, drained %d, %q written", c.failed.Load(), c.drained.Load(), s.got)
		}
	})
}

func TestOutputCloseAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{}
		o, _ := newTestOutput(s, 10)
		<-o.Flushed() // nothing to write
		o.Append([]byte("a"))
		<-o.Flushed()
		o.Close()
		o.Append([]byte("b"))
		atRest(t, o)
		if string(s.got) != "a" {
			t.Errorf("wrote %q", s.got)
		}
	})
}

func TestBlocks(t *testing.T) {
	for _, n := range []int{smallBlock, largeBlock} {
		k := getBlock(n == largeBlock)
		if len(k.b) != 0 || cap(k.b) < n || k.small() != (n == smallBlock) || !k.hasRoom() {
			t.Errorf("a block for %d: length %d, capacity %d", n, len(k.b), cap(k.b))
		}
		k.b = k.b[:cap(k.b)]
		if k.hasRoom() {
			t.Error("a full block has room")
		}
		k.release()
	}
	big := &block{b: make([]byte, 1<<20)}
	big.release()
	for range 10 {
		if k := getBlock(true); cap(k.b) > 2*largeBlock {
			t.Fatal("a block that has grown is kept")
		}
	}
}

// discard takes everything.
type discard struct{}

func (discard) Write(p []byte) (int, error)      { return len(p), nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }

func BenchmarkOutputAppend(b *testing.B) {
	o := NewOutput(discard{}, 8<<20, minute, func(error) {}, func() {})
	p := make([]byte, 80)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		o.Append(p)
	}
	<-o.Flushed()
}

// A flusher starts and ends for every append.
func BenchmarkOutputRoundTrip(b *testing.B) {
	o := NewOutput(discard{}, 8<<20, minute, func(error) {}, func() {})
	p := make([]byte, 80)
	b.ReportAllocs()
	for b.Loop() {
		o.Append(p)
		for o.Pending() > 0 {
			runtime.Gosched()
		}
	}
	<-o.Flushed()
}

func BenchmarkOutputBacklog(b *testing.B) {
	for _, size := range []int{100, 2000} {
		b.Run(map[int]string{100: "100B", 2000: "2000B"}[size], func(b *testing.B) {
			p := make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(8 << 20)
			for b.Loop() {
				s := gated()
				o := NewOutput(s, 8<<20, 0, func(error) {}, func() {})
				for o.Room() > 0 {
					o.Append(p)
				}
				close(s.gone)
				<-o.Flushed()
			}
		})
	}
}
