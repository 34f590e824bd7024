package crash

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	. "github.com/skeinmq/skein/testing/harness"
)

// patience is how long a node that is up may leave a client without an answer.
const patience = Deadline

// packet is as much of a packet as the clients here look at.
type packet struct {
	kind, flags byte
	id          int
	code        byte // of CONNACK and SUBACK
	present     bool
	topic       string
	payload     string
}

func (p *packet) qos() byte { return p.flags >> 1 & 3 }

// link is one connection. Every error is an end of it: the node may be killed at any
// time.
type link struct {
	version byte
	conn    net.Conn
	r       *bufio.Reader
	release func() bool // of the context that closes conn
}

// dial connects and returns the CONNACK. The end of ctx closes the link.
func dial(ctx context.Context, n *node, c Connect) (*link, packet, error) {
	url, err := n.address()
	if err != nil {
		return nil, packet{}, err
	}
	conn, err := DialConn(url)
	if err != nil {
		return nil, packet{}, err
	}
	l := &link{version: c.Version, conn: conn, r: bufio.NewReader(conn)}
	l.release = context.AfterFunc(ctx, func() { _ = conn.Close() }) // the connection is given up
	p, err := l.ask(c.Bytes(), CONNACK)
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
	p, err := l.read(time.Now().Add(patience))
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
	return l.decode(first, body)
}

var errShort = errors.New("a packet ends early")

func (l *link) decode(first byte, b []byte) (packet, error) {
	p := packet{kind: first >> 4, flags: first & 15}
	switch p.kind {
	case PINGRESP, DISCONNECT:
		return p, nil
	case PUBLISH:
		return l.decodePublish(p, b)
	}
	if len(b) < 2 {
		return p, errShort
	}
	switch p.kind {
	case CONNACK:
		p.present, p.code = b[0] == 1, b[1]
	case SUBACK:
		p.code = b[len(b)-1]
		fallthrough
	default:
		p.id = int(binary.BigEndian.Uint16(b))
		if p.kind != SUBACK && len(b) > 2 {
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
	if l.version == V5 {
		size, n := binary.Uvarint(b)
		if n <= 0 {
			return p, errShort
		}
		take(n + int(size))
	}
	p.payload = string(b)
	return p, nil
}
