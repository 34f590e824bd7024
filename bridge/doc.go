// Package bridge makes identical instances that share a Redis one broker: any client
// connects to any of them and finds its session, every retained message and everything
// that is published anywhere, and any instance can end at any moment without the loss of
// anything that was acknowledged. It is the router's store and its cluster.
//
// # Words
//
// A process opens one mailbox when it starts: an inbox (a stream of batches), the set of
// sessions that live there or are on their way, and a lease. Ids of processes and
// mailboxes are made anew at each start. A session lives in one mailbox; its owner tag is
// that mailbox and the mailbox's epoch. The route table, in every router's memory, says
// which mailboxes a topic's messages go to; a position in it is that of the last change
// that was applied. keys.go names every key.
//
// # The way of a publish
//
//	router: match own sessions and the table, under its lock, at position p
//	  ├─ own sessions ─► records (a group commit: many sessions a step)
//	  └─ each other mailbox ─► outbox ─► inbox_append ─► its consumer ─► its router ─► records
//	all of it done ─► Confirm(p): the own lease is read ─► PUBACK, PUBREC
//
// QoS 0 goes the same way through a channel of the mailbox, and nobody waits for it. One
// batch of an outbox is under way at a time, and the next collects meanwhile, so one
// command carries hundreds of messages when there are hundreds. A batch has a number that
// is never used for other content and is repeated until its outcome is known; the inbox
// takes each number of a sender once.
//
// # Records
//
// What belongs to a session is in one hash slot and written by one step, record_commit,
// that wants the owner tag to be that of the writer and the number of the batch to be
// higher than the last one's: an owner that was paused commits nothing, and a batch whose
// answer was lost is not done twice. On one Redis a step carries the batches of many
// sessions, and what is between Begin and End is one step. In a Redis Cluster each
// session's batch is a step of its own in a pipeline, in the order of the calls; a crash
// in between leaves a prefix of them. Nothing that is promised hangs on more: a QoS 2
// publish of a persistent session is recorded with its message before it is routed and
// marked routed after, a will keeps its id until its record is removed, and a message of a
// group goes into the member's record before it leaves the group's.
// A message for ten thousand sessions is stored ten thousand times, once in each
// session's slot: a body shared over slots could not be removed in one step with its last
// user.
//
// # Leases and confirmation
//
// A lease says who tries, epochs and tags say who can; no clock is trusted for more. A row
// of {r}:leases holds owner, epoch, generation and deadline by Redis' clock. Whoever stops
// waiting for an instance whose lease has run out writes that into the row; whoever takes
// a mailbox raises its epoch in the same step. Before anything is acknowledged, also what
// had no target, the instance reads its own row after everything was stored: it must be
// its own, and of the generation under which the publish was routed; where replicas are asked for,
// a server that has none is not believed: it may have stood still, and another be the primary. An instance that finds its
// lease run out and nobody's takes it again: generation plus one, and the end of the route
// changes, in one step. What was routed at that end or later was matched with everything that a
// barrier may have passed without this instance, so it may be acknowledged; what was routed
// by an older table is refused, and its publisher's connection closes. So an outage of
// Redis that is longer than the lease costs a publisher nothing unless routes changed.
// An instance whose mailbox was taken tells Failed and starts anew, as another one.
//
// # Routes and barrier
//
// Each mailbox has one ordered writer of route changes; the change and the mailbox's set
// are one step, which compares the epoch. Followers apply changes in order. A process
// reports a position when it has applied it and everything that it had routed before is in
// its inboxes or given up. barrier(r) is passed when every process with a live lease has
// reported r; it is waited for before SUBACK and before a session is moved. A newcomer
// takes its lease, then reads the end of the changes, then loads the sets, follows, and
// only then accepts clients.
//
// # A session moves
//
//	claim      B: if it may have the session, the record names token and B as who wants it; the newest
//	           claim replaces older ones
//	prepare    B → inbox of A; A closes the connection, commits what there is, notes from now on what the
//	           session gets, and writes "ready" into the record
//	expect     B: reads the filters, keeps from now on what comes for the session, announces the filters
//	           as change r, waits for barrier(r)
//	move       B → inbox of A; met in order. A keeps what comes from now on and in one step, if the token is
//	           still the record's, makes B the owner, since = r, with the ids of what the session got here
//	           although it was matched at r or later (the overlap)
//	arrive     B: loads the session, drops what it kept and has been matched before r or is in the overlap,
//	           enqueues the rest, answers CONNACK
//	settle     B: an empty change, its barrier, the inbox consumed to its end: the overlap is forgotten
//
// A message matched before r is in A's inbox before the order to move, because of the
// barrier; one matched later is in B's: nothing is lost. since and overlap are exact:
// nothing comes twice. Answers may be lost, since B looks at the record as well.
//
// What a crash leaves: A before the move's step: its adopter meets the same entries, and the claim
// stands or not by the record; what the overlap would have been is lost, so QoS 1 may repeat, and a
// QoS 2 message is known by its id. A after it: B has the session. B before the step: B's adopter finds
// the session in its mailbox's set, and its claim in the record, which it removes: the session stays. B
// after it: B's adopter has the session and since, and what was kept is still in the inbox, which is not
// trimmed before its effects are committed.
//
// A session that ends with its connection is a record with an owner tag and, maybe, a
// will: a second connection anywhere asks the first owner to close, and waits until the
// record is gone.
//
// # A mailbox is adopted
//
// Lease, then the epoch beside the inbox, then each session of the set in one step (it
// lives there: its tag rises; it was on its way there: the claim is removed), then what
// waits in groups and delayed messages, and only then the inbox. Each session's record
// names the place in the inbox up to which everything is in the record, so what is read
// again is taken once; QoS 2 messages that may come again are also looked up by their ids.
// Everybody, the adopter too, appends to the inbox of an adopted mailbox. While their
// clients are away its sessions are merged into the adopter's own one (merge.go), by the
// rules of a move between two mailboxes of one process; the empty mailbox is deleted when
// its routes are gone, that barrier is passed and its inbox is consumed.
//
// # Retained messages, groups, holders
//
// A retained message and its entry in the shard's log are one step; followers apply the
// log, whose order is the truth, and a SUBSCRIBE first catches up with its end. Nodes keep
// all retained messages in memory: README says what that costs. Routes of a shared group carry how many members are
// connected; the publishing node chooses the mailbox, the mailbox the member. A mailbox
// without a connected member hands on, with the list of those that were tried; with none
// left the message waits where it is, and follows when a member connects elsewhere. The
// free windows of members are not announced: a mailbox whose members are all busy queues.
// A message of QoS 2 that may have been routed before goes round all mailboxes of the group,
// in the order of their ids and behind what was sent there, until one knows it: by the record
// of one who is or was a member, its queue, or because it has handed it on. What is read
// again, or waited, in a mailbox that was taken over goes round too; that it was handed on
// says nothing then, as it may have been to that mailbox.
//
// # A server that lacks what was read
//
// After a fail-over the new primary may lack the last entries of a stream, which readers
// have read already; their positions are given to other entries. Readers notice another
// server (or the same one, started again) by its run id: after every error, and every ten
// seconds. The consumer of an inbox then has the positions go on behind what it has read,
// compares what stands before that with what it read there, and gives what it has not read
// a new position. Followers of the routes load all of them, and what a mailbox's set has
// lost is written again. Whoever was answered had its write on the replicas that were
// asked for.
//
// # What arrives late
//
// A step that was given up is repeated on another connection, and the first one may still reach
// Redis, behind all that was done since: a network holds it, or a server that stood still. So
// every step compares: batches of records and inboxes, changes of routes and of who lives
// in a mailbox have numbers that rise, claims have tokens, leases epochs and generations. What is
// left of a connect that came late is a client id in use by nobody: its owner gives it free when it
// is asked for it. A record that names a mailbox that does not exist goes to who asks.
//
// # QoS 0 and slow receivers
//
// A channel has no back-pressure, and Redis cuts off a subscriber that is far behind. So
// the receiver tells each sender what it has taken; at most 4 MiB are under way to a
// mailbox and 8 MiB wait for it, what comes beyond that is dropped and counted. An ear that
// hears nothing says something to itself: a subscription that does not hear it is made
// again.
//
// # What an outage does
//
// Nothing fails: steps are repeated until they are answered, QoS 0 goes on between clients
// of one node, nothing of QoS 1 and 2 is acknowledged, connects that need a step wait and
// are refused when their time is up. Publishers stop by their window. Errors of one record
// are that session's alone and are logged with the key.
//
// # Scale, from measured costs
//
// Measured on one Redis 7.0 with the append-only file synced for every write, beside three
// instances and the load on two cores; the README has the runs. What Redis holds and does:
//
//   - an idle persistent session with one subscription: about 700 bytes in three keys; a
//     connected clean one: about 200 bytes in one key. A queued message of 64 bytes: about 170
//     bytes.
//   - an instance at rest: four renewals a lease (3 s) and a blocked read a second for each
//     stream it follows: 12 commands a second, whatever the number of clients.
//   - a publish at full load: about 0.01 commands, as batches carry hundreds; alone: one append,
//     one read of the lease and one delivery.
//   - a connect: 4 steps for a clean session; about 10 commands for one that moves, in 7 round trips.
//
// 1 M persistent sessions on 10 instances: 0.7 GB in Redis and 100,000 sessions an instance (about
// 0.3 GB each); 1,000 connects a second are 10,000 commands, a sixth of one Redis; one Redis
// spends 12 µs on each entry for an offline session, so it suffices until about 80,000 of them a second. 10 M on 50: 7 GB, which is a Redis
// Cluster for the time it takes to save and to fail over rather than for its load; 50 instances read
// 50 route streams and report 50 times a change, so a storm of new filters is the first
// limit: 1,000 changes a second are 50,000 deliveries of changes, which batching brings to some
// hundred commands. Every instance keeps every route: 10 M distinct filters are about 1.5 GB an
// instance, which is the second limit; filters that many share cost nothing more. What to
// do then: several clusters, each with the devices of a region, joined by a bridge on the
// topics that must cross.
//
// # Goroutines
//
// link.spawn starts them all, and Close waits for them, after it has closed the
// connections of reads that block: one committer and one sender of
// records; one renewer of leases; one follower of the routes; one of the retained logs (one
// a shard in a Redis Cluster); for each mailbox that is held a reader, a trimmer and a
// listener; for each outbox that has something to send one; short ones for barriers,
// confirmations, claims that were asked for, and adoptions. None holds a lock while it
// waits for Redis.
//
// # Imports
//
// It must not import router, conn, wire, session or mochi: what it brings goes through
// [Inbox], whose arguments are types of message and hooks/store.
package bridge
