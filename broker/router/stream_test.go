package router

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/stats"
)

// listen opens a stream that is closed with the test unless it was before.
func (g *rig) listen(q StreamRequest) (*Stream, StreamStart) {
	g.t.Helper()
	q.ID = Identity{Name: "http/ops", User: "ops"}
	s, start, err := g.r.OpenStream(g.t.Context(), q)
	if err != nil {
		g.t.Fatal(err)
	}
	return s, start
}

// take takes n events and answers their payloads, with their order.
func take(t *testing.T, s *Stream, n int) (list []Event, words string) {
	t.Helper()
	for len(list) < n {
		more, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Sent(more)
		list = append(list, more...)
	}
	for _, e := range list {
		dup := ""
		if e.Dup {
			dup = "!"
		}
		words += fmt.Sprintf(" %d:%s%s", e.Seq, e.Msg.Payload, dup)
	}
	return list, strings.TrimSpace(words)
}

func filters(list ...string) (subs []Subscription) {
	for _, f := range list {
		subs = append(subs, Subscription{Filter: f, QoS: 2})
	}
	return subs
}

func TestStream(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		kept := text("a/r", "kept", 1)
		kept.Retain = true
		g.posted(t.Context(), false, kept)
		s, start := g.listen(StreamRequest{Session: "s", Filters: filters("a/#", "bad/#/x")})
		if start.Present || string(start.Codes) != "\x01\x8f" {
			t.Errorf("%+v", start)
		}
		if _, got := take(t, s, 1); got != "1:kept" {
			t.Error(got)
		}
		p := g.connect("p", dial{})
		p.publish("a/1", "run", 0) // the way of a connection
		p.publish("a/1", "run", 1)
		if got := g.posted(t.Context(), true, text("a/1", "x", 0)); got != "00 true 1=1+0+0 true" {
			t.Error(got)
		}
		list, got := take(t, s, 3)
		if strings.Count(got, "run") != 2 || !strings.Contains(got, "0:x") {
			t.Error(got)
		}
		for _, e := range list {
			if e.Msg.Topic != "a/1" || e.QoS > 1 {
				t.Errorf("%+v", e)
			}
		}
		i, ok := g.r.Client("s")
		if !ok || i.Transport != "sse" || i.User != "ops" || i.Inflight != 0 || i.Persistent {
			t.Errorf("%+v", i)
		}
		s.Close()
		if _, ok := g.r.Client("s"); ok {
			t.Error("the session outlived its stream")
		}
		g.balanced()
	})
}

// Who comes back with the last event that it saw gets all that came after it.
func TestStreamResumes(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		q := StreamRequest{Session: "s", Keep: true, Expiry: 60, Filters: filters("a", "b")}
		s, _ := g.listen(q)
		for i := range 5 {
			g.posted(t.Context(), false, text("a", fmt.Sprint(i), 1))
		}
		if _, got := take(t, s, 5); got != "1:0 2:1 3:2 4:3 5:4" {
			t.Error(got)
		}
		s.Close()
		g.posted(t.Context(), false, text("b", "away", 1))
		g.store.settle()
		q.After, q.Filters = 3, filters("a")
		s, start := g.listen(q)
		if !start.Present {
			t.Error("the session is gone")
		}
		if _, got := take(t, s, 3); got != "4:3! 5:4! 6:away" {
			t.Error(got)
		}
		if got := g.posted(t.Context(), false, text("b", "x", 1)); !strings.HasPrefix(got, "10 ") {
			t.Errorf("a filter that was left out still matches: %s", got)
		}
		second, _ := g.listenWhile(s, q) // takes the session over
		_ = second
		g.store.settle()
		if i, _ := g.r.Client("s"); i.Inflight != 3 {
			t.Errorf("%d in flight", i.Inflight)
		}
		second.Close()
		q.After = 6
		s, _ = g.listen(q)
		g.store.settle()
		if i, _ := g.r.Client("s"); i.Inflight != 0 || i.Queued != 0 {
			t.Errorf("%d in flight, %d queued", i.Inflight, i.Queued)
		}
		s.Close()
	})
}

// listenWhile opens a stream for a session that has one, which is closed when it ends.
func (g *rig) listenWhile(s *Stream, q StreamRequest) (*Stream, StreamStart) {
	ended := make(chan error)
	go func() {
		for {
			list, err := s.Next(g.t.Context())
			if err != nil {
				s.Close()
				ended <- err
				return
			}
			s.Sent(list)
		}
	}()
	next, start := g.listen(q)
	var end *StreamEnd
	if err := <-ended; !errors.As(err, &end) || end.Code != codeTakenOver {
		g.t.Errorf("%v", err)
	}
	return next, start
}

// What is kept for a resume never stops the stream, and a full one stops nobody.
func TestStreamWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		s, _ := g.listen(StreamRequest{Session: "s", Keep: true, Expiry: 60, Filters: filters("a")})
		const n = 3 * streamWindow
		for i := range n {
			g.posted(t.Context(), false, text("a", fmt.Sprint(i), 1))
		}
		list, _ := take(t, s, n)
		for i, e := range list {
			if string(e.Msg.Payload) != fmt.Sprint(i) {
				t.Fatalf("%d is %s", i, e.Msg.Payload)
			}
		}
		if i, _ := g.r.Client("s"); i.Inflight != streamKeep || i.Queued != 0 {
			t.Errorf("%d in flight, %d queued", i.Inflight, i.Queued)
		}
		big := strings.Repeat("x", streamBytes/3)
		for range 5 {
			g.posted(t.Context(), false, text("a", big, 1))
		}
		if got := g.posted(t.Context(), true, text("a", "lost", 0)); got != "00 true 1=0+1+0 true" || g.dropped(stats.DropOutputFull) != 1 {
			t.Error(got)
		}
		i, _ := g.r.Client("s")
		if !i.Stalled || i.Queued == 0 {
			t.Errorf("stalled %t, %d queued", i.Stalled, i.Queued)
		}
		take(t, s, 5)
		if i, _ = g.r.Client("s"); i.Stalled || i.Queued != 0 {
			t.Errorf("stalled %t, %d queued", i.Stalled, i.Queued)
		}
		s.Close()
		<-time.After(61 * time.Second)
		synctest.Wait()
		if _, ok := g.r.Client("s"); ok {
			t.Error("the session did not expire")
		}
		g.balanced()
	})
}
