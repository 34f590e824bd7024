package conformance

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	paho5 "github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"

	. "github.com/skeinmq/skein/testing/harness"
)

// urls are the listeners of the broker under test by their kind.
func urls(b *Broker) map[string]string {
	return map[string]string{"tcp": b.TCP, "tls": b.TLS, "ws": b.WS, "wss": b.WSS, "unix": b.Unix}
}

// TestPaho3 runs the Paho client of 3.1.1 over every transport.
func TestPaho3(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	for kind, url := range urls(b) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			Need(t, url)
			topic := Name()
			got := make(chan paho3.Message, 100)
			sub := connect3(t, url, func(o *paho3.ClientOptions) { o.SetCleanSession(false) })
			done3(t, sub.Subscribe(topic+"/#", 2, func(_ paho3.Client, m paho3.Message) { got <- m }))
			pub := connect3(t, url, func(o *paho3.ClientOptions) { o.SetWill(topic+"/will", "gone", 1, false) })
			for q := byte(0); q <= 2; q++ {
				payload := bytes.Repeat([]byte{'0' + q}, 5000)
				done3(t, pub.Publish(topic+"/x", q, false, payload))
				m := next(t, got)
				if m.Qos() != q || !bytes.Equal(m.Payload(), payload) || m.Topic() != topic+"/x" {
					t.Errorf("QoS %d: got QoS %d, %d bytes on %s", q, m.Qos(), len(m.Payload()), m.Topic())
				}
			}
			done3(t, pub.Publish(topic+"/kept", 1, true, "kept"))
			next(t, got)
			late := make(chan paho3.Message, 1)
			done3(t, pub.Subscribe(topic+"/kept", 1, func(_ paho3.Client, m paho3.Message) { late <- m }))
			if m := next(t, late); !m.Retained() || string(m.Payload()) != "kept" {
				t.Errorf("got %q, retained %v", m.Payload(), m.Retained())
			}
			done3(t, sub.Unsubscribe(topic+"/#"))
			done3(t, pub.Publish(topic+"/x", 1, false, "nobody"))
			if len(got) > 0 {
				t.Errorf("got %q after the unsubscribe", (<-got).Payload())
			}
		})
	}
}

func connect3(t *testing.T, url string, change func(*paho3.ClientOptions)) paho3.Client {
	t.Helper()
	o := paho3.NewClientOptions().AddBroker(url).SetClientID(Name()).SetTLSConfig(ClientTLS()).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(Deadline).SetOrderMatters(true)
	change(o)
	c := paho3.NewClient(o)
	done3(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(100) })
	return c
}

func done3(t *testing.T, tok paho3.Token) {
	t.Helper()
	if !tok.WaitTimeout(Deadline) {
		t.Fatal("no answer")
	}
	if err := tok.Error(); err != nil {
		t.Fatal(err)
	}
}

// next takes what must come.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	limit := time.NewTimer(Deadline)
	defer limit.Stop()
	select {
	case v := <-from:
		return v
	case <-limit.C:
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// TestPaho5 runs the Paho client of 5.0 over every transport.
func TestPaho5(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	for kind, url := range urls(b) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			Need(t, url)
			topic := Name()
			ctx, cancel := context.WithTimeout(context.Background(), Deadline)
			defer cancel()
			got := make(chan *paho5.Publish, 100)
			sub := connect5(ctx, t, url, got)
			id := 7
			ack, err := sub.Subscribe(ctx, &paho5.Subscribe{
				Properties:    &paho5.SubscribeProperties{SubscriptionIdentifier: &id},
				Subscriptions: []paho5.SubscribeOptions{{Topic: topic + "/#", QoS: 2, RetainAsPublished: true}},
			})
			if err != nil || len(ack.Reasons) != 1 || ack.Reasons[0] != 2 {
				t.Fatalf("subscribe: %v, %v", ack, err)
			}
			pub := connect5(ctx, t, url, nil)
			for q := byte(0); q <= 2; q++ {
				publish5(ctx, t, pub, topic, q)
				m := next(t, got)
				p := m.Properties
				if m.QoS != q || string(m.Payload) != fmt.Sprint(q) || p.ContentType != "text/plain" || p.User.Get("k") != "v" ||
					string(p.CorrelationData) != "c" || p.ResponseTopic != "answer" || p.SubscriptionIdentifier == nil || *p.SubscriptionIdentifier != id {
					t.Errorf("QoS %d: got %v with %+v", q, m, p)
				}
			}
			if _, err := sub.Unsubscribe(ctx, &paho5.Unsubscribe{Topics: []string{topic + "/#"}}); err != nil {
				t.Fatal(err)
			}
			publish5(ctx, t, pub, topic, 1)
			if len(got) > 0 {
				t.Errorf("got %v after the unsubscribe", <-got)
			}
		})
	}
}

func publish5(ctx context.Context, t *testing.T, c *paho5.Client, topic string, q byte) {
	t.Helper()
	_, err := c.Publish(ctx, &paho5.Publish{
		Topic: topic + "/x", QoS: q, Payload: fmt.Append(nil, q),
		Properties: &paho5.PublishProperties{
			ContentType: "text/plain", ResponseTopic: "answer", CorrelationData: []byte("c"),
			User: paho5.UserProperties{{Key: "k", Value: "v"}},
		},
	})
	if err != nil {
		t.Fatalf("publish at QoS %d: %v", q, err)
	}
}

func connect5(ctx context.Context, t *testing.T, url string, got chan<- *paho5.Publish) *paho5.Client {
	t.Helper()
	nc, err := DialConn(url)
	if err != nil {
		t.Fatal(err)
	}
	c := paho5.NewClient(paho5.ClientConfig{
		Conn: packets.NewThreadSafeConn(nc), PacketTimeout: Deadline,
		OnPublishReceived: []func(paho5.PublishReceived) (bool, error){func(p paho5.PublishReceived) (bool, error) {
			got <- p.Packet
			return true, nil
		}},
	})
	receive := uint16(10)
	ack, err := c.Connect(ctx, &paho5.Connect{
		ClientID: Name(), CleanStart: true, KeepAlive: 60, Properties: &paho5.ConnectProperties{ReceiveMaximum: &receive},
	})
	if err != nil || ack.ReasonCode != 0 {
		t.Fatalf("connect: %v, %v", ack, err)
	}
	t.Cleanup(func() {
		_ = c.Disconnect(&paho5.Disconnect{}) // the connection may have ended with the test
		<-c.Done()
	})
	return c
}
