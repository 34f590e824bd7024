package bridge

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a client and Redis and swallows answers: the connection ends in
// place of one.
type proxy struct {
	l    net.Listener
	addr string // of Redis
	cut  atomic.Int64
	down atomic.Bool // nobody is let in
	cuts atomic.Int64
	wg   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newProxy(t testing.TB, addr string) *proxy {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, addr: addr, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close() // accept ends with it
		p.sever()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.l.Addr().String() }

// cutEvery swallows every n-th answer; 0 is none.
func (p *proxy) cutEvery(n int64) { p.cut.Store(n) }

// sever ends all connections.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close() // it may have ended
	}
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.addr)
		if err != nil || p.down.Load() {
			_ = c.Close() // nobody is there
			if err == nil {
				_ = s.Close() // it was not used
			}
			continue
		}
		p.mu.Lock()
		p.conns[c], p.conns[s] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { _, _ = io.Copy(s, c); p.end(c, s) }) // its error is its end
		p.wg.Go(func() { p.back(c, s) })
	}
}

func (p *proxy) back(c, s net.Conn) {
	defer p.end(c, s)
	buf := make([]byte, 64<<10)
	for i := int64(1); ; i++ {
		n, err := s.Read(buf)
		if err != nil {
			return
		}
		if every := p.cut.Load(); every > 0 && i > 3 && i%every == 0 {
			p.cuts.Add(1)
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // both ways end together
		delete(p.conns, c)
	}
}
