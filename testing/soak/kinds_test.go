package soak

import (
	"strconv"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// will is a client that is cut off; another one hears its will.
func will(v byte) func(testing.TB, *Broker) {
	return func(t testing.TB, b *Broker) {
		topic := Name()
		watcher := b.Client(t, v)
		watcher.Subscribe(topic, 2)
		for q := range byte(3) {
			c := b.Connect(t, Connect{Version: v, Will: &Will{Topic: topic, Payload: "gone", QoS: q}})
			c.Drop()
			watcher.ExpectMessage(topic, "gone")
		}
		watcher.Leave()
	}
}

// sharedGroup has members that come and go; each message is had by one of them.
func sharedGroup(v byte) func(testing.TB, *Broker) {
	const members = 3
	return func(t testing.TB, b *Broker) {
		topic, group := Name(), Name()
		pub := b.Client(t, v)
		var ms []*Client
		join := func() {
			c := b.Client(t, v)
			c.Subscribe("$share/"+group+"/"+topic, 1)
			ms = append(ms, c)
		}
		for range members {
			join()
		}
		for round := range 5 {
			publish(t, pub, topic, 1, round*inFlight, inFlight)
			had := make(map[string]bool)
			Poll(t, 0, func() bool {
				for _, c := range ms {
					for c.Barrier(); c.Waiting() > 0; {
						p := c.Receive()
						if had[p.Payload] {
							t.Fatalf("got %v a second time", p)
						}
						had[p.Payload] = true
					}
				}
				return len(had) == inFlight
			})
			ms[0].Leave()
			ms = ms[1:]
			join()
		}
		for _, c := range ms {
			c.Leave()
		}
		pub.Leave()
	}
}

// slow is a subscriber that reads nothing while more is published than may wait for
// it. The publisher is served all the same.
func slow(v byte) func(testing.TB, *Broker) {
	const size, count = 4 << 10, 1000
	payload := strings.Repeat("x", size)
	return func(t testing.TB, b *Broker) {
		topic := Name()
		stuck, pub := b.Client(t, v), b.Client(t, v)
		stuck.Subscribe(topic, 1)
		for range count / inFlight {
			var frames []byte
			for i := range inFlight {
				frames = append(frames, Publish{Topic: topic, Payload: payload, QoS: 1, ID: i + 1}.Bytes(v)...)
				frames = append(frames, Publish{Topic: topic, Payload: payload}.Bytes(v)...)
			}
			pub.Send(frames)
			acks(t, pub, PUBACK, inFlight)
		}
		stuck.Drop()
		pub.Leave()
	}
}

// subscriptions come and go, with and without wildcards.
func subscriptions(v byte) func(testing.TB, *Broker) {
	const count = 40
	return func(t testing.TB, b *Broker) {
		root := Name()
		c, pub := b.Client(t, v), b.Client(t, v)
		var filters []string
		for i := range count {
			n := strconv.Itoa(i)
			filters = append(filters, root+"/"+n, root+"/"+n+"/+", "+/"+root+n, root+"/"+n+"/deep/#")
		}
		for _, f := range filters {
			c.Subscribe(f, 1)
		}
		for i := range count {
			topic := root + "/" + strconv.Itoa(i)
			pub.Publish(Publish{Topic: topic, Payload: "one", QoS: 1})
			c.ExpectMessage(topic, "one")
			pub.Publish(Publish{Topic: topic + "/deep", Payload: "two", QoS: 1}) // matches twice, comes once
			c.ExpectMessage(topic+"/deep", "two")
		}
		for _, f := range filters[:len(filters)/2] {
			c.Unsubscribe(f)
		}
		pub.Publish(Publish{Topic: root + "/0", Payload: "none", QoS: 1})
		c.ExpectNothing()
		c.Leave() // the other half ends with it
		pub.Leave()
	}
}

// retained messages are set, seen and cleared.
func retained(v byte) func(testing.TB, *Broker) {
	const count = 30
	return func(t testing.TB, b *Broker) {
		root := Name()
		pub, first, later := b.Client(t, v), b.Client(t, v), b.Client(t, v)
		set := func(payload string) {
			for i := range count {
				pub.Publish(Publish{Topic: root + "/" + strconv.Itoa(i), Payload: payload, QoS: byte(i % 3), Retain: true})
			}
		}
		set("old")
		set("new")
		first.Subscribe(root+"/+", 2)
		had := make(map[string]bool)
		for range count {
			p := first.Receive()
			if had[p.Topic] || p.Payload != "new" || !p.Retain() {
				t.Fatalf("got %v, want one retained message a topic", p)
			}
			had[p.Topic] = true
		}
		set("")
		for range count {
			if p := first.Receive(); p.Payload != "" || p.Retain() {
				t.Fatalf("got %v, want an empty payload", p)
			}
		}
		later.Subscribe(root+"/+", 2)
		later.ExpectNothing()
		for _, c := range []*Client{pub, first, later} {
			c.Leave()
		}
	}
}

// expiring leaves retained messages, and sessions with messages, to their expiry.
func expiring(t testing.TB, b *Broker) {
	const count = 10
	second := Prop(PMessageExpiry, U32(1))
	topic := Name()
	sub := b.Connect(t, Connect{Keep: true, Props: [][]byte{Prop(PSessionExpiry, U32(1))}})
	sub.Subscribe(topic+"/+", 1)
	sub.Leave()
	pub := b.Client(t, V5)
	for i := range count {
		pub.Publish(Publish{Topic: topic + "/" + strconv.Itoa(i), Payload: "x", QoS: 1, Retain: true, Props: [][]byte{second}})
	}
	pub.Leave()
}

// delayed waits for a message a second.
func delayed(t testing.TB, b *Broker) {
	topic := Name()
	sub, pub := b.Client(t, V5), b.Client(t, V311)
	sub.Subscribe(topic, 1)
	pub.Publish(Publish{Topic: "$delayed/1/" + topic, Payload: "x", QoS: 1})
	pub.Leave()
	sub.ExpectMessage(topic, "x")
	sub.Leave()
}

// rough clients take each other's identifier, break off inside a packet and send
// what is none.
func rough(t testing.TB, b *Broker) {
	id := Name()
	old := b.Connect(t, Connect{ID: id})
	old.Subscribe(Name(), 2)
	now := b.Connect(t, Connect{ID: id})
	old.ExpectRefused(0x8E)
	now.Leave()
	whole := Connect{Version: V5, ID: id}.Bytes()
	half := Dial(t, b.TCP)
	half.Send(whole[:len(whole)/2])
	half.Drop()
	for _, nonsense := range [][]byte{{0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, []byte("GET / HTTP/1.1\r\n\r\n"), Ping()} {
		c := Dial(t, b.TCP)
		c.Send(nonsense)
		c.ReadAll()
	}
}
