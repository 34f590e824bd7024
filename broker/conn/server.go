package conn

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
)

// Transport is an established byte stream: package listen has them over TCP, TLS,
// WebSocket and Unix sockets.
type Transport interface {
	Stream
	Peer
}

// Stream is the bytes of a Transport.
type Stream interface {
	Write(p []byte) (int, error)
	// Pump calls step whenever there is something to read, until it reports done
	// (nil), the read deadline passes (os.ErrDeadlineExceeded; Pump may be called
	// again) or the stream ends.
	Pump(step func(read func(p []byte) (int, error)) (done bool)) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	// Shutdown ends the outgoing half after what was written. Close does not block.
	Shutdown()
	Close() error
}

// Peer is who is at the other end of a Transport.
type Peer interface {
	RemoteString() string
	RemoteAddr() netip.AddrPort // invalid where there are no addresses
	Listener() string           // name
	Scheme() string             // tcp, ssl, ws, wss, unix
	TLSState() *tls.ConnectionState
}

// Settings are the limits and choices of connections; a reload swaps them whole.
type Settings struct {
	MaxPacket        int // bytes
	ReceiveMaximum   int
	AliasMaximum     uint16 // inbound topic aliases
	AliasMaximumOut  uint16 // outbound topic aliases, at most
	MaximumQoS       byte
	RetainAvailable  bool
	Wildcards        bool
	SubIDs           bool
	Shared           bool
	ServerKeepAlive  uint16 // seconds; 0 leaves it to the client
	MaxKeepAlive     uint16 // seconds; 0 is no limit
	ResponseInfo     string
	ServerReference  string
	ReasonStrings    bool
	MaxInflight      int
	OutputBuffer     int // bytes
	InboundBytes     int // parked bytes of a 3.x connection
	WriteTimeout     time.Duration
	PacketTimeout    time.Duration
	HandshakeTimeout time.Duration
	HandshakeSize    int // bytes of a packet before the connection is accepted
	PublishRate      int // messages a second, 0 is unlimited
	PublishBytes     int // bytes of publishes a second, 0 is unlimited
	UserRate         int // messages a second of all connections of a user, 0 is unlimited
	AddressRate      int // messages a second of all connections of an address, 0 is unlimited
	Admit            AdmitSettings
}

// Options are what a Server is made of.
type Options struct {
	Router   *router.Router
	Hooks    *hooks.Chain
	Stats    *stats.Node
	Log      *slog.Logger
	Now      func() time.Time
	Settings Settings
	// Blocked is the error with which a Transport's read says that nothing is there.
	Blocked error
}

// Server is what all connections of a node share.
type Server struct {
	router  *router.Router
	hooks   *hooks.Chain
	has     hooks.Has
	stats   *stats.Node
	log     *slog.Logger
	now     func() time.Time
	blocked error
	start   time.Time
	set     atomic.Pointer[Settings]
	door    door

	users     pool[string]     // rates
	addresses pool[netip.Addr] // as above

	draining atomic.Bool // new connections are refused

	mu       sync.Mutex
	conns    map[*Conn]struct{}
	stopping bool
	tapped   bool           // somebody traces: outputs show what is appended
	wg       sync.WaitGroup // connections; Add under mu and only while not stopping
}

// NewServer returns a Server without connections.
func NewServer(o Options) *Server {
	s := &Server{
		router: o.Router, hooks: o.Hooks, has: o.Hooks.Has(), stats: o.Stats, log: o.Log, now: o.Now, blocked: o.Blocked, start: o.Now(),
		conns: map[*Conn]struct{}{},
	}
	s.door.init()
	s.set.Store(&o.Settings)
	s.router.WatchTraces(s.tap)
	return s
}

// instant is a moment as the time since the server's start, at least 1. It takes a
// third of a time.Time, and follows the monotonic clock alike.
type instant time.Duration

func (i instant) add(d time.Duration) instant   { return i + instant(d) }
func (i instant) since(o instant) time.Duration { return time.Duration(i - o) }

func (s *Server) instant() instant { return max(1, instant(s.now().Sub(s.start))) }

func (s *Server) time(i instant) time.Time { return s.start.Add(time.Duration(i)) }

// Configure swaps the settings for connections to come.
func (s *Server) Configure(set Settings) { s.set.Store(&set) }

// enter registers a connection. It reports false when the node stops or is full.
func (s *Server) enter(c *Conn) (rule string, ok bool) {
	a := &c.set.Admit
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return "server stops", false
	case a.Connections > 0 && len(s.conns) >= a.Connections:
		return "limits.connections", false
	case a.OverLimit != nil && a.OverLimit():
		return "limits.memory.high_watermark", false
	}
	s.conns[c] = struct{}{}
	if s.tapped {
		c.out.Tap(true)
	}
	s.wg.Add(1)
	return "", true
}

func (s *Server) leave(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.wg.Done()
}

// Len is the number of connections, with those in their handshake.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Stop ends all connections, with 0x9C where there is a Server Reference and else with
// 0x8B, and waits for them; once done is closed, it
// does not wait for their outputs any more.
func (s *Server) Stop(done <-chan struct{}) {
	s.mu.Lock()
	s.stopping = true
	list := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	s.mu.Unlock()
	for _, c := range list {
		c.endBy(&ending{code: awayCode(c.set), why: "server shuts down", stop: true})
	}
	all := make(chan struct{})
	go func() { s.wg.Wait(); close(all) }()
	select {
	case <-all:
	case <-done:
		for _, c := range list {
			c.out.Close()
			_ = c.t.Close() // the reader ends on the error
		}
		<-all
	}
}

// batchOne counts a packet that was read outside of a reader's step.
func (s *Server) batchOne(typ byte, size int) {
	var b stats.Batch
	b.In.Packet(typ, size)
	s.stats.Add(&b)
}

// batchSent counts a packet that was sent outside of a reader's step; its size is
// that of its fixed header, which is near enough for what happens once a connection.
func (s *Server) batchSent(typ byte) { s.stats.SentPackets(typ, 1, 2) }
