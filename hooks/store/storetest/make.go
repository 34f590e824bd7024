package storetest

import (
	"fmt"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// msg makes a message that has something in every field.
func msg(n int) *message.Message {
	return &message.Message{
		ID: message.ID{Run: 1<<63 + uint64(n), Seq: uint64(n)}, Topic: fmt.Sprintf("topic/%d/ü", n), Payload: []byte{0, 0xFF, byte(n), '\n'},
		Props: []byte{0x01, 1}, Publisher: "pub/lisher", User: "Ümit", Created: 1_700_000_000_000_000_001 + int64(n), Expires: 1_800_000_000_000_000_001, QoS: byte(n % 3), Retain: n%2 == 1,
	}
}

func head(id message.ClientID, epoch message.Epoch) store.Op {
	return store.Op{Kind: store.KindSession, Session: &store.Session{ID: id, Epoch: epoch, Version: message.V5, Expiry: 60}}
}

// begin is a batch that makes a session.
func begin(id message.ClientID, epoch message.Epoch, ops ...store.Op) *store.Batch {
	return &store.Batch{Client: id, Epoch: epoch, Ops: append([]store.Op{head(id, epoch)}, ops...)}
}

func on(id message.ClientID, epoch message.Epoch, ops ...store.Op) *store.Batch {
	return &store.Batch{Client: id, Epoch: epoch, Ops: ops}
}

func entry(seq uint64) store.Op {
	return store.Op{Kind: store.KindEntry, Seq: seq, Entry: store.Entry{Msg: msg(int(seq % 1000)), Seq: seq, QoS: 1 + byte(seq%2), Retain: seq%3 == 0, SubIDs: []uint32{1, 268435455}}}
}

func state(seq uint64, id message.PacketID, p store.Phase) store.Op {
	return store.Op{Kind: store.KindState, Seq: seq, State: store.State{ID: id, Phase: p}}
}

func received(id message.PacketID) store.Op { return store.Op{Kind: store.KindReceived, ID: id} }

func subscribe(filter string, qos byte) store.Op {
	return store.Op{Kind: store.KindSubscription, Filter: filter, Sub: &store.Subscription{Filter: filter, ID: 268435455, QoS: qos, RetainHandling: 2, NoLocal: qos == 1, RetainAsPub: qos == 2}}
}

func retain(topic string, m *message.Message) store.Op {
	c := *m
	c.Topic = topic
	return store.Op{Kind: store.KindRetained, Filter: topic, Msg: &c}
}

func later(seq uint64, at int64, m *message.Message) store.Op {
	return store.Op{Kind: store.KindDelayed, Seq: seq, At: at, Msg: m}
}

func cursor(filter, after string) store.Op {
	return store.Op{Kind: store.KindCursor, Filter: filter, Cursor: &store.Cursor{
		Filter: filter, After: after, Since: 1_700_000_000_000_000_003,
		Sub: store.Subscription{Filter: filter, ID: 7, QoS: 1, RetainHandling: 1, RetainAsPub: true},
	}}
}

func wait(group string, seq uint64, m *message.Message) store.Op {
	return store.Op{Kind: store.KindGroupEntry, Filter: group, Seq: seq, Msg: m}
}

// remove turns an operation that writes into the one that deletes.
func remove(op store.Op) store.Op {
	return store.Op{Kind: op.Kind, Delete: true, Seq: op.Seq, ID: op.ID, Filter: op.Filter}
}

// full is a session with everything a session can have.
func full(id message.ClientID, epoch message.Epoch) *store.Batch {
	s := &store.Session{
		ID: id, User: "user\x01é", HasUser: true, Epoch: epoch, Version: message.V5, Expiry: 0xFFFFFFFF, ExpiresAt: 1_900_000_000_000_000_001,
		Will: &store.Will{Message: msg(5), Delay: 4294967295, At: 1_700_000_000_000_000_002, Expiry: 77, HasExp: true},
	}
	return &store.Batch{Client: id, Epoch: epoch, Ops: []store.Op{
		{Kind: store.KindSession, Session: s},
		subscribe("a/+/#", 2), subscribe("$share/g/a", 1), subscribe("#", 0),
		entry(1), state(1, 65535, store.Sent), entry(2), state(2, 1, store.Released), entry(3),
		{Kind: store.KindEntry, Seq: 4, Entry: store.Entry{Msg: &message.Message{Topic: "t", QoS: 1}, Seq: 4, QoS: 1}},
		received(1), received(65535), cursor("a/+/#", ""), cursor("#", "a/b\x01"),
	}}
}
