package router

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/stats"
)

func (p *peer) retain(topic, payload string, qos byte) {
	p.send(message.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: true})
}

func TestRetainedForANewSubscription(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.connect("p", dial{})
		for qos := range byte(3) {
			p.retain(fmt.Sprintf("r/%d", qos), fmt.Sprint(qos), qos)
		}
		p.retain("r/gone", "x", 1)
		p.retain("r/gone", "", 1)
		p.retain("r/2", "new2", 2)
		s := g.connect("s", dial{})
		s.subscribe(1, "r/+")
		var words []string
		for _, f := range s.receive() {
			words = append(words, f.String())
		}
		sort.Strings(words)
		if got := strings.Join(words, " "); got != "r/0=0/0r r/1=1/1r r/2=new2/1r" {
			g.t.Errorf("received %s", got)
		}
		p.retain("r/1", "live", 1)
		if f := s.receive(); len(f) != 1 || f[0].retain {
			g.t.Errorf("live: %v", f)
		}
		for handling, want := range []int{3, 0, 0} { // the subscription exists
			s.subscribeTo(Subscription{Filter: "r/+", QoS: 1, RetainHandling: byte(handling)})
			if n := len(s.receive()); n != want {
				g.t.Errorf("retain handling %d, again: %d messages", handling, n)
			}
		}
		for handling, want := range []int{3, 3, 0} { // a new one
			s.unsubscribe("r/#")
			s.receive()
			s.subscribeTo(Subscription{Filter: "r/#", QoS: 1, RetainHandling: byte(handling), RetainAsPub: true})
			if n := len(s.receive()); n != want {
				g.t.Errorf("retain handling %d: %d messages", handling, n)
			}
		}
		p.retain("r/1", "rap", 1)
		if f := s.receive(); len(f) != 1 || !f[0].retain {
			g.t.Errorf("retain as published: %v", f)
		}
		s.unsubscribe("r/#", "r/+")
		s.receive()
		s.subscribe(1, "$share/g/r/#")
		if f := s.receive(); len(f) != 0 {
			g.t.Errorf("a shared subscription got retained messages: %v", f)
		}
	})
}

func TestRetainedLimits(t *testing.T) {
	bothStores(t, func(s *setup) { s.MaxRetained = 2; s.MaxRetainedBytes = 20 }, func(g *rig) {
		p := g.connect("p", dial{})
		p.retain("a", "1", 1)
		p.retain("b", "1", 1)
		p.retain("c", "1", 1)
		p.retain("a", "22222", 1)
		p.retain("a", strings.Repeat("x", 30), 2)
		p.retain("b", "", 1)
		p.retain("c", "1", 1)
		p.want("4#1/00 4#2/00 4#3/97 4#4/00 5#5/97 4#6/00 4#7/00")
		p.put(message.Message{Topic: "t", QoS: 2}, 5, false) // a refused identifier is free
		p.pub.Flush()
		p.want("5#5/00")
		if n := g.dropped(stats.DropRetainLimit); n != 2 {
			g.t.Errorf("%d dropped", n)
		}
		if s := g.stats.Snapshot(); s.Retained != 2 || s.RetainedBytes != 8 {
			g.t.Errorf("%d retained, %d bytes", s.Retained, s.RetainedBytes)
		}
	})
}

func TestRetainedExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		p := g.connect("p", dial{expiry: NoExpiry})
		at := time.Now().Add(10 * time.Second).UnixNano()
		p.send(message.Message{Topic: "a", Payload: []byte("old"), Retain: true, Expires: at})
		p.send(message.Message{Topic: "b", Payload: []byte("old"), Retain: true, Expires: at})
		p.retain("b", "new", 0)
		<-time.After(11 * time.Second)
		synctest.Wait()
		if n := g.stats.Snapshot().Retained; n != 1 {
			t.Errorf("%d retained", n)
		}
		s := g.connect("s", dial{})
		s.subscribe(1, "#")
		if got := payloads(s.receive()); got != "new" {
			t.Errorf("received %q", got)
		}
	})
}

// A walk goes on as the window and the output have room, whatever else is sent.
func TestRetainedWalkIsNeverCutShort(t *testing.T) {
	const n = 5 * cursorPage
	for _, d := range []dial{{limit: 500}, {window: 2}, {limit: 500, window: 2}, {ends: true, limit: 300}, {window: 1, limit: 100}} {
		for qos := range byte(3) {
			bothStores(t, nil, func(g *rig) {
				p := g.connect("p", dial{})
				for i := range n {
					p.retain(fmt.Sprintf("r/%d", i), "x", qos)
				}
				s := g.connect("s", d)
				s.subscribe(2, "live")
				s.subscribe(qos, "r/+")
				seen := map[string]int{}
				for i := 0; ; i++ {
					if i < 10 {
						p.publish("live", "l", 2) // its answers wait for commits
					}
					list := s.receive()
					if len(list) == 0 && i > 10 {
						break
					}
					for _, f := range list {
						seen[f.topic]++
					}
				}
				if len(seen) != n+1 {
					g.t.Errorf("%+v, QoS %d: %d of %d topics", d, qos, len(seen), n+1)
				}
				for name, k := range seen {
					if k != 1 && name != "live" {
						g.t.Errorf("%s came %d times", name, k)
					}
				}
				s.bye()
			})
		}
	}
}

// What changes while a walk is under way comes live, once.
func TestRetainedChangesDuringAWalk(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.connect("p", dial{})
		for i := range 10 {
			p.retain(fmt.Sprintf("r/%d", i), "old", 1)
		}
		s := g.connect("s", dial{window: 2})
		s.subscribe(1, "r/+")
		p.retain("r/9", "new", 1)
		p.retain("r/8", "", 1)
		p.retain("r/99", "new", 1)
		got := map[string]string{}
		for _, f := range s.receive() {
			got[f.topic] += f.payload
		}
		if len(got) != 11 || got["r/9"] != "new" || got["r/8"] != "" || got["r/99"] != "new" || got["r/0"] != "old" {
			g.t.Errorf("received %v", got)
		}
		// UNSUBSCRIBE ends a walk; another SUBSCRIBE restarts it.
		s.subscribe(1, "r/+")
		s.out.take()
		s.unsubscribe("r/+")
		s.ack(typePuback, 12, 13)
		if f := s.receive(); len(f) > 0 {
			g.t.Errorf("the walk went on: %v", f)
		}
	})
}

// A retained publish that races with a SUBSCRIBE reaches it, live or retained.
func TestRetainedRacesWithSubscribe(t *testing.T) {
	g := newRig(t, nil)
	p := g.connect("p", dial{})
	for i := range 500 {
		s := g.connect("s", dial{clean: true, ends: true})
		var wg sync.WaitGroup
		wg.Go(func() { p.retain("t", fmt.Sprint(i), byte(i%3)) })
		s.subscribe(2, "t")
		wg.Wait()
		last := ""
		for _, f := range s.receive() {
			last = f.payload
		}
		if last != fmt.Sprint(i) {
			t.Fatalf("round %d: the newest is %q", i, last)
		}
		p.frames()
		p.ack(typePubrel, p.next)
		s.bye()
	}
}

func TestSys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.r.StartSys("skein test", 10*time.Second, func(say func(string, string)) { say("more", "1") })
		s := g.connect("s", dial{})
		s.subscribe(0, "$SYS/broker/version", "$SYS/broker/uptime", "$SYS/broker/more", "#")
		values := map[string]string{}
		for _, f := range s.receive() {
			values[f.topic] = f.payload
		}
		if len(values) != 3 || values["$SYS/broker/more"] != "1" || values["$SYS/broker/version"] != "skein test" || values["$SYS/broker/uptime"] != "0 seconds" {
			t.Errorf("received %v", values)
		}
		<-time.After(11 * time.Second)
		synctest.Wait()
		f := s.receive()
		if len(f) != 1 || f[0].payload != "10 seconds" {
			t.Errorf("after a tick: %v", f)
		}
		n := 0
		_ = g.store.Retained(t.Context(), func(*message.Message) bool { n++; return true })
		if n != 0 {
			t.Errorf("%d of the broker's own topics are stored", n)
		}
	})
}

// A PUBREL that waits for its commit takes nothing of the room for the walk.
func TestRetainedWalkBehindARelease(t *testing.T) {
	bothStores(t, nil, func(g *rig) {
		p := g.connect("p", dial{})
		p.retain("r/a", "x", 1)
		p.retain("r/b", "x", 1)
		const n = 3 * fillStep / 1000
		for i := range n {
			p.retain(fmt.Sprintf("r/c%d", i), strings.Repeat("x", 1000), 0)
		}
		s := g.connect("s", dial{window: 2})
		s.subscribe(2, "live")
		p.publish("live", "x", 2)
		s.frames()
		s.subscribe(1, "r/+")
		list := s.frames()
		if len(list) != 2 || list[1].topic != "r/a" { // SUBACK, and the window is full
			g.t.Fatalf("sent %v", list)
		}
		if err := g.r.Acked(s.link, []Ack{{ID: 1, Type: typePubrec}, {ID: list[1].id, Type: typePuback}}); err != nil {
			g.t.Fatal(err)
		}
		if got := len(s.frames()); got != n+2 {
			g.t.Errorf("%d packets, want %d", got, n+2)
		}
	})
}
