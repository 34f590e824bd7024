package broker_test

import (
	"context"
	"fmt"
	"strings"

	paho "github.com/eclipse/paho.mqtt.golang"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/hooks"
)

// guard is a hook as mochi's package defines them: it tells what is published, and
// keeps everybody from publishing below fixed/.
type guard struct{ mqtt.HookBase }

func (*guard) ID() string           { return "guard" }
func (*guard) Provides(b byte) bool { return b == mqtt.OnPublish }

func (*guard) OnPublish(c *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	if strings.HasPrefix(p.TopicName, "fixed/") {
		return p, packets.ErrNotAuthorized
	}
	fmt.Println(c.ID, "publishes", p.TopicName)
	return p, nil
}

// A node in a program of one's own, with a hook.
func ExampleNew() {
	cfg := config.Default()
	cfg.Listeners = cfg.Listeners[:1]
	cfg.Listeners[0].URL = "tcp://127.0.0.1:0" // a free port
	cfg.Persistence = config.PersistenceNone   // nothing is kept

	node, err := broker.New(cfg, broker.Options{Hooks: []hooks.Loaded{{Hook: new(guard)}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := node.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	publish(node.Addrs()[0], "ann", "room/1", "fixed/1", "room/2")
	if err := node.Stop(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann publishes room/1
	// ann publishes room/2
}

// publish is a client, made with paho.
func publish(url, id string, topics ...string) {
	c := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID(id))
	if t := c.Connect(); t.Wait() && t.Error() != nil {
		fmt.Println(t.Error())
		return
	}
	for _, topic := range topics {
		if t := c.Publish(topic, 1, false, "21"); t.Wait() && t.Error() != nil {
			fmt.Println(t.Error())
		}
	}
	const quiesce = 100 // milliseconds that paho may take to finish
	c.Disconnect(quiesce)
}
