package api

import (
	"cmp"
	_ "embed" // the document
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/stats"
)

//go:embed openapi.yaml
var document []byte

// document answers what this listener promises.
func (s *Server) document(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(document) // the client is gone: nobody to tell
	return nil
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	t := tokenOf(r)
	answer(w, http.StatusOK, v1.Version{Version: s.Info.Version, Go: runtime.Version(), Node: s.Info.Node, Token: t.Name, Scope: t.Scope.String()})
	return nil
}

// nodes answers all nodes. One that cannot be asked is there with its name.
func (s *Server) nodes(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	list, missing := gather(s, r, []v1.Node{s.node()}, func(p *v1.Nodes) []v1.Node {
		for i := range p.Nodes {
			p.Nodes[i].Self = false
		}
		return p.Nodes
	})
	for _, name := range missing {
		list = append(list, v1.Node{Name: name, Error: "it could not be asked"})
	}
	slices.SortFunc(list, func(a, b v1.Node) int { return cmp.Compare(a.Name, b.Name) })
	answer(w, http.StatusOK, v1.Nodes{Nodes: list})
	return nil
}

// node is this node.
func (s *Server) node() v1.Node {
	snap := s.Stats.Snapshot()
	ok, why := s.Health.Ready()
	if ok {
		why = ""
	}
	phase, _ := s.Drainer.DrainPhase()
	return v1.Node{
		Name: s.Info.Node, Version: s.Info.Version, Self: true, Ready: ok, Reason: why, Draining: phase != DrainNone,
		Started: s.Info.Started.UTC(), Connections: snap.Connections, Sessions: snap.Sessions, Subscriptions: snap.Subscriptions,
		Retained: snap.Retained, Queued: snap.Queued, Inflight: snap.Inflight, MemoryBytes: heap(), Mailboxes: s.Cluster.Mailboxes(),
	}
}

// heap is the memory of live and not yet collected objects, in bytes.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0 // this runtime does not tell
	}
	return sample[0].Value.Uint64()
}

// figures answers the counters of this node.
func (s *Server) figures(w http.ResponseWriter, r *http.Request) error {
	if err := query(r, "node").done(); err != nil {
		return err
	}
	snap := s.Stats.Snapshot()
	o := v1.Stats{
		Node: s.Info.Node, Time: s.now().UTC(), Started: s.Info.Started.UTC(), Received: trafficOf(&snap.In), Sent: trafficOf(&snap.Out),
		Drops: map[string]uint64{}, Connects: some(snap.Connected), Disconnects: some(snap.Disconnected), Refusals: some(snap.Refused),
		Connections: snap.Connections, MaxConnected: snap.MaxConnections, Sessions: snap.Sessions, Persistent: snap.PersistentSessions,
		Subscribed: snap.Subscriptions, Shared: snap.SharedSubscriptions, Retained: snap.Retained, Queued: snap.Queued,
		QueuedBytes: snap.QueuedBytes, Inflight: snap.Inflight, MemoryBytes: heap(), Goroutines: runtime.NumGoroutine(),
		AckDelay: latency(&s.Stats.AckDelay), CommitDelay: latency(&s.Stats.CommitDelay), SyncDelay: latency(&s.Stats.SyncDelay),
		Takeovers: snap.Takeovers, Expired: snap.ExpiredSessions,
	}
	for i, n := range snap.Drops {
		o.Drops[stats.DropReason(i).String()] = n
	}
	answer(w, http.StatusOK, &o)
	return nil
}

// some is a map that is there.
func some(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}

func trafficOf(c *stats.PacketCount) v1.Traffic {
	return v1.Traffic{Packets: c.TotalPackets(), Bytes: c.TotalBytes(), Messages: c.TotalPublish(), Payload: c.Payload}
}

func latency(h *stats.Histogram) v1.Latency {
	d := h.Snapshot()
	sec := func(ns int64) float64 { return float64(ns) / 1e9 }
	return v1.Latency{Count: d.Count, Mean: d.Mean() / 1e9, P50: sec(d.Quantile(0.5)), P99: sec(d.Quantile(0.99)), Max: sec(d.Max)}
}

// listRefusals answers the most recent refusals.
func (s *Server) listRefusals(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "limit")
	limit := p.limit()
	if err := p.done(); err != nil {
		return err
	}
	page := v1.Refusals{Refusals: []v1.Refusal{}}
	for _, f := range s.Stats.Refusals.List(limit) {
		page.Refusals = append(page.Refusals, v1.Refusal{
			Time: *when(f.At), Node: s.Info.Node, What: f.What, Rule: f.Rule, Code: int(f.Code),
			Client: f.Client, User: f.User, Remote: f.Remote, Listener: f.Listener, Topic: f.Topic,
		})
	}
	page.Refusals, page.Missing = gather(s, r, page.Refusals, func(p *v1.Refusals) []v1.Refusal { return p.Refusals })
	slices.SortStableFunc(page.Refusals, func(a, b v1.Refusal) int { return b.Time.Compare(a.Time) })
	page.Refusals = page.Refusals[:min(limit, len(page.Refusals))]
	answer(w, http.StatusOK, &page)
	return nil
}
