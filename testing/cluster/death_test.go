package cluster

import (
	"maps"
	"slices"
	"testing"
	"time"

	. "github.com/skeinmq/skein/testing/harness"
)

// TestNodeDies kills an instance that has something of every kind. Nothing of it is lost,
// and what the death leads to happens once.
func TestNodeDies(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{settings: "session: {will_grace: 200ms}"})
	dies, other, third := c.nodes[0], c.nodes[1], c.nodes[2]
	topic := Name()
	watch := other.Client(t, V5)
	watch.Subscribe(topic+"/will/#", 2)
	watch.Subscribe(topic+"/late", 2)
	for _, w := range []struct {
		o     Connect
		topic string
		delay int
	}{
		{Connect{Version: V311}, "clean", 0},
		{Connect{Version: V5}, "clean5", 0},
		{keep(V311, Name()), "kept", 0},
		{keep(V5, Name()), "delayed", 1},
	} {
		dies.Connect(t, withWill(w.o, topic+"/will/"+w.topic, w.delay))
	}
	back := Name()
	dies.Connect(t, withWill(keep(V5, back), topic+"/will/back", 30))

	waits, flies := Name(), Name() // sessions: one has a queue, one is in the middle
	k := dies.Connect(t, keep(V311, waits))
	k.Subscribe(topic+"/data", 2)
	k.Drop()
	fly := dies.Connect(t, keep(V5, flies))
	fly.Subscribe(topic+"/data", 2)
	p := dies.Connect(t, keep(V5, Name()))
	publishes(p, topic+"/data", 2, 0, 5)
	first := fly.Expect(PUBLISH)
	fly.Send(Ack(PUBREC, first.ID, 0))
	for fly.Next().Type != PUBREL {
	}
	p.Publish(Publish{Topic: topic + "/kept", QoS: 1, Retain: true, Payload: "retained"})
	p.Publish(Publish{Topic: "$delayed/2/" + topic + "/late", QoS: 2, Payload: "late"})
	half := Publish{Topic: topic + "/data", QoS: 2, ID: 77, Payload: "5"}
	p.Send(half.Bytes(V5))
	p.Expect(PUBREC)

	member := dies.Connect(t, keep(V5, Name()))
	member.Subscribe("$share/g/"+topic+"/group", 1)
	stays := third.Connect(t, keep(V5, Name()))
	stays.Subscribe("$share/g/"+topic+"/group", 1)
	sent := c.until(t, 1, topic+"/group", func() bool { member.Barrier(); return member.Waiting() > 2 })

	dies.kill(t)
	seen := make(map[string]bool) // the group's
	t.Cleanup(func() {
		if len(seen) < sent {
			t.Logf("of %d messages for the group %d arrived: %v", sent, len(seen), slices.Sorted(maps.Keys(seen)))
		}
	})
	member = resumed(t, third, V5, member.ID) // may keep what it did not acknowledge (4.8.2)
	Poll(t, 0, func() bool {
		for _, k := range []*Client{stays, member} {
			k.Barrier()
			for k.Waiting() > 0 {
				seen[k.Receive().Payload] = true
			}
		}
		return len(seen) == sent
	})
	resumed(t, third, V5, back)
	k = resumed(t, third, V311, waits)
	receives(t, k, topic+"/data", 0, 6)
	k.ExpectNothing()

	fly = resumed(t, other, V5, flies)
	if rel := fly.Expect(PUBREL); rel.ID != first.ID {
		t.Errorf("%v, want that of %v", rel, first)
	}
	fly.Send(Ack(PUBCOMP, first.ID, 0))
	receives(t, fly, topic+"/data", 1, 6)
	fly.ExpectNothing()

	p = resumed(t, third, V5, p.ID)
	half.Dup = true
	p.Publish(half)
	fly.ExpectNothing()

	if got := keeps(t, third, topic+"/#"); got[topic+"/kept"] != "retained" {
		t.Errorf("retained: %v", got)
	}
	got := make(map[string]int)
	Poll(t, 0, func() bool {
		watch.Barrier()
		for watch.Waiting() > 0 {
			got[watch.Receive().Topic[len(topic)+1:]]++
		}
		return len(got) == 5
	})
	watch.ExpectNothing()
	for _, what := range []string{"will/clean", "will/clean5", "will/kept", "will/delayed", "late"} {
		if got[what] != 1 {
			t.Errorf("%s came %d times", what, got[what])
		}
	}
	dies.start(t) // and it is one of them again
	k = dies.Client(t, V5)
	k.Subscribe(topic+"/again", 1)
	third.Client(t, V5).Publish(Publish{Topic: topic + "/again", QoS: 1})
	k.ExpectMessage(topic+"/again", "")

	// It joined when there were routes already: what it answers without routing it is
	// the first that its publishers send.
	for _, v := range versions {
		p := third.Connect(t, keep(v, Name()))
		half := Publish{Topic: topic + "/again", QoS: 2, ID: 5, Payload: "half"}
		p.Send(half.Bytes(v))
		p.Expect(PUBREC)
		p.Drop()
		half.Dup = true
		resumed(t, dies, v, p.ID).Publish(half)
		dies.Client(t, v).Publish(Publish{Topic: "$delayed/1/" + topic + "/again", QoS: 1, Payload: "first"})
		k.ExpectMessage(topic+"/again", "half")
		k.ExpectMessage(topic+"/again", "first")
		k.ExpectNothing()
	}
}

// TestStopHandsOver stops an instance while its clients publish and subscribe. They go on
// with another one, in order and with nothing lost, and its sessions need no lease to run
// out.
func TestStopHandsOver(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{lease: 10 * time.Second, settings: "session: {will_grace: 200ms}\nmqtt: {server_reference: 'elsewhere:1883'}"})
	stops, other, third := c.nodes[0], c.nodes[1], c.nodes[2]
	topic := Name()
	sub, pub := Name(), Name()
	k := stops.Connect(t, keep(V5, sub))
	k.Subscribe(topic, 2)
	watch := third.Client(t, V5)
	watch.Subscribe(topic+"/will", 2)
	willed := stops.Connect(t, withWill(keep(V311, Name()), topic+"/will", 0))
	p := stops.Connect(t, keep(V5, pub))
	publishes(p, topic, 2, 0, 50)
	receives(t, k, topic, 0, 20)
	k.Barrier() // it is known what was received
	terminate(stops.process())
	for {
		last, err := p.Try()
		if err != nil {
			t.Fatal("closed without a DISCONNECT")
		}
		if last.Type != DISCONNECT {
			continue
		}
		if last.Code != 0x9C || last.Props.Text(PServerReference) != "elsewhere:1883" {
			t.Errorf("%v %v", last, last.Props)
		}
		break
	}
	willed.ExpectClosed()
	if code := stops.process().Wait(); code != 0 {
		t.Errorf("ended with %d", code)
	}
	p = resumed(t, other, V5, pub)
	publishes(p, topic, 2, 50, 60)
	k = resumed(t, third, V5, sub)
	receives(t, k, topic, 20, 60)
	k.ExpectNothing()
	watch.ExpectMessage(topic+"/will", "gone")
}

// TestPausedInstance stops one for longer than its lease. Others take over; when it goes
// on it harms nothing, closes its clients, and is one of them again.
func TestPausedInstance(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{})
	sleeps, other, third := c.nodes[0], c.nodes[1], c.nodes[2]
	topic, id := Name(), Name()
	old := sleeps.Connect(t, keep(V5, id))
	old.Subscribe(topic, 2)
	p := sleeps.Connect(t, keep(V5, Name()))
	publishes(p, topic, 2, 0, 3)
	got := old.Expect(PUBLISH)
	sleeps.pause(t)
	p.Send(Publish{Topic: topic, QoS: 1, ID: 99, Payload: "stale"}.Bytes(V5)) // it reads it much later
	old.Send(Ack(PUBREC, got.ID, 0))
	k := resumed(t, other, V5, id) // after the lease
	receives(t, k, topic, 0, 3)
	publishes(third.Client(t, V5), topic, 2, 3, 5)
	receives(t, k, topic, 3, 5)
	sleeps.resume()
	old.ExpectClosed()
	for _, q := range p.ExpectClosed() {
		if q.Type == PUBACK {
			t.Errorf("%v: nobody has it", q)
		}
	}
	k.ExpectNothing()
	sleeps.said(t, "started again")
	k.Leave()
	k = resumed(t, sleeps, V5, id)
	publishes(third.Client(t, V5), topic, 1, 5, 7)
	receives(t, k, topic, 5, 7)
	k.ExpectNothing()
}
