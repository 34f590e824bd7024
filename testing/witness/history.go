package witness

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Moment orders what all clients did and saw: what was recorded before has the lower
// one. 0 is never.
type Moment int64

// Kind says what became a message.
type Kind byte

// Kinds of messages. The order of wills and delayed messages is not judged.
const (
	KindData Kind = iota
	KindWill
	KindDelayed
)

// Message is one message, whatever the number of times it was sent.
type Message struct {
	Kind      Kind
	QoS       byte
	Retain    bool
	Loose     bool // a will that may come or not: its client left, or came back
	Publisher string
	Topic     string        // where it arrives
	Sent      Moment        // before its first byte was written
	Acked     Moment        // when PUBACK or PUBREC was read; of a will: CONNACK
	SentAt    time.Duration // since the beginning of the history
	Delay     time.Duration // before which it must not arrive
}

// Subscription is that of one client, or of one member of a shared group.
type Subscription struct {
	Client string
	Group  string // empty: not shared
	QoS    byte
	Filter string // exact, or ending in /#
	Since  Moment // SUBACK was read
	Ended  Moment // before the end of the session was asked for
}

// Arrival is a PUBLISH that a client read, other than one that its QoS 2 identifier
// shows to be known.
type Arrival struct {
	Message int    // in History.Messages; negative: none that was sent
	Client  string // of one or several Subscriptions
	Conn    int    // counts the connections of the client
	Topic   string
	At      Moment
	AtTime  time.Duration
}

// Retained is the first value of a topic that a new subscription had, or that it had
// none.
type Retained struct {
	Topic   string
	Message int    // in History.Messages; negative: none came
	Asked   Moment // before SUBSCRIBE was written
	At      Moment
}

// Connected is a CONNACK to a client that asked for its session.
type Connected struct {
	Client  string
	Known   bool // an earlier CONNACK, SUBACK or acknowledgement promised a session
	Present bool
}

// Change is a client that comes or goes, or something that happens to a node (Client is
// empty): messages may pass from member to member of a group, or be sent again.
type Change struct {
	Client string
	Online bool // after the CONNACK; otherwise from before the connection was given up
	At     Moment
	AtTime time.Duration
}

// History is all that happened.
type History struct {
	Messages      []Message
	Subscriptions []Subscription
	Arrivals      []Arrival // in order of At
	Retained      []Retained
	Connected     []Connected
	Changes       []Change // in order of At
	// Settle is how long after a Change nodes may still tell each other of it; 0 is that
	// there is one node, which does not route a message twice.
	Settle time.Duration
}

func (m *Message) String() string {
	return fmt.Sprintf("%s QoS %d of %s to %s, sent at %d (%v), acknowledged at %d", [...]string{"message", "will", "delayed message"}[m.Kind], m.QoS, m.Publisher, m.Topic, m.Sent, m.SentAt.Round(time.Millisecond), m.Acked)
}

// Recorder writes a History. It may be used by all clients at once.
type Recorder struct {
	begun time.Time

	mu  sync.Mutex
	now Moment
	h   History
}

// NewRecorder begins a History.
func NewRecorder() *Recorder { return &Recorder{begun: time.Now()} }

func (r *Recorder) tickLocked() Moment {
	r.now++
	return r.now
}

// Settles says what [History.Settle] is.
func (r *Recorder) Settles(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Settle = d
}

// moment is one that is later than all that was recorded.
func (r *Recorder) moment() Moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tickLocked()
}

// sent records a message that is about to be sent and returns its number.
func (r *Recorder) sent(m Message) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Sent, m.SentAt = r.tickLocked(), time.Since(r.begun)
	r.h.Messages = append(r.h.Messages, m)
	return len(r.h.Messages) - 1
}

func (r *Recorder) acked(message int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := &r.h.Messages[message]; m.Acked == 0 {
		m.Acked = r.tickLocked()
	}
}

// loosen says that a will is not owed any more.
func (r *Recorder) loosen(message int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Messages[message].Loose = true
}

func (r *Recorder) subscribed(s Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Since = r.tickLocked()
	r.h.Subscriptions = append(r.h.Subscriptions, s)
}

func (r *Recorder) ends(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.tickLocked()
	for i := range r.h.Subscriptions {
		if s := &r.h.Subscriptions[i]; s.Client == client {
			s.Ended = now
		}
	}
}

func (r *Recorder) arrived(client string, conn int, topic, payload string) {
	n := number(payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n >= len(r.h.Messages) {
		n = -1
	}
	r.h.Arrivals = append(r.h.Arrivals, Arrival{Message: n, Client: client, Conn: conn, Topic: topic, At: r.tickLocked(), AtTime: time.Since(r.begun)})
}

func (r *Recorder) retained(topic string, message int, asked Moment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Retained = append(r.h.Retained, Retained{Topic: topic, Message: message, Asked: asked, At: r.tickLocked()})
}

func (r *Recorder) connected(c Connected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Connected = append(r.h.Connected, c)
}

// Changes records that a client comes or goes, or with an empty name that something
// happened to a node: see [Change].
func (r *Recorder) Changes(client string, online bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Changes = append(r.h.Changes, Change{Client: client, Online: online, At: r.tickLocked(), AtTime: time.Since(r.begun)})
}

// Arrivals is how many there were so far.
func (r *Recorder) Arrivals() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.h.Arrivals)
}

// retainedTopics are those with an acknowledged retained message, and the newest of these.
func (r *Recorder) retainedTopics() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	topics := make(map[string]int)
	for i := range r.h.Messages {
		if m := &r.h.Messages[i]; m.Retain && m.Acked > 0 {
			topics[m.Topic] = i
		}
	}
	return topics
}

// History is a copy of what was recorded so far.
func (r *Recorder) History() *History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.h
	h.Messages = append([]Message(nil), h.Messages...) // the only records that change, with
	h.Subscriptions = append([]Subscription(nil), h.Subscriptions...)
	return &h
}

// payload carries a message's number, in about size bytes.
func payload(message, size int) string {
	s := strconv.Itoa(message) + " "
	return s + strings.Repeat("x", max(0, size-len(s)))
}

// Write writes all that happened, a line each: messages by number, and arrivals.
func (h *History) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for i := range h.Messages {
		_, _ = fmt.Fprintf(b, "#%d %v\n", i, &h.Messages[i]) // Flush tells
	}
	for i := range h.Arrivals {
		a := &h.Arrivals[i]
		_, _ = fmt.Fprintf(b, "%d %s#%d got #%d at %v\n", a.At, a.Client, a.Conn, a.Message, a.AtTime) // as above
	}
	return b.Flush()
}

// number is what payload wrote, or negative.
func number(payload string) int {
	digits, _, _ := strings.Cut(payload, " ")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}
