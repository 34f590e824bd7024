package conn

import (
	"log/slog"
	"time"

	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/wire"
	"github.com/skeinmq/skein/hooks"

	"context"
)

const (
	flushTime   = time.Second            // for the rest of the output
	lingerTime  = 250 * time.Millisecond // for a peer to read the last word before the reset that unread bytes cause
	lingerReads = 16                     // in a row
)

// close ends the connection: the session is left first, so that nobody waits for
// a slow socket, then the rest of the output gets its time.
func (c *Conn) close() {
	e := c.ended.Load()
	if e == nil {
		c.lost("connection lost")
		e = c.ended.Load()
	}
	if c.connected {
		c.leaveSession(e)
	}
	if !e.peer && c.connected && c.version >= 5 {
		c.sendDisconnect(e)
	}
	if !e.peer {
		c.lastWords()
	}
	c.out.Close()
	_ = c.t.Close() // the peer is gone or was told
}

func (c *Conn) sendDisconnect(e *ending) {
	reason := ""
	if c.set.ReasonStrings && c.problemInfo {
		reason = e.why
	}
	c.out.Last(wire.AppendDisconnect(nil, disconnectCode(e.code), reason, c.set.reference(e.code), c.maxPacketOut))
	c.s.batchSent(wire.TypeDisconnect)
}

// leaveSession tells the router, the counters, the log and the hooks.
func (c *Conn) leaveSession(e *ending) {
	ended := c.s.router.Disconnect(c.link, router.DisconnectRequest{
		Will: c.sendWill, HasExpiry: c.hasExpiry, Expiry: c.expiry, Stopping: e.stop,
	})
	c.s.stats.Disconnect(e.label())
	c.traceDecision(router.DecidedEnded, e.why, e.code)
	level := slog.LevelDebug
	if !e.peer && e.code >= codeUnspecified && c.set.reference(e.code) == "" && e.code != codeShuttingDown {
		level = slog.LevelInfo
	}
	c.s.log.Log(context.Background(), level, "connection ended", "client", c.hook.ID(), "remote", c.t.RemoteString(), "rule", e.why, "code", int(e.code))
	if c.s.has.Disconnect {
		c.s.hooks.Disconnect(c.hook, c.endError(e), ended)
	}
}

// endError is what hooks are told: nil for a client that said goodbye.
func (c *Conn) endError(e *ending) error {
	if e.peer && e.code == codeSuccess {
		return nil
	}
	return hooks.Ended(e.code, e.why)
}

// lastWords writes the rest of the output, ends the stream, and gives the peer a
// moment to read it: a socket closed with unread bytes is reset, which would take
// the last words back.
func (c *Conn) lastWords() {
	timer := time.NewTimer(flushTime)
	defer timer.Stop()
	select {
	case <-c.out.Flushed():
	case <-timer.C:
		return
	}
	c.t.Shutdown()
	_ = c.t.SetReadDeadline(time.Now().Add(lingerTime)) // a socket that cannot take it fails its read
	c.take(false)
	defer c.give()
	_ = c.t.Pump(func(read func([]byte) (int, error)) bool { // whatever comes is not wanted any more
		for range lingerReads { // Pump sees the deadline, between its steps
			if _, err := read(c.scratch.buf); err != nil {
				break
			}
		}
		return false
	})
}

// disconnectCode is a reason code as DISCONNECT may have it: 0x88 is one of CONNACK alone.
func disconnectCode(code byte) byte {
	if code == codeUnavailable {
		return wire.CodeServerBusy
	}
	return code
}
