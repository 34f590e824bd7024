package listen

import (
	"io"
	"testing"
	"time"
)

// slow opens a listener that takes few handshakes at a time.
func slow(t *testing.T, slots int, grace time.Duration) *node {
	t.Helper()
	l, err := Open(Options{URL: "ws://127.0.0.1:0", HandshakeTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	l.slots.max, l.slots.grace = slots, grace
	return serve(t, l)
}

func TestSlowHandshakesMakeRoom(t *testing.T) {
	n := slow(t, 2, 0)
	first, second := n.dial(), n.dial()
	wait(t, "two handshakes", func() bool { return n.Stats().Handshakes.Load() == 2 })
	c := dialWebSocket(t, n, nil)
	sends(t, c, masked2("x"))
	expect(t, n.next(), []byte("x"))
	refuses(t, first) // the oldest
	if s := n.Stats(); s.Evicted.Load() != 1 || s.Handshakes.Load() != 1 {
		t.Fatal(s.Evicted.Load(), s.Handshakes.Load())
	}
	_ = second.Close()
	wait(t, "the other one's end", func() bool { return n.Stats().Failed.Load() == 2 })
}

func TestYoungHandshakesKeepTheirPlace(t *testing.T) {
	n := slow(t, 1, time.Hour)
	first := n.dial()
	wait(t, "a handshake", func() bool { return n.Stats().Handshakes.Load() == 1 })
	second := n.dial()
	sends(t, second, webSocketRequest("/", ""))
	wait(t, "the second", func() bool { return n.Stats().Accepted.Load() == 2 })
	if n.Stats().Handshakes.Load() != 1 {
		t.Fatal("no place was free")
	}
	_ = first.Close() // makes room
	receives(t, second, []byte("HTTP/1.1 101"))
	n.next()
	if n.Stats().Evicted.Load() != 0 {
		t.Fatal("evicted")
	}
}

func TestHandshakeTimeout(t *testing.T) {
	n := open(t, Options{URL: "ws://127.0.0.1:0", HandshakeTimeout: 20 * time.Millisecond})
	nc := n.dial()
	sends(t, nc, []byte("GET / HTTP/1.1\r\n"))
	if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
		t.Fatalf("got %q, %v", b, err)
	}
	wait(t, "counted", func() bool { return n.Stats().TimedOut.Load() == 1 })
}

func TestCloseDuringHandshakes(t *testing.T) {
	n := slow(t, 2, time.Hour)
	a, b := n.dial(), n.dial()
	wait(t, "two handshakes", func() bool { return n.Stats().Handshakes.Load() == 2 })
	c := n.dial() // waits for a place
	wait(t, "three accepted", func() bool { return n.Stats().Accepted.Load() == 3 })
	_ = n.Close()
	for _, nc := range []io.Reader{a, b, c} {
		if got, err := io.ReadAll(nc); len(got) > 0 || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	err := get(t, n.served)
	n.served <- err // for the end of the test
	if err != nil || n.Stats().Open.Load() != 0 || n.Stats().Established.Load() != 0 {
		t.Fatal(err, n.Stats().Open.Load())
	}
}
