package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skeinmq/skein/bridge"
	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/config"
)

// peers are the other nodes as the API asks them.
type peers struct {
	bridge *bridge.Bridge
	client *http.Client
	log    *slog.Logger

	mu   sync.Mutex
	read time.Time
	byID map[string]*url.URL // HTTP listeners, by the node's name; nil of one that has none
}

// about is what a node says of itself to the others.
type about struct {
	Name string `json:"name"`
	HTTP string `json:"http,omitempty"` // URL of its HTTP listener
}

const (
	peersFor  = time.Second // how long the list of peers is used
	askPeers  = 2 * time.Second
	peerConns = 8 // idle ones to each peer
)

func newPeers(b *bridge.Bridge, log *slog.Logger) *peers {
	t := &http.Transport{MaxIdleConnsPerHost: peerConns, IdleConnTimeout: time.Minute, DialContext: (&net.Dialer{Timeout: askPeers}).DialContext}
	return &peers{bridge: b, log: log, client: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // it would take the token elsewhere
	}}}
}

func (p *peers) close() { p.client.CloseIdleConnections() }

// list reads who the peers are, at most once a second.
func (p *peers) list() map[string]*url.URL {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.read) < peersFor {
		return p.byID
	}
	ctx, cancel := context.WithTimeout(context.Background(), askPeers)
	defer cancel()
	list, err := p.bridge.Peers(ctx)
	p.read = time.Now() // also after an error: a Redis that is away is not asked for each request
	if err != nil {
		p.log.Warn("nodes could not be listed", "error", err)
		return p.byID
	}
	p.byID = make(map[string]*url.URL, len(list))
	for _, one := range list {
		var a about
		if err := json.Unmarshal([]byte(one.About), &a); err != nil || a.Name == "" {
			p.log.Warn("what a node says of itself cannot be read", "mailbox", string(one.Mailbox), "error", err)
			continue
		}
		u, err := url.Parse(a.HTTP)
		if err != nil || u.Host == "" {
			u = nil
		}
		p.byID[a.Name] = u
	}
	return p.byID
}

// Peers implements api.Cluster.
func (p *peers) Peers() []string {
	names := []string{}
	for name := range p.list() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Ask implements api.Cluster: the request goes to the peer's listener, with its token.
func (p *peers) Ask(ctx context.Context, peer string, r *http.Request) (*http.Response, error) {
	u := p.list()[peer]
	if u == nil {
		return nil, fmt.Errorf("node %s has no HTTP listener", peer)
	}
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.Host, out.RequestURI = u.Scheme, u.Host, "", ""
	res, err := p.client.Do(out)
	if err != nil {
		return nil, fmt.Errorf("ask node %s: %w", peer, err)
	}
	return res, nil
}

// Mailboxes implements api.Cluster.
func (p *peers) Mailboxes() []v1.Mailbox {
	list := p.bridge.Mailboxes()
	out := make([]v1.Mailbox, len(list))
	for i, m := range list {
		out[i] = v1.Mailbox{ID: string(m.ID), Epoch: m.Epoch, Adopted: m.Adopted, Pending: int64(m.Pending), LeaseAge: m.LeaseAge.Seconds()}
	}
	return out
}

// tell says to the others who this node is.
func (n *Node) tell(ctx context.Context) error {
	text, err := json.Marshal(about{Name: n.cfg.Node.Name, HTTP: n.advertised()})
	if err == nil {
		err = n.cluster.bridge.Tell(ctx, string(text))
	}
	if err != nil {
		return fmt.Errorf("bridge: tell who this node is: %w", err)
	}
	return nil
}

// advertised is where other nodes find the HTTP listener.
func (n *Node) advertised() string {
	if a := n.cfg.HTTP.Advertise; a != "" {
		return a
	}
	u, err := url.Parse(n.HTTP())
	if err != nil || u.Host == "" {
		return ""
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		host, err := os.Hostname()
		if err != nil {
			return ""
		}
		u.Host = net.JoinHostPort(host, u.Port())
	}
	return u.String()
}

// named is a configuration whose node has a name of its own among nodes of one host that
// were given none.
func named(cfg *config.Config, c *cluster) *config.Config {
	host, err := os.Hostname()
	if c == nil || err != nil || cfg.Node.Name != host {
		return cfg
	}
	own := *cfg
	own.Node.Name = host + "-" + string(c.bridge.Mailbox())[:6]
	return &own
}
