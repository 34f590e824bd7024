package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Of a storm of logins.
const (
	stormWorkers = 256
	stormBatch   = 10 * time.Millisecond
	stormWithin  = 5 * time.Second // of one login
)

// stormFrom is another address than that of the load: who logs in from the same one has to
// wait for it to be forgiven, unless its password is remembered.
var stormFrom = net.IPv4(127, 0, 0, 2)

// storm logs in with wrong passwords, as many a second as it is told, as other users than
// the load, all from one address. Each further address costs the broker as many hashes as
// auth.backoff.address has free, before it is backed off.
type storm struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	begun  time.Time
	rate   int

	refused atomic.Int64
	failed  atomic.Int64 // neither refused nor let in
	entered atomic.Int64
	first   atomic.Pointer[error]
}

// startStorm begins; stop must follow. Its goroutines end with it.
func startStorm(ctx context.Context, address string, rate int) *storm {
	s := &storm{begun: time.Now(), rate: rate}
	ctx, s.cancel = context.WithCancel(ctx)
	work := make(chan int, stormWorkers) // full: the broker is too slow, and the rate is missed, which stop tells
	for range stormWorkers {
		s.wg.Go(func() {
			for i := range work {
				s.login(ctx, address, i)
			}
		})
	}
	s.wg.Go(func() {
		defer close(work)
		beat := time.NewTicker(stormBatch)
		defer beat.Stop()
		for i := 0; ; {
			select {
			case <-beat.C:
			case <-ctx.Done():
				return
			}
			for due := int(time.Since(s.begun).Seconds() * float64(rate)); i < due; i++ {
				select {
				case work <- i:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	return s
}

func (s *storm) login(ctx context.Context, address string, i int) {
	code, err := refusedLogin(ctx, address, i)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.failed.Add(1)
		s.first.CompareAndSwap(nil, &err)
	case code == 0:
		s.entered.Add(1)
	default:
		s.refused.Add(1)
	}
}

// refusedLogin logs in and returns the return code of CONNACK.
func refusedLogin(ctx context.Context, address string, i int) (byte, error) {
	d := net.Dialer{Timeout: stormWithin, LocalAddr: &net.TCPAddr{IP: stormFrom}}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }() // the broker has closed it
	_ = c.SetDeadline(time.Now().Add(stormWithin))
	if _, err := c.Write(loginPacket(fmt.Sprint("storm", i), fmt.Sprint("user", i%(accessUsers-1)), "wrong")); err != nil {
		return 0, err
	}
	var ack [4]byte
	if _, err := io.ReadFull(c, ack[:]); err != nil {
		return 0, fmt.Errorf("reading CONNACK: %w", err)
	}
	return ack[3], nil
}

// loginPacket is a CONNECT of MQTT 3.1.1 whose texts are short.
func loginPacket(id, user, pass string) []byte {
	b := []byte{0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0, 60}
	for _, s := range []string{id, user, pass} {
		b = append(append(b, 0, byte(len(s))), s...)
	}
	b[1] = byte(len(b) - 2)
	return b
}

// stop ends the storm. The error is that it was none: too slow, let in, or unanswered.
func (s *storm) stop() error {
	took := time.Since(s.begun)
	s.cancel()
	s.wg.Wait()
	refused := s.refused.Load()
	if n := s.entered.Load(); n > 0 {
		return fmt.Errorf("the storm: %d wrong passwords were let in", n)
	}
	if n := s.failed.Load(); n > refused/100 {
		err := errors.New("unknown")
		if first := s.first.Load(); first != nil {
			err = *first
		}
		return fmt.Errorf("the storm: %d of %d logins had no answer: %w", n, n+refused, err)
	}
	if got := float64(refused) / took.Seconds(); got < 0.9*float64(s.rate) {
		return fmt.Errorf("the storm: %.0f wrong passwords a second instead of %d", got, s.rate)
	}
	return nil
}
