package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/skeinmq/skein/hooks/store/disk"
)

// contents is what inspect tells of a store.
type contents struct {
	Dir      string        `json:"dir"`
	Sessions []sessionInfo `json:"sessions"` // oldest first
	Totals   totals        `json:"totals"`
}

// sessionInfo is what inspect tells of a session.
type sessionInfo struct {
	Client        string     `json:"client"`
	User          string     `json:"user,omitempty"`
	Subscriptions int        `json:"subscriptions"`
	Queued        int        `json:"queued"`         // messages whose delivery has not begun
	QueuedBytes   int64      `json:"queued_bytes"`   // their topics, properties and payloads
	InFlight      int        `json:"in_flight"`      // messages that were sent and not acknowledged
	Expiry        *uint32    `json:"expiry_seconds"` // after the end of the connection; nil: never
	ExpiresAt     *time.Time `json:"expires_at"`     // nil: never, or the client was connected to the last
	Will          bool       `json:"will"`           // there is one to be sent
}

// totals are those of the whole store.
type totals struct {
	Sessions      int    `json:"sessions"`
	Ending        int    `json:"ending_sessions"` // ended, and their records not all taken away
	Subscriptions int    `json:"subscriptions"`
	Queued        int    `json:"queued"`
	QueuedBytes   int64  `json:"queued_bytes"`
	InFlight      int    `json:"in_flight"`
	GroupQueued   int    `json:"group_queued"` // messages that wait in shared groups
	Retained      int    `json:"retained"`
	RetainedBytes int64  `json:"retained_bytes"` // topics, properties and payloads
	Delayed       int    `json:"delayed"`
	Disk          uint64 `json:"disk_bytes"`
}

// readContents reads everything once, in the form in which it is exported. That form
// is written down, so nothing here depends on how a store keeps it.
func readContents(ctx context.Context, v *disk.View) (*contents, error) {
	z, err := v.Sizes(ctx)
	if err != nil {
		return nil, err
	}
	c := &contents{Sessions: []sessionInfo{}, Totals: totals{Ending: z.Ending, Disk: z.Disk}}
	r, w := io.Pipe()
	exported := make(chan error, 1) // never full: one value is sent
	go func() {                     // ends with the export, at the latest when r is closed
		err := v.Export(ctx, w)
		_ = w.CloseWithError(err) // never fails
		exported <- err
	}()
	err = c.read(r)
	_ = r.CloseWithError(err) // never fails
	if err2 := <-exported; err2 != nil && err2 != err {
		err = err2 // the store's own word
	}
	return c, err
}

// exportedLine is what counts here of a line of an export.
type exportedLine struct {
	Kind    string
	Phase   byte
	Session *exportedSession
	Message json.RawMessage
}

type exportedSession struct {
	Client    exportedText
	User      exportedText
	Expiry    uint32
	ExpiresAt int64 `json:"expires_at,string"`
	Queued    int
	Bytes     int64 `json:"queued_bytes,string"`
	Will      json.RawMessage
}

// exportedText is a string, or the Base64 of one that is not UTF-8.
type exportedText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *exportedText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var v struct{ Base64 []byte }
	err := json.Unmarshal(b, &v)
	*t = exportedText(v.Base64)
	return err
}

// read adds the lines of an export.
func (c *contents) read(r io.Reader) error {
	dec := json.NewDecoder(r)
	for {
		var l exportedLine
		err := dec.Decode(&l)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.add(&l)
		}
		if err != nil {
			return fmt.Errorf("read what is stored: %w", err)
		}
	}
}

func (c *contents) add(l *exportedLine) error {
	z := &c.Totals
	switch l.Kind {
	case "session":
		c.Sessions = append(c.Sessions, l.Session.info())
		z.Sessions++
		z.Queued += l.Session.Queued
		z.QueuedBytes += l.Session.Bytes
	case "subscription":
		c.last().Subscriptions++
		z.Subscriptions++
	case "entry":
		if l.Phase != 0 {
			c.last().InFlight++
			z.InFlight++
		}
	case "retained":
		var m struct {
			Topic               exportedText
			Properties, Payload []byte
		}
		if err := json.Unmarshal(l.Message, &m); err != nil {
			return err
		}
		z.Retained++
		z.RetainedBytes += int64(len(m.Topic) + len(m.Properties) + len(m.Payload))
	case "delayed":
		z.Delayed++
	case "group":
		z.GroupQueued++
	}
	return nil
}

// last is the session whose lines come.
func (c *contents) last() *sessionInfo { return &c.Sessions[len(c.Sessions)-1] }

func (s *exportedSession) info() sessionInfo {
	i := sessionInfo{Client: string(s.Client), User: string(s.User), Queued: s.Queued, QueuedBytes: s.Bytes, Will: s.Will != nil}
	if s.Expiry != math.MaxUint32 {
		i.Expiry = &s.Expiry
	}
	if s.ExpiresAt != 0 {
		at := time.Unix(0, s.ExpiresAt).UTC()
		i.ExpiresAt = &at
	}
	return i
}
