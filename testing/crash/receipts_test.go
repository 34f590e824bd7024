package crash

import (
	"fmt"
	"math/rand/v2"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/witness"
)

const (
	receiptCycles = 6
	receiptBatch  = 40 // publishes a cycle
	receiptTopic  = "receipts"
)

// taker is a persistent client that is honest about QoS 2 over connections.
type taker struct {
	id   string
	open map[int]bool // QoS 2 identifiers that wait for PUBREL
	got  map[string]int
	name func(Packet) string
}

func newTaker(id string, name func(Packet) string) *taker {
	return &taker{id: id, open: map[int]bool{}, got: map[string]int{}, name: name}
}

func (k *taker) connect(t *testing.T, url, filter string) *Client {
	t.Helper()
	c := Dial(t, url)
	if ack := c.Connect(Connect{ID: k.id, Keep: true, Props: [][]byte{Prop(PSessionExpiry, U32(1000))}}); ack.Code != 0 {
		t.Fatalf("connect: %v", ack)
	}
	c.Send(Subscribe(V5, 65535, nil, To(filter, 2)))
	return c
}

// take answers one packet. It reports false at the end of the connection.
func (k *taker) take(c *Client) bool {
	p, err := c.Try()
	if err == nil {
		c.Send(k.answer(p))
	}
	return err == nil
}

// answer is what to send for a packet.
func (k *taker) answer(p Packet) []byte {
	switch {
	case p.Type == PUBLISH && p.QoS() == 1:
		k.got[k.name(p)]++
		return Ack(PUBACK, p.ID, 0)
	case p.Type == PUBLISH && p.QoS() == 2:
		if !k.open[p.ID] {
			k.got[k.name(p)]++
		}
		k.open[p.ID] = true
		return Ack(PUBREC, p.ID, 0)
	case p.Type == PUBREL:
		delete(k.open, p.ID)
		return Ack(PUBCOMP, p.ID, 0)
	}
	return nil
}

// burst takes n packets and answers them in one write.
func (k *taker) burst(c *Client, n int) {
	var answers []byte
	for range n {
		p, err := c.Try()
		if err != nil {
			break
		}
		answers = append(answers, k.answer(p)...)
	}
	c.Send(answers)
}

// A node is killed while subscribers acknowledge: for each of them, each message has a
// receipt, and one of QoS 2 has one only.
func TestReceiptsSurviveKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	n := &node{dir: t.TempDir()}
	rec := witness.NewRecorder()
	subs := []*taker{newTaker("a", body), newTaker("b", body)}
	told := newTaker("told", func(p Packet) string { return p.Props.Text(PCorrelationData) })
	want := map[string]int{}
	for cycle := range receiptCycles {
		n.begin(t)
		n.up(t)
		url, err := n.address()
		if err != nil {
			t.Fatal(err)
		}
		conns := make([]*Client, len(subs))
		for i, s := range subs {
			conns[i] = s.connect(t, url, "t")
		}
		watch := told.connect(t, url, receiptTopic)
		p := Dial(t, url)
		p.Connect(Connect{ID: "p"})
		for i := range receiptBatch {
			name := fmt.Sprint(cycle, ".", i)
			qos := 1 + byte(i)%2
			p.Publish(Publish{Topic: "t", Payload: name, QoS: qos, Props: [][]byte{UserProp("skein-receipt", receiptTopic), Prop(PCorrelationData, Str(fmt.Sprint(name, "/", qos)))}})
			want[fmt.Sprint(name, "/", qos)] = len(subs)
		}
		for i, s := range subs {
			s.burst(conns[i], 1+receiptBatch) // with SUBACK: all PUBLISH packets
		}
		for i, s := range subs {
			s.burst(conns[i], r.IntN(receiptBatch/2)) // PUBREL
		}
		for range r.IntN(receiptBatch) { // receipts, while they are being published
			told.take(watch)
		}
		n.kill(t, rec)
		if t.Failed() {
			return
		}
	}
	n.begin(t)
	n.up(t)
	url, err := n.address()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subs {
		finish(t, s.connect(t, url, "t"), s, len(want), 1)
	}
	finish(t, told.connect(t, url, receiptTopic), told, len(want), len(subs))
	watch := told.connect(t, url, receiptTopic)
	for answered := false; !answered; { // nothing more comes
		watch.Send(Ping())
		p, err := watch.Try()
		answered = err == nil && p.Type == PINGRESP
	}
	for name, targets := range want {
		once := name[len(name)-1] == '2'
		if got := told.got[name]; got < targets || once && got > targets {
			t.Errorf("%s: %d receipts, want %d", name, got, targets)
		}
	}
	n.stop(t)
}

func body(p Packet) string { return p.Payload }

// finish takes until everything has come, each at least so often, and no flow is open.
func finish(t *testing.T, c *Client, k *taker, all, least int) {
	t.Helper()
	for {
		short := len(k.got) < all || len(k.open) > 0
		for _, n := range k.got {
			short = short || n < least
		}
		if !short {
			return
		}
		if !k.take(c) {
			t.Fatalf("%s: the connection ended", k.id)
		}
	}
}
