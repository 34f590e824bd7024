package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/router"
)

// maxBatch is how many messages one request may have.
const maxBatch = 10_000

// wait is what a request waits for: receipts beside the commit, and for how long.
func (p *params) wait() (receipts bool, timeout time.Duration) {
	return p.word("wait", "committed", "delivered") == "delivered", p.duration("timeout", 10*time.Second, 0, maxWait)
}

// publish publishes one message or a batch.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "wait", "timeout")
	receipts, timeout := p.wait()
	if err := p.done(); err != nil {
		return err
	}
	var in v1.Publish
	if err := body(r, &in); err != nil {
		return err
	}
	one := in.Message != nil
	switch {
	case one && in.Messages != nil:
		return failf(http.StatusBadRequest, "a message and messages do not go together")
	case one:
		in.Messages = []v1.Message{*in.Message}
	case len(in.Messages) == 0 || len(in.Messages) > maxBatch:
		return failf(http.StatusBadRequest, "messages must have between 1 and %d", maxBatch)
	}
	list := make([]*router.Message, len(in.Messages))
	for i := range in.Messages {
		m, err := toMessage(&in.Messages[i])
		if err != nil {
			return at(i, one, err)
		}
		list[i] = m
	}
	return s.post(w, r, list, one, receipts, timeout)
}

// at says which message of a batch a problem is about.
func at(i int, one bool, err error) error {
	var p *problem
	if !one && errors.As(err, &p) {
		return failf(p.Status, "messages[%d]: %s", i, p.Detail)
	}
	return err
}

// post publishes messages and answers what became of them.
func (s *Server) post(w http.ResponseWriter, r *http.Request, list []*router.Message, one, receipts bool, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	out, done := s.Router.NewSender(identity(r)).Publish(ctx, list, receipts)
	return s.posted(w, out, done, one)
}

// posted answers outcomes. A message alone that was refused is a problem.
func (s *Server) posted(w http.ResponseWriter, out []router.Posted, done, one bool) error {
	if one && out[0].Refused() {
		return refused(out[0].Code, out[0].Why)
	}
	res := v1.Published{Results: make([]v1.Result, len(out)), TimedOut: !done}
	for i := range out {
		o := &out[i]
		res.Results[i] = v1.Result{
			Code: int(o.Code), Reason: o.Why, Committed: o.Committed, Matched: o.Matched,
			Delivered: o.Delivered, Dropped: o.Dropped, Pending: o.Pending,
		}
	}
	status := http.StatusOK
	if !done {
		status = http.StatusAccepted
	}
	answer(w, status, &res)
	return nil
}

// sendMessage gives a message to one client.
func (s *Server) sendMessage(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "wait", "timeout")
	receipts, timeout := p.wait()
	if err := p.done(); err != nil {
		return err
	}
	var in v1.Message
	if err := body(r, &in); err != nil {
		return err
	}
	m, err := toMessage(&in)
	if err != nil {
		return err
	}
	if m.Retain {
		return failf(http.StatusBadRequest, "a message to one client is not retained")
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	o, done, err := s.Router.NewSender(identity(r)).Send(ctx, clientID(r), m, receipts)
	if errors.Is(err, router.ErrNoSession) {
		return errNotHere
	}
	if err != nil {
		return err
	}
	return s.posted(w, []router.Posted{o}, done, true)
}
