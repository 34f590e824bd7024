package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"

	"github.com/gobwas/ws"
)

// wsConn carries the bytes of MQTT in binary frames. Each Write is one frame, and
// goes out whole. Read is for one goroutine, Write for any number.
type wsConn struct {
	net.Conn
	r    *bufio.Reader
	left int64   // bytes of the current frame that are not read yet
	head [8]byte // a frame header under way

	mask [4]byte
	mu   sync.Mutex
	out  []byte // a frame under construction; guarded by mu
}

func upgradeWebSocket(ctx context.Context, conn net.Conn, u *url.URL, buffer int) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) }) // the upgrade fails either way
	defer stop()
	d := ws.Dialer{Protocols: []string{"mqtt"}}
	early, hs, err := d.Upgrade(conn, u)
	if err != nil {
		return nil, err
	}
	if hs.Protocol != "mqtt" {
		return nil, errors.New("the server does not offer the subprotocol mqtt [MQTT-6.0.0-4]")
	}
	var from io.Reader = conn
	if early != nil {
		from = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	return newWebSocket(conn, from, buffer), nil
}

// newWebSocket reads from what conn is read from.
func newWebSocket(conn net.Conn, from io.Reader, buffer int) *wsConn {
	w := &wsConn{Conn: conn, r: bufio.NewReaderSize(from, buffer)}
	// One key a connection: it protects proxies from hostile scripts, and there is none.
	binary.LittleEndian.PutUint32(w.mask[:], rand.Uint32())
	return w
}

var errNotBinary = errors.New("a WebSocket frame that is not binary [MQTT-6.0.0-1]")

// Write sends p as one binary frame.
func (w *wsConn) Write(p []byte) (int, error) {
	return len(p), w.writeFrame(ws.OpBinary, p)
}

func (w *wsConn) writeFrame(op ws.OpCode, p []byte) error {
	const fin, masked = 0x80, 0x80
	w.mu.Lock()
	defer w.mu.Unlock()
	b := append(w.out[:0], fin|byte(op))
	switch n := len(p); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	b = append(b, w.mask[:]...)
	head := len(b)
	b = append(b, p...)
	ws.Cipher(b[head:], w.mask, 0)
	w.out = b
	_, err := w.Conn.Write(b)
	return err
}

// Read fills p with what has arrived, over the borders of frames.
func (w *wsConn) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if w.left == 0 {
			if n > 0 && w.r.Buffered() < ws.MaxHeaderSize {
				return n, nil // the next header may be cut; what is here goes first
			}
			if err := w.nextFrame(); err != nil {
				return n, err
			}
			continue
		}
		if n > 0 && w.r.Buffered() == 0 {
			return n, nil
		}
		k, err := w.r.Read(p[n:min(int64(len(p)), int64(n)+w.left)])
		n += k
		w.left -= int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// nextFrame reads the header of a data frame, and deals with control frames before it.
func (w *wsConn) nextFrame() error {
	op, n, err := w.readHeader()
	if err != nil {
		return err
	}
	switch op {
	case ws.OpBinary, ws.OpContinuation:
		w.left = n
		return nil
	case ws.OpPing, ws.OpPong, ws.OpClose:
		body := make([]byte, min(n, ws.MaxControlFramePayloadSize))
		if _, err := io.ReadFull(w.r, body); err != nil {
			return err
		}
		if op == ws.OpClose {
			return io.EOF
		}
		if op == ws.OpPing {
			return w.writeFrame(ws.OpPong, body)
		}
		return nil
	}
	return errNotBinary
}

// readHeader reads one frame header. Brokers may put each packet into a frame of its
// own, so this allocates nothing.
func (w *wsConn) readHeader() (ws.OpCode, int64, error) {
	if _, err := io.ReadFull(w.r, w.head[:2]); err != nil {
		return 0, 0, err
	}
	op, n := ws.OpCode(w.head[0]&0x0f), int64(w.head[1])
	switch {
	case n&0x80 != 0:
		return 0, 0, ws.ErrProtocolMaskUnexpected
	case n == 126:
		_, err := io.ReadFull(w.r, w.head[:2])
		return op, int64(binary.BigEndian.Uint16(w.head[:])), err
	case n == 127:
		_, err := io.ReadFull(w.r, w.head[:])
		n = int64(binary.BigEndian.Uint64(w.head[:]))
		if err == nil && n < 0 {
			err = ws.ErrHeaderLengthMSB
		}
		return op, n, err
	}
	return op, n, nil
}
