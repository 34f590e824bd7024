package storetest

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

func retained(s *suite) {
	a, b := retain("a/b", msg(1)), retain("a", msg(2))
	s.commit(on("", 0, a, b, retain("a/b/c", msg(3))))
	s.commit(on("", 0, retain("a/b", msg(4)), remove(b), remove(retain("not there", msg(1)))))
	got := map[string]string{}
	if err := s.Retained(ctx, func(m *message.Message) bool {
		got[m.Topic] = renderMessage(m)
		s.commit(on("", 0, retain("a/b/c", msg(3)))) // a visitor may write
		return true
	}); err != nil {
		s.Fatal(err)
	}
	want := retain("a/b", msg(4))
	if len(got) != 2 || got["a/b"] != renderMessage(want.Msg) || got["a/b/c"] == "" {
		s.Errorf("retained are %v", got)
	}
	n := 0
	if err := s.Retained(ctx, func(*message.Message) bool { n++; return false }); err != nil || n != 1 {
		s.Errorf("visited %d after an end, %v", n, err)
	}
}

func delayedMessages(s *suite) {
	s.commit(on("", 0, later(1, 10, msg(1)), later(256, 20, msg(2)), later(1<<40, 30, msg(3))))
	s.commit(on("", 0, remove(later(256, 0, nil)), later(1, 11, msg(4)), remove(later(77, 0, nil))))
	got := map[uint64]string{}
	if err := s.Delayed(ctx, func(seq uint64, at int64, m *message.Message) bool {
		if seq == 1 && at != 11 || seq == 1<<40 && at != 30 {
			s.Errorf("message %d is due at %d", seq, at)
		}
		got[seq] = renderMessage(m)
		s.commit(on("", 0, remove(later(99, 0, nil))))
		return true
	}); err != nil {
		s.Fatal(err)
	}
	if len(got) != 2 || got[1] != renderMessage(msg(4)) || got[1<<40] != renderMessage(msg(3)) {
		s.Errorf("delayed are %v", got)
	}
	n := 0
	if err := s.Delayed(ctx, func(uint64, int64, *message.Message) bool { n++; return false }); err != nil || n != 1 {
		s.Errorf("visited %d after an end, %v", n, err)
	}
}

// badBatch: one operation that cannot be spoils the whole batch.
func badBatch(s *suite) {
	s.commit(full("client", 1))
	before := s.image("client")
	for name, bad := range map[string]store.Op{
		"no kind": {}, "unknown kind": {Kind: 99}, "kind of the node": retain("t", msg(1)), "head without a session": {Kind: store.KindSession},
	} {
		if err := s.do(on("client", 1, entry(70), remove(received(1)), bad, entry(71))); err == nil {
			s.Errorf("%s: accepted", name)
		}
		s.same(name, s.image("client"), before)
	}
	node := s.node()
	if err := s.do(on("", 0, retain("t", msg(1)), entry(1))); err == nil {
		s.Error("the node has an entry")
	}
	s.same("node", s.node(), node)
}
