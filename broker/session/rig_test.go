package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// rig is a session with what it produced since the last look.
type rig struct {
	t *testing.T
	*Session
	out   Output
	max   int // Maximum Packet Size, 0 is none
	drops []string
}

func newRig(t *testing.T, persistent bool, l Limits) *rig {
	r := &rig{t: t, Session: New(persistent, l)}
	r.out.Dropped = func(e *Entry, why Drop) {
		n := uint32(0)
		if e.Msg != nil {
			n = binary.BigEndian.Uint32(e.Msg.Payload)
		}
		r.drops = append(r.drops, fmt.Sprintf("%d:%d", n, why))
	}
	return r
}

// online is a rig with a connection of the given window.
func online(t *testing.T, persistent bool, window int) *rig {
	r := newRig(t, persistent, Limits{})
	r.Connected(r, window)
	return r
}

// AppendPublish implements Encoder.
func (r *rig) AppendPublish(dst []byte, e *Entry, id message.PacketID, dup bool, now int64) ([]byte, bool) {
	f := message.Form{Version: message.V311, QoS: e.QoS, Dup: dup, Now: now}
	if r.max > 0 && f.Len(e.Msg) > r.max {
		return dst, false
	}
	return f.Append(dst, e.Msg, id), true
}

// put enqueues message n.
func (r *rig) put(n int, qos byte) bool { return r.Enqueue(&r.out, entry(n, qos, 0)) }

func entry(n int, qos byte, pad int) Entry {
	m := &message.Message{Topic: "t", Payload: make([]byte, 4+pad), QoS: qos}
	binary.BigEndian.PutUint32(m.Payload, uint32(n))
	return Entry{Entry: store.Entry{Msg: m, QoS: qos}}
}

// sent fills and answers what left or will leave, and whether anything waits for a
// commit: "P2 7@3" is PUBLISH of QoS 2, message 7, identifier 3; a "+" is DUP.
func (r *rig) sent() string {
	r.Fill(&r.out, 0, everything)
	return r.frames()
}

// frames renders the output so far, those that wait for the commit after a bar.
func (r *rig) frames() string {
	now, after := render(r.out.Now), render(r.out.After)
	r.out.Now, r.out.After = nil, nil
	if after != "" {
		return strings.TrimSpace(now + " | " + after)
	}
	return now
}

func render(b []byte) string {
	var s []string
	each(b, func(f frame) {
		switch f.typ {
		case 3:
			dup := ""
			if f.dup {
				dup = "+"
			}
			s = append(s, fmt.Sprintf("P%d%s %d@%d", f.qos, dup, f.u, f.id))
		case 6, 7:
			name := map[byte]string{6: "REL", 7: "COMP"}[f.typ]
			if f.code != 0 {
				name += fmt.Sprintf("(%#x)", f.code)
			}
			s = append(s, fmt.Sprintf("%s@%d", name, f.id))
		}
	})
	return strings.Join(s, ", ")
}

// ops renders the records so far and takes them as committed.
func (r *rig) ops() string {
	var s []string
	for i := range r.out.Ops {
		op := &r.out.Ops[i]
		sign := "+"
		if op.Delete {
			sign = "-"
		}
		switch op.Kind {
		case store.KindEntry:
			s = append(s, fmt.Sprintf("%sentry %d", sign, op.Seq))
		case store.KindState:
			s = append(s, fmt.Sprintf("state %d id %d phase %d", op.Seq, op.State.ID, op.State.Phase))
		case store.KindReceived:
			s = append(s, fmt.Sprintf("%sreceived %d", sign, op.ID))
		}
	}
	r.out.Ops = nil
	return strings.Join(s, ", ")
}

// want compares; what is named in the failure.
func (r *rig) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// known insists that an acknowledgement found its identifier.
func (r *rig) known(ok bool, err error) {
	r.t.Helper()
	if !ok || err != nil {
		r.t.Fatalf("acknowledgement: known is %v, error %v", ok, err)
	}
}

// acknowledge ends the delivery of an identifier of either QoS, or of none.
func (r *rig) acknowledge(id message.PacketID) {
	_, err := r.Puback(&r.out, id, 0)
	if errors.Is(err, ErrWrongFlow) {
		r.known(r.Pubrec(&r.out, message.V311, id, 0))
		r.known(r.Pubcomp(&r.out, id))
	}
}

// again begins another connection.
func (r *rig) again(window int) {
	r.Disconnected()
	r.Connected(r, window)
}

// restored is a rig with the session that a store would give back.
func restored(t *testing.T, l Limits, img *store.Image) *rig {
	r := newRig(t, true, l)
	r.Session = Restore(img, l)
	return r
}

func stored(seq, qos int, id message.PacketID, phase store.Phase) store.StoredEntry {
	e := entry(seq, byte(qos), 0).Entry
	e.Seq = uint64(seq)
	return store.StoredEntry{Entry: e, State: store.State{ID: id, Phase: phase}}
}
