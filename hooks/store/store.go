package store

import (
	"context"
	"errors"

	"github.com/skeinmq/skein/broker/message"
)

// Errors that a store answers a commit or a load with.
var (
	ErrClosed   = errors.New("store: closed")
	ErrFenced   = errors.New("store: another owner holds the session")
	ErrNotFound = errors.New("store: no such session")
)

// Kind names what an operation writes.
type Kind uint8

// Kinds of records. A session's kinds end with the session.
const (
	KindSession      Kind = iota + 1 // Session; deleting it deletes all the client's records
	KindSubscription                 // Subscription, by Filter
	KindEntry                        // Entry, by Seq
	KindState                        // State of the entry Seq
	KindReceived                     // received QoS 2 packet identifier
	KindRetained                     // retained message, by topic
	// KindDelayed is a message that is published when due, by Seq. Writing it may be part of
	// a client's batch: what becomes of an entry is told in a message that is there when the
	// entry is not. It is a record of the node all the same, and stays when the session ends.
	KindDelayed
	// KindGroupEntry is a message that waits in a shared group, by Filter
	// ("group/filter") and Seq. Deleting it may be part of a client's batch: that of
	// the member that takes the message over.
	KindGroupEntry
	KindCursor // walk through the retained messages, by Filter
)

// Session is a session's head.
type Session struct {
	ID        message.ClientID
	User      string
	HasUser   bool
	Epoch     message.Epoch
	Version   byte
	Expiry    uint32 // seconds after disconnect; 0xFFFFFFFF never [MQTT-3.1.2-23]
	ExpiresAt int64  // Unix nanoseconds; 0 while connected or never
	Will      *Will
}

// Will is a will message with all its properties.
type Will struct {
	Message *message.Message
	Delay   uint32 // seconds [MQTT-3.1.3-9]
	At      int64  // Unix nanoseconds when it is to be sent; 0 while connected
	Expiry  uint32 // message expiry interval, seconds
	HasExp  bool
}

// Subscription is one subscription of a session. Filter is as the client spelled
// it, with its $share or $exclusive prefix.
type Subscription struct {
	Filter         string
	ID             uint32 // Subscription Identifier, 0 is none
	QoS            byte
	RetainHandling byte
	NoLocal        bool
	RetainAsPub    bool
}

// Entry is a queued or in-flight message of a session.
type Entry struct {
	Msg    *message.Message
	SubIDs []uint32
	Seq    uint64 // order within the session
	QoS    byte   // granted, 1 or 2
	Retain bool
}

// Phase is how far the delivery of an entry got.
type Phase uint8

// Phases of an entry's delivery.
const (
	Queued   Phase = iota // not begun
	Sent                  // has a packet identifier, PUBLISH may have left
	Released              // PUBREC received, PUBREL may have left
)

// State is an entry's packet identifier and phase.
type State struct {
	ID    message.PacketID
	Phase Phase
}

// Op is one operation of a batch; which fields count depends on Kind.
type Op struct {
	Kind    Kind
	Delete  bool
	Seq     uint64
	ID      message.PacketID
	Filter  string // KindSubscription: filter, KindRetained: topic
	State   State
	Entry   Entry
	Session *Session
	Sub     *Subscription
	Msg     *message.Message // KindRetained, KindDelayed, KindGroupEntry; KindReceived until it is routed
	At      int64            // KindDelayed: Unix nanoseconds
	Cursor  *Cursor          // KindCursor
}

// Cursor is how far a subscription has walked through the retained messages.
type Cursor struct {
	Filter string // without $exclusive prefix
	Sub    Subscription
	After  string // name of the last topic that was done
	Since  int64  // Unix nanoseconds of its SUBSCRIBE: what was set later came live
}

// Batch is a list of operations on one owner's records, applied as one.
type Batch struct {
	Client message.ClientID // empty: the node's own records
	Epoch  message.Epoch
	Ops    []Op
	Queue  Queue // the session's queue after Ops
	// Box is the mailbox that the node's own records belong to, and At the place in the
	// client's mailbox's inbox that everything up to is in the client's records with this
	// batch. Both are for stores that several instances share; empty is the own mailbox
	// and nothing.
	Box message.MailboxID
	At  message.Position
	// Linger says that every entry in Ops is likely to be acknowledged soon: the
	// store may wait a moment, and never writes an entry that is deleted meanwhile.
	Linger bool
}

// Image is a whole session as it was committed.
type Image struct {
	Session  Session
	Subs     []Subscription
	Entries  []StoredEntry // by Seq; a store that pages has only those whose delivery has begun
	Received []message.PacketID
	Unrouted []Unrouted // in the order in which they were published
	Cursors  []Cursor
	Queue    Queue
	At       message.Position // of the last batch that had one; 0 in a mailbox it was moved to
}

// Unrouted is a received QoS 2 message of which it is not known whether all its
// subscribers have it: a KindReceived operation with a Msg that no later one without
// followed.
type Unrouted struct {
	ID  message.PacketID
	Msg *message.Message
}

// StoredEntry is an entry with its state.
type StoredEntry struct {
	Entry
	State State
}

// Committed is told the outcome of a batch, exactly once.
type Committed interface{ Committed(err error) }

// Committer appends batches.
type Committer interface {
	// Commit takes b over and calls done when it is durable or refused. Batches of
	// one client are applied and answered in the order of the calls.
	Commit(b *Batch, done Committed)
}

// Sessions reads sessions.
type Sessions interface {
	// Load returns the committed state of one session, or ErrNotFound.
	Load(ctx context.Context, id message.ClientID) (*Image, error)
	// Heads calls visit for every stored session until it returns false. A head is
	// valid during its call.
	Heads(ctx context.Context, visit func(*Head) bool) error
}

// Node reads the node's own records.
type Node interface {
	Retained(ctx context.Context, visit func(*message.Message) bool) error
	Delayed(ctx context.Context, visit func(seq uint64, at int64, m *message.Message) bool) error
}

// Store is everything the router needs.
type Store interface {
	Committer
	Grouper
	Sessions
	Pager
	Node
	Groups
	// Close waits for commits under way, then releases everything.
	Close() error
}
