package conformance

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
)

// target are the arguments of Debian's mosquitto clients for a listener.
func target(t *testing.T, b *Broker, kind string) []string {
	t.Helper()
	switch kind {
	case "tls":
		certs := WriteCerts(t)
		host, port := HostPort(t, Need(t, b.TLS))
		return []string{"-h", host, "-p", port, "--cafile", certs.CA, "--cert", certs.Client, "--key", certs.ClientKey}
	case "unix":
		return []string{"--unix", strings.TrimPrefix(Need(t, b.Unix), "unix://")}
	}
	host, port := HostPort(t, b.TCP)
	return []string{"-h", host, "-p", port}
}

// mosquittoSub starts mosquitto_sub and waits until it is subscribed: it subscribes
// to a retained message too, and prints that.
func mosquittoSub(t *testing.T, b *Broker, args ...string) *Proc {
	t.Helper()
	ready := Name()
	b.Client(t, V5).Publish(Publish{Topic: ready, Payload: ready, QoS: 1, Retain: true})
	p := Start(t, "mosquitto_sub", append(args, "-t", ready)...)
	p.WaitOutput(ready)
	return p
}

// mosquittoPub runs mosquitto_pub to its end.
func mosquittoPub(t *testing.T, args ...string) {
	t.Helper()
	p := Start(t, "mosquitto_pub", args...)
	if code := p.Wait(); code != 0 {
		t.Fatalf("mosquitto_pub %q ended with %d: %s", args, code, p.Output())
	}
}

// TestMosquittoClients runs Debian's mosquitto clients end to end.
func TestMosquittoClients(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	statement(t, "3.1.1/MQTT-7.0.0-2", func(t *testing.T) { // they know nothing of this broker
		Program(t, "mosquitto_sub")
		for _, kind := range []string{"tcp", "tls", "unix"} {
			for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
				t.Run(kind+"/"+version, func(t *testing.T) {
					t.Parallel()
					mosquittoPair(t, b, append(target(t, b, kind), "-V", version))
				})
			}
		}
	})
	t.Run("will", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		w := b.Client(t, V5)
		w.Subscribe(topic, 1)
		at := target(t, b, "tcp")
		sub := mosquittoSub(t, b, append(at, "-t", Name(), "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1")...)
		sub.Kill()
		w.ExpectMessage(topic, "gone")
	})

	t.Run("properties", func(t *testing.T) {
		t.Parallel()
		topic := Name()
		at := append(target(t, b, "tcp"), "-V", "mqttv5")
		sub := mosquittoSub(t, b, append(at, "-t", topic, "-F", "%C|%D|%E|%F|%P|%R|%S|%p", "-D", "subscribe", "subscription-identifier", "42")...)
		mosquittoPub(t, append(at, "-t", topic, "-m", "x", "-D", "publish", "content-type", "text", "-D", "publish", "correlation-data", "c0",
			"-D", "publish", "message-expiry-interval", "500", "-D", "publish", "payload-format-indicator", "1",
			"-D", "publish", "user-property", "k", "v", "-D", "publish", "response-topic", "answer")...)
		sub.WaitOutput("text|c0|500|1|k:v|answer|42|x")
	})

	t.Run("a session while the client is away", func(t *testing.T) {
		t.Parallel()
		topic, id := Name(), Name()
		at := target(t, b, "tcp")
		stay := append(at, "-i", id, "-c", "-q", "1", "-t", topic)
		if code := Start(t, "mosquitto_sub", append(stay, "-E")...).Wait(); code != 0 { // subscribes and leaves
			t.Fatalf("ended with %d", code)
		}
		for i := range 5 {
			mosquittoPub(t, append(at, "-t", topic, "-q", "1", "-m", fmt.Sprintf("m%d", i))...)
		}
		sub := Start(t, "mosquitto_sub", append(stay, "-C", "5")...)
		if code := sub.Wait(); code != 0 || sub.Output() != "m0\nm1\nm2\nm3\nm4\n" {
			t.Errorf("ended with %d and %q", code, sub.Output())
		}
	})
}

// mosquittoPair publishes at every QoS and retained from one program to another.
func mosquittoPair(t *testing.T, b *Broker, at []string) {
	t.Helper()
	topic := Name()
	sub := mosquittoSub(t, b, append(at, "-t", topic+"/#", "-q", "2", "-v")...)
	for q := range 3 {
		mosquittoPub(t, append(at, "-t", fmt.Sprintf("%s/%d", topic, q), "-q", fmt.Sprint(q), "-m", fmt.Sprintf("payload%d", q))...)
		sub.WaitOutput(fmt.Sprintf("%s/%d payload%d\n", topic, q, q))
	}
	mosquittoPub(t, append(at, "-t", topic+"/kept", "-q", "1", "-r", "-m", "kept")...)
	late := Start(t, "mosquitto_sub", append(at, "-t", topic+"/kept", "-F", "r=%r p=%p")...)
	late.WaitOutput("r=1 p=kept")
}
