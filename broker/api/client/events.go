package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// maxEvent bounds a line of a stream, in bytes: the largest message and what JSON adds.
const maxEvent = 512 << 20

// ErrStreamCut says that a stream ended without a word: the node or the way to it is gone.
var ErrStreamCut = errors.New("the stream was cut")

// EndedError says why the node ended a subscription.
type EndedError struct{ v1.Ended }

// Error is the reason.
func (e *EndedError) Error() string {
	return fmt.Sprintf("the node ended it: %s (0x%02X)", e.Reason, e.Code)
}

// SubscribeQuery says what a subscription is to deliver.
type SubscribeQuery struct {
	Filters []string
	QoS     int           // 0 or 1
	Session string        // a name: the session outlives the stream; empty is none
	Expiry  time.Duration // of the session; 0 is the node's own
	LastID  string        // with Session: the last event that was had
}

// Subscription gets what a subscription delivers. Each may be nil.
type Subscription struct {
	Began   func(v1.Subscribed) error
	Message func(id string, e v1.Event) error // id is empty at QoS 0
}

// Subscribe calls the functions of s until ctx ends, one fails, or the stream ends:
// [*EndedError] or [ErrStreamCut].
func (c *Client) Subscribe(ctx context.Context, o SubscribeQuery, s Subscription) error {
	q := url.Values{"filter": o.Filters, "qos": {strconv.Itoa(o.QoS)}}
	if o.Session != "" {
		q.Set("session", o.Session)
	}
	if o.Expiry > 0 {
		q.Set("expiry", o.Expiry.String())
	}
	return c.stream(ctx, "subscribe", q, o.LastID, func(kind, id string, data []byte) error {
		switch kind {
		case "subscribed":
			return decode(data, s.Began)
		case "message":
			return decode(data, func(e v1.Event) error {
				if s.Message == nil {
					return nil
				}
				return s.Message(id, e)
			})
		case "end":
			return decode(data, func(e v1.Ended) error { return &EndedError{e} })
		}
		return nil // of a later version
	})
}

// TraceQuery says what is traced. All conditions that are there must hold.
type TraceQuery struct {
	Client   string
	Topic    string // a filter
	IP       string // an address or a network
	Payload  bool
	Duration time.Duration // 0 is the node's own
	Rate     int           // events a second; 0 is the node's own
}

// errTraced ends a stream that has said its last word.
var errTraced = errors.New("traced")

// Trace calls emit for each event until the trace ends, and answers how it did. began, if
// not nil, is called when the node traces.
func (c *Client) Trace(ctx context.Context, o TraceQuery, began func(), emit func(v1.TraceEvent) error) (end v1.TraceEnd, err error) {
	q := values("client", o.Client, "topic", o.Topic, "ip", o.IP)
	if o.Payload {
		q.Set("payload", "true")
	}
	if o.Duration > 0 {
		q.Set("duration", o.Duration.String())
	}
	if o.Rate > 0 {
		q.Set("rate", strconv.Itoa(o.Rate))
	}
	err = c.stream(ctx, "trace", q, "", func(kind, _ string, data []byte) error {
		switch kind {
		case "":
			if began != nil {
				began()
				began = nil
			}
		case "trace":
			return decode(data, emit)
		case "end":
			return decode(data, func(e v1.TraceEnd) error { end = e; return errTraced })
		}
		return nil
	})
	if errors.Is(err, errTraced) {
		err = nil
	}
	return end, err
}

func decode[T any](data []byte, f func(T) error) error {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	if f == nil {
		return nil
	}
	return f(v)
}

// stream reads server-sent events. A comment is told as one without kind and data.
func (c *Client) stream(ctx context.Context, path string, q url.Values, last string, event func(kind, id string, data []byte) error) error {
	r, err := c.request(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := c.send(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // what is left of it is of no use
	err = readEvents(res.Body, event)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// readEvents reads events to the end of a stream, which is an error.
func readEvents(r io.Reader, event func(kind, id string, data []byte) error) (err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), maxEvent)
	var kind, id string
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "id":
			id = string(value)
		case "data":
			data = append(data, value...)
		case "":
			comment := len(line) > 0
			if !comment && kind == "" { // the end of one
				continue
			}
			if comment {
				err = event("", "", nil)
			} else {
				err = event(kind, id, data)
				kind, id, data = "", "", data[:0]
			}
			if err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrStreamCut, err)
	}
	return ErrStreamCut
}
