package router

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// outOfReach is a cluster whose store is away until it is not.
type outOfReach struct {
	alone
	back atomic.Bool

	mu      sync.Mutex
	claimed []message.ClientID
}

func (o *outOfReach) Away() bool { return !o.back.Load() }

func (o *outOfReach) Claim(_ context.Context, who *store.Claimant, _ func(*store.Head)) (store.Claim, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claimed = append(o.claimed, who.ID)
	return store.Claim{}, nil
}

func (o *outOfReach) asked(id message.ClientID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.claimed, id)
}

// The will of a client that only this process knows of is sent when its connection is lost:
// nobody else could.
func TestWillOfAnUnclaimedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &outOfReach{}
		g := newRig(t, func(s *setup) { s.cluster = away })
		o := g.connect("o", dial{clean: true, ends: true})
		o.subscribe(0, "will")
		o.frames()
		w := &Will{Message: text("will", "w", 0)}
		c := g.connect("c", dial{clean: true, ends: true, will: w})
		if away.asked("o") || away.asked("c") {
			t.Error("a clean client waits for a store that is away")
		}
		c.drop()
		synctest.Wait()
		if got := payloads(o.receive()); got != "w" {
			t.Errorf("sent %q", got)
		}
		o.drop()
		away.back.Store(true)
		g.r.pause() // those that were not claimed find that there is nothing to claim
		synctest.Wait()
		if away.asked("c") {
			t.Error("it is claimed for a client that has left")
		}
	})
}

// A will of QoS 1 or 2 is a promise that needs the store.
func TestWillNeedsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &outOfReach{}
		g := newRig(t, func(s *setup) { s.cluster = away })
		c := g.connect("c", dial{clean: true, ends: true, will: will("w", 0)})
		if !away.asked("c") {
			t.Error("the will would end with this process")
		}
		c.bye()
		synctest.Wait()
	})
}

// slowToAnswer is a cluster whose store does not tell for a while what a session knows.
type slowToAnswer struct {
	alone
	answer chan struct{}
}

func (s *slowToAnswer) Known(context.Context, message.ClientID, message.ID) (bool, error) {
	<-s.answer
	return false, nil
}

// A message that is routed again waits for the store with nothing in its hands: who has to
// apply changes of the route table, and who waits for that, goes on.
func TestRoutedAgainHoldsNoTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowToAnswer{answer: make(chan struct{})}
		g := newRig(t, func(s *setup) { s.cluster = slow })
		o := g.connect("o", dial{})
		o.subscribe(2, "t")
		o.frames()
		m := text("t", "x", 2)
		m.ID = message.ID{Run: 1, Seq: 1}
		go g.r.injectThen(m, true, func() {})
		synctest.Wait()
		var applied atomic.Bool
		go func() {
			g.r.Route(1, nil)
			applied.Store(true)
		}()
		synctest.Wait()
		if !applied.Load() {
			t.Error("a change of the routes waits for the store")
		}
		close(slow.answer)
		synctest.Wait()
		if got := payloads(o.receive()); got != "x" {
			t.Errorf("sent %q", got)
		}
		o.bye()
		synctest.Wait()
	})
}
