package router

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/broker/session"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/topic"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/hooks/store"
)

// Delivery receipts. A publisher of MQTT 5 asks for them with the user property
// message.ReceiptProperty, whose value is a topic that it may publish to; the first such
// property counts. For each session that the message was for, and each shared group, a
// message to that topic says what became of it. An outcome becomes a receipt in
// [Router.outcomeOp], wherever it comes about.
//
// A receipt is as durable as what it tells of. The end of an entry that has a record is
// committed together with a record of the receipt (store.KindDelayed, due at once); the
// receipt is published when that is durable, in one with the end of its own record. So
// the end of the process neither loses it nor has it published twice. What has no record
// (QoS 0, sessions that end with their connection) is told from memory.
//
// A message for more than Settings.ReceiptsEach targets is told of once, when all
// outcomes are in, see outcome_summary.go.
//
// A receipt has the QoS of the message, so that it is as certain, is never retained, has
// no publisher whose No Local could keep it away, does not expire and asks for no
// receipt. The publisher's right to publish to the topic is judged with the publish, not
// again when the receipt is: by then its groups and certificate may not be known.

// outcome is what became of a message for one target.
type outcome struct {
	word   string
	reason string           // of a drop
	code   byte             // that the client refused it with
	client message.ClientID // empty: it belongs to no session
}

// The words of outcomes, as publishers read them.
const (
	wordAcknowledged = "acknowledged"  // PUBACK or PUBCOMP
	wordSent         = "sent"          // QoS 0: written to the socket
	wordExpired      = "expired"       // before its delivery had begun
	wordDropped      = "dropped"       // for a reason
	wordNobody       = "no_subscriber" // there was nobody to get it
	wordSummary      = "summary"       // of many
)

// Reasons that are not those of stats.
const (
	reasonConnection = "connection_lost" // QoS 0 that was not written
	reasonRestart    = "restart"         // the broker ended, and with it what it knew
)

// Times in the records of receipts, besides those of $delayed.
const (
	dueAtOnce = 0
	neverDue  = 1<<63 - 1 // part of a summary
)

// ofReceipt tells the records of receipts from those of $delayed by their times.
func ofReceipt(at int64) bool { return at == dueAtOnce || at == neverDue }

func isReceipt(op *store.Op) bool {
	return op.Kind == store.KindDelayed && !op.Delete && ofReceipt(op.At)
}

func dropped(why stats.DropReason) outcome {
	if why == stats.DropExpired {
		return outcome{word: wordExpired}
	}
	return outcome{word: wordDropped, reason: why.String()}
}

// outcomeOp makes an outcome the record that tells of it. It reports false when nobody
// asked. A record with a number is to be committed with what ends the message's way, and
// then settled; one without, which is not lasting, is settled at once.
func (r *Router) outcomeOp(m *message.Message, o outcome, lasting bool) (store.Op, bool) {
	to := r.asks(m)
	if to == "" {
		return store.Op{}, false
	}
	op := store.Op{Kind: store.KindDelayed, At: dueAtOnce}
	if lasting {
		op.Seq = r.delayed.number()
	}
	if r.outcomes.counted(m.ID) {
		op.At, op.Msg = neverDue, note(m, &o)
	} else {
		op.Msg = r.receipt(m, to, &o)
	}
	return op, true
}

// asks answers the topic to tell what becomes of m, or empty.
func (r *Router) asks(m *message.Message) string {
	if m == nil || len(m.Props) == 0 || !r.Settings().Receipts {
		return ""
	}
	to := m.ReceiptTopic()
	if to == "" || r.judgeReceiptTopic(to) != codeSuccess { // rules may have changed since
		return ""
	}
	return to
}

// judgeReceiptTopic answers the reason code that refuses a topic for receipts to anybody.
func (r *Router) judgeReceiptTopic(to string) byte {
	_, _, late, _ := topic.ParseDelayed(to)
	if late || topic.ValidName(to) != nil {
		return codeTopicInvalid
	}
	return r.judgeTopic(to)
}

// judgeReceipt answers the reason code that refuses a message because of the topic that
// its receipts should go to: 0x87 for one that the publisher may not publish to, 0x90 for
// what is no topic name.
func (r *Router) judgeReceipt(h *hooks.Client, m *message.Message) (code byte, rule string) {
	if len(m.Props) == 0 || !r.Settings().Receipts {
		return codeSuccess, ""
	}
	to, ok := message.UserProperty(m.Props, message.ReceiptProperty)
	if !ok {
		return codeSuccess, ""
	}
	if code = r.judgeReceiptTopic(to); code != codeSuccess {
		return code, "topic for receipts refused"
	}
	d := r.hooks.Authorize(h, hooks.Request{Action: hooks.Publish, Topic: to, QoS: m.QoS})
	return d.Code, d.Rule
}

func receiptDrop(code byte) stats.DropReason {
	if code == codeTopicInvalid {
		return stats.DropInvalid
	}
	return stats.DropACL
}

// unasked is m as it is kept as a retained message: whoever gets it later, by subscribing,
// is no target of the publish.
func unasked(m *message.Message) *message.Message {
	if m.ReceiptTopic() == "" {
		return m
	}
	kept := *m
	kept.ID.Seq = 0
	return &kept
}

// tell tells an outcome that is in no session's batch, and commits with it what else it
// changes in the mailbox box. It reports whether that is sure to be known after a restart.
func (r *Router) tell(box message.MailboxID, m *message.Message, o outcome, with []store.Op, wait func() *Pending) bool {
	op, ok := r.outcomeOp(m, o, m != nil && m.QoS > 0)
	sure := ok && op.Seq != 0
	switch {
	case ok && !sure:
		r.settle(&op)
	case sure && box == "":
		with = append(with, op)
	case sure: // it is the own mailbox's; first, so that it is rather told twice than not
		r.commit(&store.Batch{Ops: []store.Op{op}}, &commitDone{r: r, told: []store.Op{op}})
	}
	if len(with) == 0 {
		return sure
	}
	d := &commitDone{r: r, told: with}
	if wait != nil {
		d.pend = wait()
		d.pend.left.Add(1)
	}
	r.commit(&store.Batch{Box: box, Ops: with}, d)
	return sure
}

// tellNobody tells that a message had no target anywhere.
func (r *Router) tellNobody(m *message.Message, wait func() *Pending) {
	if len(m.Props) > 0 && len(r.denied(m, nil)) == 0 { // those were told of
		r.tell("", m, outcome{word: wordNobody}, nil, wait)
	}
}

// tellLocked tells what became of an entry of the session, of QoS qos, with the next
// batch.
func (c *Client) tellLocked(m *message.Message, qos byte, o outcome) {
	if m == nil || len(m.Props) == 0 {
		return
	}
	o.client = c.ID
	op, ok := c.r.outcomeOp(m, o, qos > 0 && c.Persistent())
	switch {
	case !ok:
	case op.Seq == 0:
		c.r.settle(&op)
	case c.r.peers != nil: // the session may live in another mailbox, whose records are apart
		c.r.commit(&store.Batch{Ops: []store.Op{op}}, &commitDone{r: c.r, told: []store.Op{op}})
	default:
		c.out.Ops, c.tells = append(c.out.Ops, op), true
	}
}

// ackedEntry is the session's report of an entry that was acknowledged or, at QoS 0, sent.
func (c *Client) ackedEntry(e *session.Entry) {
	c.r.follows.delivered(e.Msg, c.targetOf(e))
	if e.QoS > 0 {
		c.endedEntry(e, outcome{word: wordAcknowledged})
		return
	}
	mb, seq := sourceOf(e)
	if seq != 0 || c.r.asks(e.Msg) != "" {
		has := c.makeRareLocked()
		has.sent = append(has.sent, sent{mb, waiting{e.Msg, seq}})
	}
}

// endedEntry tells how the way of an entry ended. One that was lent by a group has a
// record there.
func (c *Client) endedEntry(e *session.Entry, o outcome) {
	if mb, seq := sourceOf(e); seq != 0 {
		o.client = c.ID
		mb.g.finish(waiting{e.Msg, seq}, o)
		return
	}
	c.tellLocked(e.Msg, e.QoS, o)
}

// sent is a message of QoS 0 that was appended to the output, and whose publisher wants
// to know.
type sent struct {
	mb *member // of the group that lent it
	w  waiting
}

// sentLocked has it told of what was appended when it is written. The output's lock is
// free.
func (c *Client) sentLocked(l *Link) {
	if c.rare == nil || len(c.rare.sent) == 0 {
		return
	}
	for _, s := range c.rare.sent {
		if s.w.seq == 0 {
			c.writtenLocked(l, s.w.m)
			continue
		}
		id := c.ID
		l.Out.Written(func(ok bool) { s.mb.g.finish(s.w, written(ok, id)) })
	}
	c.rare.sent = nil
	c.tidyRareLocked()
}

// writtenLocked has it told of a message of QoS 0 when it is written.
func (c *Client) writtenLocked(l *Link, m *message.Message) {
	if c.r.asks(m) == "" {
		return
	}
	r, id := c.r, c.ID
	l.Out.Written(func(ok bool) {
		if op, asked := r.outcomeOp(m, written(ok, id), false); asked {
			r.settle(&op)
		}
	})
}

func written(ok bool, id message.ClientID) outcome {
	if ok {
		return outcome{word: wordSent, client: id}
	}
	return outcome{word: wordDropped, reason: reasonConnection, client: id}
}

// inquiry is the routing of one message whose publisher wants to know.
type inquiry struct {
	r     *Router
	m     *message.Message // nil: nobody asks
	all   int              // targets
	known int              // of them, what becomes of the message will be known after a restart
}

// inquire begins it, before anybody gets the message, and tells of those who subscribed
// and may not have it.
func (r *Router) inquire(m *message.Message, targets []target, groups []*Group, wait func() *Pending) inquiry {
	if r.asks(m) == "" {
		return inquiry{}
	}
	denied := r.denied(m, targets)
	f := inquiry{r: r, m: m, all: len(targets) + len(groups) + len(denied)}
	r.outcomes.open(m, f.all)
	for _, c := range denied {
		f.drop(stats.DropACL, c, wait)
	}
	return f
}

// denied lists who subscribed to a message and is kept from it by the rules.
func (r *Router) denied(m *message.Message, targets []target) (list []*Client) {
	if !r.has.ACL || r.asks(m) == "" {
		return nil
	}
	have := make(map[*Client]bool, len(targets))
	for i := range targets {
		have[targets[i].c] = true
	}
	for _, t := range r.own.match(m.Topic, r.reg.get(m.Publisher), nil) {
		if !have[t.c] && !r.mayRead(t.c.identity(), m.Topic, t.qos, false) {
			list = append(list, t.c)
		}
	}
	return list
}

func (f *inquiry) drop(why stats.DropReason, c *Client, wait func() *Pending) {
	if f.m != nil {
		o := dropped(why)
		o.client = c.ID
		f.sure(f.r.tell("", f.m, o, nil, wait))
	}
}

func (f *inquiry) sure(ok bool) {
	if ok {
		f.known++
	}
}

// end says that everybody has been given the message.
func (f *inquiry) end(wait func() *Pending) {
	if f.m != nil {
		f.r.closeTally(f.m, f.all, f.known, wait)
	}
}
