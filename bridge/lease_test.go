package bridge

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/testing/server"
)

// rowOf is the lease of a mailbox as it stands in Redis.
func (n *mailNode) rowOf(box message.MailboxID) row {
	n.t.Helper()
	s, err := n.link.client.HGet(n.t.Context(), n.link.keys.leases(), string(box)).Result()
	if err != nil {
		n.t.Fatal(err)
	}
	r, ok := parseRow(s)
	if !ok || r.String() != s {
		n.t.Fatalf("row %q", s)
	}
	return r
}

func (n *mailNode) setRow(box message.MailboxID, r row) {
	n.t.Helper()
	if err := n.link.client.HSet(n.t.Context(), n.link.keys.leases(), string(box), r.String()).Err(); err != nil {
		n.t.Fatal(err)
	}
}

// die ends the process of a node without any farewell, and with it, in time, its lease.
func (n *mailNode) die() {
	n.close()
	n.expire(n.box)
}

// expire has the lease of a mailbox run out.
func (n *mailNode) expire(box message.MailboxID) {
	n.t.Helper()
	row := n.rowOf(box)
	row.deadline = ended + 1
	n.setRow(box, row)
}

// renewed waits until the own lease was renewed twice.
func (n *mailNode) renewed() {
	n.t.Helper()
	for range 2 {
		before := n.rowOf(n.box).deadline
		server.Poll(n.t, 0, func() bool { return n.rowOf(n.box).deadline > before })
	}
}

// A process that is gone loses its mailbox to one other, which reads what is in it.
func TestOneAdopts(t *testing.T) {
	r := server.StartRedis(t)
	a, b, c := joined(t, r.Addr), joined(t, r.Addr), joined(t, r.Addr)
	c.held = true
	for i := range 3 {
		o := newOutcome()
		a.Append(c.box, bundle("t", string(rune('0'+i))), o)
		if err := o.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.change1(t, "x", "y"); err != nil {
		t.Fatal(err)
	}
	c.die()
	server.Poll(t, 0, func() bool { return a.count() == 3 || b.count() == 3 })
	winner, other := a, b
	if b.count() == 3 {
		winner, other = b, a
	}
	inOrder(t, winner.came, 3)
	if winner.came[0].box != c.box {
		t.Errorf("it came for %s", winner.came[0].box)
	}
	if len(winner.adoptions) != 1 || len(other.adoptions) != 0 {
		t.Errorf("%d and %d adoptions", len(winner.adoptions), len(other.adoptions))
	}
	if got := winner.rowOf(c.box); got.epoch != 2 || got.own || got.owner != winner.owner {
		t.Errorf("row %v", got)
	}
	epoch, err := a.link.client.HGet(t.Context(), a.link.keys.box(c.box, boxMeta), "epoch").Result()
	if epoch != "2" || err != nil {
		t.Errorf("epoch %q beside the inbox, %v", epoch, err)
	}
	// What nobody joined again is removed; the adopter's own messages go through the inbox.
	server.Poll(t, 0, func() bool { return !other.hasKey(c.box, "x") && !other.hasKey(c.box, "y") })
	o := newOutcome()
	winner.Append(c.box, bundle("t", "3"), o)
	if err := o.wait(t); err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool { return winner.count() == 4 })
	inOrder(t, winner.came, 4)
}

// change1 joins keys in the own mailbox.
func (n *mailNode) change1(t testing.TB, keys ...string) error {
	o := newOutcome()
	n.Join(n.box, keys, o)
	return o.wait(t)
}

// An adoption that fails is given up, and another process does it.
func TestAdoptionFails(t *testing.T) {
	r := server.StartRedis(t)
	a, c := joined(t, r.Addr), joined(t, r.Addr)
	a.admit = make(chan error)
	c.die()
	server.Poll(t, 0, func() bool { return len(a.adoptions) == 1 })
	a.admit <- errors.New("no")
	server.Poll(t, 0, func() bool { return len(a.adoptions) == 2 })
	close(a.admit)
	server.Poll(t, 0, func() bool { return a.consumer(c.box) != nil })
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.forgot, []message.MailboxID{c.box}) {
		t.Errorf("forgotten: %v", a.forgot)
	}
	if got := a.rowOf(c.box); got.epoch < 2 {
		t.Errorf("row %v", got)
	}
}

// A lease that was released is taken at once.
func TestReleased(t *testing.T) {
	r := server.StartRedis(t)
	a, c := joined(t, r.Addr), joined(t, r.Addr)
	server.Poll(t, 0, func() bool { return a.mayEnd() })
	if err := c.release(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := a.rowOf(c.box); got.deadline != 0 && got.owner == c.owner {
		t.Errorf("row %v", got)
	}
	server.Poll(t, 0, func() bool { return len(a.adoptions) == 1 })
}

// A lease that had run out is taken again. What was routed before may be acknowledged if
// no route was changed meanwhile.
func TestRetakenWithoutChanges(t *testing.T) {
	r := server.StartRedis(t)
	a := joined(t, r.Addr)
	matched := a.routes.applied.now()
	lapse(t, a)
	o := newOutcome()
	a.Confirm(matched, o)
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
	if got := a.rowOf(a.box); got.generation < 2 || got.epoch != 1 || got.deadline <= ended {
		t.Errorf("row %v", got)
	}
}

// What was routed by a table that others no longer waited for must not be acknowledged.
func TestRetakenWithChanges(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	matched := a.routes.applied.now()
	at, err := b.change(within(t), b.box, []string{"x"}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	server.Poll(t, 0, func() bool { return a.hasKey(b.box, "x") })
	lapse(t, a)
	old, fresh := newOutcome(), newOutcome()
	a.Confirm(matched, old)
	a.Confirm(at, fresh)
	if err := old.wait(t); !errors.Is(err, errTooStale) {
		t.Error(err)
	}
	if err := fresh.wait(t); err != nil {
		t.Error(err)
	}
}

// Another instance had applied changes that Redis has lost since: their positions count. Who has
// not applied them is not refused for ever when its lease is taken again.
func TestRetakenBehindLostChanges(t *testing.T) {
	r := server.StartRedis(t)
	a := joined(t, r.Addr)
	before := a.routes.applied.now()
	if _, err := a.routes.end(t.Context(), before+5); err != nil {
		t.Fatal(err)
	}
	lapse(t, a)
	server.Poll(t, 0, func() bool {
		o := newOutcome()
		a.Confirm(a.routes.applied.now(), o)
		return o.wait(t) == nil
	})
	if got := a.routes.applied.now(); got < before+5 {
		t.Errorf("confirmed at %d, before %d", got, before+5)
	}
	if err := a.change1(t, "x"); err != nil {
		t.Error(err)
	}
}

// lapse ends the own lease of a node as one who stops waiting for it does, and waits until
// it is known there.
func lapse(t testing.TB, n *mailNode) {
	t.Helper()
	row := n.rowOf(n.box)
	row.deadline = ended
	n.setRow(n.box, row)
	generation := func() uint64 {
		n.leases.mu.Lock()
		defer n.leases.mu.Unlock()
		return n.leases.own.generation
	}
	n.kick()
	server.Poll(t, 0, func() bool { return generation() > row.generation })
}

// Who was away himself leaves the leases of others alone for a while: they too have to find
// that Redis is back.
func TestCarefulAfterAnOutage(t *testing.T) {
	r := server.StartRedis(t)
	a := newNode(t, r.Addr)
	if err := a.leases.open(within(t), a.box); err != nil { // nobody else renews it
		t.Fatal(err)
	}
	a.leases.mu.Lock()
	a.contact = a.contact.Add(-rigTerm)
	before := a.careful
	a.leases.mu.Unlock()
	if a.mayEnd() {
		t.Error("leases of others are ended during an outage")
	}
	if err := a.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if careful, contact := a.careful, a.contact; !careful.After(before) || !careful.After(contact) {
		t.Errorf("careful until %v, back since %v", careful, contact)
	}
	after := a.careful
	if err := a.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.careful != after {
		t.Error("careful for ever")
	}
}

// While the lease is ended nothing is confirmed; who asks waits until it is known which way.
func TestConfirmWaitsForTheLease(t *testing.T) {
	r := server.StartRedis(t)
	a := joined(t, r.Addr)
	row := a.rowOf(a.box)
	row.generation, row.deadline = 7, ended
	a.setRow(a.box, row)
	o := newOutcome()
	a.Confirm(a.routes.applied.now(), o)
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
	if got := a.rowOf(a.box); got.generation < 8 {
		t.Errorf("it was confirmed under %v", got)
	}
}

// Another process has the mailbox: nothing is confirmed, appended or announced any more,
// until there is a new one.
func TestOwnMailboxLost(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	row := a.rowOf(a.box)
	row.owner, row.epoch, row.own = b.owner, 2, false
	a.setRow(a.box, row)
	o := newOutcome()
	a.Confirm(a.routes.applied.now(), o)
	if err := o.wait(t); !errors.Is(err, errBoxLost) {
		t.Error(err)
	}
	server.Poll(t, 0, func() bool { return len(a.losses) == 1 })
	if err := a.change1(t, "x"); !errors.Is(err, errBoxLost) {
		t.Error(err)
	}
	if got := a.mine(); got != "" {
		t.Errorf("%q is still its own", got)
	}
	again := newMailboxID()
	if err := a.reopen(within(t), again); err != nil {
		t.Fatal(err)
	}
	a.box = again
	if err := a.change1(t, "y"); err != nil {
		t.Error(err)
	}
	o = newOutcome()
	a.Append(b.box, bundle("t", "0"), o)
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
	o = newOutcome()
	a.Confirm(a.routes.applied.now(), o)
	if err := o.wait(t); err != nil {
		t.Error(err)
	}
}

// The change of a mailbox that is another's is refused, and so is every later one.
func TestStaleRouteChangeIsRefused(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	row := a.rowOf(a.box)
	row.owner, row.epoch, row.own = b.owner, 2, false
	a.setRow(a.box, row)
	if _, err := a.change(within(t), a.box, []string{"x"}, nil, false); !errors.Is(err, errBoxLost) {
		t.Error(err)
	}
	if n, err := a.link.client.Exists(t.Context(), a.link.keys.set(a.box)).Result(); n != 0 || err != nil {
		t.Error("the set was changed", err)
	}
}

// Rows that nobody can have written harm nobody.
func TestDamagedLeases(t *testing.T) {
	r := server.StartRedis(t)
	a, b := joined(t, r.Addr), joined(t, r.Addr)
	for i, s := range []string{"", "x", "a b c d p", "a 1 1 0", "a 1 1 0 q", strings.Repeat("9", 400) + " 1 1 1 p"} {
		if err := a.link.client.HSet(t.Context(), a.link.keys.leases(), "bad"+string(rune('0'+i)), s).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.change1(t, "x"); err != nil {
		t.Error(err)
	}
	if !b.hasKey(a.box, "x") {
		t.Error("the barrier passed before it was applied")
	}
}
