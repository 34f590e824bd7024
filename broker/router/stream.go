package router

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
)

const (
	streamWindow = 1000    // unacknowledged messages of QoS 1
	streamKeep   = 500     // of those, sent ones that wait for a resume
	streamBytes  = 1 << 20 // not yet taken by Next
	eventCost    = 128     // bytes that an event counts beside its message
	streamKind   = "sse"   // as the transport of a client
	whyClosed    = "stream closed"
)

// Event is a message that a stream delivers. It belongs to who gets it.
type Event struct {
	Msg    *Message
	SubIDs []uint32
	Seq    uint64 // its order in the session, where a resume begins; 0 at QoS 0
	QoS    byte
	Retain bool
	Dup    bool // it was sent before, perhaps on another stream of the session

	id PacketID
}

// StreamRequest says what a stream is to deliver.
type StreamRequest struct {
	ID      Identity
	Session ClientID // the identifier of the session that it belongs to
	Keep    bool     // the session outlives the stream
	Expiry  uint32   // seconds after the stream, with Keep
	Filters []Subscription
	// After, with Keep, acknowledges all that was sent up to it; 0 acknowledges nothing.
	After uint64
}

// StreamStart tells how a stream began.
type StreamStart struct {
	Present bool   // the session was there
	Codes   []byte // for each filter: the granted QoS, or a reason code from 0x80 on
}

// StreamEnd is why a stream ended.
type StreamEnd struct {
	Code byte
	Why  string
}

func (e *StreamEnd) Error() string { return fmt.Sprintf("%s (0x%02X)", e.Why, e.Code) }

// Stream is a subscriber without an MQTT connection: a session whose messages are taken
// with Next. QoS 2 subscriptions are granted QoS 1: there is nobody for the second
// half. One goroutine calls Next and Sent; Close may be called by it alone.
//
// What is acknowledged: with a session that is kept, a message counts as received when
// streamKeep later ones were sent, or a resume says so; otherwise when it was sent.
// Until its output is taken a stream that is full makes its messages wait in the
// session's queue, and drops QoS 0, as a slow connection does.
type Stream struct {
	r    *Router
	link *Link
	keep bool
	sent []Ack // not acknowledged, oldest first; of who calls Next

	mu      sync.Mutex // held from Begin to End
	events  []Event
	bytes   int    // of events and of what Next gave out and Sent was not told of
	after   uint64 // what is sent again up to here was received
	had     []Ack  // was received, see after
	waiting bool   // somebody wants to hear when there is room
	passed  int    // bytes that Sent was told of
	marks   []streamMark
	end     *StreamEnd
	some    chan struct{} // full: there is something to look at
	gone    chan struct{} // closed when end is set
}

// OpenStream begins a stream; Close must follow. The error is a *ConnectError.
func (r *Router) OpenStream(ctx context.Context, q StreamRequest) (*Stream, StreamStart, error) {
	s := &Stream{r: r, keep: q.Keep, after: q.After, some: make(chan struct{}, 1), gone: make(chan struct{})}
	name := q.ID
	name.Name = string(q.Session)
	s.link = &Link{
		Out: s, Version: message.V5, Window: streamWindow, Hook: r.outsider(name, streamKind), stream: s,
		End:  s.stop,
		Gone: func() <-chan struct{} { return s.gone },
	}
	if !q.Keep {
		q.Expiry, s.after = 0, 0
	}
	var start StreamStart
	err := r.Connect(ctx, ConnectRequest{
		ID: q.Session, User: q.ID.User, HasUser: true, Clean: !q.Keep, Expiry: q.Expiry, Link: s.link,
	}, func(dst []byte, res ConnectResult) []byte { start.Present = res.Present; return dst })
	if err != nil {
		return nil, start, err
	}
	start.Codes = s.subscribe(q.Filters)
	s.acknowledge(s.received())
	return s, start, nil
}

// subscribe makes the session's subscriptions those of a list.
func (s *Stream) subscribe(filters []Subscription) (codes []byte) {
	c := s.link.client
	var others []string
	c.mu.Lock()
	for o := range c.subs.all() {
		if !slices.ContainsFunc(filters, func(f Subscription) bool { return f.Filter == o.Filter }) {
			others = append(others, o.Filter)
		}
	}
	c.mu.Unlock()
	nothing := func(dst, _ []byte) []byte { return dst }
	if len(others) > 0 {
		s.r.Unsubscribe(s.link, others, nothing)
	}
	codes = make([]byte, len(filters))
	for i := range filters {
		filters[i].QoS = min(filters[i].QoS, 1)
	}
	s.r.Subscribe(s.link, filters, codes, nothing)
	return codes
}

// Next waits for events and answers all there are, after the ones before were Sent. The
// error is a *StreamEnd, or that of ctx.
func (s *Stream) Next(ctx context.Context) ([]Event, error) {
	for {
		s.acknowledge(s.received())
		s.mu.Lock()
		list, end := s.events, s.end
		s.events = nil
		s.mu.Unlock()
		switch {
		case end != nil:
			return nil, end
		case len(list) > 0:
			return list, nil
		}
		select {
		case <-s.some:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for messages: %w", ctx.Err())
		}
	}
}

// Sent says that events of Next have been written to whom they are for.
func (s *Stream) Sent(list []Event) {
	size := 0
	for i := range list {
		e := &list[i]
		size += e.Msg.Size() + eventCost
		if e.QoS > 0 {
			s.sent = append(s.sent, Ack{ID: e.id, Type: typePuback})
		}
	}
	keep := 0
	if s.keep {
		keep = streamKeep
	}
	if n := len(s.sent) - keep; n > 0 {
		s.acknowledge(s.sent[:n])
		s.sent = slices.Delete(s.sent, 0, n)
	}
	s.mu.Lock()
	s.bytes -= size
	marks := s.passedLocked(size)
	drained := s.waiting && s.bytes <= streamBytes/2
	s.waiting = s.waiting && !drained
	s.mu.Unlock()
	tellMarks(marks, true)
	if drained {
		s.r.Drained(s.link)
	}
}

// received takes what a resume told of.
func (s *Stream) received() []Ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.had
	s.had = nil
	return list
}

func (s *Stream) acknowledge(list []Ack) {
	if len(list) > 0 {
		_ = s.r.Acked(s.link, list) // only QoS 1 was granted, so it is no protocol error
	}
}

// Close ends the stream. Its session goes on for its expiry, if it is kept.
func (s *Stream) Close() {
	s.stop(codeSuccess, whyClosed)
	s.r.Disconnect(s.link, DisconnectRequest{})
}

// stop makes Next answer why the stream ends; the first reason counts.
func (s *Stream) stop(code byte, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return
	}
	s.end = &StreamEnd{code, why}
	s.events = nil
	tellMarks(s.marks, false)
	s.marks = nil
	close(s.gone)
	s.wake()
}

// Begin implements Sink. No bytes are written to a stream: add has the messages.
func (s *Stream) Begin() []byte {
	s.mu.Lock()
	return nil
}

// End implements Sink.
func (s *Stream) End([]byte) {
	if len(s.events)+len(s.had) > 0 {
		s.wake()
	}
	s.mu.Unlock()
}

func (s *Stream) wake() {
	select {
	case s.some <- struct{}{}:
	default:
	}
}

// Room implements Sink.
func (s *Stream) Room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return streamBytes - s.bytes
}

// Full implements Sink.
func (s *Stream) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.bytes >= streamBytes && s.end == nil
	s.waiting = s.waiting || full
	return full
}

// add takes a message over instead of a frame, between Begin and End. The message may
// be that of a read buffer, so it is copied.
func (s *Stream) add(e *session.Entry, id PacketID, dup bool) {
	if dup && e.Seq != 0 && e.Seq <= s.after {
		s.had = append(s.had, Ack{ID: id, Type: typePuback})
		return
	}
	if s.end != nil {
		return
	}
	s.events = append(s.events, Event{
		Msg: e.Msg.Clone(), SubIDs: slices.Clone(e.SubIDs), Seq: e.Seq, QoS: e.QoS, Retain: e.Retain, Dup: dup, id: id,
	})
	s.bytes += e.Msg.Size() + eventCost
}
