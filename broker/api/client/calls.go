package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// Page says where a page begins and how long it is.
type Page struct {
	After string // the Next of the page before; empty is the beginning
	Limit int    // 0 is the node's own
}

func (p Page) add(q url.Values) url.Values {
	if p.After != "" {
		q.Set("after", p.After)
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	return q
}

// Version answers what the node runs.
func (c *Client) Version(ctx context.Context) (v1.Version, error) {
	return get[v1.Version](ctx, c, "version", nil)
}

// Nodes answers all nodes.
func (c *Client) Nodes(ctx context.Context) (v1.Nodes, error) {
	return get[v1.Nodes](ctx, c, "nodes", nil)
}

// Stats answers the counters of a node; the empty name is the one that is asked, here and
// below.
func (c *Client) Stats(ctx context.Context, node string) (v1.Stats, error) {
	return get[v1.Stats](ctx, c, "stats", values("node", node))
}

// ClientQuery says which clients are asked for. What is empty or nil chooses nothing.
type ClientQuery struct {
	Page
	Search    string // a part of the client id, user name or address
	User      *string
	Listener  string
	Connected *bool
	Stalled   *bool
	Version   int    // 3, 4 or 5
	Sort      string // id, queued, inflight or dropped
}

// Clients answers a page of clients.
func (c *Client) Clients(ctx context.Context, o ClientQuery) (v1.Clients, error) {
	q := o.add(values("search", o.Search, "listener", o.Listener, "sort", o.Sort))
	if o.User != nil {
		q.Set("user", *o.User)
	}
	if o.Connected != nil {
		q.Set("connected", strconv.FormatBool(*o.Connected))
	}
	if o.Stalled != nil {
		q.Set("stalled", strconv.FormatBool(*o.Stalled))
	}
	if o.Version != 0 {
		q.Set("version", strconv.Itoa(o.Version))
	}
	return get[v1.Clients](ctx, c, "clients", q)
}

// of is the path of a client. "." and ".." would be taken out of it on the way, so that
// their dots are encoded, which url.PathEscape does not.
func of(id string) string {
	if id == "." || id == ".." {
		return "clients/" + strings.ReplaceAll(id, ".", "%2E")
	}
	return "clients/" + url.PathEscape(id)
}

// Client answers one client.
func (c *Client) Client(ctx context.Context, id string) (v1.Client, error) {
	return get[v1.Client](ctx, c, of(id), nil)
}

// DeleteClient disconnects a client and deletes its session.
func (c *Client) DeleteClient(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, of(id), nil, nil, nil)
}

// Disconnect disconnects a client; its session stays.
func (c *Client) Disconnect(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, of(id)+"/disconnect", nil, nil, nil)
}

// Subscriptions answers a page of a client's subscriptions.
func (c *Client) Subscriptions(ctx context.Context, id string, p Page) (v1.Subscriptions, error) {
	return get[v1.Subscriptions](ctx, c, of(id)+"/subscriptions", p.add(url.Values{}))
}

// Queue answers the oldest messages that wait for a client, with maxPayload bytes of each.
func (c *Client) Queue(ctx context.Context, id string, limit, maxPayload int) (v1.Entries, error) {
	return get[v1.Entries](ctx, c, of(id)+"/queue", head(limit, maxPayload))
}

// Inflight answers the oldest messages that a client has not acknowledged.
func (c *Client) Inflight(ctx context.Context, id string, limit, maxPayload int) (v1.Entries, error) {
	return get[v1.Entries](ctx, c, of(id)+"/inflight", head(limit, maxPayload))
}

func head(limit, maxPayload int) url.Values {
	return Page{Limit: limit}.add(values("max_payload", strconv.Itoa(maxPayload)))
}

// Retained answers a page of the retained messages that a filter matches; the empty one
// is #.
func (c *Client) Retained(ctx context.Context, filter string, p Page, maxPayload int) (v1.Retained, error) {
	return get[v1.Retained](ctx, c, "retained", p.add(values("filter", filter, "max_payload", strconv.Itoa(maxPayload))))
}

// RetainedMessage answers the retained message of a topic.
func (c *Client) RetainedMessage(ctx context.Context, topic string) (v1.Stored, error) {
	return get[v1.Stored](ctx, c, "retained/message", values("topic", topic))
}

// SetRetained publishes a retained message.
func (c *Client) SetRetained(ctx context.Context, m v1.Message) (out v1.Published, err error) {
	err = c.call(ctx, http.MethodPut, "retained/message", values("topic", m.Topic), m, &out)
	return out, err
}

// DeleteRetained removes the retained message of a topic.
func (c *Client) DeleteRetained(ctx context.Context, topic string) error {
	return c.call(ctx, http.MethodDelete, "retained/message", values("topic", topic), nil, nil)
}

// Wait is what a publish waits for.
type Wait struct {
	Delivered bool          // all whom it reached have acknowledged; otherwise that it is stored
	Timeout   time.Duration // 0 is the node's own
}

func (w Wait) query() url.Values {
	q := url.Values{}
	if w.Delivered {
		q.Set("wait", "delivered")
	}
	if w.Timeout > 0 {
		q.Set("timeout", w.Timeout.String())
	}
	return q
}

// Publish publishes messages in order.
func (c *Client) Publish(ctx context.Context, p v1.Publish, w Wait) (out v1.Published, err error) {
	err = c.call(ctx, http.MethodPost, "publish", w.query(), p, &out)
	return out, err
}

// Send gives a message to one client, whatever it is subscribed to.
func (c *Client) Send(ctx context.Context, id string, m v1.Message, w Wait) (out v1.Published, err error) {
	err = c.call(ctx, http.MethodPost, of(id)+"/messages", w.query(), m, &out)
	return out, err
}

// Bans answers who is kept out.
func (c *Client) Bans(ctx context.Context) (v1.Bans, error) {
	return get[v1.Bans](ctx, c, "bans", nil)
}

// AddBan keeps somebody out.
func (c *Client) AddBan(ctx context.Context, b v1.Ban) (out v1.BanAdded, err error) {
	err = c.call(ctx, http.MethodPost, "bans", nil, b, &out)
	return out, err
}

// RemoveBan lifts a ban that was added through the API.
func (c *Client) RemoveBan(ctx context.Context, kind, value string) error {
	return c.call(ctx, http.MethodDelete, "bans", url.Values{"kind": {kind}, "value": {value}}, nil, nil)
}

// Refusals answers the most recent refusals.
func (c *Client) Refusals(ctx context.Context, limit int) (v1.Refusals, error) {
	return get[v1.Refusals](ctx, c, "refusals", Page{Limit: limit}.add(url.Values{}))
}

// DrainState answers how far a node's drain is.
func (c *Client) DrainState(ctx context.Context, node string) (v1.Drain, error) {
	return get[v1.Drain](ctx, c, "drain", values("node", node))
}

// Drain sends all clients of a node away.
func (c *Client) Drain(ctx context.Context, node string) (out v1.Drain, err error) {
	err = c.call(ctx, http.MethodPost, "drain", values("node", node), nil, &out)
	return out, err
}

// Undrain ends a drain.
func (c *Client) Undrain(ctx context.Context, node string) (out v1.Drain, err error) {
	err = c.call(ctx, http.MethodDelete, "drain", values("node", node), nil, &out)
	return out, err
}

// Reload has a node read its configuration again.
func (c *Client) Reload(ctx context.Context, node string) (out v1.Reloaded, err error) {
	err = c.call(ctx, http.MethodPost, "reload", values("node", node), nil, &out)
	return out, err
}

// LogLevel answers from which level on a node logs.
func (c *Client) LogLevel(ctx context.Context, node string) (v1.LogLevel, error) {
	return get[v1.LogLevel](ctx, c, "log-level", values("node", node))
}

// SetLogLevel changes it until the next reload or start.
func (c *Client) SetLogLevel(ctx context.Context, node, level string) (out v1.LogLevel, err error) {
	err = c.call(ctx, http.MethodPut, "log-level", values("node", node), v1.LogLevel{Level: level}, &out)
	return out, err
}
