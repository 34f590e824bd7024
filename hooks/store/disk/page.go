package disk

import (
	"context"
	"fmt"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// page collects entries and looks up the shared bodies afterwards, so that the
// reader goes through the queue without turning.
type page struct {
	entries []store.Entry
	bodies  []uint64 // 0: inline, and decoded
	shared  int
	bytes   int64
}

func (p *page) add(r *reader, val []byte, seq uint64) error {
	v, err := parseEntry(val, seq)
	if err != nil {
		return err
	}
	if v.body != 0 {
		p.shared++
		p.bytes += int64(v.size)
	} else {
		if v.Msg, err = r.names.message(v.inline); err != nil {
			return err
		}
		p.bytes += int64(v.Msg.Size())
	}
	p.entries = append(p.entries, v.Entry)
	p.bodies = append(p.bodies, v.body)
	return nil
}

func (p *page) resolve(r *reader) error {
	if p.shared == 0 {
		return nil
	}
	for i, body := range p.bodies {
		if body == 0 {
			continue
		}
		v, ok, err := r.get(appendBody(nil, spaceBody, body))
		if err == nil && !ok {
			err = fmt.Errorf("body %d is not there: %w", body, ErrDamaged)
		}
		if err != nil {
			return err
		}
		if p.entries[i].Msg, err = r.names.message(v); err != nil {
			return fmt.Errorf("body %d: %w", body, err)
		}
	}
	return nil
}

// Page implements store.Pager.
func (s *Store) Page(ctx context.Context, id message.ClientID, after uint64, max int, bytes int64) ([]store.Entry, error) {
	var p page
	err := s.with(ctx, func(r *reader) error {
		n, err := r.session(id)
		if err != nil {
			return err
		}
		if after+1 == 0 {
			return nil
		}
		return r.page(&p, n, after+1, max, bytes)
	})
	if err != nil {
		return nil, err
	}
	return p.entries, nil
}

// head is where a session's queue begins.
func (r *reader) head(n number) (uint64, error) {
	v, ok, err := r.get(appendPart(nil, n, partFigure))
	if err != nil || !ok {
		return 0, err
	}
	f, err := parseFigures(v)
	return f.lane.head, err
}

// page reads entries from a Seq on whose delivery has not begun.
func (r *reader) page(p *page, n number, from uint64, max int, bytes int64) error {
	if max <= 0 {
		return nil
	}
	head, err := r.head(n)
	if err != nil {
		return err
	}
	if head > from {
		from = head
	}
	begun, err := r.states(n, from)
	if err != nil {
		return err
	}
	err = r.each(appendNumber(nil, spaceQueue, n), appendSeq(nil, spaceQueue, n, from), func(key, val []byte) (bool, error) {
		if len(key) != lenSeq {
			return false, ErrDamaged
		}
		seq := keySeq(key)
		for len(begun) > 0 && begun[0].Seq < seq {
			begun = begun[1:]
		}
		if len(begun) > 0 && begun[0].Seq == seq && begun[0].State.Phase != store.Queued {
			return true, nil
		}
		before := p.bytes
		if err := p.add(r, val, seq); err != nil {
			return false, err
		}
		if last := len(p.entries) - 1; last > 0 && p.bytes > bytes {
			p.entries, p.bodies, p.bytes = p.entries[:last], p.bodies[:last], before
			return false, nil
		}
		return len(p.entries) < max, nil
	})
	if err != nil {
		return err
	}
	return p.resolve(r)
}

// Retained implements store.Node.
func (s *Store) Retained(ctx context.Context, visit func(*message.Message) bool) error {
	return s.with(ctx, func(r *reader) error { return r.retained(visit) })
}

func (r *reader) retained(visit func(*message.Message) bool) error {
	prefix := []byte{spaceRetained}
	return r.each(prefix, prefix, func(_, val []byte) (bool, error) {
		m, err := r.names.message(val)
		if err != nil {
			return false, err
		}
		return visit(m), nil
	})
}

// Delayed implements store.Node.
func (s *Store) Delayed(ctx context.Context, visit func(seq uint64, at int64, m *message.Message) bool) error {
	return s.with(ctx, func(r *reader) error { return r.delayed(visit) })
}

func (r *reader) delayed(visit func(seq uint64, at int64, m *message.Message) bool) error {
	prefix := []byte{spaceDelayed}
	return r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		if len(key) != lenNumbered {
			return false, ErrDamaged
		}
		at, m, err := parseDue(val)
		if err != nil {
			return false, err
		}
		return visit(uint64(keyNumber(key)), at, m), nil
	})
}

// GroupEntries implements store.Groups.
func (s *Store) GroupEntries(ctx context.Context, visit func(group string, seq uint64, m *message.Message) bool) error {
	return s.with(ctx, func(r *reader) error { return r.groups(visit) })
}

func (r *reader) groups(visit func(group string, seq uint64, m *message.Message) bool) error {
	prefix := []byte{spaceGroup}
	return r.each(prefix, prefix, func(key, val []byte) (bool, error) {
		group, seq, ok := splitGroup(key)
		if !ok {
			return false, ErrDamaged
		}
		m, err := r.names.message(val)
		if err != nil {
			return false, err
		}
		return visit(group, seq, m), nil
	})
}
