package harness

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/gobwas/ws"
)

// wsConn carries a stream in the frames of a client's WebSocket: one binary
// frame a write.
type wsConn struct {
	net.Conn
	r    io.Reader // the connection, with what the handshake read too far
	left int64     // bytes of the current frame not read yet
}

func dialWebSocket(url string, protocols ...string) (*wsConn, error) {
	d := ws.Dialer{Timeout: Deadline, Protocols: protocols, TLSConfig: ClientTLS()}
	nc, br, _, err := d.Dial(context.Background(), url)
	if err != nil {
		return nil, err
	}
	return &wsConn{Conn: nc, r: reader(nc, br)}, nil
}

func reader(nc net.Conn, br *bufio.Reader) io.Reader {
	if br == nil {
		return nc
	}
	rest := make([]byte, br.Buffered())
	_, _ = io.ReadFull(br, rest) // they are in its buffer
	ws.PutReader(br)
	return io.MultiReader(bytes.NewReader(rest), nc)
}

// Read returns bytes of binary frames; a close frame ends the stream.
func (c *wsConn) Read(p []byte) (int, error) {
	for c.left == 0 {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			return 0, err
		}
		switch h.OpCode {
		case ws.OpBinary, ws.OpContinuation:
			c.left = h.Length
		case ws.OpClose:
			return 0, io.EOF
		default:
			if _, err := io.CopyN(io.Discard, c.r, h.Length); err != nil {
				return 0, err
			}
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.writeFrame(ws.OpBinary, true, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *wsConn) writeFrame(op ws.OpCode, fin bool, p []byte) error {
	return ws.WriteFrame(c.Conn, ws.MaskFrame(ws.NewFrame(op, fin, p)))
}

// SendFrame writes one WebSocket frame with an operation code (1 text, 2 binary,
// 0 continuation, 8 close, 9 ping) on a client that Dial opened over ws.
func (c *Client) SendFrame(op byte, fin bool, p []byte) {
	c.t.Helper()
	w, ok := c.Conn.(*wsConn)
	if !ok {
		c.t.Fatal("not a WebSocket")
	}
	if err := w.writeFrame(ws.OpCode(op), fin, p); err != nil && !isClosed(err) {
		c.t.Fatal(err)
	}
}

// Offer opens a WebSocket with a list of subprotocols and returns the one that
// the broker chose, or the refusal.
func Offer(t testing.TB, url string, protocols ...string) (*Client, string, error) {
	t.Helper()
	d := ws.Dialer{Timeout: Deadline, Protocols: protocols, TLSConfig: ClientTLS()}
	nc, br, hs, err := d.Dial(context.Background(), url)
	if err != nil {
		return nil, "", err
	}
	return newClient(t, &wsConn{Conn: nc, r: reader(nc, br)}), hs.Protocol, nil
}
