package auth

import (
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

func TestSysTellsOfLogins(t *testing.T) {
	t.Parallel()
	b := serve(t, plain+"sys_interval: 100ms\nauth: {sources: [users_file], users_file: DIR/users, backoff: {pair: {max: 0}}}\n",
		map[string]string{"users": users(t, [3]string{"bob", "builder", ""})})
	b.refused(as("bob", "wrong"), badCredentials)
	b.refused(as("eve", "wrong"), badCredentials)
	b.refused(Connect{}, notAuthorized)
	bob := b.Connect(t, as("bob", "builder"))
	want := map[string]string{
		"allowed": "1", "denied": "3", "banned": "0", "source/users_file/allowed": "1", "source/users_file/credentials": "1",
		"source/none/credentials": "1", "source/none/not_authorized": "1",
	}
	bob.Subscribe("$SYS/broker/auth/#", 0)
	for len(want) > 0 { // each value that changes is published; the last one is as wanted
		p := bob.Expect(PUBLISH)
		name := p.Topic[len("$SYS/broker/auth/"):]
		if v, ok := want[name]; ok && p.Payload == v {
			delete(want, name)
		}
	}
}
