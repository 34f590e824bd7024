// Package wire is where bytes become packets and packets become bytes: frames are
// split, packets a client sends are decoded behind strict guards, and packets a
// server sends are appended to the output buffer of their connection, [Output].
//
// # Guarantees
//
//   - No input panics, and none allocates more than a small multiple of the bytes
//     that have arrived. [Next] judges a frame by its header alone: a length of
//     five bytes, one that is not minimal, or one beyond the limit is refused
//     before any of the body is read.
//   - What is decoded never aliases the input: input buffers are pooled, so every
//     string and byte slice of a decoded packet is a copy.
//   - Every refusal is an [*Error] with the MQTT 5 reason code that the
//     specification asks for and the rule that was broken, for the log line. Rules
//     are named by their MQTT 5 number where both versions have them, otherwise
//     by section or in words. A 3.x client is told by closing the connection;
//     only some CONNECTs have a return code, see [V3Code].
//   - A packet that was accepted follows the specification as far as it can be
//     judged without the state of its connection. Left to others: the syntax of
//     topic filters (the router answers it filter by filter), topic aliases above
//     the maximum, packet identifiers in use or unknown, Receive Maximum, payload
//     format, and whether a session expiry may still be changed.
//
// # Why not the decoders of mochi
//
// Packets are mochi's [packets.Packet], because hooks take them. Its decoders are not
// used: they alias their input, panic on a cut SUBSCRIBE and check neither properties
// nor leftover bytes, so a guard in front of them had to read every field anyway and a
// second pass to copy them. Here one pass reads, judges and copies. The tests hold it
// against mochi's: what is accepted here means the same there.
//
// Its encoders are not used either. They drop what should be sent (the reason 0x10 of a
// PUBACK without properties), write lengths beyond 65,535 as they come, and forget half
// of a packet when one property is beyond the client's limit. The few packets that a
// server sends have a function each that appends them and does not allocate.
//
// PUBLISH has a parser and an encoder of its own in package message; [DecodePublish]
// is for hooks and tests, which want a packet. [DecodeAck] and [CheckPing] are the
// quick ways for the other packets of the hot path.
//
// # Versions
//
// 3.1 (level 3, "MQIsdp") is read as its specification says and not as 3.1.1: flag
// bits that it calls unused are ignored (reserved bit and will bits without a will
// in CONNECT, the upper six of a requested QoS), SUBSCRIBE, UNSUBSCRIBE and PUBREL
// may carry DUP, the user name and password may be missing although their flags are
// set. Its limit of 23 characters for a client identifier is not enforced (no other
// broker does, and clients rely on it); an empty one is refused. A Remaining Length
// that is not minimal is refused in all versions, although only MQTT 5 forbids it:
// no known client sends it and it hides one frame as another.
//
// # What mochi's types cannot say
//
// Message Expiry Interval 0 and an empty Content Type look like absent ones. An
// empty Authentication Method would too and is refused. Empty binary values that
// are present (will payload, password, correlation and authentication data) are
// empty and not nil.
//
// # Goroutines
//
// Decoding and encoding start none, take no lock and read no clock. An [Output] has one,
// its flusher, while there is something to write; it ends by itself when nothing is
// left, when a write fails, and after [Output.Close] with the write that has begun,
// which the owner of the socket ends by closing it. Appending blocks for nobody's
// network; how much may wait is up to those who append, see [Output.Room].
//
// Of this module the package may import message only, and of mochi packets.
package wire
