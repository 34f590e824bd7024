package bridge

import (
	"encoding/base64"
	"strconv"

	"github.com/skeinmq/skein/broker/message"
)

// keys names every key in Redis. Those with one hash tag are in one slot, and a step
// touches one slot only. Names from clients appear as base64url alone.
//
//	{r}        what all instances share
//	  {r}:meta      hash    format, identity, position of the last route change ("pos")
//	  {r}:leases    hash    mailbox → "owner epoch generation deadline kind", deadline in ms of Redis' clock, 0 is given free, 1 is ended;
//	                        kind is p for a process's own mailbox, a for one it adopted
//	  {r}:reports   hash    mailbox → position that its process has applied
//	  {r}:formats   hash    mailbox → newest format that its process reads
//	  {r}:nodes     hash    mailbox → what its process says of itself
//	  {r}:routes    stream  route changes, entry N-0 is position N
//	  {r}:set:BOX   hash    the mailbox's filters → members online ("" for what is no shared group); "" → epoch, number and position of the last change
//	{mBOX}     one mailbox
//	  {mBOX}:inbox    stream  what is to be delivered there, entry N-0 is position N
//	  {mBOX}:meta     hash    epoch, position of the last entry ("pos"), batch ("n"), "s:SENDER" → its last batch number
//	  {mBOX}:bad      stream  entries of the inbox that could not be read
//	  {mBOX}:sessions hash    client id (as it is) of a session that lives there or is on its way → number of the change that entered it
//	  {mBOX}:delayed  hash    number → delayed message
//	  {mBOX}:groups   hash    "number group" → message that waits for a member
//	{sID}      one session, ID = base64url of the client id
//	  {sID}:s   hash    head and owner: see record.go
//	  {sID}:f   hash    filter → subscription
//	  {sID}:q   stream  queued and in-flight messages, entry SEQ-1 (a SEQ may be 0)
//	  {sID}:w   hash    SEQ-1 → packet identifier and phase of what is in flight
//	  {sID}:r   hash    received QoS 2 packet identifier → the message until it is routed
//	  {sID}:c   hash    filter → walk through the retained messages
//	  {sID}:k   zset    ids of QoS 2 messages that the session knows, by Unix seconds; ends by itself
//	{tN}       a shard of the retained messages
//	  {tN}:h    hash    topic → message
//	  {tN}:log  stream  changes, entry N-0; the message unless it is large
//	  {tN}:d    hash    topic → who removed its message last, for an hour
//	  {tN}:n    hash    mailbox of the sender → its last batch number
//	{xFILTER}  an $exclusive filter, base64url
//	  {xFILTER}:x string  client id of the holder
//	channels: {mBOX}:sig (QoS 0, answers, probes), {r}:sig (reports)
type keys struct{ prefix string }

func (k keys) meta() string                   { return k.prefix + "{r}:meta" }
func (k keys) leases() string                 { return k.prefix + "{r}:leases" }
func (k keys) reports() string                { return k.prefix + "{r}:reports" }
func (k keys) routes() string                 { return k.prefix + "{r}:routes" }
func (k keys) formats() string                { return k.prefix + "{r}:formats" }
func (k keys) nodes() string                  { return k.prefix + "{r}:nodes" }
func (k keys) signals() string                { return k.prefix + "{r}:sig" }
func (k keys) set(b message.MailboxID) string { return k.prefix + "{r}:set:" + string(b) }

// Parts of a mailbox's keys.
const (
	boxInbox    = "inbox"
	boxMeta     = "meta"
	boxSessions = "sessions"
	boxDelayed  = "delayed"
	boxGroups   = "groups"
	boxSignal   = "sig"
)

func (k keys) box(b message.MailboxID, part string) string {
	return k.prefix + "{m" + string(b) + "}:" + part
}

// Parts of a session's keys.
const (
	sessionHead     = "s"
	sessionFilters  = "f"
	sessionQueue    = "q"
	sessionWindow   = "w"
	sessionReceived = "r"
	sessionCursors  = "c"
	sessionKnown    = "k"
)

func (k keys) session(id message.ClientID) string {
	return k.prefix + "{s" + base64.RawURLEncoding.EncodeToString([]byte(id)) + "}:"
}

// Parts of a shard's keys.
const (
	shardHash = "h"
	shardLog  = "log"
	shardGone = "d"
	shardSent = "n"
)

func (k keys) shard(n int, part string) string {
	return k.prefix + "{t" + strconv.Itoa(n) + "}:" + part
}

func (k keys) exclusive(filter string) string {
	return k.prefix + "{x" + base64.RawURLEncoding.EncodeToString([]byte(filter)) + "}:x"
}
