// Package router takes a publish from a connection to every session that
// subscribed to it, and acknowledges it when what it promises is committed.
//
// The way of a publish: [Publisher.Publish] looks the topic up in a cache of its
// connection ([route]: who gets it, may it be published), gathers consecutive
// publishes to one topic into a run, and at the end of the run or of the read
// hands the run to each target: one lock a target and run, frames encoded once
// for all subscribers that take the same form. Only what must outlive the read
// buffer (a queue, a persistent or shared session, a retained message) becomes a
// [message.Message].
//
// Locks, outermost first: the gate of a client id (its connects and the end of its
// session) → Store.Begin (what is written as one) → Client.mu → groups.mu → Group.mu; Client.mu → retained.mu,
// exclusive.mu, delayed.mu, the locks of the filter trees → an output's lock → outcomes.mu. Store
// commits are handed over under Client.mu, which keeps the batches of a session
// in order; their callbacks take only output locks and an Acker's own. No lock is
// held across a socket write or a read of the store.
//
// The order of steps that promises hang on: a retained message is stored before its
// targets are matched, so a SUBSCRIBE in between finds it in one of both; a QoS 2
// identifier is recorded with the entries it leads to, so that a repetition after a
// crash finds all or nothing; a group's record goes with the batch of the member that
// takes the message over.
//
// A publisher that asks is told what became of its message: outcome.go. The record of a
// receipt goes with the batch that ends the entry, and the receipt is published, by a
// goroutine that runs while there are any (outcome_send.go), in one with the end of that
// record. Close waits for it.
//
// A run of QoS 1 to a persistent session whose client acknowledges quickly is sent as
// one block, like to any other, and its records wait: lend.go. The publisher is answered
// when the client has acknowledged all of it, or when the rest is committed, which
// Settings.Linger and the client's own pace bound. A subscriber that is slower than a
// commit is not waited for.
//
// What a store that breaks or is full refused is repeated (again.go): the records of a
// session when its client comes back, which the refusal made it do; the node's own and
// the ends of sessions after a second, until they are accepted.
//
// The router starts two goroutines that read queues in pages (pager.go), one that has
// recorded what was lent for too long (recall.go), and others
// only for hooks, which may be slow (events.go): one that tells of dropped messages, and one for each thing that falls due and has to ask a
// hook; Close waits for them. Hooks are asked under a lock in one place: about
// retained messages and the queues of shared groups while a client is being filled,
// which harms that client and who publishes to it. Timed work (session expiry, wills, delayed
// messages, retained expiry) runs on the due queue of the node; publishers run on
// their connection's goroutine, and a subscriber's output is resumed by its
// flusher ([Router.Drained]).
//
// Who operates a node looks at it through inspect.go and browse.go, which copy and hold
// no lock for long, and acts through operate.go. A [Sender] publishes without a
// connection (inject.go; follow.go knows who has acknowledged what) and a [Stream]
// subscribes without one: it is a session whose link has no bytes (stream.go).
//
// It must not import conn, wire, listen or mochi: a connection is a [Link], and hooks
// are told in our own types.
package router
