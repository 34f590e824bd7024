package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/router"
)

const (
	maxFilters = 100
	defExpiry  = time.Hour
	heartbeat  = 15 * time.Second // between two lines of a silent stream, so that proxies keep it
	eventWrite = 30 * time.Second // for a client to take an event
	codeStops  = 0x8B
)

// subscribe streams messages as server-sent events.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) error {
	q, err := streamRequest(r)
	if err != nil {
		return err
	}
	leave, err := s.enterStream(r)
	if err != nil {
		return err
	}
	defer leave()
	stream, start, err := s.Router.OpenStream(r.Context(), q)
	if err != nil {
		var c *router.ConnectError
		if errors.As(err, &c) {
			return refused(c.Code, c.Why)
		}
		return err
	}
	defer stream.Close()
	granted := v1.Subscribed{Client: string(q.Session), Session: start.Present}
	any := false
	for i, code := range start.Codes {
		granted.Filters = append(granted.Filters, v1.Granted{Filter: q.Filters[i].Filter, Code: int(code)})
		any = any || code < 0x80
	}
	if !any {
		return refused(start.Codes[0], "no filter was granted")
	}
	e := newEvents(w)
	if e.send("subscribed", "", &granted) != nil {
		return nil // the client is gone
	}
	s.pump(r.Context(), e, stream)
	return nil
}

// streamRequest reads what is asked for.
func streamRequest(r *http.Request) (q router.StreamRequest, err error) {
	p := query(r, "filter", "qos", "session", "expiry")
	qos := byte(p.number("qos", 1, 0, 1))
	for _, f := range p.q["filter"] {
		q.Filters = append(q.Filters, router.Subscription{Filter: f, QoS: qos})
	}
	if n := len(q.Filters); n < 1 || n > maxFilters {
		p.fail("filter must be there, at most %d times", maxFilters)
	}
	life := p.duration("expiry", defExpiry, 0, math.MaxUint32*time.Second)
	q.ID, q.Expiry = identity(r), uint32(min(life/time.Second, math.MaxUint32))
	prefix := "http/" + tokenOf(r).Name + "/"
	name, named := p.get("session")
	switch {
	case !named:
		q.Session = router.ClientID(prefix + "~" + rand.Text())
	case !sessionName(name):
		p.fail("session must be at most 64 letters, digits, . _ and -")
	default:
		q.Session, q.Keep = router.ClientID(prefix+name), q.Expiry > 0
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if q.After, err = strconv.ParseUint(last, 10, 64); err != nil {
			p.fail("Last-Event-ID must be the id of an event")
		}
	}
	return q, p.done()
}

func sessionName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// enterStream takes one of the places of streams.
func (s *Server) enterStream(r *http.Request) (leave func(), err error) {
	if r.Method != http.MethodGet {
		return nil, failf(http.StatusMethodNotAllowed, "a stream has no head alone")
	}
	select {
	case s.streams <- struct{}{}:
		return func() { <-s.streams }, nil
	default:
		return nil, failf(http.StatusServiceUnavailable, "there are %d streams already (http.streams)", cap(s.streams))
	}
}

// pump writes what a stream has until one of both ends.
func (s *Server) pump(ctx context.Context, e *events, stream *router.Stream) {
	for {
		wait, cancel := context.WithTimeout(ctx, heartbeat)
		list, err := stream.Next(wait)
		cancel()
		var end *router.StreamEnd
		switch {
		case errors.As(err, &end):
			_ = e.send("end", "", v1.Ended{Code: int(end.Code), Reason: end.Why}) // it ends anyway
			return
		case s.ending.Err() != nil:
			_ = e.send("end", "", v1.Ended{Code: codeStops, Reason: "the node stops"}) // it ends anyway
			return
		case ctx.Err() != nil:
			return
		case err != nil:
			err = e.beat()
		default:
			err = s.deliver(e, list)
			stream.Sent(list)
		}
		if err != nil {
			return // the client is gone; what it did not get is not acknowledged
		}
	}
}

// deliver writes messages.
func (s *Server) deliver(e *events, list []router.Event) error {
	now := s.now().UnixNano()
	for i := range list {
		m := &list[i]
		data := v1.Event{Message: messageOf(m.Msg, now, math.MaxInt), Dup: m.Dup}
		data.QoS, data.Retain = int(m.QoS), m.Retain
		for _, id := range m.SubIDs {
			data.Subscriptions = append(data.Subscriptions, int(id))
		}
		id := ""
		if m.Seq > 0 {
			id = strconv.FormatUint(m.Seq, 10)
		}
		if err := e.put("message", id, &data); err != nil {
			return err
		}
	}
	return e.flush()
}

// events writes server-sent events.
type events struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newEvents(w http.ResponseWriter) *events {
	e := &events{w: w, rc: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")      // proxies must not gather events
	_ = e.rc.SetReadDeadline(time.Time{}) // without it the request's own ends the stream; a writer that has none needs none
	w.WriteHeader(http.StatusOK)
	return e
}

// put writes an event, which flush sends.
func (e *events) put(kind, id string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	_ = e.rc.SetWriteDeadline(time.Now().Add(eventWrite)) // a writer that has none needs none
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err = fmt.Fprintf(e.w, "%sevent: %s\ndata: %s\n\n", id, kind, b)
	return err
}

func (e *events) flush() error { return e.rc.Flush() }

func (e *events) send(kind, id string, data any) error {
	if err := e.put(kind, id, data); err != nil {
		return err
	}
	return e.flush()
}

// beat writes a comment, which nobody sees.
func (e *events) beat() error {
	_ = e.rc.SetWriteDeadline(time.Now().Add(eventWrite)) // a writer that has none needs none
	if _, err := fmt.Fprint(e.w, ":\n\n"); err != nil {
		return err
	}
	return e.flush()
}
