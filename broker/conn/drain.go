package conn

import (
	"context"
	"time"

	"github.com/skeinmq/skein/broker/wire"
)

// drainStep is how often a drain looks how many more clients it may send away.
const drainStep = 20 * time.Millisecond

// Drain sends all connections away, at most rate a second (0: all at once), and refuses
// new ones until Undrain. MQTT 5 clients are told 0x9C with the Server Reference where
// one is configured, else 0x8B. It waits until all have left or ctx ends.
//
// The sessions and wills of those clients are treated as at any end of a connection:
// whether the process goes on is nothing that a drain knows.
func (s *Server) Drain(ctx context.Context, rate int) error {
	list := s.drain()
	begun := s.now()
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for sent := 0; ; {
		due := len(list)
		if rate > 0 {
			due = min(due, 1+int(s.now().Sub(begun).Seconds()*float64(rate)))
		}
		for ; sent < due; sent++ {
			list[sent].end(awayCode(list[sent].set), whyDraining)
		}
		if sent == len(list) && s.Len() == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const whyDraining = "the node is being drained"

// drain closes the door and lists who is inside: nobody enters any more.
func (s *Server) drain() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	list := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// Undrain lets clients in again.
func (s *Server) Undrain() { s.draining.Store(false) }

// awayCode is the reason code that sends a client elsewhere.
func awayCode(set *Settings) byte {
	if set.ServerReference != "" {
		return wire.CodeUseAnotherServer
	}
	return codeShuttingDown
}

// reference is where a client goes that ends with a reason code; empty where that is
// nowhere said.
func (set *Settings) reference(code byte) string {
	if code == codeShuttingDown || code == wire.CodeUseAnotherServer {
		return set.ServerReference
	}
	return ""
}
