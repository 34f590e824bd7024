// Package session is the state machine of one client's session: its queue, its
// window of packet identifiers, and the QoS 2 identifiers it received.
//
// It is pure: no I/O, no clock, no goroutine, no lock. Inputs are packets and
// messages; outputs are frames to send and records to commit ([Output]). The
// router calls it under the client's lock and passes the time in.
//
// # Use
//
// The records of one step, or of several, are one batch. Batches are committed in
// the order in which they were produced; frames in After leave when the batch they
// came with is committed, or at once if it is empty, and only on the connection
// they were made for. Frames in Now leave at once, before those in After.
//
// # Loans
//
// A run of QoS 1 messages that a client is likely to acknowledge soon may be lent:
// [Session.Lend] and Assign send it without records. What is acknowledged before
// [Session.Recall] never had one, and the run is in Output.Repaid when all of it is; the
// rest is recorded by Recall, or before a record of a later message, and the run is in
// Output.Recorded. Whoever was to be told that a run is safe is told by one of the two.
// Recall must be called before Disconnected.
//
// # Pages
//
// With [Limits].PageMessages and PageBytes a persistent session's queue may be far
// larger than memory. It has three parts, in this order: the queue, from which Fill
// sends; the tail, which is in the store alone and of which the session knows the
// figures; and the newest, which came after the tail while the client was connected.
// What is in memory is at most one page, and nothing while the client is offline,
// but for QoS 0 that is queued: it has no record, and keeps its place in the order.
// The caller asks [Session.WantsPage] after each step and each commit, reads that
// page from the store, one at a time and without the lock, and gives it to
// [Session.Paged]. A page that no longer is what comes next is ignored. What is not
// committed yet is not in a page; it is asked for again. Should the store have less than the figures say, because it
// refused a batch, [Session.Nothing] says so, and [Session.Rewrite] records again what is
// in flight and received.
//
// Figures go into every batch, so that the store has them with the queue. Start-up
// takes them back with [RestoreHead] and the rest, before the first connection,
// with [Session.Load].
//
// A full queue whose rule is to drop the oldest cannot drop what it has not read. It
// lets messages in above its limit, by one page, or one message if that is larger;
// WantsPage then asks for what is to be dropped, also while offline, and Paged drops
// it, entry by entry. Above that the newest are dropped.
//
// # Guarantees
//
//   - inbound and outbound identifiers are separate tables; an outbound
//     identifier in use is never given again [MQTT-2.2.1-4];
//   - messages of one QoS leave in the order in which they were enqueued; QoS 1 may
//     overtake QoS 2, which waits for its commit;
//   - after a reconnect what was in flight goes first, in its original order,
//     PUBLISH with DUP or PUBREL, before anything new [MQTT-4.4.0-1],
//     [MQTT-4.6.0-1]. If earlier records may still be uncommitted, the QoS 2 part
//     of it waits for them, in order, and only QoS 1 may overtake it
//     ([Session.Settled]);
//   - never more than the window is unacknowledged [MQTT-3.3.4-9];
//   - the queue holds at most its limits, plus what the window has room for, plus
//     one message that may pass at once, plus a page as said above; what a rule takes away is reported to the
//     caller, entry by entry, once;
//   - for a persistent session no QoS 2 PUBLISH, no PUBREL for a message in flight
//     and no PUBCOMP is among the frames that may leave before the record behind
//     it is committed, be it sent for the first time or again. PUBREC is the
//     caller's: it waits for the record of Received;
//   - applying the records to an empty image and restoring it gives a session
//     that goes on where the last committed batch left off;
//   - a session with nothing queued, in flight or received takes a few hundred
//     bytes once its connection has ended, and after [Session.Trim].
//
// It imports message and the record types of hooks/store, nothing else of the
// broker.
package session
