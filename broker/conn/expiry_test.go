package conn_test

import (
	"context"
	"testing"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/testing/harness"
)

// tickets is an authenticator whose identities end some seconds after they are asked
// for: as many as the Authentication Data is long, or for ever without any.
type tickets struct{}

func (tickets) Begin(_ context.Context, q hooks.Connect) hooks.Step {
	id := auth.Named("bob", true)
	if n := len(q.Data); n > 0 {
		id.ExpiresAt = time.Now().Add(time.Duration(n) * time.Second).UnixNano()
	}
	return hooks.Accept(id, nil)
}

func ticket(n int) [][]byte {
	return [][]byte{harness.Prop(harness.PAuthMethod, harness.Str("ticket")), harness.Prop(harness.PAuthData, harness.Str(string(make([]byte, n))))}
}

// A connection ends when its identity does, which a re-authentication moves.
func TestAnIdentityEnds(t *testing.T) {
	test(t, func(s *setup) { s.auth = tickets{} }, func(g *rig) {
		c := g.connect(harness.Connect{ID: "once", KeepAlive: harness.NoKeepAlive, Props: ticket(10)})
		longer := g.connect(harness.Connect{ID: "longer", KeepAlive: harness.NoKeepAlive, Props: ticket(10)})
		sooner := g.connect(harness.Connect{ID: "sooner", KeepAlive: harness.NoKeepAlive, Props: ticket(100)})
		never := g.connect(harness.Connect{ID: "never", KeepAlive: harness.NoKeepAlive})
		wait(9 * time.Second)
		longer.send(harness.Auth(0x19, ticket(20)...))
		longer.take()
		sooner.send(harness.Auth(0x19, ticket(3)...))
		sooner.take()
		c.send(harness.Ping())
		c.want("pong")
		wait(2 * time.Second)
		c.want("disconnect:a0")
		sooner.send(harness.Ping())
		sooner.want("pong")
		wait(2 * time.Second)
		sooner.want("disconnect:a0")
		longer.send(harness.Ping())
		longer.want("pong")
		wait(20 * time.Second)
		longer.want("disconnect:a0")
		never.send(harness.Ping())
		never.want("pong")
	})
}
