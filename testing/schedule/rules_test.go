package schedule

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// schedules are orders of steps in which one rule is needed. Each answers whether the
// promise was kept, with the rule, or with the rule broken.
var schedules = []struct {
	name string
	run  func(t *testing.T, c *trio, broken bool) (kept bool)
}{
	{"no barrier", barrier},
	{"no overlap set", overlap},
	{"no epoch", epoch},
	{"trim before commit", trim},
	{"acknowledge without lease check", check},
}

// TestRules shows of each rule that its schedule keeps the promise with it, and breaks it
// without: what a random schedule would find.
func TestRules(t *testing.T) {
	for _, s := range schedules {
		for _, broken := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", s.name, broken), func(t *testing.T) {
				t.Parallel()
				c := &trio{t: t, redis: server.StartRedis(t, "--appendfsync", "no", "--appendonly", "no")}
				c.a, c.b = c.start(), c.start()
				if kept := s.run(t, c, broken); kept == broken {
					t.Errorf("the promise was kept: %v", kept)
				}
			})
		}
	}
}

// trio is two or three instances.
type trio struct {
	t     *testing.T
	redis *server.Redis
	a, b  *instance
}

func (c *trio) start() *instance { return start(c.t, c.redis, "skein:", nil) }

// client connects with a session that stays.
func (i *instance) client(t testing.TB, id string) *harness.Client {
	t.Helper()
	k := harness.Dial(t, i.url)
	if ack := k.Connect(stays(id)); ack.Code != 0 {
		t.Fatalf("connect refused: %v", ack)
	}
	return k
}

func stays(id string) harness.Connect {
	return harness.Connect{Version: harness.V5, ID: id, Keep: true, Props: [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(3600))}}
}

// away makes a session on an instance that subscribes to a topic and leaves.
func (i *instance) away(t testing.TB, id, topic string) {
	t.Helper()
	k := i.client(t, id)
	k.Subscribe(topic, 1)
	k.Leave()
}

func say(topic, payload string) harness.Publish {
	return harness.Publish{Topic: topic, QoS: 1, Payload: payload}
}

// keyOf is a part of the keys of a session.
func keyOf(id string) string { return "{s" + base64.RawURLEncoding.EncodeToString([]byte(id)) + "}" }

// barrier: b has not heard of a subscription at a, and gets a publish after its SUBACK.
func barrier(t *testing.T, c *trio, broken bool) bool {
	const topic = "t"
	if broken {
		c.a.gate.change(nil, func(s *step, answer []byte) []byte {
			if s.name == "barrier" {
				return fmt.Appendf(nil, "*2\r\n:%s\r\n:0\r\n", s.words[5])
			}
			return answer
		})
	}
	h := c.b.gate.hold(func(s *step) bool { return s.answer && s.name == "xread" && s.about("{r}:routes") })
	defer h.release()
	sub, pub := c.a.client(t, "sub"), c.b.client(t, "pub")
	sub.Send(harness.Subscribe(sub.Version, 1, nil, harness.To(topic, 1)))
	if !broken { // it asks again and again
		server.Poll(t, 0, func() bool { return c.a.gate.count("barrier") > 3 })
		h.release()
	}
	sub.Expect(harness.SUBACK)
	pub.Publish(say(topic, "first"))
	h.release()
	server.Poll(t, 0, func() bool { // until b has heard
		pub.Publish(say(topic, "later"))
		sub.Barrier()
		return sub.Waiting() > 0
	})
	return sub.Receive().Payload == "first"
}

// overlap: a message comes to both mailboxes of a session that moves.
func overlap(t *testing.T, c *trio, broken bool) bool {
	const id, topic = "moves", "t"
	if broken {
		c.a.gate.change(func(s *step) {
			if s.name == "claim_move" {
				s.words[len(s.words)-1] = ""
			}
		}, nil)
	}
	third := c.start()
	c.a.client(t, id).Subscribe(topic, 1)
	pub := third.client(t, "pub")
	n := 0
	h := c.b.gate.hold(func(s *step) bool {
		if s.answer || s.name != "inbox_append" {
			return false
		}
		n++
		return n == 2 // the first asks to prepare, the second to move
	})
	defer h.release()
	k := harness.Dial(t, c.b.url)
	k.Send(stays(id).Bytes())
	within(t, "the order to move", h.came)
	pub.Publish(say(topic, "first"))
	h.release()
	k.Expect(harness.CONNACK)
	pub.Publish(say(topic, "second"))
	k.ExpectMessage(topic, "first")
	return k.Receive().Payload == "second"
}

// epoch: a is stopped before a commit for a session that b takes over meanwhile.
func epoch(t *testing.T, c *trio, broken bool) bool {
	const id, topic = "stays", "t"
	late := make(chan struct{}, 1)
	c.a.gate.change(func(s *step) {
		if broken && s.name == "record_commit" {
			s.words = append([]string{"eval", withoutOwner(t)}, s.words[2:]...)
		}
	}, func(s *step, answer []byte) []byte {
		if s.name == "record_commit" && s.about("stale") {
			select {
			case late <- struct{}{}:
			default: // it is known
			}
		}
		return answer
	})
	var stored atomic.Bool
	c.b.gate.change(nil, func(s *step, answer []byte) []byte {
		if s.name == "record_commit" && s.about("kept") {
			stored.Store(true)
		}
		return answer
	})
	c.a.away(t, id, topic)
	stale, pub := c.a.client(t, "stale"), c.b.client(t, "pub")
	h := c.a.gate.hold(func(s *step) bool { return s.name == "record_commit" && !s.answer && s.about(keyOf(id)) })
	defer h.release()
	p := say(topic, "stale")
	p.ID = 1
	stale.Send(p.Bytes(stale.Version))
	within(t, "the commit", h.came)
	all := c.a.gate.hold(func(*step) bool { return true })
	defer all.release()
	server.Poll(t, 0, func() bool { return c.b.gate.count("claim_adopt") > 0 })
	pub.Publish(say(topic, "kept"))
	server.Poll(t, 0, stored.Load)
	h.release()
	within(t, "the late commit", late)
	return c.start().client(t, id).Receive().Payload == "kept" // as it is in Redis
}

// withoutOwner is the step of a commit that does not look whose session it is. Nor does it
// compare numbers, as those of two owners may be the same by accident, and then it does nothing.
func withoutOwner(t *testing.T) string {
	b, err := os.ReadFile("../../bridge/lua/record_commit.lua")
	if err != nil {
		t.Error(err)
	}
	text := string(b)
	for rule, times := range map[string]int{
		"if owner ~= tag then": 2,
		"if bytes('<I8', last, 2) >= bytes('<I8', figures, 2) then": 1,
	} {
		if n := strings.Count(text, rule); n != times {
			t.Errorf("%q stands %d times in the step", rule, n)
		}
		text = strings.ReplaceAll(text, rule, "if false then")
	}
	return text
}

// trim: a has read a message from its inbox and dies before its commit.
func trim(t *testing.T, c *trio, broken bool) bool {
	const id, topic = "stays", "t"
	if broken {
		c.a.gate.change(nil, func(s *step, answer []byte) []byte {
			if s.name == "xread" && s.about(":inbox") && len(answer) > len("*-1\r\n") {
				c.a.gate.empty(t, s)
			}
			return answer
		})
	}
	c.a.away(t, id, topic)
	pub := c.b.client(t, "pub")
	h := c.a.gate.hold(func(s *step) bool { return s.name == "record_commit" && !s.answer && s.about(keyOf(id)) })
	defer h.release()
	pub.Publish(say(topic, "first"))
	within(t, "the commit", h.came)
	c.a.crash()
	server.Poll(t, 0, func() bool { return c.b.gate.count("claim_adopt") > 0 })
	var k *harness.Client
	server.Poll(t, 0, func() bool { // it is refused until the mailbox is served
		k = harness.Dial(t, c.b.url)
		return k.Connect(stays(id)).Code == 0
	})
	pub.Publish(say(topic, "second"))
	return k.Receive().Payload == "first"
}

// empty empties the inbox that a step is about.
func (g *gate) empty(t *testing.T, s *step) {
	conn, err := net.Dial("unix", g.to)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }() // it was read from
	for _, w := range s.words {
		if strings.HasSuffix(w, ":inbox") {
			_, err = conn.Write(request("xtrim", w, "maxlen", "0"))
		}
	}
	if err == nil {
		_, err = readAnswer(bufio.NewReader(conn), nil)
	}
	if err != nil {
		t.Error(err)
	}
}

// check: others have stopped waiting for a, which does not know of a new subscription.
func check(t *testing.T, c *trio, broken bool) bool {
	const topic = "t"
	isCheck := func(s *step) bool { return s.name == "hget" && s.about("{r}:leases") }
	var row atomic.Pointer[[]byte] // as it was first
	c.a.gate.change(nil, func(s *step, answer []byte) []byte {
		if !broken || !isCheck(s) || row.CompareAndSwap(nil, &answer) {
			return answer
		}
		return *row.Load()
	})
	pub, other := c.a.client(t, "pub"), c.b.client(t, "other")
	pub.Publish(say("elsewhere", "before"))
	all := c.a.gate.hold(func(s *step) bool {
		return strings.HasPrefix(s.name, "lease_") || s.name == "route_report" || s.answer && s.name == "xread" && s.about("{r}:routes")
	})
	defer all.release()
	sub := c.b.client(t, "sub")
	sub.Subscribe(topic, 1)
	asked := c.a.gate.count("hget")
	p := say(topic, "first")
	p.ID = 77
	pub.Send(p.Bytes(pub.Version))
	if !broken {
		server.Poll(t, 0, func() bool { return c.a.gate.count("hget") > asked })
		all.release()
	}
	var first [1]byte
	_, _ = io.ReadFull(pub.Conn, first[:]) // the end of the connection is no acknowledgement
	acked := first[0]>>4 == harness.PUBACK
	other.Publish(say(topic, "second"))
	return sub.Receive().Payload == "first" || !acked
}

// TestGroupBesidePlain: a message that comes to a mailbox for somebody else is not also
// for the groups there.
func TestGroupBesidePlain(t *testing.T) {
	t.Parallel()
	c := &trio{t: t, redis: server.StartRedis(t, "--appendfsync", "no", "--appendonly", "no")}
	c.a, c.b = c.start(), c.start()
	const topic, sent = "t", 20
	plain, pub := c.b.client(t, "plain"), c.a.client(t, "pub")
	plain.Subscribe(topic, 1)
	members := []*harness.Client{c.a.client(t, "here"), c.b.client(t, "there")}
	for _, m := range members {
		m.Subscribe("$share/g/"+topic, 1)
	}
	for i := range sent {
		pub.Publish(say(topic, fmt.Sprint(i)))
	}
	for i := range sent {
		plain.ExpectMessage(topic, fmt.Sprint(i))
	}
	got := 0
	server.Poll(t, 0, func() bool {
		for _, m := range members {
			m.Barrier()
			for m.Waiting() > 0 {
				m.Receive()
				got++
			}
		}
		return got >= sent
	})
	if got != sent {
		t.Errorf("members of a group got %d messages of %d", got, sent)
	}
}
