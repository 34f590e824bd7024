// Package schedule runs whole instances in one process and decides, from a seed, in what
// order their commands reach Redis and its answers reach them.
//
// Each instance has a way of its own to one real redis-server, a gate, which reads what
// goes through it command by command. A scheduler lets one of all that wait go at a time,
// by priorities that change at random, so that instances act on answers as old as it
// likes. At a gate an instance can also be stopped for longer than its lease, lose answers
// of commands that were done, or be cut off for good, which is a crash: nothing of it
// reaches Redis any more. The clients and the judge are those of package witness.
//
// A gate can hold chosen commands or answers until a test lets them go, and alter them.
// So rules of the protocol are turned off, one at a time, in instances whose code is as it
// is: a barrier that is answered as passed, a step that does not compare, an inbox that is
// trimmed too early. Each of these tests shows with the rule that a promise is kept, and
// without it that the same schedule breaks it.
//
// Random schedules are tried for 20 seconds with all tests, or for as long as SCHEDULE says;
// SEED chooses one.
//
// A seed repeats the choices, not the run: when the goroutines of an instance ask for the
// next step is the machine's business.
//
// Goroutines: those of a gate end with its close, the scheduler's with its context, those
// of instances with their end, which every test waits for. There is nothing but tests.
package schedule
