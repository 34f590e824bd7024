package session

import (
	"errors"
	"testing"

	"github.com/skeinmq/skein/broker/message"
)

func TestStatement_4_3_1_1_QoS0(t *testing.T) {
	r := online(t, false, 1)
	r.Push(&r.out, entry(1, 0, 0), 0)
	r.want("sent", r.frames(), "P0 1@0")
	p := online(t, true, 1)
	p.Push(&p.out, entry(1, 0, 0), 0)
	p.want("records", p.ops(), "")
}

func TestStatement_4_3_2_QoS1(t *testing.T) {
	r := online(t, true, 5)
	r.put(1, 1)
	r.want("-1, -2: a new identifier, DUP 0", r.sent(), "P1 1@1")
	r.want("records", r.ops(), "+entry 1, state 1 id 1 phase 1")
	r.put(2, 1)
	r.want("-3: unacknowledged, so not given again", r.sent(), "P1 2@2")
	r.ops()
	r.known(r.Puback(&r.out, 1, 0))
	r.want("record", r.ops(), "-entry 1")
	if ok, err := r.Puback(&r.out, 1, 0); ok || err != nil || len(r.out.Ops) > 0 {
		t.Errorf("PUBACK again: known %v, %v, records %v", ok, err, r.out.Ops)
	}
	for _, id := range []message.PacketID{0, 7, 17, 65535} {
		if ok, err := r.Puback(&r.out, id, 0); ok || err != nil {
			t.Errorf("PUBACK %d: known %v, %v", id, ok, err)
		}
	}
}

func TestStatement_4_3_3_Sender(t *testing.T) {
	r := online(t, true, 5)
	r.put(1, 2)
	r.want("-1, -2: a new identifier, DUP 0", r.sent(), "| P2 1@1")
	r.want("records", r.ops(), "+entry 1, state 1 id 1 phase 1")
	r.put(2, 2)
	r.want("-3: unacknowledged until PUBREC", r.sent(), "| P2 2@2")
	r.ops()
	r.known(r.Pubrec(&r.out, message.V5, 1, 0x10))
	r.want("-4: PUBREL", r.frames(), "| REL@1")
	r.want("record", r.ops(), "state 1 id 1 phase 2")
	r.put(3, 2)
	r.want("-5: PUBREL unacknowledged until PUBCOMP", r.sent(), "| P2 3@3")
	r.ops()
	r.again(5)
	r.Settled()
	r.want("-6: no PUBLISH after PUBREL", r.sent(), "REL@1, P2+ 2@2, P2+ 3@3")
	r.want("records", r.ops(), "")
	r.known(r.Pubcomp(&r.out, 1))
	r.want("record", r.ops(), "-entry 1")
}

func TestStatement_4_3_3_7_And_13_NoExpiryOfWhatWasBegun(t *testing.T) {
	r := online(t, true, 5)
	for n, qos := range []byte{1, 2, 2} {
		e := entry(n, qos, 0)
		e.Msg.Expires = 10
		r.Enqueue(&r.out, e)
	}
	r.sent()
	r.known(r.Pubrec(&r.out, message.V5, 2, 0))
	r.frames()
	r.again(5)
	r.Settled()
	r.Fill(&r.out, 1000, everything)
	r.want("all of it", r.frames(), "P1+ 0@1, REL@2, P2+ 2@3")
	if len(r.drops) > 0 {
		t.Errorf("dropped %v", r.drops)
	}
}

func TestStatement_4_3_3_Receiver(t *testing.T) {
	r := online(t, true, 5)
	if !r.Received(&r.out, 9) {
		t.Error("first PUBLISH is not new")
	}
	r.want("record", r.ops(), "+received 9")
	if r.Received(&r.out, 9) {
		t.Error("-10: a repetition is new")
	}
	r.want("PUBREC again waits", r.ops(), "+received 9")
	if !r.HasReceived(9) || r.ReceivedCount() != 1 {
		t.Error("not noted")
	}
	r.Unreceive(&r.out, 9)
	r.want("record", r.ops(), "-received 9")
	if !r.Received(&r.out, 9) {
		t.Error("-9: after a PUBREC of 0x80 it is not new")
	}
	r.ops()
	if !r.Pubrel(&r.out, message.V5, 9) {
		t.Error("PUBREL not known")
	}
	r.want("-11: PUBCOMP", r.frames(), "| COMP@9")
	r.want("record", r.ops(), "-received 9")
	if !r.Received(&r.out, 9) {
		t.Error("-12: after PUBCOMP it is not new")
	}
}

func TestPubrelForUnknown(t *testing.T) {
	for _, c := range []struct {
		version byte
		want    string
	}{{message.V31, "COMP@3"}, {message.V311, "COMP@3"}, {message.V5, "COMP(0x92)@3"}} {
		r := online(t, true, 1)
		if r.Pubrel(&r.out, c.version, 3) {
			t.Error("known")
		}
		r.want("settled", r.frames(), c.want)
		r.Received(&r.out, 4)
		r.ops()
		r.Pubrel(&r.out, c.version, 3)
		r.want("not settled", r.frames(), "| "+c.want)
		r.want("record", r.ops(), "-received 3")
	}
}

func TestPubrecForUnknown(t *testing.T) {
	for _, c := range []struct {
		version, code byte
		want          string
	}{{message.V311, 0, "REL@3"}, {message.V5, 0, "REL(0x92)@3"}, {message.V5, 0x80, ""}} {
		r := online(t, true, 1)
		if ok, err := r.Pubrec(&r.out, c.version, 3, c.code); ok || err != nil {
			t.Errorf("known %v, %v", ok, err)
		}
		r.want("answer", r.frames(), c.want)
	}
}

func TestStatement_4_4_0_1_And_4_6_0_1_RedeliveryInOrder(t *testing.T) {
	r := online(t, true, 6)
	for n, qos := range []byte{1, 2, 1, 2, 2, 1} {
		r.put(n, qos)
	}
	r.sent()
	r.known(r.Pubrec(&r.out, message.V5, 5, 0)) // of message 4
	r.known(r.Pubrec(&r.out, message.V5, 2, 0)) // of message 1
	r.known(r.Puback(&r.out, 3, 0))
	r.want("-4: PUBREL in the order of PUBREC", r.frames(), "| REL@5, REL@2")
	r.ops()
	r.put(6, 1)
	r.again(2)
	r.Settled()
	r.want("as far as the window goes", r.sent(), "P1+ 0@1, REL@2")
	r.again(2) // cut off, begins anew
	r.Settled()
	r.want("again", r.sent(), "P1+ 0@1, REL@2")
	r.known(r.Puback(&r.out, 1, 0))
	r.want("goes on", r.sent(), "P2+ 3@4, REL@5")
	r.want("full", r.sent(), "")
	r.known(r.Pubcomp(&r.out, 2))
	r.known(r.Pubcomp(&r.out, 5))
	r.want("the rest, then what is new", r.sent(), "P1+ 5@6")
	r.known(r.Pubrec(&r.out, message.V5, 4, 0))
	r.known(r.Pubcomp(&r.out, 4))
	r.want("new", r.sent(), "P1 6@7 | REL@4")
}

func TestRedeliveryWaitsForTheCommit(t *testing.T) {
	r := online(t, true, 9)
	r.put(1, 2)
	r.put(2, 2)
	r.put(3, 1)
	r.sent()
	r.known(r.Pubrec(&r.out, message.V5, 1, 0))
	r.ops()
	r.frames()
	r.again(9)
	r.want("QoS 2 behind a record", r.sent(), "P1+ 3@3 | REL@1, P2+ 2@2")
	r.want("one is enough", r.ops(), "state 1 id 1 phase 2")
	r.known(r.Pubrec(&r.out, message.V5, 1, 0))
	r.want("PUBREL again", r.frames(), "| REL@1")
	r.want("its record", r.ops(), "state 1 id 1 phase 2")
}

func TestPubrecBeforeItsRedelivery(t *testing.T) {
	r := online(t, true, 9)
	r.put(1, 2)
	r.put(2, 2)
	r.sent()
	r.again(1)
	r.Settled()
	r.known(r.Pubrec(&r.out, message.V5, 2, 0))
	r.want("answered", r.frames(), "| REL@2")
	r.want("the window is used", r.sent(), "")
	r.known(r.Pubcomp(&r.out, 2))
	r.want("the rest", r.sent(), "P2+ 1@1")
}

func TestStatement_4_4_0_2_RefusedIsNotSentAgain(t *testing.T) {
	r := online(t, true, 9)
	r.put(1, 1)
	r.put(2, 2)
	r.sent()
	r.known(r.Puback(&r.out, 1, 0x87))
	r.known(r.Pubrec(&r.out, message.V5, 2, 0x87))
	r.again(9)
	r.want("nothing", r.sent(), "")
}

func TestStatement_4_6_0_5_OrderPerQoS(t *testing.T) {
	r := newRig(t, true, Limits{})
	for n := range 9 {
		r.put(n, byte(n%3))
	}
	r.Connected(r, 9)
	r.want("in order", r.sent(), "P0 0@0, P1 1@1, P0 3@0, P1 4@3, P0 6@0, P1 7@5 | P2 2@2, P2 5@4, P2 8@6")
}

func TestStatement_4_8_2_4_LeaveKeepsQoS2(t *testing.T) {
	r := online(t, true, 9)
	for n, qos := range []byte{1, 2, 1, 1} {
		e := entry(n, qos, 0)
		e.Source = n
		r.Push(&r.out, e, 0)
	}
	r.put(4, 1)
	r.sent()
	r.ops()
	var left []any
	take := func(e *Entry) bool {
		left = append(left, e.Source)
		return e.Source != 2
	}
	r.Leave(&r.out, take)
	if len(left) > 0 { // [MQTT-3.10.4-3]
		t.Errorf("%v left while connected", left)
	}
	r.Disconnected()
	r.Leave(&r.out, take)
	r.want("records", r.ops(), "-entry 1, -entry 4")
	if len(left) != 3 {
		t.Errorf("%v offered", left)
	}
	r.Connected(r, 9)
	r.Settled()
	r.want("what stays", r.sent(), "P2+ 1@2, P1+ 2@3, P1+ 4@5")
}

func TestWrongFlow(t *testing.T) {
	r := online(t, true, 9)
	r.put(1, 1)
	r.put(2, 2)
	r.sent()
	r.ops()
	r.frames()
	check := func(what string, ok bool, err error) {
		t.Helper()
		if !ok || !errors.Is(err, ErrWrongFlow) || len(r.out.Ops) > 0 || r.frames() != "" {
			t.Errorf("%s: known %v, %v", what, ok, err)
		}
	}
	ok, err := r.Puback(&r.out, 2, 0)
	check("PUBACK of QoS 2", ok, err)
	ok, err = r.Pubrec(&r.out, message.V5, 1, 0)
	check("PUBREC of QoS 1", ok, err)
	ok, err = r.Pubrec(&r.out, message.V5, 1, 0x80)
	check("PUBREC 0x80 of QoS 1", ok, err)
	ok, err = r.Pubcomp(&r.out, 1)
	check("PUBCOMP of QoS 1", ok, err)
	ok, err = r.Pubcomp(&r.out, 2)
	check("PUBCOMP before PUBREC", ok, err)
	if _, n, _ := r.Counts(); n != 2 {
		t.Errorf("%d in flight", n)
	}
}

func TestAckedTellsTheSource(t *testing.T) {
	r := online(t, true, 9)
	var acked []any
	r.out.Acked = func(e *Entry) { acked = append(acked, e.Source) }
	for n, qos := range []byte{1, 2, 1} {
		e := entry(n, qos, 0)
		e.Source = n
		r.Push(&r.out, e, 0)
	}
	r.put(9, 1)
	r.sent()
	r.known(r.Puback(&r.out, 1, 0))
	r.known(r.Pubrec(&r.out, message.V5, 2, 0))
	r.known(r.Puback(&r.out, 4, 0))
	if len(acked) != 1 {
		t.Errorf("acknowledged %v before PUBCOMP", acked)
	}
	r.known(r.Pubcomp(&r.out, 2))
	r.known(r.Puback(&r.out, 3, 0x80))
	if len(acked) != 2 || acked[0] != 0 || acked[1] != 1 { // the third was refused, which is told as a drop
		t.Errorf("acknowledged %v", acked)
	}
	if len(r.drops) != 1 || r.drops[0] != "2:3" {
		t.Errorf("dropped %v", r.drops)
	}
}

func TestAssignKeepsNothing(t *testing.T) {
	r := online(t, false, 4)
	for qos := range byte(2) {
		if id := r.Assign(qos + 1); id != message.PacketID(qos+1) {
			t.Errorf("id %d", id)
		}
	}
	r.known(r.Puback(&r.out, 1, 0x80))
	r.want("report without a message", r.drops[0], "0:3")
	r.known(r.Pubrec(&r.out, message.V311, 2, 0))
	r.known(r.Pubcomp(&r.out, 2))
	r.want("frames", r.frames(), "REL@2")
	r.Assign(1)
	r.again(4)
	r.want("nothing is sent again", r.sent(), "")
	if _, n, _ := r.Counts(); n != 0 || r.ops() != "" {
		t.Errorf("%d in flight", n)
	}
}
