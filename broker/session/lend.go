package session

import (
	"math"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// Loan is a run of messages of QoS 1 that was sent and is not recorded: the client is
// likely to acknowledge all of it before a record would be written. It has the messages
// in case it does not.
type Loan interface {
	// Message answers the i-th message of the run.
	Message(i int) *message.Message
}

// loan is a run whose records are owed.
type loan struct {
	of    Loan
	first uint64 // Seq of its first message
	n     int
	left  int   // messages that are not acknowledged
	at    int64 // when it was sent
}

// loans are those of a session, by Seq. Those that are done wait for the ones before.
type loans struct {
	list []loan
	head int
}

// Lend notes that the next n calls of Assign give the messages of l their identifiers:
// they are sent at once, and recorded by Recall if they are not acknowledged before.
// Only for persistent sessions, after Free. now is a time of the caller's.
func (s *Session) Lend(l Loan, n int, now int64) {
	if s.lent == nil {
		s.lent = new(loans)
	}
	s.lent.list = append(s.lent.list, loan{l, s.seq + 1, n, n, now})
}

// Lent answers when the oldest run was sent that has no record and is not acknowledged.
func (s *Session) Lent() (at int64, ok bool) {
	if s.lent == nil || s.lent.head == len(s.lent.list) {
		return 0, false
	}
	return s.lent.list[s.lent.head].at, true
}

// Recall records what was lent until a time and is not acknowledged, which makes it
// like what was sent through the queue.
func (s *Session) Recall(o *Output, until int64) {
	if at, ok := s.Lent(); !ok || at > until {
		return
	}
	l := s.lent
	to := l.head
	for to < len(l.list) && l.list[to].at <= until {
		to++
	}
	due := l.list[l.head:to]
	end := due[len(due)-1].first + uint64(due[len(due)-1].n)
	for _, id := range s.win.inOrder() {
		sl := s.win.at(id)
		if !sl.lent || sl.entry.Seq >= end {
			continue
		}
		for sl.entry.Seq >= due[0].first+uint64(due[0].n) {
			due = due[1:]
		}
		sl.lent = false
		sl.entry.Msg = due[0].of.Message(int(sl.entry.Seq - due[0].first))
		s.record(o, store.Op{Kind: store.KindEntry, Seq: sl.entry.Seq, Entry: sl.entry.Entry})
		s.record(o, sl.state())
	}
	for i := l.head; i < to; i++ {
		if l.list[i].left > 0 {
			o.Recorded = append(o.Recorded, l.list[i].of)
		}
	}
	l.drop(to)
}

// Forsake gives up what was lent: the session ends.
func (s *Session) Forsake(o *Output) {
	if s.lent == nil {
		return
	}
	for _, l := range s.lent.list[s.lent.head:] {
		if l.left > 0 {
			o.Repaid = append(o.Repaid, l.of)
		}
	}
	s.lent = nil
}

// recallAll is Recall before a record of a later message: those of a session are
// written in the order of their Seq.
func (s *Session) recallAll(o *Output) {
	if s.lent != nil {
		s.Recall(o, math.MaxInt64)
	}
}

// repay ends the delivery of a message that has no record.
func (s *Session) repay(o *Output, sl *slot, code byte) {
	l := s.lent
	i := l.head
	for sl.entry.Seq >= l.list[i].first+uint64(l.list[i].n) {
		i++
	}
	run := &l.list[i]
	if code >= firstFailure {
		sl.entry.Msg = run.of.Message(int(sl.entry.Seq - run.first))
		o.Code = code
		o.dropped(&sl.entry, DropRefused)
	} else {
		o.acked(&sl.entry)
	}
	s.win.free(sl)
	if run.left--; run.left > 0 {
		return
	}
	o.Repaid = append(o.Repaid, run.of)
	run.of = nil
	for i = l.head; i < len(l.list) && l.list[i].left == 0; i++ {
	}
	l.drop(i)
}

// drop lets go of the loans before to.
func (l *loans) drop(to int) {
	clear(l.list[l.head:to])
	l.head = to
	switch {
	case to == len(l.list):
		l.list, l.head = l.list[:0], 0
	case to >= 64 && 2*to >= len(l.list):
		n := copy(l.list, l.list[to:])
		clear(l.list[n:])
		l.list, l.head = l.list[:n], 0
	}
}
