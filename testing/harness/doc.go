// Package harness is what the tests of a whole broker share: a node in the
// test's own process or a broker at a given address, real programs as child
// processes, certificates, and a client that works on bytes.
//
// The client sends whatever it is told and reads strictly: what the broker sends
// must be well formed, with the flags, properties and reason codes that the
// specification allows for the packet, or the test fails. That something does
// not arrive is shown by a PINGREQ and its answer, never by waiting.
//
// Everything that is started here ends with the test that started it. Nothing
// listens beyond the loopback addresses. Poll is the only way to wait for a
// condition. A program that is not installed skips the test, by name.
//
// The package imports the broker; nothing but tests imports the package.
package harness
