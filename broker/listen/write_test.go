//go:build unix

package listen

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// stuck fills the way to the peer until a Write blocks, and returns the channel of
// that Write's error.
func stuck(t *testing.T, c *Conn) <-chan error {
	t.Helper()
	failed := make(chan error, 1)
	p := make([]byte, 256<<10)
	go func() {
		for {
			if _, err := c.Write(p); err != nil {
				failed <- err
				return
			}
		}
	}()
	wait(t, "a write that blocks", func() bool {
		if !c.writing.Load() {
			return false
		}
		n, err := c.writeNowLocked(nil)
		return n == 0 && err == nil && full(c)
	})
	return failed
}

func TestWriteDeadline(t *testing.T) {
	c, _ := pair(t)
	failed := stuck(t, c)
	_ = c.SetWriteDeadline(time.Unix(1, 0))
	if err := get(t, failed); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestCloseDuringWrite(t *testing.T) {
	for name, make := range map[string]func(testing.TB) (*Conn, *net.TCPConn){"tcp": pair, "ws": webSocketPair} {
		t.Run(name, func(t *testing.T) {
			c, _ := make(t)
			failed := stuck(t, c)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if err := get(t, failed); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		})
	}
}

func TestCloseDuringWriteAndPump(t *testing.T) {
	c, _ := webSocketPair(t)
	ended := make(chan error, 1)
	go func() {
		_, err := collect(c, 16, never)
		ended <- err
	}()
	failed := stuck(t, c)
	_ = c.Close()
	if err := get(t, failed); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if err := get(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func TestPeerClosesDuringWrite(t *testing.T) {
	c, peer := pair(t)
	failed := stuck(t, c)
	_ = peer.Close()
	if err := get(t, failed); err == nil || errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

// Shutdown does not wait for a Write at work, which is finished nevertheless.
func TestShutdownDuringWrite(t *testing.T) {
	c, peer := pair(t)
	want := pattern(32 << 20)
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		wrote <- err
	}()
	wait(t, "a write that blocks", func() bool { return c.writing.Load() && full(c) })
	c.Shutdown()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := get(t, wrote); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, errShutdown) {
		t.Fatal(err)
	}
	sends(t, peer, []byte("reading goes on"))
	expect(t, c, []byte("reading goes on"))
}

func TestShutdownOverWebSocket(t *testing.T) {
	c, peer := webSocketPair(t)
	sends(t, c, []byte("a"))
	c.Shutdown()
	c.Shutdown()
	_ = c.Close()
	got, err := io.ReadAll(peer)
	if want := "\x82\x01a\x88\x02\x03\xe8"; err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestFramesOut(t *testing.T) {
	c, peer := webSocketPair(t)
	for _, n := range []int{1, 125, 126, copyBelow, copyBelow + 1, 1<<16 - 1, 1 << 16, 300 << 10} {
		want := pattern(n)
		go sends(t, c, want)
		f, err := readFrame(peer)
		if err != nil || f.Header.OpCode != ws.OpBinary || !f.Header.Fin || f.Header.Masked || !bytes.Equal(f.Payload, want) {
			t.Fatalf("%d: %+v, %v", n, f.Header, err)
		}
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Fatal(n, err)
	}
}

// A peer that pings and does not read costs one pong, and gets the last when it
// reads; frames are not mixed up.
func TestPongsOwed(t *testing.T) {
	c, peer := webSocketPair(t)
	failed := stuck(t, c)
	go func() {
		for i := range 1000 {
			_, _ = peer.Write(masked(ws.NewPingFrame([]byte{byte(i), byte(i >> 8)})))
		}
		_, _ = peer.Write(masked(ws.NewBinaryFrame([]byte("end"))))
	}()
	expect(t, c, []byte("end")) // the reader does not wait for the writer
	last := []byte{999 & 0xFF, 999 >> 8}
	pongs := 0
	for {
		f, err := readFrame(peer)
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpPong {
			if pongs++; bytes.Equal(f.Payload, last) {
				break
			}
			continue
		}
		if f.Header.OpCode != ws.OpBinary || f.Header.Length != 256<<10 {
			t.Fatalf("frame %+v", f.Header)
		}
	}
	if pongs > 10 { // one each time the writer came to the end of a frame
		t.Errorf("%d pongs", pongs)
	}
	_ = c.Close()
	_ = get(t, failed) // its error is tested elsewhere
}

// Without a Write at work pongs that do not fit are kept, in order, up to a bound.
func TestOwedWithoutWrite(t *testing.T) {
	c, peer := webSocketPair(t)
	_ = c.nc.(*net.TCPConn).SetWriteBuffer(4 << 10)
	fill := make([]byte, 16<<10)
	filled := 0
	for { // as a frame would have, up to the last byte
		n, err := c.writeNowLocked(fill)
		if err != nil {
			t.Fatal(err)
		}
		if filled += n; n < len(fill) {
			break
		}
	}
	for i := range 5 {
		c.pong([]byte{byte(i)})
	}
	if len(c.owed) > 3 || c.ws.pong == nil || c.wishes.Load()&wishPong == 0 {
		t.Fatalf("owed %d, pong %v", len(c.owed), c.ws.pong)
	}
	go func() { _, _ = c.Write([]byte("x")) }()
	if _, err := io.CopyN(io.Discard, peer, int64(filled)); err != nil {
		t.Fatal(err)
	}
	receives(t, peer, []byte("\x8a\x01\x00\x82\x01x\x8a\x01\x04"))
	for range maxOwed / 100 {
		if _, err := c.writeOwed(fill[:100]); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; ; i++ {
		if _, err := c.writeOwed(fill); err != nil {
			if !errors.Is(err, errOwed) || len(c.owed) > maxOwed {
				t.Fatal(err, len(c.owed))
			}
			break
		} else if i > 10000 {
			t.Fatal("no bound")
		}
	}
	_ = c.Close() // does not wait either
}

// Pongs never come between the pieces of a frame.
func TestWriteIsAtomic(t *testing.T) {
	c, peer := webSocketPair(t)
	const rounds = 300
	big := pattern(40 << 10)
	ended := make(chan error, 2)
	go func() {
		for range rounds {
			if _, err := c.Write(big); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	go func() {
		_, err := collect(c, 64, never)
		ended <- err
	}()
	go func() {
		for range rounds {
			_, _ = peer.Write(masked(ws.NewPingFrame([]byte("p"))))
		}
	}()
	pongs := 0
	for frames := 0; frames < rounds; {
		f, err := readFrame(peer)
		switch {
		case err != nil:
			t.Fatal(err)
		case f.Header.OpCode == ws.OpPong && string(f.Payload) == "p":
			pongs++
		case f.Header.OpCode == ws.OpBinary && bytes.Equal(f.Payload, big):
			frames++
		default:
			t.Fatalf("frame %+v", f.Header)
		}
	}
	if err := get(t, ended); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := get(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if pongs == 0 {
		t.Log("no pong came in between")
	}
}

// Close does not wait for a TLS peer that does not read.
func TestTLSCloseDuringWrite(t *testing.T) {
	a := newAuthority(t)
	n := open(t, Options{URL: anySSL, TLS: a.server("server")})
	_, c := n.mustTLS(a.config())
	ended := make(chan error, 1)
	go func() {
		_, err := collect(c, 16, never)
		ended <- err
	}()
	failed := stuck(t, c)
	_ = c.Close()
	for _, ch := range []<-chan error{failed, ended} {
		if err := get(t, ch); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
	}
}
