package disk

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// exportVersion is the version of the lines that Export writes; the package
// documentation describes them.
const exportVersion = 1

// Kinds of lines.
const (
	kindHeader   = "header"
	kindBody     = "body"
	kindSession  = "session"
	kindSub      = "subscription"
	kindCursor   = "cursor"
	kindReceived = "received"
	kindEntry    = "entry"
	kindRetained = "retained"
	kindDelayed  = "delayed"
	kindGroup    = "group"
	kindEnd      = "end"
)

// jsonText is a string that need not be UTF-8.
type jsonText string

// MarshalJSON implements json.Marshaler.
func (t jsonText) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(t))})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *jsonText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var v struct{ Base64 []byte }
	err := json.Unmarshal(b, &v)
	*t = jsonText(v.Base64)
	return err
}

// line is one record; which fields count depends on its kind.
type line struct {
	Kind    string       `json:"kind"`
	Version int          `json:"version,omitempty"`
	Lines   int64        `json:"lines,omitempty,string"`
	Session *sessionLine `json:"session,omitempty"`
	Filter  jsonText     `json:"filter,omitempty"`
	Sub     *subLine     `json:"subscription,omitempty"`
	After   jsonText     `json:"after,omitempty"`
	ID      uint16       `json:"id,omitempty"`
	Phase   byte         `json:"phase,omitempty"`
	Seq     uint64       `json:"seq,omitempty,string"`
	QoS     byte         `json:"qos,omitempty"`
	Retain  bool         `json:"retain,omitempty"`
	SubIDs  []uint32     `json:"subscription_ids,omitempty"`
	Body    uint64       `json:"body,omitempty,string"`
	At      int64        `json:"at,omitempty,string"`
	Group   jsonText     `json:"group,omitempty"`
	Message *messageLine `json:"message,omitempty"`
}

type sessionLine struct {
	Client    jsonText  `json:"client"`
	User      jsonText  `json:"user,omitempty"`
	HasUser   bool      `json:"has_user,omitempty"`
	Epoch     uint64    `json:"epoch,string"`
	Fence     uint64    `json:"fence,string"`
	Version   byte      `json:"protocol"`
	Expiry    uint32    `json:"expiry"`
	ExpiresAt int64     `json:"expires_at,omitempty,string"`
	Will      *willLine `json:"will,omitempty"`
	Messages  int       `json:"queued"`
	Bytes     int64     `json:"queued_bytes,string"`
	Last      uint64    `json:"last_seq,string"`
	Asking    int       `json:"asking,omitempty"` // entries whose publisher wants to know
}

type willLine struct {
	Message *messageLine `json:"message,omitempty"`
	Delay   uint32       `json:"delay,omitempty"`
	At      int64        `json:"at,omitempty,string"`
	Expiry  uint32       `json:"expiry,omitempty"`
	HasExp  bool         `json:"has_expiry,omitempty"`
}

type subLine struct {
	Filter         jsonText `json:"filter"`
	ID             uint32   `json:"id,omitempty"`
	QoS            byte     `json:"qos"`
	RetainHandling byte     `json:"retain_handling,omitempty"`
	NoLocal        bool     `json:"no_local,omitempty"`
	RetainAsPub    bool     `json:"retain_as_published,omitempty"`
}

type messageLine struct {
	Run       uint64   `json:"run,string"`
	Seq       uint64   `json:"seq,string"`
	Topic     jsonText `json:"topic"`
	Payload   []byte   `json:"payload,omitempty"`
	Props     []byte   `json:"properties,omitempty"`
	Publisher jsonText `json:"publisher,omitempty"`
	User      jsonText `json:"user,omitempty"`
	Created   int64    `json:"created,string"`
	Expires   int64    `json:"expires,omitempty,string"`
	QoS       byte     `json:"qos,omitempty"`
	Retain    bool     `json:"retain,omitempty"`
}

func exportMessage(m *message.Message) *messageLine {
	if m == nil {
		return nil
	}
	return &messageLine{
		Run: m.ID.Run, Seq: m.ID.Seq, Topic: jsonText(m.Topic), Payload: m.Payload, Props: m.Props, Publisher: jsonText(m.Publisher), User: jsonText(m.User),
		Created: m.Created, Expires: m.Expires, QoS: m.QoS, Retain: m.Retain,
	}
}

func (l *messageLine) message() *message.Message {
	if l == nil {
		return nil
	}
	return &message.Message{
		ID: message.ID{Run: l.Run, Seq: l.Seq}, Topic: string(l.Topic), Payload: l.Payload, Props: l.Props, Publisher: message.ClientID(l.Publisher),
		User: string(l.User), Created: l.Created, Expires: l.Expires, QoS: l.QoS, Retain: l.Retain,
	}
}

func exportSub(s *store.Subscription) *subLine {
	return &subLine{Filter: jsonText(s.Filter), ID: s.ID, QoS: s.QoS, RetainHandling: s.RetainHandling, NoLocal: s.NoLocal, RetainAsPub: s.RetainAsPub}
}

func (l *subLine) sub() store.Subscription {
	return store.Subscription{Filter: string(l.Filter), ID: l.ID, QoS: l.QoS, RetainHandling: l.RetainHandling, NoLocal: l.NoLocal, RetainAsPub: l.RetainAsPub}
}

func exportSession(s *store.Session, f *figures) *sessionLine {
	l := &sessionLine{
		Client: jsonText(s.ID), User: jsonText(s.User), HasUser: s.HasUser, Epoch: uint64(s.Epoch), Fence: uint64(f.epoch), Version: s.Version,
		Expiry: s.Expiry, ExpiresAt: s.ExpiresAt, Messages: f.queue.Messages, Bytes: f.queue.Bytes, Last: f.queue.Last, Asking: f.queue.Asking,
	}
	if w := s.Will; w != nil {
		l.Will = &willLine{Message: exportMessage(w.Message), Delay: w.Delay, At: w.At, Expiry: w.Expiry, HasExp: w.HasExp}
	}
	return l
}

func (l *sessionLine) session() *store.Session {
	s := &store.Session{
		ID: message.ClientID(l.Client), User: string(l.User), HasUser: l.HasUser, Epoch: message.Epoch(l.Epoch), Version: l.Version,
		Expiry: l.Expiry, ExpiresAt: l.ExpiresAt,
	}
	if w := l.Will; w != nil {
		s.Will = &store.Will{Message: w.Message.message(), Delay: w.Delay, At: w.At, Expiry: w.Expiry, HasExp: w.HasExp}
	}
	return s
}

// exporter writes lines.
type exporter struct {
	enc *json.Encoder
	n   int64
}

func (e *exporter) line(l *line) error {
	e.n++
	if err := e.enc.Encode(l); err != nil {
		return fmt.Errorf("write line %d: %w", e.n, err)
	}
	return nil
}

// Export writes everything that is stored, as lines of JSON; see the package
// documentation for the format. It holds one record at a time.
func (v *View) Export(ctx context.Context, w io.Writer) error {
	buf := bufio.NewWriterSize(w, 1<<16)
	e := &exporter{enc: json.NewEncoder(buf)}
	e.enc.SetEscapeHTML(false)
	if err := e.line(&line{Kind: kindHeader, Version: exportVersion}); err != nil {
		return err
	}
	for _, part := range []func(*reader) error{e.bodies, v.sessions(ctx, e), e.retained, e.delayed, e.groups} {
		if err := v.with(ctx, part); err != nil {
			return err
		}
	}
	if err := e.line(&line{Kind: kindEnd, Lines: e.n - 1}); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (e *exporter) bodies(r *reader) error {
	return r.each([]byte{spaceBody}, []byte{spaceBody}, func(key, val []byte) (bool, error) {
		m, err := r.names.message(val)
		if err != nil || len(key) != lenNumbered {
			return false, fmt.Errorf("body %x: %w", key, ErrDamaged)
		}
		return true, e.line(&line{Kind: kindBody, Body: uint64(keyNumber(key)), Message: exportMessage(m)})
	})
}

// sessions writes the sessions; their records are read by a second reader, one
// after the other.
func (v *View) sessions(ctx context.Context, e *exporter) func(*reader) error {
	return func(r *reader) error {
		return r.heads(func(n number, _ *store.Head) (bool, error) {
			return true, v.with(ctx, func(r *reader) error { return e.session(r, n) })
		})
	}
}

func (e *exporter) session(r *reader, n number) error {
	var h store.Head
	var cursors []store.Cursor
	f, err := r.top(n, &h, &cursors)
	if err != nil {
		return err
	}
	if err := e.line(&line{Kind: kindSession, Session: exportSession(&h.Session, &f)}); err != nil {
		return err
	}
	for i := range h.Subs {
		if err := e.line(&line{Kind: kindSub, Sub: exportSub(&h.Subs[i])}); err != nil {
			return err
		}
	}
	for i := range cursors {
		c := &cursors[i]
		if err := e.line(&line{Kind: kindCursor, Filter: jsonText(c.Filter), After: jsonText(c.After), At: c.Since, Sub: exportSub(&c.Sub)}); err != nil {
			return err
		}
	}
	ids, err := r.received(n)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := e.line(&line{Kind: kindReceived, ID: uint16(id)}); err != nil {
			return err
		}
	}
	return e.entries(r, n, f.lane.head)
}

func (e *exporter) entries(r *reader, n number, head uint64) error {
	states, err := r.states(n, head)
	if err != nil {
		return err
	}
	return r.each(appendNumber(nil, spaceQueue, n), appendSeq(nil, spaceQueue, n, head), func(key, val []byte) (bool, error) {
		if len(key) != lenSeq {
			return false, ErrDamaged
		}
		v, err := parseEntry(val, keySeq(key))
		if err != nil {
			return false, err
		}
		l := line{Kind: kindEntry, Seq: v.Seq, QoS: v.QoS, Retain: v.Retain, SubIDs: v.SubIDs, Body: v.body}
		if v.body == 0 {
			m, err := r.names.message(v.inline)
			if err != nil {
				return false, err
			}
			l.Message = exportMessage(m)
		}
		for len(states) > 0 && states[0].Seq < v.Seq {
			states = states[1:]
		}
		if len(states) > 0 && states[0].Seq == v.Seq {
			l.ID, l.Phase = uint16(states[0].State.ID), byte(states[0].State.Phase)
		}
		return true, e.line(&l)
	})
}

func (e *exporter) retained(r *reader) error {
	return r.each([]byte{spaceRetained}, []byte{spaceRetained}, func(key, val []byte) (bool, error) {
		m, err := r.names.message(val)
		if err != nil {
			return false, err
		}
		return true, e.line(&line{Kind: kindRetained, Filter: jsonText(key[1:]), Message: exportMessage(m)})
	})
}

func (e *exporter) delayed(r *reader) error {
	var err error
	err2 := r.delayed(func(seq uint64, at int64, m *message.Message) bool {
		err = e.line(&line{Kind: kindDelayed, Seq: seq, At: at, Message: exportMessage(m)})
		return err == nil
	})
	return first(err, err2)
}

func (e *exporter) groups(r *reader) error {
	var err error
	err2 := r.groups(func(group string, seq uint64, m *message.Message) bool {
		err = e.line(&line{Kind: kindGroup, Group: jsonText(group), Seq: seq, Message: exportMessage(m)})
		return err == nil
	})
	return first(err, err2)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// where names a line of an import.
func where(n int64) string { return "line " + strconv.FormatInt(n, 10) }
