package conn

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/wire"
	"github.com/skeinmq/skein/hooks"
)

// Reason codes that connections end with.
const (
	codeSuccess        = wire.CodeSuccess
	codeWithWill       = wire.CodeDisconnectWithWill
	codeContinue       = wire.CodeContinueAuthentication
	codeUnspecified    = wire.CodeUnspecifiedError
	codeMalformed      = wire.CodeMalformedPacket
	codeProtocol       = wire.CodeProtocolError
	codeUnavailable    = wire.CodeServerUnavailable
	codeBanned         = wire.CodeBanned
	codeShuttingDown   = wire.CodeServerShuttingDown
	codeKeepAlive      = wire.CodeKeepAliveTimeout
	codeReceiveMax     = wire.CodeReceiveMaximumExceeded
	codeAliasInvalid   = wire.CodeTopicAliasInvalid
	codeQuotaExceeded  = wire.CodeQuotaExceeded
	codeConnectionRate = wire.CodeConnectionRateExceeded
)

// past is a deadline that has passed: it wakes a reader.
var past = time.Unix(1, 0)

// ending is why a connection ends; the first reason counts.
type ending struct {
	why  string
	code byte
	peer bool // the peer ended it: no DISCONNECT is sent
	stop bool // the process ends: wills are left to the next start
}

// label is the reason in metrics: one of few.
func (e *ending) label() string {
	switch {
	case !e.peer:
		return wire.CodeName(e.code)
	case e.code == codeSuccess:
		return "client disconnected"
	case e.code == codeWithWill:
		return "client disconnected with will"
	}
	return "connection lost"
}

// Conn is one connection. Fields without a note belong to its reader.
type Conn struct {
	s    *Server
	t    Transport
	set  *Settings
	out  *wire.Output
	link *router.Link
	pub  *router.Publisher
	hook *hooks.Client
	acks acks

	ended  atomic.Pointer[ending]
	gone   atomic.Pointer[chan struct{}] // made by the first who waits for the end; closed when ended is set
	resume atomic.Pointer[chan bool]     // made when the reader first waits for acknowledgements; full: it will look

	partial   []byte  // what has come of an incomplete packet
	began     instant // when partial began; 0 without one
	lastRead  instant
	deadline  instant // as set on the transport; 0: none, or unknown
	keepAlive time.Duration
	scratch   *scratch      // while there is something to read
	aliases   [][]byte      // inbound topic aliases
	park      *park         // nil while nothing waits
	buckets   *buckets      // when a rate is limited
	pause     time.Duration // reading rests for so long

	version      byte
	connected    bool
	counted      bool // by address
	bulk         bool // the last step read much
	stalled      bool // the park is full: nothing is read
	unparking    bool
	problemInfo  bool
	sendWill     bool
	hasExpiry    bool   // expiry came with DISCONNECT
	expiry       uint32 // seconds
	connExpiry   uint32 // as asked for at CONNECT
	maxPacketOut uint32 // the client's Maximum Packet Size; 0 is none
}

// Serve carries out a connection's handshake and starts its reader. The listener
// gives it a goroutine and the transport, which the connection closes.
func (s *Server) Serve(t Transport) {
	c := &Conn{s: s, t: t, set: s.set.Load(), sendWill: true, problemInfo: true}
	s.stats.Accepted()
	c.out = wire.NewOutput((*writer)(c), c.set.OutputBuffer, c.set.WriteTimeout, c.writeFailed, c.drained)
	c.acks.c = c
	if rule, ok := s.enter(c); !ok {
		s.stats.Refuse(rule)
		s.stats.Refusals.Add(stats.Refusal{At: s.now().UnixNano(), What: stats.Connects, Rule: rule, Remote: t.RemoteString(), Listener: t.Listener()})
		s.log.Info("connection refused", "rule", rule, "remote", t.RemoteString(), "listener", t.Listener())
		_ = t.Close() // nothing was promised
		return
	}
	addr := t.RemoteAddr().Addr()
	code, rule, counted := s.door.open(addr, &c.set.Admit, s.now())
	c.counted = counted
	if s.draining.Load() && code == codeSuccess {
		code, rule = awayCode(c.set), whyDraining
	}
	c.lastRead = s.instant()
	if !c.handshake(code, rule) {
		c.close()
		c.leave()
		return
	}
	go c.read()
}

// read is the reader's goroutine. Its frames are small, and so its stack: what steps
// need is the business of Pump.
func (c *Conn) read() {
	c.loop()
	c.close()
	c.leave()
}

// leave takes the connection out of what counts them.
func (c *Conn) leave() {
	c.leaveRates()
	if c.counted {
		c.s.door.close(c.t.RemoteAddr().Addr())
	}
	c.s.leave(c)
}

func (c *Conn) writeFailed(err error) {
	why := "write failed"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		why = "write timeout"
	}
	c.endBy(&ending{code: codeUnspecified, why: why, peer: true})
}

func (c *Conn) drained() {
	if c.link != nil && c.link.Client() != nil {
		c.s.router.Drained(c.link)
	}
}

// end makes the connection end with a reason code; safe from anywhere.
func (c *Conn) end(code byte, why string) { c.endBy(&ending{code: code, why: why}) }

func (c *Conn) endBy(e *ending) {
	if !c.ended.CompareAndSwap(nil, e) {
		return
	}
	if gone := c.gone.Load(); gone != nil {
		close(*gone)
	}
	_ = c.t.SetReadDeadline(past) // wakes the reader, which does the rest
}

var over = func() chan struct{} { ch := make(chan struct{}); close(ch); return ch }()

// isGone is closed when the connection is to end.
func (c *Conn) isGone() <-chan struct{} {
	ch := make(chan struct{})
	if !c.gone.CompareAndSwap(nil, &ch) {
		ch = *c.gone.Load()
	}
	if c.ended.Load() != nil {
		return over // endBy may have looked before
	}
	return ch
}

// lost ends the connection because its stream did.
func (c *Conn) lost(why string) {
	c.endBy(&ending{code: codeUnspecified, why: why, peer: true})
}

// refuse ends the connection because of what its client sent.
func (c *Conn) refuse(err error) {
	code, rule := wire.ReasonOf(err)
	c.end(code, rule)
}
