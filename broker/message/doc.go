// Package message is a leaf: a published message, the ids that every room
// uses, and the PUBLISH parser and encoder of the hot path.
//
// A [Message] is immutable once it has been handed to the router: any number of
// sessions hold the same pointer. Its properties are kept encoded, without the
// ones that belong to one hop (topic alias, subscription identifier, message
// expiry), so forwarding copies bytes and decodes nothing.
//
// The package starts no goroutine, takes no lock, and imports nothing of the
// broker.
package message
