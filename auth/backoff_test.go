package auth

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// handClock is a time that tests move.
type handClock struct{ at time.Time }

func (c *handClock) now() time.Time { return c.at }

func (c *handClock) pass(d time.Duration) { c.at = c.at.Add(d) }

func newHandClock() *handClock { return &handClock{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)} }

func testBackoff() (*Backoff, *handClock) {
	c := newHandClock()
	b := NewBackoff(DefaultBackoff(c.now))
	b.stranger = func() bool { return false }
	return b, c
}

func welcome(b *Backoff, user, from string) bool {
	_, ok := b.Welcome(user, netip.MustParseAddr(from))
	return ok
}

func fail(b *Backoff, user, from string, n int) {
	for range n {
		b.Failed(user, netip.MustParseAddr(from))
	}
}

func TestFailuresOfAUserFromAnAddressPauseItTwiceAsLongEachTime(t *testing.T) {
	b, c := testBackoff()
	fail(b, "bob", "192.0.2.1", 3)
	if !welcome(b, "bob", "192.0.2.1") {
		t.Fatal("backed off before the free failures are used up")
	}
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		fail(b, "bob", "192.0.2.1", 1)
		c.pass(pause*time.Second - 1)
		if welcome(b, "bob", "192.0.2.1") {
			t.Errorf("let in before %v s", pause)
		}
		if !welcome(b, "al", "192.0.2.1") || !welcome(b, "bob", "192.0.2.2") {
			t.Errorf("another user or address is held up after %v s", pause)
		}
		c.pass(1)
		if !welcome(b, "bob", "192.0.2.1") {
			t.Errorf("not let in after %v s", pause)
		}
	}
}

func TestSuccessAndTimeForgive(t *testing.T) {
	b, c := testBackoff()
	from := netip.MustParseAddr("192.0.2.1")
	fail(b, "bob", "192.0.2.1", 5)
	if welcome(b, "bob", "192.0.2.1") {
		t.Error("welcome after 5 failures")
	}
	b.Succeeded("bob", from)
	fail(b, "bob", "192.0.2.1", 3)
	if !welcome(b, "bob", "192.0.2.1") {
		t.Error("failures before a success count")
	}
	fail(b, "bob", "192.0.2.1", 3)
	c.pass(time.Hour) // forgives 6
	fail(b, "bob", "192.0.2.1", 3)
	if !welcome(b, "bob", "192.0.2.1") {
		t.Error("failures of an hour ago count")
	}
}

func TestAnAddressThatFailsWithManyUsersIsBackedOff(t *testing.T) {
	b, c := testBackoff()
	good := netip.MustParseAddr("192.0.2.1")
	b.Succeeded("resident", good)
	for i := range 21 {
		if !welcome(b, fmt.Sprint("u", i), "192.0.2.1") {
			t.Fatalf("backed off after %d failures", i)
		}
		fail(b, fmt.Sprint("u", i), "192.0.2.1", 1)
	}
	if welcome(b, "new", "192.0.2.1") {
		t.Error("the address may go on")
	}
	if !welcome(b, "resident", "192.0.2.1") {
		t.Error("who came in from there lately is held up")
	}
	if !welcome(b, "new", "192.0.2.2") {
		t.Error("another address is held up")
	}
	b.Succeeded("accomplice", good)
	if welcome(b, "new", "192.0.2.1") {
		t.Error("a success of another user frees the address")
	}
	if _, ok := b.Welcome("new", netip.Addr{}); !ok {
		t.Error("no address is held up")
	}
	tries := 0
	for range 3600 { // a second each
		if welcome(b, fmt.Sprint("v", tries), "192.0.2.1") {
			fail(b, fmt.Sprint("v", tries), "192.0.2.1", 1)
			tries++
		}
		c.pass(time.Second)
	}
	if tries < 200 || tries > 500 {
		t.Errorf("%d tries in an hour, want about one each 10 s", tries)
	}
}

func TestAddressesOfOneHostAreOne(t *testing.T) {
	b, _ := testBackoff()
	fail(b, "bob", "2001:db8::1", 4)
	fail(b, "bob", "::ffff:192.0.2.1", 4)
	for from, want := range map[string]bool{
		"2001:db8::ffff:1": false, "2001:db8::1%eth0": false, "192.0.2.1": false,
		"2001:db8:0:1::1": true, "192.0.2.2": true,
	} {
		if welcome(b, "bob", from) != want {
			t.Errorf("%s: welcome is %v", from, !want)
		}
	}
}

func TestNobodyLocksAUserOutFromAnotherAddress(t *testing.T) {
	b, c := testBackoff()
	b.Succeeded("bob", netip.MustParseAddr("192.0.2.1"))
	for i := range 200 { // a thousand addresses guess for ever
		fail(b, "bob", fmt.Sprintf("198.51.100.%d", i), 1)
	}
	if !welcome(b, "bob", "192.0.2.1") {
		t.Error("the user is locked out where he came in lately")
	}
	if welcome(b, "bob", "203.0.113.1") {
		t.Error("strangers are not slowed down")
	}
	if !welcome(b, "al", "203.0.113.1") {
		t.Error("another user is held up")
	}
	b.stranger = func() bool { return true }
	if !welcome(b, "bob", "203.0.113.1") {
		t.Error("a stranger has no chance")
	}
	if fail(b, "bob", "198.51.100.1", 3); welcome(b, "bob", "198.51.100.1") {
		t.Error("chance helps an address that has failed itself")
	}
	b.stranger = func() bool { return false }
	c.pass(24 * time.Hour)
	fail(b, "bob", "198.51.100.1", 40)
	if welcome(b, "bob", "192.0.2.1") {
		t.Error("a success of yesterday still counts")
	}
}

func TestOneStrangerIn16IsLucky(t *testing.T) {
	b := NewBackoff(DefaultBackoff(time.Now))
	lucky := 0
	for range 16_000 {
		if b.stranger() {
			lucky++
		}
	}
	if lucky < 700 || lucky > 1300 { // 1000 is expected, a deviation is 31
		t.Errorf("%d of 16000", lucky)
	}
}

func TestBackoffTablesAreBounded(t *testing.T) {
	c := newHandClock()
	cfg := DefaultBackoff(c.now)
	cfg.Size = 100
	b := NewBackoff(cfg)
	for i := range 1000 {
		from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		b.Failed(fmt.Sprint("u", i), from)
		b.Succeeded(fmt.Sprint("v", i), from)
		b.Failed("mallory", netip.MustParseAddr("192.0.2.1"))
	}
	for name, n := range map[string]int{
		"pairs": len(b.pairs.of.young) + len(b.pairs.of.old), "addresses": len(b.addresses.of.young) + len(b.addresses.of.old),
		"users": len(b.users.of.young) + len(b.users.of.old), "good": len(b.good.young) + len(b.good.old),
	} {
		if n > 100 {
			t.Errorf("%s: %d entries", name, n)
		}
	}
	if welcome(b, "mallory", "192.0.2.1") || welcome(b, "new", "192.0.2.1") {
		t.Error("who fails most is forgotten")
	}
}

func TestStepsOfZeroAreNoBackoff(t *testing.T) {
	b := NewBackoff(BackoffConfig{Now: time.Now})
	fail(b, "bob", "192.0.2.1", 1000)
	if !welcome(b, "bob", "192.0.2.1") {
		t.Error("backed off")
	}
}
