package v1

import "time"

// Problem is every error (RFC 9457), with the media type application/problem+json.
type Problem struct {
	Type   string `json:"type"` // about:blank: the title says it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Code is the MQTT 5 reason code of a refusal, where there is one.
	Code int `json:"code,omitempty"`
}

// Version is what a node runs, and who asked it.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Node    string `json:"node"`
	Token   string `json:"token"` // the name of the request's
	Scope   string `json:"scope"` // its scope: read or write
}

// Node is one instance.
type Node struct {
	Name          string    `json:"name"`
	Version       string    `json:"version"`
	Self          bool      `json:"self"` // the one that was asked
	Ready         bool      `json:"ready"`
	Reason        string    `json:"reason,omitempty"` // why it is not ready
	Draining      bool      `json:"draining"`
	Started       time.Time `json:"started"`
	Connections   int64     `json:"connections"`
	Sessions      int64     `json:"sessions"`
	Subscriptions int64     `json:"subscriptions"`
	Retained      int64     `json:"retained"`
	Queued        int64     `json:"queued"`
	Inflight      int64     `json:"inflight"`
	MemoryBytes   uint64    `json:"memory_bytes"`
	Mailboxes     []Mailbox `json:"mailboxes,omitempty"` // those it owns
	Error         string    `json:"error,omitempty"`     // it could not be asked; nothing else is known
}

// Mailbox is one inbox that a node owns.
type Mailbox struct {
	ID       string  `json:"id"`
	Epoch    uint64  `json:"epoch"`
	Adopted  bool    `json:"adopted"`
	Pending  int64   `json:"pending"`       // entries not trimmed yet
	LeaseAge float64 `json:"lease_age_sec"` // seconds since its lease was renewed
}

// Nodes is a list of nodes, by name.
type Nodes struct {
	Nodes []Node `json:"nodes"`
}

// Stats are the counters of one node. All that is not said otherwise counts since its
// start.
type Stats struct {
	Node         string            `json:"node"`
	Time         time.Time         `json:"time"`
	Started      time.Time         `json:"started"`
	Received     Traffic           `json:"received"`
	Sent         Traffic           `json:"sent"`
	Drops        map[string]uint64 `json:"drops"`        // by reason
	Connects     map[string]uint64 `json:"connects"`     // by protocol version
	Disconnects  map[string]uint64 `json:"disconnects"`  // by reason
	Refusals     map[string]uint64 `json:"refusals"`     // by rule
	Connections  int64             `json:"connections"`  // now
	Sessions     int64             `json:"sessions"`     // now
	Persistent   int64             `json:"persistent"`   // sessions now
	Subscribed   int64             `json:"subscribed"`   // subscriptions now
	Shared       int64             `json:"shared"`       // subscriptions now
	Retained     int64             `json:"retained"`     // now
	Queued       int64             `json:"queued"`       // messages now
	QueuedBytes  int64             `json:"queued_bytes"` // now
	Inflight     int64             `json:"inflight"`     // messages now
	MemoryBytes  uint64            `json:"memory_bytes"` // heap in use now
	Goroutines   int               `json:"goroutines"`   // now
	AckDelay     Latency           `json:"ack_delay"`
	CommitDelay  Latency           `json:"commit_delay"`
	SyncDelay    Latency           `json:"sync_delay"`
	Takeovers    uint64            `json:"takeovers"`
	Expired      uint64            `json:"expired"` // sessions
	MaxConnected int64             `json:"max_connections"`
}

// Traffic is one direction.
type Traffic struct {
	Packets  uint64 `json:"packets"`
	Bytes    uint64 `json:"bytes"`
	Messages uint64 `json:"messages"` // PUBLISH packets
	Payload  uint64 `json:"payload"`  // their payload in bytes
}

// Latency is a distribution in seconds.
type Latency struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// Client is one session with its connection, if it has one.
type Client struct {
	ID            string            `json:"id"`
	Node          string            `json:"node"`
	User          *string           `json:"user,omitempty"` // absent without a user name
	Connected     bool              `json:"connected"`
	Version       int               `json:"version"` // 3, 4 (3.1.1) or 5
	Persistent    bool              `json:"persistent"`
	Remote        string            `json:"remote,omitempty"`
	Listener      string            `json:"listener,omitempty"`
	Transport     string            `json:"transport,omitempty"`
	Since         *time.Time        `json:"since,omitempty"` // when it connected
	Expiry        *uint32           `json:"expiry"`          // seconds after its connection; null is never
	ExpiresAt     *time.Time        `json:"expires_at,omitempty"`
	Will          bool              `json:"will"`
	Subscriptions int               `json:"subscriptions"`
	Queued        int               `json:"queued"`
	QueuedBytes   int64             `json:"queued_bytes"`
	Inflight      int               `json:"inflight"`
	Stalled       bool              `json:"stalled"` // its socket does not take what waits for it
	Dropped       uint64            `json:"dropped"` // messages, all reasons
	Drops         map[string]uint64 `json:"drops,omitempty"`
}

// Clients is a page of clients. Next, if not empty, is the `after` of the next page.
type Clients struct {
	Clients []Client `json:"clients"`
	Next    string   `json:"next,omitempty"`
	// Missing are nodes that could not be asked: the list lacks their clients.
	Missing []string `json:"missing,omitempty"`
}

// Subscription is one of a client's.
type Subscription struct {
	Filter            string `json:"filter"`
	QoS               int    `json:"qos"`
	ID                int    `json:"id,omitempty"` // Subscription Identifier
	NoLocal           bool   `json:"no_local"`
	RetainAsPublished bool   `json:"retain_as_published"`
	RetainHandling    int    `json:"retain_handling"`
}

// Subscriptions is a page of a client's subscriptions, by filter.
type Subscriptions struct {
	Subscriptions []Subscription `json:"subscriptions"`
	Next          string         `json:"next,omitempty"`
}

// Message is a message with its MQTT 5 properties. Of Payload and PayloadBase64 at
// most one is there: the first for text (UTF-8), the other for bytes.
type Message struct {
	Topic           string         `json:"topic"`
	Payload         *string        `json:"payload,omitempty"`
	PayloadBase64   []byte         `json:"payload_base64,omitempty"`
	QoS             int            `json:"qos"`
	Retain          bool           `json:"retain"`
	Expiry          *uint32        `json:"expiry,omitempty"`         // seconds
	PayloadFormat   *int           `json:"payload_format,omitempty"` // 1: UTF-8
	ContentType     string         `json:"content_type,omitempty"`
	ResponseTopic   string         `json:"response_topic,omitempty"`
	CorrelationData []byte         `json:"correlation_data,omitempty"` // base64
	UserProperties  []UserProperty `json:"user_properties,omitempty"`
}

// UserProperty is one name and value; names may repeat.
type UserProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Stored is a message that is kept: retained, queued or in flight.
type Stored struct {
	Message
	Size      int        `json:"size"` // bytes of topic, properties and payload
	Created   time.Time  `json:"created"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Publisher string     `json:"publisher,omitempty"` // client id
	User      string     `json:"user,omitempty"`      // it was published under
	// Truncated says that the payload is cut: ask for the message itself, or with
	// a larger max_payload.
	Truncated bool `json:"truncated,omitempty"`
}

// Entry is a message of a client's queue or window.
type Entry struct {
	Stored
	Seq      uint64 `json:"seq"`                 // its order in the session
	PacketID int    `json:"packet_id,omitempty"` // in flight only
	Phase    string `json:"phase"`               // queued, sent or released (PUBREC came)
}

// Entries is the head of a queue or window. More says that there is more of it.
type Entries struct {
	Entries []Entry `json:"entries"`
	More    bool    `json:"more"`
}

// Topic is one level below another.
type Topic struct {
	Name     string `json:"name"`     // of the level
	Topic    string `json:"topic"`    // whole
	Retained bool   `json:"retained"` // has a retained message
	Children bool   `json:"children"` // has retained messages below it
}

// Topics is a page of the levels below a topic.
type Topics struct {
	Topics []Topic `json:"topics"`
	Next   string  `json:"next,omitempty"`
}

// Subscriber is a session that a message to a topic reaches.
type Subscriber struct {
	Client string `json:"client,omitempty"`
	Group  string `json:"group,omitempty"`  // of a shared subscription, instead of a client
	Filter string `json:"filter,omitempty"` // of the group
	Node   string `json:"node"`
	QoS    int    `json:"qos"`
}

// Subscribers are those of a topic. More says that the list was cut.
type Subscribers struct {
	Subscribers []Subscriber `json:"subscribers"`
	More        bool         `json:"more"`
	Missing     []string     `json:"missing,omitempty"`
}

// Retained is a page of retained messages, by topic.
type Retained struct {
	Messages []Stored `json:"messages"`
	Next     string   `json:"next,omitempty"`
}

// Publish is one message, or a batch of them in Messages.
type Publish struct {
	*Message
	Messages []Message `json:"messages,omitempty"`
}

// Published answers a Publish: a result for each message, in order.
type Published struct {
	Results []Result `json:"results"`
	// TimedOut says that the time was over before everything was done that was waited for.
	TimedOut bool `json:"timed_out"`
}

// Result is what became of one message.
type Result struct {
	Code      int    `json:"code"`             // MQTT 5 reason code: 0, 16 (nobody subscribes) or from 128 on a refusal
	Reason    string `json:"reason,omitempty"` // of a refusal
	Committed bool   `json:"committed"`        // what it promises is stored
	Matched   int    `json:"matched"`          // sessions and shared groups
	Delivered int    `json:"delivered"`        // of them, have acknowledged (QoS 0: were sent it)
	Dropped   int    `json:"dropped"`          // of them, will not get it
	Pending   int    `json:"pending"`          // of them, have it and have not acknowledged it
}

// Event is the data of an event of a subscription.
type Event struct {
	Message
	Dup           bool  `json:"dup"`
	Subscriptions []int `json:"subscription_ids,omitempty"`
}

// Subscribed is the data of the first event of a subscription, "subscribed".
type Subscribed struct {
	Client  string    `json:"client"`  // the session's client id
	Session bool      `json:"session"` // it was there before
	Filters []Granted `json:"filters"`
}

// Granted is what became of one filter.
type Granted struct {
	Filter string `json:"filter"`
	Code   int    `json:"code"` // granted QoS, or from 128 on why not
}

// Ended is the data of the last event of a stream, "end".
type Ended struct {
	Code   int    `json:"code"` // MQTT 5 reason code of DISCONNECT
	Reason string `json:"reason"`
}

// Ban keeps somebody out.
type Ban struct {
	Kind   string     `json:"kind"`  // address (also a network), user or client
	Value  string     `json:"value"` // whom
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason,omitempty"`
	File   bool       `json:"file,omitempty"` // of the bans file: lifted there
}

// Bans are all that hold, by kind and value.
type Bans struct {
	Bans    []Ban    `json:"bans"`
	Missing []string `json:"missing,omitempty"` // nodes that could not be asked
}

// BanAdded tells of a new ban.
type BanAdded struct {
	Disconnected int      `json:"disconnected"`      // clients
	Missing      []string `json:"missing,omitempty"` // nodes that were not told: add it again
}

// Refusal is a connection, publish or subscription that was refused.
type Refusal struct {
	Time     time.Time `json:"time"`
	Node     string    `json:"node"`
	What     string    `json:"what"` // connect, publish, subscribe
	Rule     string    `json:"rule"` // that refused
	Code     int       `json:"code"` // reason code
	Client   string    `json:"client,omitempty"`
	User     string    `json:"user,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Listener string    `json:"listener,omitempty"`
	Topic    string    `json:"topic,omitempty"`
}

// Refusals are the most recent ones, newest first.
type Refusals struct {
	Refusals []Refusal `json:"refusals"`
	Missing  []string  `json:"missing,omitempty"`
}

// Drain is how far a node has got with sending its clients away.
type Drain struct {
	Node     string `json:"node"`
	Draining bool   `json:"draining"`
	Phase    string `json:"phase"`   // none, waiting (drain_delay), disconnecting or done
	Clients  int    `json:"clients"` // connections left
}

// LogLevel is debug, info, warn or error.
type LogLevel struct {
	Level string `json:"level"`
}

// Reloaded answers a reload that was put into force.
type Reloaded struct {
	// Restart are paths that changed and need a restart.
	Restart []string `json:"restart"`
}

// TraceEvent is the data of one event of a trace.
type TraceEvent struct {
	Time     time.Time `json:"time"`
	Node     string    `json:"node"`
	Client   string    `json:"client"`
	Remote   string    `json:"remote,omitempty"`
	Kind     string    `json:"kind"`                // packet or decision
	In       bool      `json:"in"`                  // from the client
	Packet   string    `json:"packet,omitempty"`    // PUBLISH, PUBACK, …
	Size     int       `json:"size,omitempty"`      // bytes
	Topic    string    `json:"topic,omitempty"`     // or filter
	QoS      int       `json:"qos,omitempty"`       //
	Retain   bool      `json:"retain,omitempty"`    //
	Dup      bool      `json:"dup,omitempty"`       //
	PacketID int       `json:"packet_id,omitempty"` //
	Code     int       `json:"code,omitempty"`      // reason code
	Decision string    `json:"decision,omitempty"`  // allowed, refused, queued, sent, dropped, committed, …
	Rule     string    `json:"rule,omitempty"`      // of the ACL, or the drop reason
	Target   string    `json:"target,omitempty"`    // the client whose queue it went to
	Count    int       `json:"count,omitempty"`     // messages that a decision is about, when there are several
	Took     float64   `json:"took_sec,omitempty"`  // seconds
	Payload  []byte    `json:"payload,omitempty"`   // base64; only when asked for
}

// TraceEnd is the data of the last event of a trace, "end".
type TraceEnd struct {
	Reason string `json:"reason"` // time, events, client gone, …
	Lost   uint64 `json:"lost"`   // events over the rate
	// Missing are nodes that could not be asked, or not to the end.
	Missing []string `json:"missing,omitempty"`
}
