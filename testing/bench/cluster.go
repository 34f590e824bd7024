package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// instances are as many as a cluster of the bench has.
const instances = 3

// cluster is instances that run and are one broker.
type cluster struct {
	dir       string   // removed when it is stopped
	addresses []string // of MQTT, an instance each
	pids      []int    // of the instances, without Redis
	redis     string   // host:port; empty is that they have none
	parts     []*endpoint
}

// peer is a kind of cluster.
type peer struct {
	name   string
	start  func(ctx context.Context, c *cluster) error
	absent error // why it cannot be measured; nil when it can
}

// up starts a cluster in a directory of its own and waits until every instance lets
// clients in.
func (p *peer) up(ctx context.Context, dir string) (*cluster, error) {
	own, err := os.MkdirTemp(dir, p.name)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: own}
	if err := p.start(ctx, c); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for _, a := range c.addresses {
		if err := letsIn(ctx, a); err != nil {
			return nil, errors.Join(fmt.Errorf("%s lets nobody in at %s: %w", p.name, a, err), c.stop())
		}
	}
	return c, nil
}

// stop ends all processes, the first one last.
func (c *cluster) stop() error {
	var errs []error
	for len(c.parts) > 0 {
		last := len(c.parts) - 1
		errs = append(errs, c.parts[last].stop())
		c.parts = c.parts[:last]
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// add starts a process that answers at an address.
func (c *cluster) add(ctx context.Context, address, name string, args ...string) error {
	e, err := start(ctx, map[string]string{"tcp": address}, name, args...)
	if err == nil {
		c.parts = append(c.parts, e)
	}
	return err
}

// instance starts one that serves MQTT at an address.
func (c *cluster) instance(ctx context.Context, address, name string, args ...string) error {
	if err := c.add(ctx, address, name, args...); err != nil {
		return err
	}
	c.addresses = append(c.addresses, "tcp://"+address)
	c.pids = append(c.pids, c.parts[len(c.parts)-1].pids...)
	return nil
}

// addRedis starts a Redis that acknowledges what is on disk.
func (c *cluster) addRedis(ctx context.Context, binary, address string) error {
	c.redis = address
	return c.add(ctx, address, binary, "--port", port(address), "--bind", "127.0.0.1", "--dir", c.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
}

// tryWithin bounds one try of letsIn: a broker that is not ready may leave it unanswered.
const tryWithin = 3 * time.Second

// letsIn polls until a broker accepts a client.
func letsIn(ctx context.Context, address string) error {
	beat := time.NewTicker(pollEvery)
	defer beat.Stop()
	for {
		err := accepted(ctx, strings.TrimPrefix(address, "tcp://"))
		if err == nil {
			return nil
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return err
		}
	}
}

// accepted connects a client without a name or a session and ends it.
func accepted(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it was let in or not
	late, _ := ctx.Deadline()
	_ = c.SetDeadline(late) // the exchange says it
	connect := []byte{0x10, 18, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 6, 'b', 'e', 'n', 'c', 'h', '?'}
	if _, err := c.Write(connect); err != nil {
		return err
	}
	var ack [4]byte
	if _, err := io.ReadFull(c, ack[:]); err != nil {
		return fmt.Errorf("reading CONNACK: %w", err)
	}
	if ack[3] != 0 {
		return fmt.Errorf("CONNACK says %d", ack[3])
	}
	_, err = c.Write([]byte{0xE0, 0})
	return err
}
