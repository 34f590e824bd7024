package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// frame is a masked client frame; first is its first byte.
func frame(first byte, payload []byte) []byte {
	h := appendHead(nil, 0, len(payload))
	h[0] = first
	h[1] |= bitMask
	mask := [4]byte{0xA1, 0x00, 0xFF, 0x17}
	p := bytes.Clone(payload)
	ws.Cipher(p, mask, 0)
	return append(append(h, mask[:]...), p...)
}

// closed is the close frame the server sends.
func closed(code uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{0x88, 2}, code)
}

var messages = slices.Concat(
	frame(0x89, []byte("one")),
	frame(0x02, []byte("he")),
	frame(0x89, nil),
	frame(0x00, nil),
	frame(0x8A, []byte("unasked")),
	frame(0x00, []byte("ll")),
	frame(0x80, []byte("o")),
	frame(0x82, nil),
	frame(0x82, bytes.Repeat([]byte("x"), 126)),
	frame(0x82, []byte("two packets in a frame")),
)

var fragments = slices.Concat(
	messages,
	frame(0x88, []byte("\x03\xe8bye")),
	[]byte("what is behind does not count"),
)

var (
	fragmentsIn  = []byte("hello" + strings.Repeat("x", 126) + "two packets in a frame")
	fragmentsOut = []byte("\x8a\x03one\x8a\x00\x88\x02\x03\xe8")
)

func TestFramesSplitAnywhere(t *testing.T) {
	for i := range fragments {
		var got []byte
		c, peer := webSocketPair(t)
		for _, piece := range [][]byte{fragments[:i], fragments[i:]} {
			p := bytes.Clone(piece)
			got = append(got, p[:c.ws.decode(c, p)]...)
		}
		checkFragments(t, c, peer, got)
	}
}

func TestFramesByteByByte(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7} {
		c, peer := webSocketPair(t)
		var got []byte
		for piece := range slices.Chunk(fragments, size) {
			p := bytes.Clone(piece)
			got = append(got, p[:c.ws.decode(c, p)]...)
		}
		checkFragments(t, c, peer, got)
	}
}

func checkFragments(t *testing.T, c *Conn, peer io.Reader, got []byte) {
	t.Helper()
	if !bytes.Equal(got, fragmentsIn) || c.ws.failed != io.EOF {
		t.Fatalf("got %q, %v", got, c.ws.failed)
	}
	_ = c.Close()
	if out, err := io.ReadAll(peer); err != nil || !bytes.Equal(out, fragmentsOut) {
		t.Fatalf("sent %q, %v", out, err)
	}
}

// The same over the socket, whatever the size of the reads.
func TestFramesOverSocket(t *testing.T) {
	for _, size := range []int{1, 5, 64, 64 << 10} {
		c, peer := webSocketPair(t)
		sends(t, peer, fragments)
		got, err := collect(c, size, never)
		if err != io.EOF {
			t.Fatal(err)
		}
		checkFragments(t, c, peer, got)
	}
}

func TestLargeFrames(t *testing.T) {
	c, peer := webSocketPair(t)
	want := pattern(300 << 10)
	go func() {
		_, _ = peer.Write(frame(0x82, want[:70000]))
		_, _ = peer.Write(frame(0x02, want[70000:80000]))
		_, _ = peer.Write(frame(0x80, want[80000:]))
	}()
	expect(t, c, want)
}

func TestBadFrames(t *testing.T) {
	ok := frame(0x82, []byte("fine"))
	long := func(first byte, n uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{first, 0xFF}, n), 1, 2, 3, 4)
	}
	for name, test := range map[string]struct {
		in   []byte
		code uint16
	}{
		"unmasked":               {[]byte("\x82\x01a"), closeProtocol},
		"unmasked ping":          {[]byte("\x89\x00"), closeProtocol},
		"text":                   {frame(0x81, []byte("hello")), closeUnsupported},
		"text fragment":          {frame(0x01, []byte("hello")), closeUnsupported},
		"reserved bit":           {frame(0xC2, []byte("a")), closeProtocol},
		"reserved opcode":        {frame(0x83, nil), closeProtocol},
		"reserved control":       {frame(0x8B, nil), closeProtocol},
		"ping too long":          {frame(0x89, make([]byte, 126)), closeProtocol},
		"ping in pieces":         {frame(0x09, nil), closeProtocol},
		"continuation alone":     {frame(0x80, []byte("a")), closeProtocol},
		"message within message": {slices.Concat(frame(0x02, nil), frame(0x82, nil)), closeProtocol},
		"length too long a form": {[]byte("\x82\xfe\x00\x7d\x01\x02\x03\x04"), closeProtocol},
		"length of 8 too long":   {long(0x82, 1<<16-1), closeProtocol},
		"length negative":        {long(0x82, 1<<63), closeProtocol},
		"too large":              {long(0x82, 1001<<10), closeTooBig},
		"close of one byte":      {frame(0x88, []byte("a")), closeProtocol},
		"close with 999":         {frame(0x88, []byte{0x03, 0xe7}), closeProtocol},
		"close with 1005":        {frame(0x88, []byte{0x03, 0xed}), closeProtocol},
		"close with 2000":        {frame(0x88, []byte{0x07, 0xd0}), closeProtocol},
		"close with 5000":        {frame(0x88, []byte{0x13, 0x88}), closeProtocol},
		"close with bad reason":  {frame(0x88, []byte{0x03, 0xe8, 0xff}), closeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			c, peer := webSocketPair(t)
			c.ws.limit = 1000 << 10
			sends(t, peer, slices.Concat(ok, test.in, ok))
			got, err := collect(c, 1<<10, never)
			var fe *FrameError
			if string(got) != "fine" || !errors.As(err, &fe) || fe.Code != test.code || fe.Error() == "" {
				t.Fatalf("got %q, %v", got, err)
			}
			ends(t, c, err)
			if _, err := c.Write([]byte("x")); !errors.Is(err, errShutdown) {
				t.Fatal(err)
			}
			_ = c.Close()
			receives(t, peer, closed(test.code))
		})
	}
}

func TestCloseFrames(t *testing.T) {
	for name, test := range map[string]struct {
		in   string
		code uint16
	}{
		"empty":      {"", closeNormal},
		"going away": {"\x03\xe9", 1001},
		"private":    {"\x0f\xa0reason", 4000},
	} {
		t.Run(name, func(t *testing.T) {
			c, peer := webSocketPair(t)
			sends(t, peer, frame(0x88, []byte(test.in)))
			ends(t, c, io.EOF)
			_ = c.Close()
			if out, err := io.ReadAll(peer); err != nil || !bytes.Equal(out, closed(test.code)) {
				t.Fatalf("sent %q, %v", out, err)
			}
		})
	}
}

// A flood of pings alone does not keep Pump from the deadline.
func TestPingFloodAndDeadline(t *testing.T) {
	c, peer := webSocketPair(t)
	flood := bytes.Repeat(frame(0x89, nil), 4<<10)
	stop := make(chan struct{})
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := peer.Write(flood); err != nil {
				return
			}
		}
	}()
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	steps := 0
	p := make([]byte, 64)
	err := c.Pump(func(read func([]byte) (int, error)) bool {
		steps++
		for {
			if n, err := read(p); err != nil {
				return steps > 100
			} else if n > 0 {
				t.Error("payload from pings")
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	_ = peer.Close()
	close(stop)
	closes(t, flooded)
}

func FuzzFrames(f *testing.F) {
	f.Add(fragments, uint8(3))
	f.Add([]byte("\x82\x80\x01\x02\x03\x04"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		whole, pieces := fuzzConn(), fuzzConn()
		p := bytes.Clone(in)
		want := bytes.Clone(p[:whole.ws.decode(whole, p)])
		var got []byte
		for piece := range slices.Chunk(in, int(size)+1) {
			p := bytes.Clone(piece)
			got = append(got, p[:pieces.ws.decode(pieces, p)]...)
		}
		if !bytes.Equal(got, want) || (whole.ws.failed == nil) != (pieces.ws.failed == nil) {
			t.Fatalf("whole %q, %v; in pieces %q, %v", want, whole.ws.failed, got, pieces.ws.failed)
		}
	})
}

// fuzzConn sends nothing: somebody else seems to write.
func fuzzConn() *Conn {
	c := &Conn{ws: &frames{limit: 1 << 20}}
	c.wmu.Lock()
	return c
}
