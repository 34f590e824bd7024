package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	runTag = strconv.FormatUint(uint64(rand.Uint32()), 36)
	names  atomic.Int64
)

// Name is a new name, for a client or a topic: 1 to 23 letters and digits, used by
// no other test, nor by another run against the same broker.
func Name() string { return fmt.Sprintf("t%sx%d", runTag, names.Add(1)) }

// Client is a connection that speaks bytes. Its methods fail the test that made
// it. It is used by one goroutine at a time.
type Client struct {
	Version byte   // how packets are read; set by Connect
	ID      string // as used in Connect
	Conn    net.Conn

	t      testing.TB
	r      *bufio.Reader
	nextID int
	strays []Packet // PUBLISH packets that came while an acknowledgement was awaited
}

// Dial opens a connection and sends nothing. The test's end closes it.
func Dial(t testing.TB, url string) *Client {
	t.Helper()
	nc, err := DialConn(url)
	if err != nil {
		t.Fatalf("dial %s: %v", url, err)
	}
	return newClient(t, nc)
}

func newClient(t testing.TB, nc net.Conn) *Client {
	c := &Client{Version: V5, Conn: nc, t: t, r: bufio.NewReader(nc)}
	t.Cleanup(func() { _ = nc.Close() }) // the test may have closed it
	return c
}

// Connect dials and connects; a refusal fails the test. An empty ID gets a name.
func (b *Broker) Connect(t testing.TB, o Connect) *Client {
	t.Helper()
	c, ack := b.TryConnect(t, o)
	if ack.Code != 0 {
		t.Fatalf("connect refused: %v", ack)
	}
	return c
}

// TryConnect dials, sends CONNECT and returns the answer, whatever it is.
func (b *Broker) TryConnect(t testing.TB, o Connect) (*Client, Packet) {
	t.Helper()
	if o.ID == "" {
		o.ID = Name()
	}
	c := Dial(t, b.TCP)
	return c, c.Connect(o)
}

// Client connects with a version and nothing else.
func (b *Broker) Client(t testing.TB, version byte) *Client {
	t.Helper()
	return b.Connect(t, Connect{Version: version})
}

// Connect sends CONNECT as it is and returns the CONNACK.
func (c *Client) Connect(o Connect) Packet {
	c.t.Helper()
	c.Version, c.ID = o.version(), o.ID
	c.Send(o.Bytes())
	return c.Expect(CONNACK)
}

// Send writes packets. A broker that has closed the connection is not an error:
// what is expected next tells.
func (c *Client) Send(packets ...[]byte) {
	c.t.Helper()
	_ = c.Conn.SetWriteDeadline(time.Now().Add(Deadline)) // a broken connection fails the write
	_, err := c.Conn.Write(Cat(packets...))
	if err != nil && !isClosed(err) {
		c.t.Fatalf("send: %v", err)
	}
}

// NextID is a packet identifier that the client has not used.
func (c *Client) NextID() int {
	c.nextID++
	return c.nextID
}

// read returns the next packet; an error is what ended the stream.
func (c *Client) read() (Packet, error) {
	_ = c.Conn.SetReadDeadline(time.Now().Add(Deadline)) // a broken connection fails the read
	return readPacket(c.r, c.Version)
}

// Next returns the next packet.
func (c *Client) Next() Packet {
	c.t.Helper()
	if len(c.strays) > 0 {
		p := c.strays[0]
		c.strays = c.strays[1:]
		return p
	}
	p, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for a packet: %v", err)
	}
	return p
}

// Expect returns the next packet, which must be of a type.
func (c *Client) Expect(kind byte) Packet {
	c.t.Helper()
	p := c.Next()
	if p.Type != kind {
		c.t.Fatalf("got %v, want %s", p, typeNames[kind])
	}
	return p
}

// ExpectCode is Expect with a reason code.
func (c *Client) ExpectCode(kind, code byte) Packet {
	c.t.Helper()
	p := c.Expect(kind)
	if p.Code != code {
		c.t.Fatalf("got %v, want code %#02x", p, code)
	}
	return p
}

// await returns the next packet of a type; PUBLISH packets before it are kept
// for Next: deliveries may overtake an acknowledgement.
func (c *Client) await(kind byte) Packet {
	c.t.Helper()
	for {
		p, err := c.read()
		switch {
		case err != nil:
			c.t.Fatalf("waiting for %s: %v", typeNames[kind], err)
		case p.Type == kind:
			return p
		case p.Type == PUBLISH:
			c.strays = append(c.strays, p)
		default:
			c.t.Fatalf("got %v, want %s", p, typeNames[kind])
		}
	}
}

// Barrier shows by a PINGREQ and its answer that the broker has nothing more to
// send; PUBLISH packets that came before the answer are kept for Next.
func (c *Client) Barrier() {
	c.t.Helper()
	c.Send(Ping())
	c.await(PINGRESP)
}

// ExpectNothing fails the test if a packet comes before the answer to a PINGREQ.
func (c *Client) ExpectNothing() {
	c.t.Helper()
	c.Barrier()
	if len(c.strays) > 0 {
		c.t.Fatalf("got %v, want nothing", c.strays[0])
	}
}

// ExpectClosed reads until the broker closes the connection and returns what
// came before.
func (c *Client) ExpectClosed() Packets {
	c.t.Helper()
	var ps Packets
	for {
		p, err := c.read()
		if err == nil {
			ps = append(ps, p)
			continue
		}
		if !isClosed(err) {
			c.t.Fatalf("want a closed connection: %v (before: %v)", err, ps)
		}
		return ps
	}
}

// ExpectRefused wants the end of the connection: with MQTT 5 a DISCONNECT with
// the reason code as the last packet, with 3.x nothing more.
func (c *Client) ExpectRefused(code byte) {
	c.t.Helper()
	ps := c.ExpectClosed()
	if c.Version != V5 {
		if len(ps) > 0 {
			c.t.Fatalf("got %v before the end, want nothing", ps)
		}
		return
	}
	if len(ps) == 0 {
		c.t.Fatalf("closed without a DISCONNECT, want code %#02x", code)
	}
	last := ps[len(ps)-1]
	if last.Type != DISCONNECT || last.Code != code {
		c.t.Fatalf("got %v, want DISCONNECT code %#02x", last, code)
	}
}

// isClosed reports whether an error is the peer's or our own end of the
// connection; a reset is one.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNABORTED)
}

// TimedOut reports whether an error is a deadline.
func TimedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// Drop ends the connection without a DISCONNECT.
func (c *Client) Drop() { _ = c.Conn.Close() } // nothing is promised

// Leave ends the connection with a DISCONNECT and waits for the broker's end of it.
func (c *Client) Leave(packet ...[]byte) {
	c.t.Helper()
	if len(packet) == 0 {
		packet = [][]byte{Disconnect(0)}
	}
	c.Send(packet...)
	c.ExpectClosed()
}

// Subscribe subscribes to one filter and returns the SUBACK's code; it must not
// be a failure.
func (c *Client) Subscribe(filter string, options byte, props ...[]byte) byte {
	c.t.Helper()
	id := c.NextID()
	c.Send(Subscribe(c.Version, id, Cat(props...), To(filter, options)))
	p := c.await(SUBACK)
	if p.ID != id || len(p.Codes) != 1 {
		c.t.Fatalf("got %v, want one code for id %d", p, id)
	}
	if p.Codes[0] >= 0x80 {
		c.t.Fatalf("subscribe %q refused: %v", filter, p)
	}
	return p.Codes[0]
}

// Unsubscribe ends one subscription and returns the UNSUBACK.
func (c *Client) Unsubscribe(filter string) Packet {
	c.t.Helper()
	id := c.NextID()
	c.Send(Unsubscribe(c.Version, id, filter))
	p := c.await(UNSUBACK)
	if p.ID != id {
		c.t.Fatalf("got %v, want id %d", p, id)
	}
	return p
}

// Publish publishes and runs the flow of its QoS to the end; QoS 0 is followed
// by a PINGREQ, so that the broker has taken it when Publish returns. It returns
// the PUBACK or PUBREC.
func (c *Client) Publish(p Publish) Packet {
	c.t.Helper()
	if p.QoS > 0 && p.ID == 0 {
		p.ID = c.NextID()
	}
	c.Send(p.Bytes(c.Version))
	var ack Packet
	switch p.QoS {
	case 0:
		c.Barrier()
		return ack
	case 1:
		ack = c.await(PUBACK)
	case 2:
		ack = c.await(PUBREC)
		if ack.Code < 0x80 {
			c.Send(Ack(PUBREL, p.ID, 0))
			if comp := c.await(PUBCOMP); comp.ID != p.ID || comp.Code != 0 {
				c.t.Fatalf("got %v, want PUBCOMP of %d", comp, p.ID)
			}
		}
	}
	if ack.ID != p.ID {
		c.t.Fatalf("got %v, want id %d", ack, p.ID)
	}
	return ack
}

// Receive returns the next packet, a PUBLISH, and runs the flow of its QoS.
func (c *Client) Receive() Packet {
	c.t.Helper()
	p := c.Expect(PUBLISH)
	switch p.QoS() {
	case 1:
		c.Send(Ack(PUBACK, p.ID, 0))
	case 2:
		c.Send(Ack(PUBREC, p.ID, 0))
		if rel := c.await(PUBREL); rel.ID != p.ID {
			c.t.Fatalf("got %v, want PUBREL of %d", rel, p.ID)
		}
		c.Send(Ack(PUBCOMP, p.ID, 0))
	}
	return p
}

// ExpectMessage is Receive with a topic and a payload.
func (c *Client) ExpectMessage(topic, payload string) Packet {
	c.t.Helper()
	p := c.Receive()
	if p.Topic != topic || p.Payload != payload {
		c.t.Fatalf("got %v, want topic %q payload %.40q", p, topic, payload)
	}
	return p
}

// ReadAll reads bytes, whatever they are, until the broker closes the connection.
func (c *Client) ReadAll() []byte {
	c.t.Helper()
	_ = c.Conn.SetReadDeadline(time.Now().Add(Deadline)) // a broken connection fails the read
	b, err := io.ReadAll(c.r)
	if err != nil && !isClosed(err) {
		c.t.Fatalf("want a closed connection: %v (before: % x)", err, b)
	}
	return b
}

// Try returns the next packet or the end of the connection.
func (c *Client) Try() (Packet, error) {
	c.t.Helper()
	if len(c.strays) > 0 {
		return c.Next(), nil
	}
	p, err := c.read()
	if err != nil && !isClosed(err) {
		c.t.Fatalf("waiting for a packet: %v", err)
	}
	return p, err
}

// Waiting is how many PUBLISH packets were kept for Next.
func (c *Client) Waiting() int { return len(c.strays) }
