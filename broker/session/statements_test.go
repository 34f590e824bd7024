package session

import (
	"testing"

	"github.com/skeinmq/skein/broker/message"
)

// The tests of this file and statements_flow_test.go are named by the normative statements of MQTT 5 that they
// are about.

func TestStatement_2_2_1_2_QoS0HasNoIdentifier(t *testing.T) {
	r := online(t, true, 1)
	r.put(1, 0)
	r.want("sent", r.sent(), "P0 1@0")
	if _, n, _ := r.Counts(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestStatement_2_2_1_4_NewIdentifierIsUnused(t *testing.T) {
	r := online(t, true, 65535)
	r.win.last = 65533
	for i := range 4 {
		r.put(i, 1)
	}
	r.want("around the end, without 0", r.sent(), "P1 0@65534, P1 1@65535, P1 2@1, P1 3@2")
	r.known(r.Puback(&r.out, 65535, 0))
	r.win.last = 65533
	r.put(4, 1)
	r.put(5, 1)
	r.want("only those that are free", r.sent(), "P1 4@65535, P1 5@3")
}

func TestStatement_2_2_1_4_AllIdentifiersThatMayBeUsed(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		r := online(t, persistent, 65535)
		seen := map[message.PacketID]bool{}
		for r.Free() > 0 {
			id := r.Assign(1)
			if id == 0 || seen[id] {
				t.Fatalf("id %d is given twice or 0, %d in use", id, len(seen))
			}
			seen[id] = true
		}
		if len(seen) != maxUsed || r.Ready(1) || r.Window(1) || !r.Window(0) {
			t.Errorf("%d in use, ready %v, window %v", len(seen), r.Ready(1), r.Window(1))
		}
		for id := message.PacketID(1); id < 200; id += 7 { // one goes, one comes
			r.known(r.Puback(&r.out, id, 0))
			delete(seen, id)
			next := r.Assign(1)
			if next == 0 || seen[next] {
				t.Fatalf("id %d is given twice", next)
			}
			seen[next] = true
		}
	}
}

func TestStatement_2_2_1_5_AnswersCarryTheIdentifier(t *testing.T) {
	r := online(t, false, 9)
	r.win.last = 0x1233
	r.put(1, 2)
	r.want("PUBLISH", r.sent(), "P2 1@4660")
	r.known(r.Pubrec(&r.out, message.V5, 0x1234, 0))
	r.want("PUBREL", r.frames(), "REL@4660")
	r.Received(&r.out, 0x4321)
	r.Pubrel(&r.out, message.V5, 0x4321)
	r.want("PUBCOMP", r.frames(), "COMP@17185")
}

func TestStatement_3_1_2_24_TooLargeIsNotSent(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		r := online(t, persistent, 1)
		r.max = 20
		for qos := range byte(3) {
			r.Enqueue(&r.out, entry(int(qos), qos, 30))
		}
		r.put(3, 1)
		r.want("sent", r.sent(), "P1 3@3")
		for _, qos := range []byte{0, 1, 2} {
			r.Push(&r.out, entry(int(qos)+4, qos, 30), 0)
		}
		r.want("pushed", r.frames(), "")
		if len(r.drops) != 6 || r.drops[5] != "6:2" {
			t.Errorf("dropped %v", r.drops)
		}
	}
}

func TestStatement_3_1_2_25_TooLargeCountsAsSent(t *testing.T) {
	r := online(t, true, 9)
	r.Enqueue(&r.out, entry(1, 1, 30))
	r.Enqueue(&r.out, entry(2, 2, 30))
	r.Enqueue(&r.out, entry(3, 1, 0))
	r.sent()
	r.ops()
	r.again(9)
	r.Settled()
	r.max = 20
	r.want("QoS 2 is closed by PUBREL", r.sent(), "P1+ 3@3 | REL@2")
	r.want("records", r.ops(), "-entry 1, state 2 id 2 phase 2")
	r.want("reports", r.drops[0]+" "+r.drops[1], "1:2 2:2")
	if _, n, _ := r.Counts(); n != 2 {
		t.Errorf("%d in flight", n)
	}
	r.known(r.Pubcomp(&r.out, 2))
	r.want("record of 2", r.ops(), "-entry 2")
	if len(r.drops) != 2 {
		t.Errorf("reports %v", r.drops)
	}
}

func TestStatement_3_3_1_2_QoS0IsNeverDup(t *testing.T) {
	r := newRig(t, true, Limits{})
	r.put(1, 0)
	r.Connected(r, 1)
	r.want("sent", r.sent(), "P0 1@0")
	r.again(1)
	r.want("not again", r.sent(), "")
}

func TestStatement_3_3_2_5_ExpiresBeforeDelivery(t *testing.T) {
	r := newRig(t, true, Limits{})
	for n, at := range []int64{10, 0, 11} {
		e := entry(n, 1, 0)
		e.Msg.Expires = at
		r.Enqueue(&r.out, e)
	}
	r.ops()
	r.Connected(r, 9)
	r.Fill(&r.out, 10, everything)
	r.want("sent", r.frames(), "P1 1@1, P1 2@2")
	r.want("report", r.drops[0], "0:1")
	r.want("records", r.ops(), "-entry 1, state 2 id 1 phase 1, state 3 id 2 phase 1")
}

func TestStatement_3_3_4_7_And_9_ReceiveMaximum(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		for _, persistent := range []bool{true, false} {
			r := online(t, persistent, 2)
			for n := range 4 {
				r.put(n, qos)
			}
			r.sent()
			if _, n, _ := r.Counts(); n != 2 {
				t.Fatalf("%d in flight", n)
			}
			if r.Window(1) || r.Ready(1) || r.Free() != 0 {
				t.Error("room in a full window")
			}
			if qos == 1 {
				r.known(r.Puback(&r.out, 1, 0))
			} else {
				r.known(r.Pubrec(&r.out, message.V311, 1, 0))
				r.frames()
				r.want("PUBREC makes no room", r.sent(), "")
				r.known(r.Pubcomp(&r.out, 1))
			}
			r.sent()
			if _, n, _ := r.Counts(); n != 2 {
				t.Errorf("%d in flight after one was acknowledged", n)
			}
		}
	}
}

func TestStatement_3_3_4_9_RefusalMakesRoom(t *testing.T) {
	r := online(t, true, 1)
	r.put(1, 2)
	r.put(2, 1)
	r.put(3, 1)
	r.sent()
	r.known(r.Pubrec(&r.out, message.V5, 1, 0x97))
	r.want("next", r.sent(), "P1 2@2")
	r.known(r.Puback(&r.out, 2, 0x80))
	r.want("next", r.sent(), "P1 3@3")
	r.want("reports", r.drops[0]+" "+r.drops[1], "1:3 2:3")
}

func TestStatement_3_3_4_10_OthersAreNotDelayed(t *testing.T) {
	r := online(t, true, 1)
	r.put(1, 2)
	r.sent()
	r.Received(&r.out, 5)
	r.Pubrel(&r.out, message.V5, 5)
	r.known(r.Pubrec(&r.out, message.V5, 1, 0))
	r.want("with a full window", r.frames(), "| COMP@5, REL@1")
}
