// Package operate tests what people do to a broker that runs, with the program as they
// have it: its HTTP listener, its signals, its end and its next start.
package operate
