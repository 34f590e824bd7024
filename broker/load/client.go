package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// sessionKind is what a CONNECT asks for.
type sessionKind bool

const (
	cleanSession sessionKind = true
	keptSession  sessionKind = false
)

// client is one connected MQTT client. Reading is for one goroutine at a time; conn
// takes writes of whole frames from several.
type client struct {
	id      string
	version Version
	conn    net.Conn
	in      frameReader
	grant   grant
	pong    chan struct{} // 1 deep; a PINGRESP nobody waits for is dropped
}

// connect dials, sends CONNECT and waits for an accepting CONNACK.
func (r *run) connect(ctx context.Context, id string, kind sessionKind, turn int) (*client, error) {
	id = r.o.Prefix + id
	conn, err := r.dialer.dial(ctx, turn)
	if err != nil {
		return nil, fmt.Errorf("connecting %s: %w", id, err)
	}
	c := &client{id: id, version: r.o.Version, conn: conn, pong: make(chan struct{}, 1)}
	c.in = frameReader{src: conn, buf: make([]byte, r.dialer.buffer)}
	if err := c.bounded(ctx, func() error { return c.handshake(&r.o, kind) }); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting %s: %w", id, err), conn.Close())
	}
	return c, nil
}

// bounded runs an exchange that waits for answers: at most handshakeTimeout, and no
// longer than the context.
func (c *client) bounded(ctx context.Context, exchange func() error) error {
	if err := c.conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(past) }) // a closed connection has ended the wait as well
	err := exchange()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return c.conn.SetDeadline(time.Time{})
}

func (c *client) handshake(o *Options, kind sessionKind) error {
	if _, err := c.conn.Write(connectFrame(o, c.id, kind)); err != nil {
		return err
	}
	head, body, err := c.in.read()
	if err != nil {
		return err
	}
	if head>>4 != typeConnack {
		return fmt.Errorf("%w: type %d instead of CONNACK", errMalformed, head>>4)
	}
	if c.grant, err = readConnack(c.version, body); err != nil {
		return err
	}
	return c.grant.check(o)
}

// subscribe asks for one filter and waits until it is granted with that QoS.
// Nothing else may be under way on the connection.
func (c *client) subscribe(ctx context.Context, filter string, qos byte) error {
	err := c.bounded(ctx, func() error {
		if _, err := c.conn.Write(subscribeFrame(c.version, 1, filter, qos)); err != nil {
			return err
		}
		return c.readSuback(qos)
	})
	if err != nil {
		return fmt.Errorf("%s subscribing to %s: %w", c.id, filter, err)
	}
	return nil
}

// readSuback steps over what answers the pings of a keep alive.
func (c *client) readSuback(qos byte) error {
	head, body, err := c.in.read()
	for err == nil && head>>4 == typePingresp {
		head, body, err = c.in.read()
	}
	if err != nil {
		return err
	}
	if head>>4 != typeSuback || len(body) < 3 {
		return fmt.Errorf("%w: type %d instead of SUBACK", errMalformed, head>>4)
	}
	switch got := body[len(body)-1]; {
	case got >= failure:
		return fmt.Errorf("refused with 0x%02X", got)
	case got < qos:
		return fmt.Errorf("QoS %d is granted instead of %d", got, qos)
	}
	return nil
}

// leave sends DISCONNECT and closes. What goes wrong then no longer matters.
func (c *client) leave(patience time.Duration) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // closing is next
	_, _ = c.conn.Write([]byte{headDisconnect, 0})        // closing is next
	_ = c.conn.Close()                                    // nothing is lost with it
}

// leaveAndWait sends DISCONNECT and waits until the broker has closed: from then on
// the session is away.
func (c *client) leaveAndWait(ctx context.Context) error {
	defer func() { _ = c.conn.Close() }() // the broker has closed, or does not answer
	return c.bounded(ctx, func() error {
		if _, err := c.conn.Write([]byte{headDisconnect, 0}); err != nil {
			return err
		}
		for {
			if _, _, err := c.in.read(); err != nil {
				if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
					return err
				}
				return nil
			}
		}
	})
}

// ping asks for a PINGRESP behind everything that the broker has sent or still has
// to do for this client. Whoever reads the connection sees it when it has failed.
func (c *client) ping(patience time.Duration) {
	select {
	case <-c.pong: // an old one
	default:
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // the write says it
	_, _ = c.conn.Write([]byte{headPingreq, 0})           // the reader says it
}

// pinged is called by whoever reads the connection, for a PINGRESP.
func (c *client) pinged() {
	select {
	case c.pong <- struct{}{}:
	default:
	}
}
