package router

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

const lingering = 2 * time.Millisecond

func withLinger(s *setup) { s.Linger = lingering }

// run publishes messages to t as one run.
func (p *peer) run(payloads ...string) {
	for _, s := range payloads {
		p.next++
		p.put(message.Message{Topic: "t", Payload: []byte(s), QoS: 1}, p.next, false)
	}
	p.pub.Flush()
}

// stored lists what the store has of a session's entries.
func (g *rig) stored(id string) (list []string) {
	g.t.Helper()
	img, err := g.store.Load(context.Background(), message.ClientID(id))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := range img.Entries {
		e := &img.Entries[i]
		list = append(list, fmt.Sprintf("%s#%d/%d", e.Msg.Payload, e.State.ID, e.State.Phase))
	}
	return list
}

// What a subscriber acknowledges at once is never given to the store, and is
// acknowledged to its publisher when the last of its run is, not before.
func TestLentIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t")
		s.out.take()
		g.store.hold()
		p.run("a", "b", "c")
		s.want("t=a/1 t=b/1 t=c/1")
		s.ack(typePuback, 2)
		s.ack(typePuback, 1)
		p.want("")
		s.ack(typePuback, 3)
		p.want("4#1/00 4#2/00 4#3/00")
		<-time.After(time.Second)
		synctest.Wait()
		if n := g.store.held(); n > 0 {
			t.Errorf("%d batches were given to the store", n)
		}
		g.balanced()
	})
}

// What is not acknowledged soon is recorded, and its publisher is answered when that is
// committed.
func TestLentIsRecordedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t")
		s.out.take()
		g.store.hold()
		p.run("a", "b", "c")
		s.want("t=a/1 t=b/1 t=c/1")
		s.ack(typePuback, 2)
		<-time.After(lingering + recallPause)
		synctest.Wait()
		p.want("")
		g.store.open()
		p.want("4#1/00 4#2/00 4#3/00")
		if got := fmt.Sprint(g.stored("s")); got != "[a#1/1 c#3/1]" {
			t.Errorf("stored are %s", got)
		}
		s.ack(typePuback, 1, 3)
		if got := g.stored("s"); len(got) > 0 {
			t.Errorf("acknowledged and stored are %s", got)
		}
		g.balanced()
	})
}

// A client that is slow is not waited for again, until it is quick.
func TestSlowClientsAreNotLentTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t")
		s.out.take()
		waited := 0
		for id := range message.PacketID(20) {
			p.run("m")
			if p.got() == "" {
				waited++
			}
			<-time.After(50 * time.Millisecond)
			s.ack(typePuback, id+1)
			p.got()
		}
		if waited == 0 || waited > 5 {
			t.Errorf("%d of 20 publishes waited for a slow client", waited)
		}
		for id := range message.PacketID(30) {
			p.run("m")
			s.ack(typePuback, id+21)
			p.got()
		}
		p.run("m")
		p.want("")
		s.ack(typePuback, 51)
		p.want("4#51/00")
		g.balanced()
	})
}

// A connection that ends leaves its session as if everything had been recorded at once.
func TestLentOutlivesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t")
		s.out.take()
		p.run("a", "b", "c")
		p.run("d")
		s.ack(typePuback, 1)
		p.want("")
		s.drop()
		p.want("4#1/00 4#2/00 4#3/00 4#4/00")
		if got := fmt.Sprint(g.stored("s")); got != "[b#2/1 c#3/1 d#4/1]" {
			t.Errorf("stored are %s", got)
		}
		s = g.connect("s", dial{})
		s.want("t=b/1d t=c/1d t=d/1d")
		s.ack(typePuback, 2, 3, 4)
		g.balanced()
	})
}

// A run larger than the window is lent and queued; the records are in order.
func TestLentBeforeQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		s, p := g.connect("s", dial{window: 2}), g.connect("p", dial{})
		s.subscribe(1, "t")
		s.out.take()
		p.run("a", "b", "c")
		s.want("t=a/1 t=b/1")
		p.want("4#1/00 4#2/00 4#3/00")
		if got := fmt.Sprint(g.stored("s")); got != "[a#1/1 b#2/1 c#0/0]" {
			t.Errorf("stored are %s", got)
		}
		s.ack(typePuback, 1, 2)
		s.want("t=c/1")
		s.ack(typePuback, 3)
		g.balanced()
	})
}

// A commit that is refused ends both connections: nothing of the run is acknowledged.
func TestLentAndRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t")
		s.out.take()
		g.store.hold()
		p.run("a", "b")
		p.run("c")
		<-time.After(lingering + recallPause)
		synctest.Wait()
		g.store.fail(errBroken)
		p.want("")
		if !p.acks.refused {
			t.Error("the publisher goes on")
		}
		select {
		case <-s.gone:
		default:
			t.Error("the subscriber goes on")
		}
		g.store.open()
	})
}

// Sessions of one topic are lent one copy of a run, and a message that one of them has
// recorded is the same to another that had it queued.
func TestLentToMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		a, b, p := g.connect("a", dial{}), g.connect("b", dial{}), g.connect("p", dial{})
		a.subscribe(1, "t")
		b.subscribe(1, "t")
		g.connect("away", dial{}).subscribe(1, "t")
		g.r.reg.get("away").mu.Lock()
		l := g.r.reg.get("away").link
		g.r.reg.get("away").mu.Unlock()
		g.r.Disconnect(l, DisconnectRequest{})
		a.out.take()
		b.out.take()
		p.run("x", "y")
		a.ack(typePuback, 1, 2)
		p.want("")
		b.drop()
		p.want("4#1/00 4#2/00")
		ids := map[message.ID]int{}
		for _, id := range []message.ClientID{"b", "away"} {
			img, err := g.store.Load(t.Context(), id)
			if err != nil || len(img.Entries) != 2 {
				t.Fatalf("%s: %+v, %v", id, img, err)
			}
			for i := range img.Entries {
				e := &img.Entries[i]
				if string(e.Msg.Payload) != "xy"[i:i+1] || e.Msg.Publisher != "p" || e.Msg.Topic != "t" {
					t.Errorf("%s has %+v", id, e.Msg)
				}
				ids[e.Msg.ID]++
			}
		}
		if len(ids) != 2 {
			t.Errorf("identifiers are %v", ids)
		}
	})
}

// What somebody wants to hear of is recorded at once: what becomes of it is told with its
// record.
func TestWhatAsksForAReceiptIsNotLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, withLinger)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t")
		s.out.take()
		props := []byte{message.PropUser}
		for _, text := range []string{message.ReceiptProperty, "r"} {
			props = append(append(props, 0, byte(len(text))), text...)
		}
		p.send(message.Message{Topic: "t", Payload: []byte("a"), QoS: 1, Props: props})
		p.want("4#1/00")
		if got := fmt.Sprint(g.stored("s")); got != "[a#1/1]" {
			t.Errorf("stored are %s", got)
		}
	})
}
