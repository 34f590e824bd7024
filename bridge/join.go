package bridge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/skeinmq/skein/broker/message"
)

var stepJoin = step("join")

// Format is the newest format of what is in Redis that this build reads and writes. A
// rolling upgrade needs no pause: what is written is what every live instance can read.
const Format = 1

// Errors that end an instance: waiting does not mend them.
var (
	// ErrFormat is that the data is of a newer format than this build reads.
	ErrFormat = errors.New("bridge: the data in Redis is of a newer format than this version reads: run a newer version")
	// ErrReplaced is that the data in Redis is not that which was there before.
	ErrReplaced = errors.New("bridge: Redis has lost or swapped its data while this instance ran: look at its persistence before instances are started on what is there now")
	// ErrRejoin is that another instance has taken over the mailbox of this one, which
	// was silent for longer than its lease: it can start again at once.
	ErrRejoin = errors.New("bridge: another instance has taken over from this one, which was silent for longer than its lease")
)

// membership is what an instance has found to be common to all.
type membership struct {
	*link
	newest int // format that this build reads

	mu       sync.Mutex
	identity string // of the data
}

func newMembership(l *link, newest int) *membership {
	return &membership{link: l, newest: newest}
}

// join announces the instance, and finds out whether the data is what it was the last
// time. The lease must be held already.
func (m *membership) join(ctx context.Context, box message.MailboxID) error {
	var random [12]byte
	_, _ = rand.Read(random[:]) // it never fails
	keys := []string{m.keys.meta(), m.keys.leases(), m.keys.formats()}
	v, err := m.step(ctx, stepJoin, keys, string(box), m.newest, hex.EncodeToString(random[:]))
	if err != nil {
		return fmt.Errorf("join the cluster: %w", err)
	}
	list, _ := v.([]any)
	if len(list) != 2 {
		return damaged(m.keys.meta(), ErrRecord)
	}
	written, _ := list[0].(int64)
	identity, _ := list[1].(string)
	if int(written) > m.newest {
		return fmt.Errorf("%w (format %d, this version reads up to %d)", ErrFormat, written, m.newest)
	}
	return m.same(identity)
}

// same compares the identity with the one that was found first.
func (m *membership) same(identity string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.identity == "" {
		m.identity = identity
	}
	if m.identity != identity {
		return ErrReplaced
	}
	return nil
}

// verify looks whether the data is still what it was. It writes nothing.
func (m *membership) verify(ctx context.Context) error {
	var s []any
	err := m.retry(ctx, "look at the identity of the data", func(ctx context.Context) (err error) {
		s, err = m.client.HMGet(ctx, m.keys.meta(), "identity").Result()
		return err
	})
	if err != nil {
		return err
	}
	return m.same(field(s, 0))
}
