// Package session is the state machine of one client's session: its queue, its
// window of packet identifiers, and the QoS 2 identifiers it received.
//
// It is pure: no I/O, no clock, no goroutine, no lock. Inputs are packets and
// messages; outputs are frames to send and records to commit ([Output]). The
// router calls it under the client's lock and passes the time in.
//
// Guarantees:
//   - inbound and outbound identifiers are separate tables; an outbound
//     identifier in use is never given again [MQTT-2.2.1-4];
//   - messages leave in the order in which they were enqueued; after a reconnect
//     what was in flight goes first, in its original order, PUBLISH with DUP or
//     PUBREL, before anything new [MQTT-4.4.0-1], [MQTT-4.6.0-1];
//   - never more than the window is unacknowledged [MQTT-3.3.4-9];
//   - the queue never exceeds its limits in messages and bytes; what the
//     overflow rule takes away is reported to the caller, entry by entry;
//   - for a persistent session no QoS 2 PUBLISH, PUBREL, PUBREC or PUBCOMP is
//     among the frames that may leave before the commit.
package session
