package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	askTimeout = 10 * time.Second
	maxAnswer  = 64 << 20 // bytes that a peer may answer
)

// local reports whether a request asks for this node alone: its sender has asked the
// others itself.
func local(r *http.Request) bool { return r.URL.Query().Get("scope") == "node" }

// toPeer is a request as it is sent on: to the peer alone.
func toPeer(r *http.Request, body []byte) *http.Request {
	out := r.Clone(r.Context())
	q := out.URL.Query()
	q.Set("scope", "node")
	q.Del("node")
	out.URL.RawQuery = q.Encode()
	out.RequestURI = ""
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.Header.Del("Origin")
	return out
}

// reply is what a peer answered.
type reply struct {
	peer   string
	status int
	header http.Header
	body   []byte
	err    error
}

// ask sends a request on and reads the whole answer.
func (s *Server) ask(ctx context.Context, peer string, r *http.Request, body []byte) reply {
	ctx, cancel := context.WithTimeout(ctx, askTimeout+maxWait)
	defer cancel()
	res, err := s.Cluster.Ask(ctx, peer, toPeer(r, body).WithContext(ctx))
	if err != nil {
		return reply{peer: peer, err: err}
	}
	defer func() { _ = res.Body.Close() }() // it was read
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return reply{peer: peer, status: res.StatusCode, header: res.Header, body: b, err: err}
}

// askAll asks all peers at once. It answers those that said yes, and the names of the
// others.
func (s *Server) askAll(r *http.Request) (list []reply, missing []string) {
	for _, p := range s.tellAll(r, nil) {
		if p.err != nil || p.status != http.StatusOK {
			s.log.Warn("node could not be asked", "peer", p.peer, "path", r.URL.Path, "status", p.status, "error", p.err)
			missing = append(missing, p.peer)
			continue
		}
		list = append(list, p)
	}
	return list, missing
}

// tellAll sends a request to all peers at once and answers what each says.
func (s *Server) tellAll(r *http.Request, body []byte) []reply {
	if local(r) {
		return nil
	}
	peers := s.Cluster.Peers()
	replies := make([]reply, len(peers))
	var wg sync.WaitGroup
	for i, peer := range peers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
			defer cancel()
			replies[i] = s.ask(ctx, peer, r, body)
		})
	}
	wg.Wait()
	return replies
}

// gather adds what all peers say to a list of this node's own.
func gather[T, Page any](s *Server, r *http.Request, own []T, of func(*Page) []T) (all []T, missing []string) {
	replies, missing := s.askAll(r)
	all = own
	for i := range replies {
		var page Page
		if err := json.Unmarshal(replies[i].body, &page); err != nil {
			s.log.Warn("node answered what cannot be read", "peer", replies[i].peer, "path", r.URL.Path, "error", err)
			missing = append(missing, replies[i].peer)
			continue
		}
		all = append(all, of(&page)...)
	}
	slices.Sort(missing)
	return all, missing
}

// relay answers what a peer answered.
func relay(w http.ResponseWriter, p *reply) {
	for _, name := range []string{"Content-Type", "Allow", "WWW-Authenticate"} {
		if v := p.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body) // the client is gone: nobody to tell
}

// errNotHere is answered by a handler of one client that has no session on this node.
var errNotHere = errors.New("the client has no session here")

// owner is a handler of one client: where its session is not here, the others are asked
// one after another, so that a change is made once.
func (s *Server) owner(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := s.keepBody(r)
		if err != nil {
			return err
		}
		own, err := named(r)
		if err != nil {
			return err
		}
		if err := h(w, own); !errors.Is(err, errNotHere) {
			return err
		}
		if !local(r) {
			for _, peer := range s.Cluster.Peers() {
				p := s.ask(r.Context(), peer, r, body)
				if p.err != nil {
					return failf(http.StatusBadGateway, "node %s could not be asked, and the client is on no other so far", peer)
				}
				if p.status != http.StatusNotFound {
					relay(w, &p)
					return nil
				}
			}
		}
		return failf(http.StatusNotFound, "there is no client with that id")
	}
}

// named is a request whose client id stands in the path's place, also where the query has
// it. Browsers and proxies take "." and ".." out of paths, however they are written, so
// that these two ids have no other way. r keeps its query, which peers are asked with.
func named(r *http.Request) (*http.Request, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	list, ok := q["id"]
	switch {
	case err != nil || !ok:
		return r, nil //nolint:nilerr // the handler says what is wrong with the query
	case len(list) > 1:
		return nil, failf(http.StatusBadRequest, "id stands twice")
	case !utf8.ValidString(list[0]):
		return nil, failf(http.StatusBadRequest, "id is not UTF-8")
	}
	r.SetPathValue("id", list[0])
	q.Del("id")
	own, u := r.WithContext(r.Context()), *r.URL
	u.RawQuery = q.Encode()
	own.URL = &u
	return own, nil
}

// keepBody reads a body that may be sent on, if there is anybody to send it to.
func (s *Server) keepBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody || local(r) || len(s.Cluster.Peers()) == 0 {
		return nil, nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, failf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes (http.max_body)", large.Limit)
		}
		return nil, failf(http.StatusBadRequest, "the body ends early")
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return b, nil
}

// at is a handler of one node, which a request may name.
func (s *Server) at(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		name := r.URL.Query().Get("node")
		if name == "" || name == s.Info.Node || local(r) {
			return h(w, r)
		}
		if !contains(s.Cluster.Peers(), name) {
			return failf(http.StatusNotFound, "there is no node %q", name)
		}
		body, err := s.keepBody(r)
		if err != nil {
			return err
		}
		p := s.ask(r.Context(), name, r, body)
		if p.err != nil {
			return failf(http.StatusBadGateway, "node %s could not be asked", name)
		}
		relay(w, &p)
		return nil
	}
}
