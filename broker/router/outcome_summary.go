package router

import (
	"fmt"
	"strings"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// tally gathers the outcomes of a message that has more targets than are told of one by
// one. While it is open it is in memory, and for a message of QoS 1 or 2 in the store: a
// record of the message and of how many outcomes it has, committed with the publish, and
// a note for each outcome, committed with what ends its entry. Notes only add, so the
// order in which batches of several sessions are committed does not matter, and nothing
// that changes is written by two. The last outcome takes all of them away, in one with
// publishing the summary.
//
// What has no record itself (QoS 0, sessions that end with their connection) ends with
// the process: after a restart it is counted as dropped, reason "restart".
type tally struct {
	m      *message.Message // without its payload
	record delayedKey       // without a number: none
	notes  []delayedKey
	fresh  bool           // it was read, and its notes may not have been
	all    int            // outcomes
	left   int            // that are not known yet; one more until the message has been routed
	counts map[string]int // by word and reason
}

// note is the record of one outcome.
func note(m *message.Message, o *outcome) *message.Message {
	return &message.Message{ID: m.ID, Payload: []byte(strings.TrimSpace(o.word + " " + o.reason))}
}

// counted reports whether outcomes of a message are counted.
func (s *outcomes) counted(id message.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tallies[id] != nil
}

// open begins the tally of a message that has too many targets.
func (s *outcomes) open(m *message.Message, all int) {
	if all <= s.r.Settings().ReceiptsEach {
		return
	}
	kept := *m
	kept.Payload = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tallies[m.ID] != nil { // it is routed again
		return
	}
	s.tallies[m.ID] = &tally{m: &kept, all: all, left: all + 1, counts: map[string]int{}}
}

// closeTally says that a message has been routed: all targets are known.
func (r *Router) closeTally(m *message.Message, all, known int, wait func() *Pending) {
	if !r.outcomes.counted(m.ID) {
		return
	}
	record := uint64(0)
	if m.QoS > 0 {
		record = r.delayed.number()
		head := *m
		head.Payload = fmt.Appendf(nil, "%d %d", all, known)
		op := store.Op{Kind: store.KindDelayed, Seq: record, At: neverDue, Msg: &head}
		var pend *Pending
		if wait != nil {
			pend = wait()
		}
		r.commitNode(op, pend)
	}
	r.outcomes.count(m.ID, func(t *tally) { t.record.seq = record })
}

// count notes an outcome; add says which. With the last one the summary is published.
func (s *outcomes) count(id message.ID, add func(*tally)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tallies[id]
	if t == nil {
		return false
	}
	add(t)
	t.left--
	s.finishLocked(t)
	return true
}

func (s *outcomes) finishLocked(t *tally) {
	if t.left > 0 {
		return
	}
	delete(s.tallies, t.m.ID)
	item := told{records: t.notes}
	if t.record.seq != 0 {
		item.records = append(item.records, t.record)
	}
	if to := s.r.asks(t.m); to != "" {
		item.m = s.r.receiptOf(t.m, to, t.body())
	}
	s.pushLocked(item)
}

func (t *tally) body() *receiptBody {
	b := &receiptBody{Outcome: wordSummary, Targets: t.all, Counts: map[string]int{}}
	for text, n := range t.counts {
		word, reason, _ := strings.Cut(text, " ")
		b.Counts[word] += n
		if reason != "" {
			if b.Reasons == nil {
				b.Reasons = map[string]int{}
			}
			b.Reasons[reason] += n
		}
	}
	return b
}

// restore takes a record of a receipt back. Those of summaries are put together when all
// have been read, see restored.
func (s *outcomes) restore(record delayedKey, at int64, m *message.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case at == dueAtOnce:
		s.pushLocked(told{m: m, records: []delayedKey{record}, again: true})
	case m.Topic != "":
		t := &tally{m: m, record: record, fresh: true, counts: map[string]int{}}
		if _, err := fmt.Sscan(string(m.Payload), &t.all, &t.left); err != nil {
			s.r.log.Error("stored summary of receipts is invalid", "topic", m.Topic, "error", err)
			s.pushLocked(told{records: []delayedKey{record}})
			return
		}
		s.tallies[m.ID] = t
	default:
		s.loose = append(s.loose, looseNote{m.ID, string(m.Payload), record})
	}
}

// looseNote is a note that was read before its message may have been.
type looseNote struct {
	id     message.ID
	text   string
	record delayedKey
}

// restored puts the summaries together that were read. A note without one belongs to a
// summary that was published.
func (s *outcomes) restored() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.loose {
		t := s.tallies[n.id]
		if t == nil {
			s.pushLocked(told{records: []delayedKey{n.record}})
			continue
		}
		t.counts[n.text]++
		t.notes = append(t.notes, n.record)
		t.left--
	}
	s.loose = nil
	for _, t := range s.tallies {
		if t.fresh {
			t.fresh = false
			s.lostLocked(t)
			s.finishLocked(t)
		}
	}
}

// lostLocked counts what of a message only the process knew that ended. left is what is
// still to come of what is known.
func (s *outcomes) lostLocked(t *tally) {
	if lost := t.all - t.left - len(t.notes); lost > 0 {
		t.counts[wordDropped+" "+reasonRestart] += lost
	}
}
