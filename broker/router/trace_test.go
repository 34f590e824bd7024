package router

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
)

// looking is a trace that a test runs.
type looking struct {
	g      *rig
	stop   context.CancelFunc
	done   chan struct{}
	events []TraceEvent // of the tracing goroutine until done
	lost   uint64
	err    error
}

func (g *rig) look(q TraceQuery) *looking {
	g.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &looking{g: g, stop: stop, done: make(chan struct{})}
	if q.Rate == 0 {
		q.Rate = 1000
	}
	before := running(g.r)
	go func() {
		defer close(l.done)
		l.lost, l.err = g.r.Trace(ctx, q, func(e *TraceEvent) error { l.events = append(l.events, *e); return nil })
	}()
	synctest.Wait()
	if running(g.r) != before+1 {
		g.t.Fatal("the trace does not run")
	}
	return l
}

func running(r *Router) int {
	if t := r.Tracing(); t != nil {
		return len(t.list)
	}
	return 0
}

// end answers what was seen, in words.
func (l *looking) end() []string {
	l.stop()
	<-l.done
	var words []string
	for i := range l.events {
		e := &l.events[i]
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s %s %s>%s %s", e.Decision, e.Topic, e.Client, e.Target, e.Rule)))
	}
	return words
}

func (l *looking) expect(want ...string) {
	l.g.t.Helper()
	if got := l.end(); !slices.Equal(got, want) {
		l.g.t.Errorf("saw\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// inBubble runs f with a router on a bubble's clock.
func inBubble(t *testing.T, change func(*setup), f func(g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newRig(t, change)) })
}

func TestATraceShowsTheDecisions(t *testing.T) {
	inBubble(t, nil, func(g *rig) {
		p, a, b := g.connect("p", dial{}), g.connect("a", dial{}), g.connect("b", dial{clean: true, ends: true})
		a.subscribe(1, "t/#")
		b.subscribe(0, "t/#")
		a.bye()
		l := g.look(TraceQuery{Topic: "t/+"})
		p.publish("t/1", "x", 1)
		p.publish("other", "x", 1)
		p.send(message.Message{Topic: "t/2", Payload: []byte("r"), Retain: true})
		p.publish("$SYS/t", "x", 0)
		b.unsubscribe("t/#")
		p.publish("t/3", "x", 0)
		got := l.end()
		for _, want := range []string{
			"allowed t/1 p>", "queued t/1 p>a", "sent t/1 p>b", "committed t/1 p>",
			"allowed t/2 p>", "retained t/2 p>", "sent t/2 p>b", "dropped t/2 p>a qos0_offline", "dropped t/3 p>a qos0_offline",
		} {
			if n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != want })); n != 1 {
				t.Errorf("%q %d times in\n%s", want, n, strings.Join(got, "\n"))
			}
		}
		if i := slices.IndexFunc(got, func(s string) bool { return strings.Contains(s, "other") || strings.Contains(s, "SYS") }); i >= 0 {
			t.Error("foreign:", got[i])
		}
		for i := range l.events {
			if e := &l.events[i]; e.Payload != nil || e.At == 0 || e.Packet != "PUBLISH" {
				t.Errorf("%+v", e)
			}
		}
	})
}

// A decision concerns who published and whom it goes to.
func TestATraceOfAClient(t *testing.T) {
	inBubble(t, nil, func(g *rig) {
		p, a, b := g.connect("p", dial{}), g.connect("a", dial{}), g.connect("b", dial{})
		a.subscribe(0, "t")
		b.subscribe(0, "t")
		l := g.look(TraceQuery{Client: "b"})
		p.publish("t", "x", 0)
		b.publish("nobody", "x", 0)
		l.expect("sent t p>b", "allowed nobody b>", "dropped nobody b> no_subscriber")
	})
}

func TestATraceNamesTheRule(t *testing.T) {
	refuse := authorizer(func(h *hooks.Client, q hooks.Request) hooks.Decision {
		if q.Topic == "secret" || h.ID() == "blind" && q.Action == hooks.Deliver {
			return hooks.Decision{Code: hooks.CodeNotAuthorized, Rule: "rule 7"}
		}
		return hooks.Decision{Rule: "rule 1"}
	})
	inBubble(t, func(s *setup) { s.auth = refuse }, func(g *rig) {
		p, blind := g.connect("p", dial{}), g.connect("blind", dial{})
		blind.subscribe(0, "open")
		p.publish("open", "x", 0) // the verdict is known before the trace begins
		l := g.look(TraceQuery{Topic: "#"})
		blind.subscribe(0, "secret")
		p.publish("secret", "x", 1)
		p.publish("open", "x", 0)
		l.expect(
			"refused secret blind> rule 7", "refused secret p> rule 7",
			"refused open >blind rule 7", "allowed open p> rule 1", "dropped open p> no_subscriber",
		)
	})
}

// authorizer is an Authorizer as a function.
type authorizer func(h *hooks.Client, q hooks.Request) hooks.Decision

func (f authorizer) Authorize(h *hooks.Client, q hooks.Request) hooks.Decision { return f(h, q) }
func (authorizer) Generation() uint64                                          { return 0 }

// What is over the rate is counted, and what nobody takes in time.
func TestTracesAreBounded(t *testing.T) {
	inBubble(t, nil, func(g *rig) {
		p := g.connect("p", dial{})
		l := g.look(TraceQuery{Client: "p", Rate: 10})
		for range 50 {
			p.publish("t", "x", 0) // two events
		}
		<-time.After(time.Second)
		p.publish("t", "x", 0)
		if got := l.end(); len(got) != 12 || l.lost != 90 || l.err != nil {
			t.Errorf("%d seen, %d lost, %v", len(got), l.lost, l.err)
		}
		var all []*looking
		for range maxTraces {
			all = append(all, g.look(TraceQuery{Client: "p"}))
		}
		if _, err := g.r.Trace(context.Background(), TraceQuery{Client: "p", Rate: 1}, nil); !errors.Is(err, ErrTraces) {
			t.Errorf("one more: %v", err)
		}
		for _, l := range all {
			l.end()
		}
		if g.r.Tracing() != nil {
			t.Error("a trace goes on")
		}
	})
}

// Who looks too slowly loses events; nobody else waits.
func TestASlowLookerLosesEvents(t *testing.T) {
	inBubble(t, nil, func(g *rig) {
		p := g.connect("p", dial{})
		taken, goOn := make(chan struct{}), make(chan struct{})
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		lost := make(chan uint64, 1)
		go func() {
			n := 0
			gone, _ := g.r.Trace(ctx, TraceQuery{Client: "p", Rate: 100_000}, func(*TraceEvent) error {
				if n++; n == 1 {
					close(taken)
					<-goOn
				}
				return nil
			})
			lost <- gone
		}()
		synctest.Wait()
		p.publish("t", "x", 0)
		<-taken
		for range traceRing {
			p.publish("t", "x", 0)
		}
		close(goOn)
		stop()
		if n := <-lost; n != traceRing+1 { // two each, and one was taken
			t.Errorf("%d lost", n)
		}
	})
}

// A looker that is gone ends the trace.
func TestATraceEndsWithItsLooker(t *testing.T) {
	inBubble(t, nil, func(g *rig) {
		p := g.connect("p", dial{})
		gone := errors.New("gone")
		ended := make(chan error, 1)
		go func() {
			_, err := g.r.Trace(context.Background(), TraceQuery{Client: "p", Rate: 10}, func(*TraceEvent) error { return gone })
			ended <- err
		}()
		synctest.Wait()
		p.publish("t", "x", 0)
		if err := <-ended; !errors.Is(err, gone) || g.r.Tracing() != nil {
			t.Error(err)
		}
	})
}

func TestWhatATraceWants(t *testing.T) {
	net := netip.MustParsePrefix("192.0.2.0/24")
	for _, c := range []struct {
		q    TraceQuery
		e    TraceEvent
		want bool
	}{
		{TraceQuery{Client: "a"}, TraceEvent{Client: "a"}, true},
		{TraceQuery{Client: "a"}, TraceEvent{Client: "b"}, false},
		{TraceQuery{Client: "a"}, TraceEvent{Client: "b", Target: "a"}, true},
		{TraceQuery{Net: net}, TraceEvent{Remote: "192.0.2.7:1883"}, true},
		{TraceQuery{Net: net}, TraceEvent{Remote: "[::ffff:192.0.2.7]:1883"}, true},
		{TraceQuery{Net: net}, TraceEvent{Remote: "192.0.3.7:1883"}, false},
		{TraceQuery{Net: net}, TraceEvent{Remote: "@"}, false},
		{TraceQuery{Net: net}, TraceEvent{Remote: "@", Target: "b", targetRemote: "192.0.2.1:5"}, true},
		{TraceQuery{Net: net, Client: "a"}, TraceEvent{Client: "a", Remote: "192.0.3.7:1", Target: "b", targetRemote: "192.0.2.1:5"}, false},
		{TraceQuery{Topic: "t/#"}, TraceEvent{Topic: "t/1"}, true},
		{TraceQuery{Topic: "t/#", Client: "a"}, TraceEvent{Topic: "t/1", Client: "b"}, false},
		{TraceQuery{Topic: "t/#"}, TraceEvent{}, false},
	} {
		var filters []string
		if c.e.Topic != "" {
			filters = []string{c.e.Topic}
		}
		if got := (&trace{q: c.q}).wants(&c.e, filters); got != c.want {
			t.Errorf("%+v of %+v: %t", c.q, c.e, got)
		}
	}
}

func TestFiltersShareATopic(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a/b", "a", false}, {"#", "a/b", true}, {"a/#", "a", true}, {"a/#", "b/#", false},
		{"a/+", "+/b", true}, {"a/+/c", "a/b/#", true}, {"+", "a/b", false}, {"+/+", "a/#", true}, {"#", "$SYS/x", false},
		{"$SYS/#", "#", false}, {"$SYS/#", "$SYS/x", true}, {"a/b", "$share/g/a/+", true}, {"a/b", "$share/g/b/+", false}, {"a/", "a", false},
	} {
		if got := shareTopic(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}

func TestPayloadsOnlyWhenAsked(t *testing.T) {
	inBubble(t, nil, func(g *rig) {
		l := g.look(TraceQuery{Client: "p", Payload: true})
		buf := []byte(strings.Repeat("x", tracePart+1))
		g.r.Tracing().Packet(&TraceEvent{Client: "p", Payload: buf})
		clear(buf)
		l.end()
		if len(l.events) != 1 || string(l.events[0].Payload) != strings.Repeat("x", tracePart) {
			t.Errorf("%d bytes", len(l.events[0].Payload))
		}
	})
}

// Every reason for which a client can lose a message, forced: its counter, the node's and
// a trace agree.
func TestEveryReasonForWhichAClientLosesMessages(t *testing.T) {
	short := false
	denied := ""
	auth := authorizer(func(_ *hooks.Client, q hooks.Request) hooks.Decision {
		if q.Action == hooks.Deliver && denied != "" {
			return hooks.Decision{Code: hooks.CodeNotAuthorized, Rule: denied, PerMessage: true}
		}
		return hooks.Decision{PerMessage: true}
	})
	away := func(s *peer) { s.drop() }
	for _, c := range []struct {
		why   stats.DropReason
		dial  dial
		set   func(*setup)
		force func(g *rig, p, s *peer)
	}{
		{stats.DropQueueFull, dial{}, func(s *setup) { s.Queue.Messages = 1 }, func(_ *rig, p, s *peer) {
			away(s)
			p.publish("t", "1", 1)
			p.publish("t", "2", 1)
		}},
		{stats.DropQueueFull, dial{}, func(s *setup) { s.Queue = session.Limits{Messages: 1, Overflow: session.DropNewest} }, func(_ *rig, p, s *peer) {
			away(s)
			p.publish("t", "1", 1)
			p.publish("t", "2", 1)
		}},
		{stats.DropExpired, dial{}, nil, func(g *rig, p, s *peer) {
			away(s)
			p.send(message.Message{Topic: "t", QoS: 1, Expires: time.Now().Add(time.Second).UnixNano()})
			<-time.After(2 * time.Second)
			g.connect("s", dial{})
		}},
		{stats.DropTooLarge, dial{max: 20}, nil, func(_ *rig, p, _ *peer) { p.publish("t", strings.Repeat("x", 50), 0) }},
		{stats.DropTooLarge, dial{max: 20}, nil, func(_ *rig, p, _ *peer) { p.publish("t", strings.Repeat("x", 50), 1) }},
		{stats.DropOutputFull, dial{limit: 10}, nil, func(_ *rig, p, s *peer) {
			s.out.End(append(s.out.Begin(), make([]byte, 20)...))
			p.publish("t", "x", 0)
		}},
		{stats.DropMemory, dial{}, nil, func(_ *rig, p, _ *peer) { short = true; p.publish("t", "x", 0) }},
		{stats.DropMemory, dial{}, nil, func(_ *rig, p, _ *peer) { short = true; p.send(message.Message{Topic: "t", Retain: true}) }},
		{stats.DropQoS0Offline, dial{}, nil, func(_ *rig, p, s *peer) { away(s); p.publish("t", "x", 0) }},
		{stats.DropACL, dial{}, func(s *setup) { s.auth = auth }, func(_ *rig, p, _ *peer) { denied = "no"; p.publish("t", "x", 1) }},
		{stats.DropRefused, dial{}, nil, func(g *rig, p, s *peer) {
			p.publish("t", "x", 1)
			if err := g.r.Acked(s.link, []Ack{{ID: s.frames()[0].id, Type: typePuback, Code: 0x83}}); err != nil {
				g.t.Error(err)
			}
		}},
		{stats.DropQuota, dial{}, func(s *setup) { s.MaxQueued = 1 }, func(_ *rig, p, s *peer) {
			away(s)
			p.publish("t", "1", 1)
			p.publish("t", "2", 1)
		}},
	} {
		inBubble(t, func(s *setup) {
			short, denied = false, ""
			s.OverLimit = func() bool { return short }
			if c.set != nil {
				c.set(s)
			}
		}, func(g *rig) {
			p, s := g.connect("p", dial{}), g.connect("s", c.dial)
			s.subscribe(1, "t")
			s.frames()
			l := g.look(TraceQuery{Client: "s"})
			c.force(g, p, s)
			shown := 0
			for _, w := range l.end() {
				if strings.HasPrefix(w, "dropped ") && strings.HasSuffix(w, "p>s "+c.why.String()) {
					shown++
				}
			}
			i, _ := g.r.Client("s")
			if i.Drops[c.why] != 1 || i.Dropped() != 1 || g.dropped(c.why) != 1 || shown != 1 {
				t.Errorf("%s: client %d of %d, node %d, trace %d", c.why, i.Drops[c.why], i.Dropped(), g.dropped(c.why), shown)
			}
			list, _ := g.r.Clients(ClientQuery{Limit: 1, Less: func(a, b *ClientInfo) int { return int(b.Dropped()) - int(a.Dropped()) }})
			if list[0].ID != "s" {
				t.Errorf("%s: %s lost the most", c.why, list[0].ID)
			}
		})
	}
}

// Nobody pays for traces but those who are traced.
func BenchmarkPublishWithATraceOfOthers(b *testing.B) {
	for _, traced := range []bool{false, true} {
		b.Run(fmt.Sprint("traced=", traced), func(b *testing.B) {
			f := newFlow(b, 10, 0, false, 100)
			if traced {
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = f.p.g.r.Trace(ctx, TraceQuery{Client: "another", Rate: 10}, func(*TraceEvent) error { return nil })
				}()
				defer func() { stop(); <-done }()
			}
			for b.Loop() {
				f.read()
			}
		})
	}
}
