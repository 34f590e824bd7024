package router

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/hooks"
)

// Sink is the output of a connection: bytes appended between Begin and End leave
// in that order; nothing blocks.
type Sink interface {
	Begin() []byte
	End(buf []byte)
	// Room is how many bytes may follow before the limit, negative when over it.
	Room() int
	// Full reports whether it is over its limit; then Router.Drained is called later.
	Full() bool
	// Written calls done when all that was appended before is on the socket, or with false
	// when it never will be; perhaps at once, and with locks held.
	Written(done func(written bool))
}

// Link is one connection of a client, as the router sees it.
type Link struct {
	Out       Sink
	Version   byte
	MaxPacket int    // bytes, 0 is unlimited [MQTT-3.1.2-24]
	AliasMax  uint16 // outbound topic aliases the client accepts
	Window    int    // unacknowledged QoS 1 and 2 messages
	Hook      *hooks.Client
	// End asks the connection to close, with a DISCONNECT of this reason code for
	// MQTT 5. It does not wait and may be called under locks.
	End func(code byte, why string)
	// Gone answers a channel that is closed when the connection is to end: whoever
	// waits for the store goes on. Nil waits for the store alone.
	Gone func() <-chan struct{}

	client  *Client
	user    string            // who the connection is counted for
	since   int64             // when Connect accepted it, Unix nanoseconds
	stream  *Stream           // of a Link that OpenStream made: messages go there instead of Out
	left    chan struct{}     // guarded by client.mu; made by who waits for Disconnect, which closes it
	aliases map[string]uint16 // guarded by Out's lock (Begin to End)
	plain   bool              // frames need neither alias nor a length check
}

// Client is the session of the connection, nil before Connect.
func (l *Link) Client() *Client { return l.client }

// AppendPublish implements session.Encoder. Out's lock is held.
func (l *Link) AppendPublish(dst []byte, e *session.Entry, id message.PacketID, dup bool, now int64) ([]byte, bool) {
	if l.stream != nil {
		l.stream.add(e, id, dup)
		return dst, true
	}
	f := message.Form{Version: l.Version, QoS: e.QoS, Retain: e.Retain, Dup: dup, SubIDs: e.SubIDs, Now: now}
	// A frame that waits for a commit may leave behind one that was encoded later,
	// so it must not be the one that establishes an alias.
	if l.AliasMax > 0 && (e.QoS < 2 || !l.client.sess.Persistent()) {
		f.Alias, f.Known = l.alias(e.Msg.Topic)
	}
	if (l.MaxPacket > 0 || len(e.Msg.Payload) > message.MaxLen/2) && f.Len(e.Msg) > l.maxLen() {
		if f.Alias != 0 && !f.Known {
			delete(l.aliases, e.Msg.Topic)
		}
		return dst, false
	}
	was := len(dst)
	dst = f.Append(dst, e.Msg, id)
	l.client.r.stats.Sent(e.QoS, 1, len(dst)-was, len(e.Msg.Payload))
	return dst, true
}

// AliasTopic is the topic that an outbound alias stands for; empty for one that was not
// given. Out's lock is held.
func (l *Link) AliasTopic(alias uint16) string {
	if l == nil {
		return ""
	}
	for name, a := range l.aliases {
		if a == alias {
			return name
		}
	}
	return ""
}

// gone is closed when the connection is to end.
func (l *Link) gone() <-chan struct{} {
	if l.Gone == nil {
		return nil
	}
	return l.Gone()
}

// maxLen is the longest packet that can be sent.
func (l *Link) maxLen() int {
	if l.MaxPacket > 0 {
		return min(l.MaxPacket, message.MaxLen)
	}
	return message.MaxLen
}

// alias returns the alias of a topic and whether the client knows it already.
// The first topics of a connection get one each; there is no replacement.
func (l *Link) alias(name string) (uint16, bool) {
	if a, ok := l.aliases[name]; ok {
		return a, true
	}
	if len(l.aliases) >= int(l.AliasMax) {
		return 0, false
	}
	if l.aliases == nil {
		l.aliases = map[string]uint16{}
	}
	a := uint16(len(l.aliases) + 1)
	l.aliases[name] = a
	return a, false
}
