package session

import (
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// asks makes an entry whose publisher wants to know.
func asks(n int, qos byte) Entry {
	e := entry(n, qos, 0)
	e.Msg.ID.Seq = uint64(n) + 1
	e.Msg.Props = []byte("\x26\x00\x0dskein-receipt\x00\x01r")
	return e
}

// What asks is counted as long as its entry is there, also over a restart, and told once.
func TestAsking(t *testing.T) {
	r := online(t, true, 2)
	var acked []int
	r.out.Acked = func(e *Entry) { acked = append(acked, int(e.Msg.ID.Seq)) }
	count := func(want int) {
		t.Helper()
		if got := r.Asking(); got != want || r.Figures().Asking != want {
			t.Errorf("%d ask, want %d", got, want)
		}
	}
	for n, qos := range []byte{1, 2, 1, 0} {
		r.Enqueue(&r.out, asks(n, qos))
	}
	r.put(9, 1) // does not ask
	count(3)    // QoS 0 has no record
	if r.sent() == "" {
		t.Fatal("nothing sent")
	}
	r.known(r.Puback(&r.out, 1, 0))
	r.known(r.Pubrec(&r.out, message.V5, 2, 0x80))
	count(1)
	if len(r.drops) != 1 || r.out.Code != 0x80 || len(acked) != 1 {
		t.Errorf("dropped %v with %x, acknowledged %v", r.drops, r.out.Code, acked)
	}
	if again := RestoreHead(r.Figures(), Limits{}); again.Asking() != 1 {
		t.Errorf("restored %d", again.Asking())
	}
	n := 0
	r.Each(func(e *Entry) {
		if e.Msg.ReceiptTopic() != "" {
			n++
		}
	})
	if n != 2 { // QoS 1, and QoS 0 behind it
		t.Errorf("%d are there", n)
	}
}

// An entry that was dropped and whose flow goes on asks no more, in its record neither.
func TestAskingOfWhatIsTooLarge(t *testing.T) {
	r := online(t, true, 2)
	acked := 0
	r.out.Acked = func(*Entry) { acked++ }
	r.Enqueue(&r.out, asks(0, 2))
	if r.sent() == "" {
		t.Fatal("nothing sent")
	}
	r.frames()
	r.Disconnected()
	r.out.Ops = nil
	r.Connected(narrow{}, 2)
	r.Fill(&r.out, 0, 1<<20)
	if r.Asking() != 0 || len(r.drops) != 1 {
		t.Errorf("%d ask, dropped %v", r.Asking(), r.drops)
	}
	written := 0
	for i := range r.out.Ops {
		if op := &r.out.Ops[i]; op.Kind == store.KindEntry && !op.Delete {
			if written++; op.Entry.Msg.ReceiptTopic() != "" {
				t.Error("the record still asks")
			}
		}
	}
	if written != 1 {
		t.Errorf("written %d times", written)
	}
	r.known(r.Pubcomp(&r.out, 1))
	if acked != 0 {
		t.Error("told twice")
	}
}

// narrow encodes nothing: every packet is too large.
type narrow struct{}

func (narrow) AppendPublish(dst []byte, _ *Entry, _ message.PacketID, _ bool, _ int64) ([]byte, bool) {
	return dst, false
}
