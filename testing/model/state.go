package model

// The sizes of the model. They bound what a state can hold, not the protocol; a state
// that would need more is cut and counted.
const (
	processes = 3 // A B C
	mailboxes = 3 // mailbox i is opened by process i
	inboxSize = 10
	routeSize = 7
	queueSize = 5  // entries that a process has for S and has not committed
	outSize   = 3  // messages in an outbox
	logSize   = 10 // what S's subscriber gets
	claimSize = 5
	maxID     = 12
)

const none = 0xFF

// The life of a process.
const (
	dead = iota
	running
	paused
	unborn // has not joined yet
)

// What a process believes to be for S.
const (
	roleNone = iota
	roleOwner
	roleLeaving // met move, flushes commits
	roleWaiting // of a move: collects what reaches its mailbox
)

// The state of S's client.
const (
	clientAway  = iota
	clientWaits // for CONNACK
	clientAnswered
)

// The steps of a move at the process the client came to.
const (
	moveNone = iota
	moveClaimed
	movePrepared // prepare is appended
	moveRouted   // routes are added
	moveSent     // move is appended
)

// item is an entry of an inbox or an outbox: the low half is the id of a message, or
// says prepare or move; the high half is the route position at which a message was
// matched, or the claim.
type item uint8

const (
	itemPrepare item = 14
	itemMove    item = 15
	itemGone    item = 0xFF // trimmed
)

func message(id, at uint8) item       { return item(id | at<<4) }
func control(kind item, c uint8) item { return kind | item(c)<<4 }
func (e item) id() uint8              { return uint8(e) & 15 }
func (e item) high() uint8            { return uint8(e) >> 4 }
func (e item) kind() item             { return e & 15 }

// idSet is a set of ids, two bytes so that no state has padding.
type idSet [2]uint8

func (o idSet) has(id uint8) bool { return o[id>>3]>>(id&7)&1 == 1 }
func (o *idSet) add(id uint8)     { o[id>>3] |= 1 << (id & 7) }
func (o idSet) empty() bool       { return o == idSet{} }

// entry is a message for S in the memory of a process.
type entry struct {
	ID  uint8 // 0 is none; dupBit: a copy that counts as applied with its first
	Pos uint8 // in the inbox, counted from 1; 0 came from a publisher of the process
}

const dupBit = 0x80

type queue [queueSize]entry

func (q *queue) pop() {
	copy(q[:], q[1:])
	q[queueSize-1] = entry{}
}

func (q *queue) push(e entry) bool {
	for i := range q {
		if q[i].ID == 0 {
			q[i] = e
			return true
		}
	}
	return false // full: the step is delayed
}

// hosted is what a process holds of S.
type hosted struct {
	Role, Box, Tag  uint8
	Pos, Since      uint8
	Seen            uint8 // ids of QoS 2 that it knows, a bit a message
	Noting          uint8
	Queue           queue // not committed
	Waiting         queue // of a move, or held until the outcome of one is known
	Overlap         idSet // noted since prepare
	Loaded          idSet // loaded with the session
	Forget, ForgetR uint8 // steps of forgetting Loaded
}

// moving is a move under way to this process.
type moving struct{ Step, Claim, From, Route uint8 }

// process is the memory of a process; a crash zeroes it.
type process struct {
	Life, Applied       uint8
	Out                 [mailboxes][outSize]item
	Epoch, Loaded, Read [mailboxes]uint8 // epoch it believes to hold (0: not its own), sessions loaded, inbox consumed up to
	S                   hosted
	Move                moving
	InFlight, Appended  uint8 // publishes not acknowledged; those of them with an append; a bit a message
	Known               uint8 // as hosted.Seen, when that is not part of the record
	Removals            uint8 // mailboxes whose route is to be removed
	Targets, Generation uint8 // of the last publish
	Lapsed              uint8
	Want, WantEpoch     uint8 // a mailbox (+1) whose lease it saw run out
	Join                uint8
}

type mailbox struct {
	Inbox                [inboxSize]item
	Len, Trimmed         uint8
	Owner, Epoch, Coming uint8
}

// record is that of S in Redis.
type record struct {
	Box, Tag, Pos, Claim, Done, Since, Seen uint8
	Overlap                                 idSet
}

type claim struct{ Box, Epoch, Route uint8 }

type publisher struct {
	At, Generation, Next, Reconnects uint8
	WaitFor                          uint8 // length of the process's own inbox at CONNECT
	Visited                          uint8
}

type client struct{ At, State, Connects uint8 }

// State is everything: Redis, clients, the memory of processes, what is left of the
// bounds. All fields are bytes, so that equal states are equal memory.
type State struct {
	P             [processes]process
	Box           [mailboxes]mailbox
	Routes        [routeSize]uint8 // the change in the high half, the mailbox in the low
	RouteLen      uint8
	Lease, Report [processes]uint8
	S             record
	Claims        [claimSize]claim
	ClaimLen      uint8
	Prepared      uint8 // claims that were answered "prepared"
	Pub           publisher
	Client        client
	Crashes       uint8
	Pauses        uint8
	Sub, SubRoute uint8 // of the new subscription: 0 not there, 1 waits for its barrier, 2 answered
	Seen          Outcome
}

// Route changes.
const (
	routeAdd uint8 = iota + 1
	routeRemove
	routeEmpty
)

// Subscription states.
const (
	subNone = iota
	subRouted
	subAnswered
)
