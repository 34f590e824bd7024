// Package conformance holds a broker to the statements of MQTT 3.1.1 and 5.0,
// one test a statement and named by it, and to what the project promises about
// bad input, hostile clients and real clients. statements.txt is the list of all
// statements, with the tests that cover them or the reason why none does.
//
// The tests share one node with the default settings and use names of their own,
// so that they run in parallel; where a statement needs other settings, a test
// starts a node for it. With SKEIN_TEST_BROKER=host:port the tests that need no
// settings run against that broker instead.
package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var versions = []byte{harness.V5, harness.V311, harness.V31}

// statement is a test of one or several statements (separated by spaces), named by
// them.
func statement(t *testing.T, ids string, f func(t *testing.T)) {
	t.Helper()
	t.Run(strings.ReplaceAll(ids, " ", "+"), func(t *testing.T) {
		t.Parallel()
		f(t)
	})
}

// each is a statement that holds for every version.
func each(t *testing.T, ids string, f func(t *testing.T, v byte)) {
	t.Helper()
	in(t, ids, versions, f)
}

// both is a statement of 5.0 and 3.1.1 of which MQTT 3.1 says nothing.
func both(t *testing.T, ids string, f func(t *testing.T, v byte)) {
	t.Helper()
	in(t, ids, []byte{harness.V5, harness.V311}, f)
}

func in(t *testing.T, ids string, vs []byte, f func(t *testing.T, v byte)) {
	t.Helper()
	statement(t, ids, func(t *testing.T) {
		for _, v := range vs {
			t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) { f(t, v) })
		}
	})
}

// persistent is a CONNECT whose session outlives its connection.
func persistent(v byte, id string) harness.Connect {
	c := harness.Connect{Version: v, ID: id, Keep: true}
	if v == harness.V5 {
		c.Props = [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(300))}
	}
	return c
}

// refused wants a CONNECT to be answered with a code and the end of the connection.
func refused(t *testing.T, b *harness.Broker, o harness.Connect, code byte) {
	t.Helper()
	c, ack := b.TryConnect(t, o)
	if ack.Code != code {
		t.Fatalf("got %v, want code %#02x", ack, code)
	}
	if rest := c.ExpectClosed(); len(rest) > 0 {
		t.Fatalf("got %v after a refusal, want nothing", rest)
	}
}
