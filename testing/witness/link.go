package witness

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// packet is as much of a packet as the clients here look at.
type packet struct {
	kind, flags byte
	id          int
	code        byte // of CONNACK and SUBACK
	present     bool
	topic       string
	payload     string
}

func (p *packet) retained() bool { return p.flags&1 != 0 }

func (p *packet) qos() byte { return p.flags >> 1 & 3 }

// link is one connection. Every error is an end of it: the node may be killed at any
// time.
type link struct {
	version  byte
	conn     net.Conn
	r        *bufio.Reader
	patience time.Duration
	release  func() bool // of the context that closes conn
}

// dial connects and returns the CONNACK. The end of ctx closes the link.
func (o *Load) dial(ctx context.Context, c harness.Connect) (*link, packet, error) {
	url, err := o.Address()
	if err != nil {
		return nil, packet{}, err
	}
	return o.dialTo(ctx, url, c)
}

func (o *Load) dialTo(ctx context.Context, url string, c harness.Connect) (*link, packet, error) {
	conn, err := harness.DialConn(url)
	if err != nil {
		return nil, packet{}, err
	}
	l := &link{version: c.Version, conn: conn, r: bufio.NewReader(conn), patience: o.Pace.Patience}
	l.release = context.AfterFunc(ctx, func() { _ = conn.Close() }) // the connection is given up
	p, err := l.ask(c.Bytes(), harness.CONNACK)
	if err == nil && p.code != 0 {
		err = fmt.Errorf("refused with %#02x", p.code)
	}
	if err != nil {
		l.close()
		return nil, p, err
	}
	return l, p, nil
}

func (l *link) close() {
	l.release()
	_ = l.conn.Close() // the connection is given up
}

func (l *link) write(b []byte) error {
	_, err := l.conn.Write(b)
	return err
}

// ask sends and wants the answer next.
func (l *link) ask(b []byte, kind byte) (packet, error) {
	if err := l.write(b); err != nil {
		return packet{}, err
	}
	p, err := l.read(time.Now().Add(l.patience))
	if err == nil && p.kind != kind {
		err = fmt.Errorf("packet type %d instead of %d", p.kind, kind)
	}
	return p, err
}

// read returns the next packet. After a deadline that passed the link is of no use.
func (l *link) read(until time.Time) (packet, error) {
	if err := l.conn.SetReadDeadline(until); err != nil {
		return packet{}, err
	}
	first, err := l.r.ReadByte()
	if err != nil {
		return packet{}, err
	}
	size, err := binary.ReadUvarint(l.r)
	if err != nil {
		return packet{}, err
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(l.r, body); err != nil {
		return packet{}, err
	}
	p, err := l.decode(first, body)
	if err == nil && p.kind == harness.DISCONNECT {
		err = sentAway(body)
	}
	return p, err
}

// leaving are the codes with which a broker may end a connection of a client that did
// nothing wrong.
var leaving = map[byte]bool{
	0x80: true, // what was asked could not be kept
	0x89: true, // busy, or without its store
	0x8B: true, // shutting down
	0x8E: true, // taken over: the own old connection still seemed to be there
	0x9C: true, // use another server
	0x9D: true, // moved
}

// sentAway is the end that a DISCONNECT of the broker is.
func sentAway(body []byte) error {
	if len(body) > 0 && leaving[body[0]] {
		return fmt.Errorf("sent away with %#02x", body[0])
	}
	return fmt.Errorf("%w: DISCONNECT % x", errAnswer, body)
}

var errShort = errors.New("a packet ends early")

func (l *link) decode(first byte, b []byte) (packet, error) {
	p := packet{kind: first >> 4, flags: first & 15}
	switch p.kind {
	case harness.PINGRESP, harness.DISCONNECT:
		return p, nil
	case harness.PUBLISH:
		return l.decodePublish(p, b)
	}
	if len(b) < 2 {
		return p, errShort
	}
	switch p.kind {
	case harness.CONNACK:
		p.present, p.code = b[0] == 1, b[1]
	case harness.SUBACK:
		p.code = b[len(b)-1]
		fallthrough
	default:
		p.id = int(binary.BigEndian.Uint16(b))
		if p.kind != harness.SUBACK && len(b) > 2 {
			p.code = b[2]
		}
	}
	return p, nil
}

func (l *link) decodePublish(p packet, b []byte) (packet, error) {
	take := func(n int) []byte {
		if n > len(b) {
			n = len(b)
		}
		head := b[:n]
		b = b[n:]
		return head
	}
	size := take(2)
	if len(size) < 2 {
		return p, errShort
	}
	p.topic = string(take(int(binary.BigEndian.Uint16(size))))
	if p.qos() > 0 {
		id := take(2)
		if len(id) < 2 {
			return p, errShort
		}
		p.id = int(binary.BigEndian.Uint16(id))
	}
	if l.version == harness.V5 {
		size, n := binary.Uvarint(b)
		if n <= 0 {
			return p, errShort
		}
		take(n + int(size))
	}
	p.payload = string(b)
	return p, nil
}
