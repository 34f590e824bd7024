package broker_test

import (
	"fmt"
	"strings"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker"
	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/hooks"
	"github.com/skeinmq/skein/testing/harness"
)

// refuser is a hook that rejects one topic.
type refuser struct{ mqtt.HookBase }

func (*refuser) ID() string           { return "refuser" }
func (*refuser) Provides(b byte) bool { return b == mqtt.OnPublish }
func (*refuser) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.TopicName == "hooked" {
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// drops is a node on which a message is dropped.
type drops struct {
	t *testing.T
	n *broker.Node
	b *harness.Broker
}

// sub is a client "sub" that is subscribed to t at QoS 1 and keeps its session.
func (d *drops) sub(props ...[]byte) *harness.Client {
	props = append(props, harness.Prop(harness.PSessionExpiry, harness.U32(1000)))
	c := d.b.Connect(d.t, harness.Connect{ID: "sub", Props: props})
	c.Subscribe("t", 1)
	return c
}

// away is sub that has left.
func (d *drops) away() { d.sub().Leave(harness.Disconnect(0)) }

// publish publishes through the API; what is refused is told by the drop.
func (d *drops) publish(message string) {
	ask(d.t, d.n, "POST", "/api/v1/publish", message)
}

// Each reason for which messages are dropped, forced: the client's own count, the
// figures of the API and the metrics all say it, once.
func TestEachDropIsToldWithItsReason(t *testing.T) {
	const toT = `{"topic":"t","payload":"x","qos":1}`
	cases := map[stats.DropReason]struct {
		change func(*config.Config)
		force  func(*drops)
		client bool // it is a client's drop
	}{
		stats.DropQueueFull: {func(c *config.Config) { c.Session.Queue.Messages = 1 }, func(d *drops) {
			d.away()
			d.publish(toT)
			d.publish(toT)
		}, true},
		stats.DropExpired: {nil, func(d *drops) {
			d.away()
			d.publish(`{"topic":"t","qos":1,"expiry":0}`)
			d.b.Connect(d.t, harness.Connect{ID: "sub", Keep: true, Props: [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(1000))}}).Barrier()
		}, true},
		stats.DropTooLarge: {nil, func(d *drops) {
			d.sub(harness.Prop(harness.PMaximumPacketSize, harness.U32(30)))
			d.publish(`{"topic":"t","qos":1,"payload":"` + strings.Repeat("x", 100) + `"}`)
		}, true},
		stats.DropOutputFull: {func(c *config.Config) { c.Limits.OutputBuffer = 16 * config.KiB }, func(d *drops) {
			d.sub() // and does not read
			for big := strings.Repeat("x", 1<<20); d.n.Stats().Snapshot().Dropped(stats.DropOutputFull) == 0; {
				d.publish(`{"topic":"t","qos":0,"payload":"` + big + `"}`)
			}
		}, true},
		stats.DropQoS0Offline: {nil, func(d *drops) {
			d.away()
			d.publish(`{"topic":"t"}`)
		}, true},
		stats.DropRefused: {nil, func(d *drops) {
			c := d.sub()
			d.publish(toT)
			c.Send(harness.Ack(harness.PUBACK, c.Expect(harness.PUBLISH).ID, 0x87))
			c.Barrier()
		}, true},
		stats.DropQuota: {func(c *config.Config) { c.Limits.Queued.Messages = 1 }, func(d *drops) {
			d.away()
			d.publish(toT)
			d.publish(toT)
		}, true},
		stats.DropACL: {func(c *config.Config) {
			c.Auth.ACL.Rules = []config.Rule{{Effect: "deny", Action: "publish", Topics: []string{"secret"}}, {Effect: "allow", Action: "all", Topics: []string{"#"}}}
		}, func(d *drops) { d.publish(`{"topic":"secret"}`) }, false},
		stats.DropHook:          {nil, func(d *drops) { d.publish(`{"topic":"hooked"}`) }, false},
		stats.DropNoSubscriber:  {nil, func(d *drops) { d.publish(`{"topic":"nobody"}`) }, false},
		stats.DropPayloadFormat: {func(c *config.Config) { c.MQTT.CheckPayloadFormat = true }, func(d *drops) { d.publish(`{"topic":"a","payload_format":1,"payload_base64":"/w=="}`) }, false},
		stats.DropRetainLimit: {func(c *config.Config) { c.Limits.Retained.Bytes = 10 }, func(d *drops) {
			d.publish(`{"topic":"a","retain":true,"payload":"0123456789"}`)
		}, false},
		stats.DropDelayLimit: {func(c *config.Config) { c.Delayed.Count = 1 }, func(d *drops) {
			d.publish(`{"topic":"$delayed/1000/a"}`)
			d.publish(`{"topic":"$delayed/1000/a"}`)
		}, false},
		stats.DropInvalid: {nil, func(d *drops) { d.publish(`{"topic":"$SYS/a"}`) }, false},
		stats.DropSessionEnded: {nil, func(d *drops) {
			d.away()
			d.publish(toT)
			d.b.Connect(d.t, harness.Connect{ID: "sub"}).Barrier()
		}, false},
		stats.DropOperator: {nil, func(d *drops) {
			d.away()
			d.publish(toT)
			ask(d.t, d.n, "DELETE", "/api/v1/clients/sub", "")
		}, false},
	}
	for i := range stats.NumDropReasons {
		reason := stats.DropReason(i)
		c, ok := cases[reason]
		if !ok {
			if reason != stats.DropMemory { // what is shed for memory is output_full
				t.Errorf("%s is not forced", reason)
			}
			continue
		}
		t.Run(reason.String(), func(t *testing.T) {
			cfg := operated(t)
			if c.change != nil {
				c.change(cfg)
			}
			n, b := start(t, cfg, broker.Options{Hooks: []hooks.Loaded{{Hook: &refuser{}}}})
			d := &drops{t, n, b}
			c.force(d)
			s := get[v1.Stats](t, n, "stats")
			for name, count := range s.Drops {
				if want := name == reason.String(); want != (count > 0) || want && count != 1 && reason != stats.DropOutputFull {
					t.Errorf("%s: %d", name, count)
				}
			}
			if _, text := ask(t, n, "GET", "/metrics", ""); !strings.Contains(text, fmt.Sprintf("skein_dropped_total{reason=%q} %d\n", reason, s.Drops[reason.String()])) {
				t.Error("the metrics say something else")
			}
			if c.client {
				one := get[v1.Client](t, n, "clients/sub")
				if len(one.Drops) != 1 || one.Drops[reason.String()] != s.Drops[reason.String()] || one.Dropped != s.Drops[reason.String()] {
					t.Errorf("the client's: %+v", one)
				}
				if top := get[v1.Clients](t, n, "clients?sort=dropped&limit=1"); len(top.Clients) != 1 || top.Clients[0].ID != "sub" {
					t.Errorf("%+v", top)
				}
			}
		})
	}
}
