package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skeinmq/skein/broker/config"
	. "github.com/skeinmq/skein/testing/harness"
)

// receiptOf asks for receipts at a topic.
func receiptOf(to, correlation string) [][]byte {
	return [][]byte{UserProp("skein-receipt", to), Prop(PCorrelationData, Str(correlation))}
}

// receipt reads one, as "correlation outcome reason client".
func receipt(t *testing.T, p Packet) string {
	t.Helper()
	user := map[string]string{}
	for _, u := range p.Props.All(PUserProperty) {
		user[u.Str] = u.Value
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", user["skein-time"]); err != nil {
		t.Error(err)
	}
	var body struct {
		Outcome, Reason, Client, Topic, Time string
		Correlation                          []byte
	}
	if err := json.Unmarshal([]byte(p.Payload), &body); err != nil {
		t.Errorf("payload %q: %v", p.Payload, err)
	}
	corr := p.Props.Text(PCorrelationData)
	if body.Outcome != user["skein-outcome"] || body.Reason != user["skein-reason"] || body.Client != user["skein-client"] || string(body.Correlation) != corr || p.Retain() {
		t.Errorf("%v says otherwise in its payload %s", p, p.Payload)
	}
	return strings.Join(strings.Fields(corr+" "+user["skein-outcome"]+" "+user["skein-reason"]+" "+user["skein-client"]), " ")
}

// receipts receives as many as are wanted, in any order, and nothing else.
func receipts(t *testing.T, c *Client, want ...string) {
	t.Helper()
	var got []string
	for range want {
		got = append(got, receipt(t, c.Receive()))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("receipts %q, want %q", got, want)
	}
	c.ExpectNothing()
}

func TestDeliveryReceipts(t *testing.T) {
	t.Parallel()
	b := Node(t, func(c *config.Config) { c.Receipts.ShowClientID = true; c.Session.Queue.Messages = 2 })
	p := b.Client(t, V5)
	to := Name()
	p.Subscribe(to, 2)

	t.Run("nobody", func(t *testing.T) {
		for q := range byte(3) {
			p.Publish(Publish{Topic: Name(), QoS: q, Props: receiptOf(to, "x")})
			receipts(t, p, "x no_subscriber")
		}
	})

	t.Run("each QoS and version", func(t *testing.T) {
		topic := Name()
		var subs []*Client
		for q, v := range []byte{V5, V311, V31} {
			c := b.Client(t, v)
			c.Subscribe(topic, byte(q))
			subs = append(subs, c)
		}
		for q := range byte(3) {
			p.Publish(Publish{Topic: topic, Payload: "m", QoS: q, Props: receiptOf(to, "x")})
			var want []string
			for i, c := range subs {
				m := c.ExpectMessage(topic, "m")
				if c.Version == V5 && (len(m.Props.All(PUserProperty)) != 1 || m.Props.Text(PCorrelationData) != "x") {
					t.Errorf("the properties were not forwarded: %v", m)
				}
				word := "acknowledged"
				if min(q, byte(i)) == 0 {
					word = "sent"
				}
				want = append(want, fmt.Sprintf("x %s %s", word, c.ID))
			}
			receipts(t, p, want...)
		}
	})

	t.Run("drops", func(t *testing.T) {
		topic := Name()
		c := b.Connect(t, Connect{Keep: true, Props: [][]byte{Prop(PSessionExpiry, U32(100))}})
		c.Subscribe(topic, 1)
		c.Leave()
		for i := range 3 {
			p.Publish(Publish{Topic: topic, Payload: strings.Repeat("x", 100*i), QoS: 1, Props: receiptOf(to, fmt.Sprint(i))})
		}
		receipts(t, p, "0 dropped queue_full "+c.ID)
		c = b.Connect(t, Connect{ID: c.ID, Keep: true, Props: [][]byte{Prop(PSessionExpiry, U32(100)), Prop(PMaximumPacketSize, U32(200))}})
		m := c.Expect(PUBLISH)
		receipts(t, p, "2 dropped too_large "+c.ID)
		c.Send(Ack(PUBACK, m.ID, 0x87))
		receipts(t, p, "1 dropped refused "+c.ID)
		c.Leave()
		p.Publish(Publish{Topic: topic, QoS: 1, Props: append(receiptOf(to, "e"), Prop(PMessageExpiry, U32(1)))})
		p.Publish(Publish{Topic: topic, QoS: 0, Props: receiptOf(to, "0")})
		receipts(t, p, "0 dropped qos0_offline "+c.ID)
		published := time.Now()
		Poll(t, 0, func() bool { return time.Since(published) > 1100*time.Millisecond })
		c = b.Connect(t, Connect{ID: c.ID, Keep: true, Props: [][]byte{Prop(PSessionExpiry, U32(100))}})
		receipts(t, p, "e expired "+c.ID)
		c.Leave()
		p.Publish(Publish{Topic: topic, QoS: 2, Props: receiptOf(to, "s")})
		b.Connect(t, Connect{ID: c.ID})
		receipts(t, p, "s dropped session_ended "+c.ID)
	})

	t.Run("refused topics", func(t *testing.T) {
		topic := Name()
		c := b.Client(t, V5)
		c.Subscribe(topic, 1)
		for name, code := range map[string]byte{"a/#": 0x90, "": 0x90, "$SYS/broker/x": 0x87, "$delayed/1/x": 0x90} {
			for q := byte(1); q < 3; q++ {
				if ack := p.Publish(Publish{Topic: topic, QoS: q, Props: receiptOf(name, "x")}); ack.Code != code {
					t.Errorf("%q: %v, want %#x", name, ack, code)
				}
			}
		}
		c.ExpectNothing()
		p.ExpectNothing()
	})

	t.Run("a shared group", func(t *testing.T) {
		topic := Name()
		c := b.Client(t, V5)
		c.Subscribe("$share/g/"+topic, 2)
		p.Publish(Publish{Topic: topic, QoS: 2, Props: receiptOf(to, "g")})
		c.Receive()
		receipts(t, p, "g acknowledged "+c.ID)
	})
}

func TestDeliveryReceiptSummary(t *testing.T) {
	t.Parallel()
	b := Node(t, func(c *config.Config) { c.Receipts.PerMessage = 2 })
	p := b.Client(t, V5)
	to, topic := Name(), Name()
	p.Subscribe(to, 1)
	var subs []*Client
	for q := range byte(3) {
		c := b.Client(t, V5)
		c.Subscribe(topic, q)
		subs = append(subs, c)
	}
	p.Publish(Publish{Topic: topic, QoS: 2, Props: receiptOf(to, "m")})
	for i, c := range subs {
		if i == 2 {
			p.ExpectNothing()
		}
		c.Receive()
	}
	m := p.Receive()
	if got := receipt(t, m); got != "m summary" {
		t.Errorf("receipt %q", got)
	}
	var counts []string
	for _, u := range m.Props.All(PUserProperty) {
		if strings.HasPrefix(u.Str, "skein-count-") || u.Str == "skein-targets" {
			counts = append(counts, u.Str+"="+u.Value)
		}
	}
	if got := strings.Join(counts, " "); got != "skein-targets=3 skein-count-acknowledged=2 skein-count-sent=1" {
		t.Errorf("counts %q", got)
	}
	p.ExpectNothing()
}
