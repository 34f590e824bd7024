package api

import (
	"math"
	"net/http"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/topic"
)

// topics answers the levels below a topic.
func (s *Server) topics(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "parent", "after", "limit")
	limit, after := p.limit(), p.place("after")
	parent := p.text("parent")
	if parent != "" && topic.ValidName(parent) != nil {
		p.fail("parent must be a topic name")
	}
	if err := p.done(); err != nil {
		return err
	}
	list, next := s.Router.Levels(parent, after, limit)
	page := v1.Topics{Topics: make([]v1.Topic, 0, len(list))}
	for _, l := range list {
		page.Topics = append(page.Topics, v1.Topic{Name: l.Name, Topic: l.Topic, Retained: l.Retained, Children: l.Below})
	}
	if next != "" {
		page.Next = opaque(next)
	}
	answer(w, http.StatusOK, &page)
	return nil
}

// name is the topic that a request is about.
func (p *params) name() string {
	name := p.text("topic")
	if topic.ValidName(name) != nil {
		p.fail("topic must be a topic name")
	}
	return name
}

// subscribers answers whom a topic's messages reach.
func (s *Server) subscribers(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "topic", "limit")
	name, limit := p.name(), p.limit()
	if err := p.done(); err != nil {
		return err
	}
	list, more := s.Router.Subscribers(name, limit)
	page := v1.Subscribers{Subscribers: make([]v1.Subscriber, 0, len(list))}
	for _, o := range list {
		page.Subscribers = append(page.Subscribers, v1.Subscriber{
			Client: string(o.Client), Group: o.Group, Filter: o.Filter, Node: s.Info.Node, QoS: int(o.QoS),
		})
	}
	page.Subscribers, page.Missing = gather(s, r, page.Subscribers, func(p *v1.Subscribers) []v1.Subscriber {
		more = more || p.More
		return p.Subscribers
	})
	if len(page.Subscribers) > limit {
		page.Subscribers, more = page.Subscribers[:limit], true
	}
	page.More = more
	answer(w, http.StatusOK, &page)
	return nil
}

// maxPage bounds the payloads of one page of retained messages, in bytes.
const maxPage = 16 << 20

// retained answers a page of retained messages.
func (s *Server) retained(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "filter", "after", "limit", "max_payload")
	limit, payload := p.limit(), p.payload()
	filter := "#"
	switch list := p.q["filter"]; {
	case len(list) > 1:
		p.fail("filter stands twice")
	case len(list) == 1:
		filter = list[0]
	}
	parsed, err := topic.Parse(filter)
	if err != nil || parsed.Group != "" || parsed.Exclusive {
		p.fail("filter must be a topic filter, without $share")
	}
	if err := p.done(); err != nil {
		return err
	}
	list, more := s.Router.RetainedPage(parsed.Filter, p.text("after"), limit)
	page := v1.Retained{Messages: make([]v1.Stored, 0, len(list))}
	size := 0
	for _, m := range list {
		if size > maxPage {
			more = true
			break
		}
		size += min(len(m.Payload), payload) + len(m.Topic) + len(m.Props)
		page.Messages = append(page.Messages, s.stored(m, payload))
	}
	if n := len(page.Messages); more && n > 0 {
		page.Next = page.Messages[n-1].Topic
	}
	answer(w, http.StatusOK, &page)
	return nil
}

// retainedMessage answers one retained message, whole.
func (s *Server) retainedMessage(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "topic")
	name := p.name()
	if err := p.done(); err != nil {
		return err
	}
	m := s.Router.RetainedMessage(name)
	if m == nil {
		return failf(http.StatusNotFound, "the topic has no retained message")
	}
	answer(w, http.StatusOK, s.stored(m, math.MaxInt))
	return nil
}

// setRetained publishes a retained message.
func (s *Server) setRetained(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "topic")
	name := p.name()
	if err := p.done(); err != nil {
		return err
	}
	var in v1.Message
	if err := body(r, &in); err != nil {
		return err
	}
	if in.Topic != "" && in.Topic != name {
		return failf(http.StatusBadRequest, "the topic of the body is another one")
	}
	in.Topic, in.Retain = name, true
	m, err := toMessage(&in)
	if err != nil {
		return err
	}
	if len(m.Payload) == 0 {
		return failf(http.StatusBadRequest, "a retained message has a payload: DELETE removes it")
	}
	return s.post(w, r, []*router.Message{m}, true, false, maxWait)
}

// deleteRetained removes a retained message as a client would, by an empty one.
func (s *Server) deleteRetained(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "topic")
	name := p.name()
	if err := p.done(); err != nil {
		return err
	}
	if s.Router.RetainedMessage(name) == nil {
		return failf(http.StatusNotFound, "the topic has no retained message")
	}
	empty := &router.Message{Topic: name, QoS: 1, Retain: true}
	out, done := s.Router.NewSender(identity(r)).Publish(r.Context(), []*router.Message{empty}, false)
	switch {
	case out[0].Refused():
		return refused(out[0].Code, out[0].Why)
	case !done:
		return failf(http.StatusGatewayTimeout, "it is not known whether the message is gone")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
