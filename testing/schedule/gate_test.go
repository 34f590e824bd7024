package schedule

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/bridge"
)

// step is one thing that an instance does, or learns: a command that is to reach Redis, or
// an answer that is to reach the instance.
type step struct {
	gate   *gate
	name   string   // of the command, or of its script
	words  []string // of the command
	answer bool
}

// about reports whether the command names a key with such a text in it.
func (s *step) about(text string) bool {
	for _, w := range s.words {
		if strings.Contains(w, text) {
			return true
		}
	}
	return false
}

// chooser decides what happens to the steps of random schedules.
type chooser interface {
	// admit returns when the step may be done, or gone is closed. False loses an answer,
	// and the connection with it.
	admit(s *step, gone <-chan struct{}) bool
}

// gate is an instance's way to Redis.
type gate struct {
	path    string // of the socket that the instance connects to
	to      string // of that of Redis
	choose  chooser
	scripts map[string]string // names by hash

	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	gone  chan struct{} // closed when nothing passes any more
	conns map[net.Conn]struct{}
	dead  bool
	holds []*hold
	seen  map[string]int // commands that were let through, by name
	alter func(s *step)
	told  func(s *step, answer []byte) []byte
}

// change has commands altered before they are sent, and answers before they are handed
// over. Both are called by each connection's goroutine.
func (g *gate) change(alter func(s *step), told func(s *step, answer []byte) []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if alter != nil {
		g.alter = alter
	}
	if told != nil {
		g.told = told
	}
}

func (g *gate) changes() (alter func(*step), told func(*step, []byte) []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.alter, g.told
}

// newGate opens the way to the Redis at the socket to.
func newGate(t testing.TB, dir, to string, choose chooser) *gate {
	t.Helper()
	g := &gate{
		path: filepath.Join(dir, "g"), to: to, choose: choose, scripts: make(map[string]string), gone: make(chan struct{}),
		conns: make(map[net.Conn]struct{}), seen: make(map[string]int),
		alter: func(*step) {}, told: func(_ *step, answer []byte) []byte { return answer },
	}
	for _, s := range bridge.Scripts() {
		g.scripts[s.SHA()] = s.Name()
	}
	var err error
	if g.l, err = net.Listen("unix", g.path); err != nil {
		t.Fatal(err)
	}
	g.wg.Go(g.accept)
	t.Cleanup(g.close)
	return g
}

// crash ends all that goes through, for good.
func (g *gate) crash() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.dead {
		g.dead = true
		close(g.gone)
	}
	for c := range g.conns {
		_ = c.Close() // a second time, too
	}
}

// open lets pass again what comes after a crash.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		g.dead = false
		g.gone = make(chan struct{})
	}
}

func (g *gate) close() {
	g.crash()
	_ = g.l.Close() // ends accept
	g.wg.Wait()
}

func (g *gate) accept() {
	for {
		c, err := g.l.Accept()
		if err != nil {
			return
		}
		g.wg.Go(func() { g.serve(c) })
	}
}

// enter reports false when nothing passes any more.
func (g *gate) enter(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		_ = c.Close() // refused
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gate) leave(c net.Conn) {
	_ = c.Close() // the other end may have
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// serve carries one connection. A client sends its next commands when the ones before are
// answered, so a command and its answer are one round.
func (g *gate) serve(c net.Conn) {
	if !g.enter(c) {
		return
	}
	defer g.leave(c)
	s, err := net.Dial("unix", g.to)
	if err != nil || !g.enter(s) {
		return
	}
	defer g.leave(s)
	from, to := bufio.NewReaderSize(c, 64<<10), bufio.NewReaderSize(s, 64<<10)
	for {
		words, err := readRequest(from)
		if err != nil {
			return
		}
		st := &step{gate: g, words: words, name: g.name(words)}
		if strings.HasSuffix(st.name, "subscribe") {
			g.listen(c, s, from, to, words)
			return
		}
		if !g.round(c, s, to, st) {
			return
		}
	}
}

// round is one command and its answer.
func (g *gate) round(c, s net.Conn, to *bufio.Reader, st *step) bool {
	if !g.pass(st) {
		return false
	}
	alter, _ := g.changes()
	alter(st)
	if _, err := s.Write(request(st.words...)); err != nil {
		return false
	}
	answer, err := readAnswer(to, nil)
	if err != nil {
		return false
	}
	after := *st
	after.answer = true
	_, told := g.changes() // those of now: a read may have waited for long
	answer = told(&after, answer)
	if !g.pass(&after) {
		return false
	}
	_, err = c.Write(answer)
	return err == nil
}

func (g *gate) name(words []string) string {
	if len(words) == 0 {
		return ""
	}
	name := strings.ToLower(words[0])
	if name == "evalsha" && len(words) > 1 {
		if script, ok := g.scripts[words[1]]; ok {
			return script
		}
	}
	return name
}

// listen carries a connection that has subscribed to channels: what is said there is lost
// or late now and then anyway, and passes as it comes.
func (g *gate) listen(c, s net.Conn, from, to *bufio.Reader, words []string) {
	if _, err := s.Write(request(words...)); err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		pump(s, from)
		_ = s.Close() // ends the other direction
	})
	pump(c, to)
	_ = c.Close() // as above
	wg.Wait()
}

func pump(to net.Conn, from *bufio.Reader) {
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// blocks reports whether a command waits in Redis, and so must not wait here.
func (s *step) blocks() bool { return s.name == "xread" && !s.answer }

// pass waits until the step may be done. False ends its connection.
func (g *gate) pass(s *step) bool {
	if !g.wait(s) {
		return false
	}
	g.mu.Lock()
	gone := g.gone
	g.mu.Unlock()
	if g.choose != nil && !s.blocks() && !g.choose.admit(s, gone) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !s.answer {
		g.seen[s.name]++
	}
	return !g.dead
}

// hold keeps steps that match from being done.
type hold struct {
	gate  *gate
	match func(*step) bool
	came  chan struct{} // has a token when a step has come since it was looked
	free  chan struct{} // closed by release
	once  sync.Once
}

// hold keeps what matches from now on; release lets all of it go.
func (g *gate) hold(match func(*step) bool) *hold {
	h := &hold{gate: g, match: match, came: make(chan struct{}, 1), free: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds = append(g.holds, h)
	return h
}

func (h *hold) release() {
	h.once.Do(func() { close(h.free) })
	g := h.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.holds {
		if other == h {
			g.holds = append(g.holds[:i:i], g.holds[i+1:]...)
			return
		}
	}
}

// wait waits for the holds that match.
func (g *gate) wait(s *step) bool {
	g.mu.Lock()
	var all []*hold
	for _, h := range g.holds {
		if h.match(s) {
			all = append(all, h)
		}
	}
	gone := g.gone
	g.mu.Unlock()
	for _, h := range all {
		select {
		case h.came <- struct{}{}:
		default: // it is known already
		}
		select {
		case <-h.free:
		case <-gone:
			return false
		}
	}
	return true
}

// within waits for something that must happen.
func within(t testing.TB, what string, ch <-chan struct{}) {
	t.Helper()
	limit := time.NewTimer(deadline)
	defer limit.Stop()
	select {
	case <-ch:
	case <-limit.C:
		t.Fatalf("%s did not happen", what)
	}
}

// count is how many commands of a name were let through.
func (g *gate) count(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[name]
}
