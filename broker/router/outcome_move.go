package router

import (
	"fmt"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// move gives what a mailbox has of summaries to the own one. It reports false while
// receipts wait to be published, whose records may be there.
func (s *outcomes) move(id message.MailboxID) bool {
	s.r.store.Begin() // before mu, as everywhere
	defer s.r.store.End()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running || len(s.list) > 0 {
		return false
	}
	for _, t := range s.tallies {
		if t.record.box == id {
			s.moveLocked(t)
		}
	}
	return true
}

// moveLocked writes the records of a summary anew. Which note is whose is not known any
// more, and makes no difference. The store takes the batches over and, of these, calls
// nothing back that takes a lock.
func (s *outcomes) moveLocked(t *tally) {
	head := *t.m
	head.Payload = fmt.Appendf(nil, "%d %d", t.all, t.left+len(t.notes))
	old := told{records: append(t.notes, t.record)}
	t.notes = nil
	t.record = s.writeLocked(&head)
	for text, n := range t.counts {
		if text == wordDropped+" "+reasonRestart { // of what had no note
			continue
		}
		for range n {
			t.notes = append(t.notes, s.writeLocked(&message.Message{ID: t.m.ID, Payload: []byte(text)}))
		}
	}
	s.r.forgetTold(&old)
}

func (s *outcomes) writeLocked(m *message.Message) delayedKey {
	key := delayedKey{"", s.r.delayed.number()}
	s.r.commitNode(store.Op{Kind: store.KindDelayed, Seq: key.seq, At: neverDue, Msg: m}, nil)
	return key
}
