package conformance

import (
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// The operation codes of WebSocket frames.
const (
	wsContinuation byte = 0
	wsText         byte = 1
	wsBinary       byte = 2
	wsPing         byte = 9
)

func TestWebSocket(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	url := Need(t, b.WS)

	statement(t, "MQTT-6.0.0-1 3.1.1/MQTT-6.0.0-1", func(t *testing.T) {
		c := Dial(t, url)
		c.Connect(Connect{ID: Name()})
		c.SendFrame(wsText, true, Ping())
		for _, p := range c.ExpectClosed() {
			if p.Type != DISCONNECT {
				t.Errorf("got %v, want the end", p)
			}
		}
		c = Dial(t, url)
		c.SendFrame(wsText, true, Connect{ID: Name()}.Bytes())
		if ps := c.ExpectClosed(); len(ps) > 0 {
			t.Errorf("got %v, want the end", ps)
		}
	})

	statement(t, "MQTT-6.0.0-2 3.1.1/MQTT-6.0.0-2", func(t *testing.T) {
		topic := Name()
		c := Dial(t, url)
		connect := Connect{ID: Name()}.Bytes()
		for i := range connect { // a byte a frame
			c.SendFrame(wsBinary, true, connect[i:i+1])
		}
		c.Expect(CONNACK)
		// Several packets in a frame, the last of which goes on in the next.
		many := Cat(Subscribe(V5, 1, nil, To(topic, 1)), Publish{Topic: topic, Payload: "1", QoS: 1, ID: 2}.Bytes(V5), Ping(),
			Publish{Topic: topic, Payload: "2", QoS: 0}.Bytes(V5))
		c.SendFrame(wsBinary, true, many[:len(many)-3])
		c.SendFrame(wsPing, true, []byte("between"))
		c.SendFrame(wsBinary, true, many[len(many)-3:])
		c.Expect(SUBACK)
		got := map[byte]int{}
		for range 4 {
			got[c.Next().Type]++
		}
		if got[PUBLISH] != 2 || got[PUBACK] != 1 || got[PINGRESP] != 1 {
			t.Errorf("got %v", got)
		}
		// One message in fragments, with an empty one and a control frame between them.
		p := Publish{Topic: topic, Payload: "3"}.Bytes(V5)
		c.SendFrame(wsBinary, false, p[:1])
		c.SendFrame(wsContinuation, false, nil)
		c.SendFrame(wsPing, true, nil)
		c.SendFrame(wsContinuation, false, p[1:4])
		c.SendFrame(wsContinuation, true, p[4:])
		if p := c.Expect(PUBLISH); p.Payload != "3" {
			t.Errorf("got %v", p)
		}
	})

	statement(t, "MQTT-6.0.0-4 3.1.1/MQTT-6.0.0-4", func(t *testing.T) {
		for _, offer := range [][]string{{"mqtt"}, {"other", "mqtt"}, {"mqttv3.1", "mqtt"}} {
			_, chosen, err := Offer(t, url, offer...)
			if err != nil || chosen != "mqtt" {
				t.Errorf("offered %v: got %q, %v", offer, chosen, err)
			}
		}
		if _, chosen, err := Offer(t, url, "mqttv3.1"); err != nil || chosen != "mqttv3.1" {
			t.Errorf("offered mqttv3.1: got %q, %v", chosen, err)
		}
	})

	t.Run("a subprotocol that is not MQTT is not chosen", func(t *testing.T) {
		t.Parallel()
		if _, chosen, err := Offer(t, url, "chat"); err == nil && chosen != "" {
			t.Errorf("the broker chose %q", chosen)
		}
	})
}

// Every transport carries every version.
func TestTransports(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	statement(t, "MQTT-4.2-1 3.1.1/MQTT-7.1.1-1", func(t *testing.T) {
		for name, url := range map[string]string{"tcp": b.TCP, "tls": b.TLS, "ws": b.WS, "wss": b.WSS, "unix": b.Unix} {
			for _, v := range versions {
				t.Run(name, func(t *testing.T) {
					topic := Name()
					c := Dial(t, Need(t, url))
					if ack := c.Connect(Connect{Version: v, ID: Name()}); ack.Code != 0 {
						t.Fatalf("got %v", ack)
					}
					c.Subscribe(topic, 2)
					other := b.Client(t, V5)
					for q := byte(0); q <= 2; q++ {
						big := make([]byte, 100_000)
						c.Publish(Publish{Topic: topic, Payload: string(big), QoS: q})
						if p := c.Receive(); len(p.Payload) != len(big) {
							t.Errorf("got %d bytes", len(p.Payload))
						}
						other.Publish(Publish{Topic: topic, Payload: "from tcp", QoS: q})
						c.ExpectMessage(topic, "from tcp")
					}
					c.Leave()
				})
			}
		}
	})
}
