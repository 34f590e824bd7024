package api

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/stats"
)

const byOperator = "disconnected by an operator"

// clients answers a page of clients, or the first of another order.
func (s *Server) clients(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "after", "limit", "search", "user", "connected", "stalled", "listener", "version", "sort")
	q := router.ClientQuery{After: router.ClientID(p.text("after")), Limit: p.limit(), Keep: chooser(p)}
	order := orders[p.word("sort", "id", "queued", "inflight", "dropped")]
	if order != nil {
		q.Less = func(a, b *router.ClientInfo) int {
			return cmp.Or(cmp.Compare(order(b), order(a)), cmp.Compare(a.ID, b.ID))
		}
	}
	if err := p.done(); err != nil {
		return err
	}
	list, more := s.Router.Clients(q)
	page := v1.Clients{Clients: make([]v1.Client, 0, len(list))}
	for _, i := range list {
		page.Clients = append(page.Clients, s.clientOf(i))
	}
	page.Clients, page.Missing = gather(s, r, page.Clients, func(p *v1.Clients) []v1.Client {
		more = more || p.Next != ""
		return p.Clients
	})
	sortClients(page.Clients, p.text("sort"))
	if len(page.Clients) > q.Limit {
		page.Clients, more = page.Clients[:q.Limit], true
	}
	if n := len(page.Clients); more && n > 0 && order == nil {
		page.Next = page.Clients[n-1].ID
	}
	answer(w, http.StatusOK, &page)
	return nil
}

// orders are the figures by which clients are sorted, the highest first.
var orders = map[string]func(*router.ClientInfo) int64{
	"queued":   func(i *router.ClientInfo) int64 { return int64(i.Queued) },
	"inflight": func(i *router.ClientInfo) int64 { return int64(i.Inflight) },
	"dropped":  func(i *router.ClientInfo) int64 { return int64(i.Dropped()) },
}

// sortClients puts the clients of several nodes into one order.
func sortClients(list []v1.Client, order string) {
	figure := map[string]func(*v1.Client) int64{
		"queued":   func(c *v1.Client) int64 { return int64(c.Queued) },
		"inflight": func(c *v1.Client) int64 { return int64(c.Inflight) },
		"dropped":  func(c *v1.Client) int64 { return int64(c.Dropped) },
	}[order]
	slices.SortFunc(list, func(a, b v1.Client) int {
		if figure != nil {
			if c := cmp.Compare(figure(&b), figure(&a)); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.ID, b.ID)
	})
}

// chooser is what a query keeps; nil when it keeps all.
func chooser(p *params) func(*router.ClientInfo) bool {
	var all []func(*router.ClientInfo) bool
	if v := p.text("search"); v != "" {
		v = strings.ToLower(v)
		has := func(s string) bool { return strings.Contains(strings.ToLower(s), v) }
		all = append(all, func(i *router.ClientInfo) bool { return has(string(i.ID)) || has(i.User) || has(i.Remote) })
	}
	if v, ok := p.get("user"); ok {
		all = append(all, func(i *router.ClientInfo) bool { return i.HasUser && i.User == v })
	}
	if v := p.flag("connected"); v != nil {
		all = append(all, func(i *router.ClientInfo) bool { return i.Connected == *v })
	}
	if v := p.flag("stalled"); v != nil {
		all = append(all, func(i *router.ClientInfo) bool { return i.Stalled == *v })
	}
	if v, ok := p.get("listener"); ok {
		all = append(all, func(i *router.ClientInfo) bool { return i.Listener == v })
	}
	if _, ok := p.get("version"); ok {
		v, _ := strconv.Atoi(p.word("version", "3", "4", "5"))
		all = append(all, func(i *router.ClientInfo) bool { return int(i.Version) == v })
	}
	if len(all) == 0 {
		return nil
	}
	return func(i *router.ClientInfo) bool {
		for _, f := range all {
			if !f(i) {
				return false
			}
		}
		return true
	}
}

// client answers one client.
func (s *Server) client(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	i, ok := s.Router.Client(clientID(r))
	if !ok {
		return errNotHere
	}
	answer(w, http.StatusOK, s.clientOf(&i))
	return nil
}

func clientID(r *http.Request) router.ClientID { return router.ClientID(r.PathValue("id")) }

func (s *Server) clientOf(i *router.ClientInfo) v1.Client {
	c := v1.Client{
		ID: string(i.ID), Node: s.Info.Node, Connected: i.Connected, Version: int(i.Version), Persistent: i.Persistent,
		Remote: i.Remote, Listener: i.Listener, Transport: i.Transport, Since: when(i.Since), ExpiresAt: when(i.ExpiresAt), Will: i.Will,
		Subscriptions: i.Subscriptions, Queued: i.Queued, QueuedBytes: i.QueuedBytes, Inflight: i.Inflight,
		Stalled: i.Stalled, Dropped: i.Dropped(),
	}
	if i.HasUser {
		c.User = &i.User
	}
	if i.Expiry != router.NoExpiry {
		c.Expiry = &i.Expiry
	}
	for k, n := range i.Drops {
		if n > 0 {
			if c.Drops == nil {
				c.Drops = map[string]uint64{}
			}
			c.Drops[stats.DropReason(k).String()] = uint64(n)
		}
	}
	return c
}

// when is Unix nanoseconds as a time; nil for 0.
func when(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := time.Unix(0, ns).UTC()
	return &t
}

// deleteClient ends a session.
func (s *Server) deleteClient(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	ok, err := s.Router.Remove(r.Context(), clientID(r), byOperator)
	switch {
	case err != nil:
		return failf(http.StatusConflict, "%s", err)
	case !ok:
		return errNotHere
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// disconnect ends a connection.
func (s *Server) disconnect(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	if !s.Router.Kick(clientID(r), byOperator) {
		return errNotHere
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// subscriptions answers a page of a client's subscriptions.
func (s *Server) subscriptions(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "after", "limit")
	limit := p.limit()
	if err := p.done(); err != nil {
		return err
	}
	list, more, ok := s.Router.Subscriptions(clientID(r), p.text("after"), limit)
	if !ok {
		return errNotHere
	}
	page := v1.Subscriptions{Subscriptions: make([]v1.Subscription, 0, len(list))}
	for _, sub := range list {
		page.Subscriptions = append(page.Subscriptions, v1.Subscription{
			Filter: sub.Filter, QoS: int(sub.QoS), ID: int(sub.ID), NoLocal: sub.NoLocal,
			RetainAsPublished: sub.RetainAsPub, RetainHandling: int(sub.RetainHandling),
		})
	}
	if more {
		page.Next = list[len(list)-1].Filter
	}
	answer(w, http.StatusOK, &page)
	return nil
}

// queue answers the head of a queue.
func (s *Server) queue(w http.ResponseWriter, r *http.Request) error {
	return s.head(w, r, s.Router.Queue)
}

// inflight answers the head of a window.
func (s *Server) inflight(w http.ResponseWriter, r *http.Request) error {
	return s.head(w, r, s.Router.Inflight)
}
