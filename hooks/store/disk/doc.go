// Package disk is the embedded store: sessions, queues and retained messages in
// one directory, on the pebble database.
//
// # Guarantees
//
//   - A batch is there whole or not at all, after every end of the process, the
//     system and the power. So are all batches between Begin and End.
//   - With [SyncAlways] a batch whose callback was called without an error survives
//     all of these, with [SyncInterval] the end of the process.
//   - The batches of one client are applied and answered in the order of Commit.
//     The callbacks run on the committer's goroutine, with no lock held.
//   - A reader sees one state, made of whole groups that are durable.
//   - A batch with an epoch below the session's is refused with store.ErrFenced, one
//     for a session that is not there with store.ErrNotFound. The epoch goes with
//     the session.
//   - Data is never deleted to get going. What keeps the store from opening is an
//     error that names the directory and the way out.
//
// # Goroutines
//
// The committer is one goroutine from Open to Close: it takes all batches that came
// in while it wrote the last group, encodes them as one batch of pebble, has it
// written and synced, and answers them. Between two groups it takes away a little
// of what ended sessions and consumed entries left. The writer, one goroutine an
// opening of the database, does the writing itself: pebble ends the process when a
// write fails, which here ends the writer and breaks that opening. Nothing is
// written through it any more, everything that waits is refused with [ErrBroken],
// and the committer opens the database anew, with back-off. A broken opening is
// closed by a goroutine of its own, which never ends if pebble hangs; that leaks
// its memtables. pebble's own goroutines end with the opening; its compactions begin a few
// seconds after it, because opening waits for those that run.
//
// # Elision
//
// A batch with store.Batch.Linger that has only entries of QoS 1, and one that only
// deletes entries, waits up to Options.Linger, or until a batch of the same client
// has to be written, or one that came between the same Begin and End. An entry
// that is deleted while its batch waits is not written, and a batch of which
// nothing is left to write is answered at once, after those before it. Entries
// that come and go within one group are not written either way. So store.Queue.Last
// may be behind after a crash: by numbers that no stored entry has.
//
// # Keys
//
// The first byte is the space; numbers are big-endian. n is the number of a
// session, which no other and no later session of the same client has.
//
//	F                     number of the format
//	A                     numbers given out: limits of n and of bodies
//	C client              n
//	S n 0                 head of the session: identity, epoch, expiry, will
//	S n 1                 figures: store.Queue, epoch, the lane (see below); of version 2
//	                      when publishers want to know of entries, which ends with how many
//	S n 2 filter          subscription
//	S n 3 filter          cursor through the retained messages
//	Q n seq               entry with its message, or with the number of its body
//	I n seq               packet identifier and phase of an entry
//	R n id                received QoS 2 packet identifier
//	M body                message that many entries refer to
//	N body                how many
//	D n                   session that ended, and how far it is taken away
//	T topic               retained message
//	L seq                 delayed message and its time
//	G len group seq       message that waits in a shared group
//
// Start-up reads S, D, A and F alone: sessions and subscriptions, no queue. Every
// value begins with the version of its encoding; integers in it are varints, or
// eight bytes in little-endian order where they are times and identifiers. A
// message is its identifier, times, publisher, user, topic, its properties as they
// stand in an MQTT 5 PUBLISH, and the payload.
//
// # Queues
//
// A session's entries are consumed nearly in order. Many consumed entries get no
// tombstone each: the lane in the figures says below which Seq all are dead,
// readers begin there, and a range deletion takes the keys away every few thousand
// entries or a few seconds later. What is deleted out of order gets a tombstone.
//
// # Bodies
//
// A message that one group gives to several sessions is stored once, under a number
// of its own, and entries refer to it. How many do is counted in the same batch
// that writes or deletes them, so the count is right after every crash; with the
// last one the body goes. A message that comes again soon refers to the body that
// is there.
//
// # What a crash leaves
//
// The groups up to some point, in order. A session that ended is gone with its C
// and head; its D stays until all its records are taken away, which the next start
// goes on with, and no later session of the client can see them. Consumed entries
// below the lane's head may still be on disk; they are dead, and the next range
// deletion takes them. Numbers that were reserved and not used are never given out.
//
// # Full disk
//
// Free space is looked at every second and for every batch when it is short. Below
// the limit, batches that add data are refused with [ErrDiskFull]; deletions, states
// and heads of sessions that are there pass. The ballast file is given up then, and
// made again when there is room. If the disk is full all the same, the database
// breaks, and is opened again.
//
// # Without a broker
//
// [OpenReadOnly] looks at a store, [Compact] rewrites it, and [View.Export] and
// [Import] write it as lines of JSON and fill an empty one with them; all of them
// refuse a directory in use. The first line is {"kind":"header","version":1}, the
// last {"kind":"end"} with the number of lines between them, so that a cut file is
// noticed. In between come, in this order: "body", messages that several entries
// refer to; for each session "session" and then its "subscription", "cursor",
// "received" and "entry" lines, entries by seq; then "retained", "delayed" and
// "group". 64-bit integers are strings, times are Unix nanoseconds, properties and
// payloads are base64. Texts are strings, or {"base64":"..."} when they are not
// UTF-8. testdata/export.jsonl has one of each. A version that is not known is
// refused, and so are fields that are not.
//
// The package imports message and store, and pebble.
package disk
