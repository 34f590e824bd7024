package broker

import (
	"context"
	"time"

	"github.com/skeinmq/skein/broker/api"
	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/router"
)

// tracer shows the router's traces to the API.
type tracer struct {
	router *router.Router
	node   string
}

// Trace implements api.Tracer.
func (t tracer) Trace(ctx context.Context, q api.TraceQuery, emit func(*v1.TraceEvent) error) (lost uint64, err error) {
	own := router.TraceQuery{Client: router.ClientID(q.Client), Topic: q.Topic, Net: q.Net, Payload: q.Payload, Rate: q.Rate}
	return t.router.Trace(ctx, own, func(e *router.TraceEvent) error { return emit(t.event(e)) })
}

// event is an event as the API tells it.
func (t tracer) event(e *router.TraceEvent) *v1.TraceEvent {
	o := &v1.TraceEvent{
		Time: time.Unix(0, e.At).UTC(), Node: t.node, Client: string(e.Client), Remote: e.Remote, Kind: "packet", In: e.In,
		Packet: e.Packet, Size: e.Size, Topic: e.Topic, QoS: int(e.QoS), Retain: e.Retain, Dup: e.Dup, PacketID: int(e.ID),
		Code: int(e.Code), Decision: e.Decision, Rule: e.Rule, Target: e.Target, Count: e.Count, Took: e.Took.Seconds(), Payload: e.Payload,
	}
	if e.Decision != "" {
		o.Kind = "decision"
	}
	return o
}

var _ api.Tracer = tracer{}
