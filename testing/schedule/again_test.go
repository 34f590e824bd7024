package schedule

import (
	"fmt"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// TestBundleReadAgain: every message of a bundle is for a session that had none of them
// when its instance died.
func TestBundleReadAgain(t *testing.T) {
	t.Parallel()
	c := &trio{t: t, redis: server.StartRedis(t, "--appendfsync", "no", "--appendonly", "no")}
	c.a, c.b = c.start(), c.start()
	const id, topic, sent = "stays", "t", 5
	c.a.away(t, id, topic)
	h := c.a.gate.hold(func(s *step) bool { return s.name == "record_commit" && !s.answer && s.about(keyOf(id)) })
	defer h.release()
	pub := c.b.client(t, "pub")
	var all []byte
	for i := range sent {
		p := harness.Publish{Topic: topic, QoS: 2, ID: i + 1, Payload: fmt.Sprint(i)}
		all = append(all, p.Bytes(pub.Version)...)
	}
	pub.Send(all) // in one piece, so that they travel as one
	for range sent {
		pub.Expect(harness.PUBREC)
	}
	within(t, "the commit", h.came)
	c.a.crash()
	var k *harness.Client
	server.Poll(t, 0, func() bool { // it is refused until the mailbox is served
		k = harness.Dial(t, c.b.url)
		return k.Connect(stays(id)).Code == 0
	})
	for i := range sent {
		k.ExpectMessage(topic, fmt.Sprint(i))
	}
}
