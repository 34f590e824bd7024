package main

import (
	"context"
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

// readContents reads all but the queues, whose figures are stored beside them.
func readContents(ctx context.Context, v *disk.View) (*contents, error) {
	z, err := v.Sizes(ctx)
	if err != nil {
		return nil, err
	}
	c := &contents{Sessions: make([]sessionInfo, 0, z.Sessions), Totals: totals{
		Sessions: z.Sessions, Ending: z.Ending, Subscriptions: z.Subscriptions, Queued: z.Queued, QueuedBytes: z.QueuedBytes,
		GroupQueued: z.GroupEntries, Retained: z.Retained, RetainedBytes: z.RetainedBytes, Delayed: z.Delayed, Disk: z.Disk,
	}}
	return c, v.Sessions(ctx, func(s *disk.SessionSizes) bool {
		c.Sessions = append(c.Sessions, infoOf(s))
		c.Totals.InFlight += s.InFlight
		return true
	})
}

func infoOf(s *disk.SessionSizes) sessionInfo {
	i := sessionInfo{
		Client: s.Client, User: s.User, Subscriptions: s.Subscriptions, Queued: s.Queued, QueuedBytes: s.QueuedBytes, InFlight: s.InFlight, Will: s.Will,
	}
	if s.Expiry != math.MaxUint32 {
		expiry := s.Expiry
		i.Expiry = &expiry
	}
	if s.ExpiresAt != 0 {
		at := time.Unix(0, s.ExpiresAt).UTC()
		i.ExpiresAt = &at
	}
	return i
}
