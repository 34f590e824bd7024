package router

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// told is an Acker that knows whether it was answered.
type toldAcker struct{ done, refused bool }

func (a *toldAcker) Ack([]message.PacketID, byte, byte) { a.done = true }
func (*toldAcker) Defer(*Pending)                       {}
func (a *toldAcker) Complete(*Pending)                  { a.done = true }
func (a *toldAcker) Refuse(*Pending)                    { a.refused = true }

// A session is expected here, and its mailbox is taken over by this process meanwhile: who
// published for it is answered.
func TestExpectedAndAdopted(t *testing.T) {
	g := newRig(t, nil)
	g.r.peers = newPeers()
	head := store.Head{Session: Session{ID: "s", Expiry: 3600}, Subs: []Subscription{{Filter: "t", QoS: 1}}}
	g.r.expect(&head)
	a := &toldAcker{}
	pend := &Pending{owner: a}
	pend.left.Store(1)
	g.r.route(numbered(1, "x"), g.r.own.match("t", nil, nil), nil, func() *Pending { return pend }, origin{})
	pend.done()
	if a.done {
		t.Fatal("it was not kept")
	}
	g.r.adoptHead(newBox("old"), &store.AdoptedHead{Head: head}, false)
	if !a.done || a.refused {
		t.Errorf("answered %v, refused %v", a.done, a.refused)
	}
}

// An instance stops before it knows whether a session has come that it expected: what was kept
// for it stays in the inbox.
func TestExpectedAndStopped(t *testing.T) {
	for _, sure := range []bool{false, true} {
		g, _ := newPost(t)
		c := g.r.expect(&store.Head{Session: Session{ID: "s", Expiry: 3600}, Subs: []Subscription{{Filter: "t", QoS: 1}}})
		m := numbered(1, "x")
		m.Retain = false
		b := bundleOf(m)
		b.Match = true
		done := make(commitWait, 1)
		g.r.Deliver("", 1, b, done)
		if len(done) > 0 {
			t.Fatal("it was not kept")
		}
		g.r.unexpect(c, sure)
		if err := <-done; (err == nil) != sure {
			t.Errorf("sure %v: answered %v", sure, err)
		}
	}
}

// parcel is a bundle on its way.
type parcel struct {
	to message.MailboxID
	b  message.Bundle
}

// post is a cluster whose inboxes the test looks into.
type post struct {
	alone
	sent []parcel
	gone int // mailboxes refuse so many
}

func (*post) Mailbox() message.MailboxID { return "m" }

func (p *post) Append(to message.MailboxID, b *message.Bundle, done store.Committed) {
	p.sent = append(p.sent, parcel{to, *b})
	if p.gone--; p.gone >= 0 {
		done.Committed(store.ErrFenced)
		return
	}
	done.Committed(nil)
}

func (*post) Claim(context.Context, *store.Claimant, func(*store.Head)) (store.Claim, error) {
	return store.Claim{Found: true}, nil // whatever there is lives here
}

// newPost is a node with the mailbox m; a and z have members of the group g/t too.
func newPost(t *testing.T) (*rig, *post) {
	g := newRig(t, nil)
	p := &post{}
	g.r.cluster, g.r.peers = p, newPeers()
	g.r.Route(1, []store.RouteChange{{Box: "a", Key: "$share/g/t", Online: 1}, {Box: "z", Key: "$share/g/t", Online: 0}})
	g.r.adopted.put(g.r.newFeed(g.r.own))
	return g, p
}

// arrive has a message of the group come through the own inbox.
func (g *rig) arrive(at message.Position, m *message.Message, again bool, tried ...message.MailboxID) {
	m.Retain = false
	b := bundleOf(m)
	b.Group, b.Again, b.Tried = "g/t", again, tried
	g.r.Deliver("", at, b, nobody{})
}

// arriveTaken has one come that goes round, from a mailbox that was taken over.
func (g *rig) arriveTaken(at message.Position, m *message.Message) {
	b := groupBundle("g/t", m, nil, true)
	b.Taken = true
	g.r.Deliver("", at, b, nobody{})
}

// A QoS 2 message of a group that may have been routed before goes to every mailbox of the
// group, until one knows it.
func TestGroupMessageGoesRound(t *testing.T) {
	g, p := newPost(t)
	s := g.connect("s", dial{})
	s.subscribe(2, "$share/g/t")
	m := numbered(1, "x")
	rt := &spread{key: "g/t", local: g.r.own.groups.get(keyOf("g/t")), parts: []part{{"z", 0}, {"a", 1}}}
	g.r.sendGroup(rt, m, true, nil)
	g.arrive(1, numbered(2, "y"), true)
	if len(p.sent) != 2 || p.sent[0].to != "a" || p.sent[1].to != "z" || !p.sent[0].b.Again || !p.sent[1].b.Again || len(p.sent[1].b.Tried) > 0 {
		t.Errorf("sent %v", p.sent)
	}
	g.arrive(2, numbered(3, "z"), true, "z") // the last one hands it on
	if got := payloads(s.receive()); got != "z" {
		t.Errorf("received %q", got)
	}
}

// A mailbox without members online knows what it has handed on, unless that comes back, and
// each group of its own.
func TestHandedOnIsKnown(t *testing.T) {
	g, p := newPost(t)
	s := g.connect("s", dial{})
	s.subscribe(2, "$share/g/t")
	s.drop()
	g.arrive(1, numbered(1, "x"), false)
	if len(p.sent) != 1 || p.sent[0].to != "a" || len(p.sent[0].b.Tried) != 1 || p.sent[0].b.Tried[0] != "m" {
		t.Fatalf("sent %v", p.sent)
	}
	g.arrive(2, numbered(1, "x"), true)
	if len(p.sent) != 1 {
		t.Errorf("a repetition was not known: %v", p.sent)
	}
	if !g.r.own.passed.has(keyOf("g/t"), numbered(1, "").ID) || g.r.own.passed.has(keyOf("h/t"), numbered(1, "").ID) {
		t.Error("what one group has handed on is another's")
	}
	g.arrive(3, numbered(1, "x"), true, "a", "z")
	s = g.connect("s", dial{})
	if got := payloads(s.receive()); got != "x" {
		t.Errorf("received %q of what came back", got)
	}
}

// What a mailbox refuses that is gone is given to a member here, and is not lost.
func TestHandOnRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, p := newPost(t)
		s := g.connect("s", dial{})
		s.subscribe(2, "$share/g/t")
		s.drop()
		p.gone = 1
		g.arrive(1, numbered(1, "x"), false)
		g.r.Route(2, []store.RouteChange{{Box: "a", Key: "$share/g/t", Delete: true}, {Box: "z", Key: "$share/g/t", Delete: true}})
		<-time.After(2 * retryPause) // of the bubble's clock
		synctest.Wait()
		s = g.connect("s", dial{})
		if got := payloads(s.receive()); len(p.sent) != 1 || got != "x" {
			t.Errorf("received %q, sent %v", got, p.sent)
		}
	})
}

// What waits in a group without members, and a mailbox refuses, is tried again after a while,
// not at once for ever.
func TestRelayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, p := newPost(t)
		s := g.connect("s", dial{})
		s.subscribe(2, "$share/g/t")
		key := keyOf("g/t")
		group := g.r.own.groups.get(key)
		s.unsubscribe("$share/g/t")
		p.gone = 1 << 20
		if !g.r.relay(group, waiting{m: numbered(1, "x"), seq: firstGroupSeq}) {
			t.Fatal("there is nobody to relay to")
		}
		<-time.After(5*retryPause + retryPause/2) // of the bubble's clock
		synctest.Wait()
		if n := len(p.sent); n != 6 {
			t.Errorf("sent %d times", n)
		}
		if !g.r.own.passed.has(key, numbered(1, "").ID) {
			t.Error("it is not known that it was handed on")
		}
	})
}

// What waits in a group of a mailbox whose process ended may have been handed on by it.
func TestAdoptedWaitingGoesRound(t *testing.T) {
	g, p := newPost(t)
	g.r.Adopt("k", &store.Adoption{
		Heads: []store.AdoptedHead{{Head: store.Head{Session: Session{ID: "s", Expiry: 3600}, Subs: []Subscription{{Filter: "$share/g/t", QoS: 2}}}}},
		Groups: []store.GroupEntry{
			{Group: "g/t", Seq: firstGroupSeq + 7, Msg: numbered(1, "x")}, {Group: "h/t", Seq: firstGroupSeq, Msg: numbered(2, "y")},
		},
	})
	if len(p.sent) != 1 || p.sent[0].to != "a" || !p.sent[0].b.Again || !p.sent[0].b.Taken || len(p.sent[0].b.Tried) > 0 {
		t.Errorf("sent %v", p.sent)
	}
	g.r.own.passed.add(keyOf("g/t"), numbered(1, "").ID) // to k
	g.arriveTaken(1, numbered(1, "x"))
	if len(p.sent) != 2 || p.sent[1].to != "z" || !p.sent[1].b.Taken {
		t.Errorf("sent %v", p.sent)
	}
	group := g.r.adopted.feed("k").p.box.groups.get(keyOf("g/t"))
	if len(group.queue.list) != 0 || group.queue.back != 8 {
		t.Errorf("%d wait, %d numbers were given", len(group.queue.list), group.queue.back)
	}
}

// What comes when the last member has just left goes to another mailbox.
func TestPublishedToAnEndedGroup(t *testing.T) {
	g, p := newPost(t)
	s := g.connect("s", dial{})
	s.subscribe(2, "$share/g/t")
	group := g.r.own.groups.get(keyOf("g/t"))
	s.unsubscribe("$share/g/t")
	a := &toldAcker{}
	pend := &Pending{owner: a}
	pend.left.Store(1)
	group.publish(numbered(1, "x"), func() *Pending { return pend })
	g.r.events.due.Wait()
	pend.done()
	if len(p.sent) != 1 || p.sent[0].to != "a" || !a.done {
		t.Errorf("sent %v, answered %v", p.sent, a.done)
	}
}

// What waited in a group of an adopted mailbox, and goes round, is not given when the inbox
// is read again that it came through.
func TestAdoptedWaitingIsReadAgain(t *testing.T) {
	g, p := newPost(t)
	g.r.Adopt("k", &store.Adoption{
		End:    9,
		Heads:  []store.AdoptedHead{{Head: store.Head{Session: Session{ID: "s", Expiry: 3600}, Subs: []Subscription{{Filter: "$share/g/t", QoS: 2}}}}},
		Groups: []store.GroupEntry{{Group: "g/t", Seq: firstGroupSeq, Msg: numbered(1, "x")}},
	})
	b := groupBundle("g/t", numbered(1, "x"), []message.MailboxID{"z"}, true)
	b.Items[0].Retain = false
	g.r.Deliver("k", 9, b, nobody{})
	group := g.r.adopted.feed("k").p.box.groups.get(keyOf("g/t"))
	if len(p.sent) != 1 || len(group.queue.list) != 0 {
		t.Errorf("sent %d, %d wait", len(p.sent), len(group.queue.list))
	}
	g.r.Deliver("k", 10, b, nobody{}) // it has come back
	if len(p.sent) != 2 && len(group.queue.list) != 1 {
		t.Errorf("sent %d, %d wait", len(p.sent), len(group.queue.list))
	}
}

// A message that was handed on to a mailbox, whose process ended then, may be with a session
// that has moved away since.
func TestHandedOnIsReadAgain(t *testing.T) {
	g, p := newPost(t)
	g.r.Adopt("k", &store.Adoption{End: 9})
	b := groupBundle("g/t", numbered(1, "x"), []message.MailboxID{"z"}, true)
	b.Items[0].Retain = false
	g.r.Deliver("k", 9, b, nobody{})
	if len(p.sent) != 1 || p.sent[0].to != "a" || !p.sent[0].b.Taken || len(p.sent[0].b.Tried) > 0 {
		t.Errorf("sent %v", p.sent)
	}
}
