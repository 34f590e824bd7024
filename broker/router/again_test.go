package router

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// breaks lets the store refuse everything.
func (s *lagging) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// What a client acknowledged while the store refused is taken out of it when the client
// is back, and stays away after a restart.
func TestRefusedDeletionsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(2, "t")
		s.out.take()
		p.publish("t", "a", 1)
		p.publish("t", "b", 2)
		p.publish("t", "c", 1)
		s.got()
		g.store.breaks(errBroken)
		s.ack(typePuback, 1)
		s.ack(typePubrec, 2)
		if f := s.got(); f != "" {
			t.Errorf("sent %s", f)
		}
		<-s.gone
		s.drop()
		if got := fmt.Sprint(g.stored("s")); got != "[a#1/1 b#2/1 c#3/1]" {
			t.Errorf("stored are %s", got)
		}
		g.store.breaks(nil)
		s = g.connect("s", dial{})
		if got := fmt.Sprint(g.stored("s")); got != "[b#2/2 c#3/1]" {
			t.Errorf("stored are %s", got)
		}
		s.want("6#2/00 t=c/1d")
		s.ack(typePuback, 3)
		s.ack(typePubcomp, 2)
		if got := g.stored("s"); len(got) > 0 {
			t.Errorf("acknowledged and stored are %s", got)
		}
		g.balanced()
	})
}

// A connect whose own commit is refused leaves what is owed to the next one.
func TestRefusedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		s, p := g.connect("s", dial{}), g.connect("p", dial{})
		s.subscribe(1, "t", "u")
		s.out.take()
		p.publish("t", "a", 1)
		s.got()
		g.store.breaks(errBroken)
		s.ack(typePuback, 1)
		s.unsubscribe("u")
		<-s.gone
		s.drop()
		if _, _, err := g.tryConnect("s", dial{}); err == nil {
			t.Fatal("a session was resumed that could not be stored")
		}
		g.store.breaks(nil)
		g.connect("s", dial{})
		img, err := g.store.Load(context.Background(), "s")
		if err != nil || len(img.Entries) > 0 || len(img.Subs) != 1 || img.Subs[0].Filter != "t" {
			t.Errorf("stored are %+v, %v", img, err)
		}
	})
}

// The end of a session that was refused is repeated, and does not take the client's next
// session with it.
func TestRefusedEnds(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("client is back ", again), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, nil)
				s := g.connect("s", dial{})
				s.subscribe(1, "t")
				g.store.breaks(errBroken)
				g.r.Disconnect(s.link, DisconnectRequest{HasExpiry: true})
				g.store.breaks(nil)
				if again {
					g.connect("s", dial{})
				}
				<-time.After(repeatAfter)
				synctest.Wait()
				img, err := g.store.Load(context.Background(), "s")
				switch {
				case !again && !errors.Is(err, store.ErrNotFound):
					t.Errorf("the session stays: %+v, %v", img, err)
				case again && (err != nil || len(img.Subs) > 0):
					t.Errorf("the new session is %+v, %v", img, err)
				}
			})
		})
	}
}

// Records of the node are written, or taken away, when the store can again; a publisher
// that sends its message again waits for that.
func TestRefusedRecordsOfTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		p := g.connect("p", dial{})
		p.send(message.Message{Topic: "old", Payload: []byte("x"), QoS: 1, Retain: true})
		p.send(message.Message{Topic: "$delayed/1/d", Payload: []byte("x"), QoS: 1})
		p.got()
		g.store.breaks(errBroken)
		p.send(message.Message{Topic: "old", Retain: true})
		p.send(message.Message{Topic: "new", Payload: []byte("y"), Retain: true})
		<-time.After(3 * time.Second) // the delayed message goes out meanwhile
		synctest.Wait()
		g.store.breaks(nil)
		q := g.connect("q", dial{})
		g.store.hold()
		q.send(message.Message{Topic: "old", QoS: 1, Retain: true})
		q.want("")
		g.store.open()
		q.want("4#1/00")
		<-time.After(repeatAfter + time.Millisecond)
		synctest.Wait()
		var topics []string
		if err := g.store.Retained(context.Background(), func(m *message.Message) bool { topics = append(topics, m.Topic); return true }); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(topics) != "[new]" {
			t.Errorf("retained are %v", topics)
		}
		if err := g.store.Delayed(context.Background(), func(seq uint64, _ int64, m *message.Message) bool {
			t.Errorf("delayed message %d stays: %s", seq, m.Topic)
			return true
		}); err != nil {
			t.Fatal(err)
		}
	})
}
