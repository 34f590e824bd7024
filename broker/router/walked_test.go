package router

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
)

// numbered is a retained message of QoS 2 that another process has numbered.
func numbered(seq uint64, payload string) *message.Message {
	return &message.Message{
		ID: message.ID{Run: 7, Seq: seq}, Topic: "t", Payload: []byte(payload), QoS: 2, Retain: true, Created: time.Now().UnixNano(),
	}
}

// live routes a message that is retained already.
func (g *rig) live(m *message.Message) {
	g.r.route(m, g.r.own.match(m.Topic, nil, nil), nil, nil, origin{})
}

// What a walk has sent does not come live behind it, nor what it replaced.
func TestRetainedThenLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		s := g.connect("s", dial{})
		g.r.Retained(numbered(2, "two"), false)
		s.subscribe(2, "t")
		if got := payloads(s.receive()); got != "two" {
			t.Fatalf("the walk sent %q", got)
		}
		g.live(numbered(1, "one"))
		g.live(numbered(2, "two"))
		if got := payloads(s.receive()); got != "" {
			t.Errorf("what the walk had sent came live: %q", got)
		}
		g.live(numbered(3, "three"))
		if got := payloads(s.receive()); got != "three" {
			t.Errorf("what is new came as %q", got)
		}
		<-time.After(walkMemory + time.Second) // of the bubble's clock
		synctest.Wait()
		if g.r.reg.get("s").rare != nil {
			t.Error("it is remembered for ever")
		}
	})
}

// What came live while a SUBSCRIBE was under way is not sent by its walk, nor what it
// replaced; a SUBSCRIBE afterwards is sent it.
func TestLiveThenRetained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		s := g.connect("s", dial{})
		g.r.Retained(numbered(1, "one"), false)
		g.store.hold()
		go s.subscribe(2, "t")
		synctest.Wait() // for its commit
		g.live(numbered(2, "two"))
		g.store.open()
		synctest.Wait()
		if got := payloads(s.receive()); got != "two" {
			t.Errorf("received %q", got)
		}
		g.r.Retained(numbered(2, "two"), false)
		s.subscribe(2, "t")
		if got := payloads(s.receive()); got != "two" {
			t.Errorf("a new SUBSCRIBE was sent %q", got)
		}
	})
}
