package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// maxTraceLine bounds a line of a peer's trace, in bytes: an event has a topic, a rule and
// 4096 bytes of a payload.
const maxTraceLine = 1 << 20

// peerTraces are the traces of the other nodes, which belong to one of this node.
type peerTraces struct {
	running sync.WaitGroup

	mu      sync.Mutex
	lost    uint64
	missing []string
}

// tracePeers begins the same trace at all peers, unless the request is for this node
// alone. emit is called by several goroutines, one at a time; ctx ends them.
func (s *Server) tracePeers(ctx context.Context, r *http.Request, emit func(*v1.TraceEvent) error) *peerTraces {
	p := &peerTraces{}
	if local(r) {
		return p
	}
	for _, peer := range s.Cluster.Peers() {
		p.running.Go(func() {
			end, err := s.traceAt(ctx, peer, r, emit)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.lost += end.Lost
			if err != nil && ctx.Err() == nil {
				s.log.Warn("node could not be traced", "peer", peer, "error", err)
				p.missing = append(p.missing, peer)
			}
		})
	}
	return p
}

// wait waits for all of them and answers what was lost, and who did not trace to the end.
func (p *peerTraces) wait() (lost uint64, missing []string) {
	p.running.Wait()
	slices.Sort(p.missing)
	return p.lost, p.missing
}

// traceAt hands on what a peer traces until its end.
func (s *Server) traceAt(ctx context.Context, peer string, r *http.Request, emit func(*v1.TraceEvent) error) (end v1.TraceEnd, err error) {
	res, err := s.Cluster.Ask(ctx, peer, toPeer(r, nil).WithContext(ctx))
	if err != nil {
		return end, err
	}
	defer func() { _ = res.Body.Close() }() // what is left of it is of no use
	if res.StatusCode != http.StatusOK {
		return end, fmt.Errorf("trace at %s: status %d", peer, res.StatusCode)
	}
	kind := ""
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxTraceLine)
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch {
		case string(name) == "event":
			kind = string(value)
		case string(name) != "data":
		case kind == "end":
			return end, json.Unmarshal(value, &end)
		case kind == "trace":
			var e v1.TraceEvent
			if err = json.Unmarshal(value, &e); err == nil {
				err = emit(&e)
			}
			if err != nil {
				return end, err
			}
		}
	}
	if err = lines.Err(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return end, err
}
