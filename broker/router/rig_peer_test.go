package router

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks"
)

// peer is a client: its connection of now, and what a client remembers.
type peer struct {
	g    *rig
	id   string
	link *Link
	out  *output
	acks *ackQueue
	pub  *Publisher
	gone chan struct{}
	once sync.Once
	code byte // of End; valid when gone is closed
	next message.PacketID
}

// dial describes a connect; the zero value is MQTT 5 that keeps its session.
type dial struct {
	version byte
	clean   bool
	expiry  uint32 // 0: an hour
	ends    bool   // expiry 0
	window  int
	limit   int // of the output
	max     int // Maximum Packet Size
	alias   uint16
	will    *Will
	user    string
}

func (g *rig) tryConnect(id string, d dial) (*peer, ConnectResult, error) {
	if d.version == 0 {
		d.version = 5
	}
	if d.expiry == 0 && !d.ends {
		d.expiry = 3600
	}
	if d.window == 0 {
		d.window = 1000
	}
	if d.limit == 0 {
		d.limit = 8 << 20
	}
	p := &peer{g: g, id: id, out: &output{limit: d.limit, some: make(chan struct{}, 1)}, gone: make(chan struct{})}
	p.acks = &ackQueue{out: p.out}
	p.link = &Link{
		Out: p.out, Version: d.version, Window: d.window, MaxPacket: d.max, AliasMax: d.alias,
		Hook: g.hooks.NewClient(hooks.Info{ID: id, Version: d.version, User: d.user, HasUser: d.user != ""}),
		End:  func(code byte, _ string) { p.once.Do(func() { p.code = code; close(p.gone) }) },
		Gone: func() <-chan struct{} { return p.gone },
	}
	p.out.drained = func() { g.r.Drained(p.link) }
	var got ConnectResult
	q := ConnectRequest{ID: ClientID(id), Clean: d.clean, Expiry: d.expiry, Will: d.will, Link: p.link, User: d.user, HasUser: d.user != ""}
	err := g.r.Connect(context.Background(), q, func(dst []byte, res ConnectResult) []byte {
		got = res
		return append(dst, 0x20, 2, 0, 0)
	})
	if err != nil {
		return nil, got, err
	}
	p.pub = g.r.NewPublisher(p.link, p.acks)
	return p, got, nil
}

// connect connects and takes CONNACK.
func (g *rig) connect(id string, d dial) *peer {
	g.t.Helper()
	p, _, err := g.tryConnect(id, d)
	if err != nil {
		g.t.Fatalf("connect %s: %v", id, err)
	}
	if f := p.out.Begin(); len(f) < 4 || f[0] != 0x20 {
		g.t.Fatalf("CONNACK is not the first packet: % x", f)
	} else {
		p.out.End(slices.Clone(f[4:]))
	}
	return p
}

// drop ends the connection as a lost one.
func (p *peer) drop() bool {
	ended := p.g.r.Disconnect(p.link, DisconnectRequest{Will: true})
	p.out.close()
	return ended
}

func (p *peer) bye() bool {
	ended := p.g.r.Disconnect(p.link, DisconnectRequest{})
	p.out.close()
	return ended
}

// subscribe subscribes and answers the codes.
func (p *peer) subscribe(qos byte, filters ...string) []byte {
	list := make([]Subscription, len(filters))
	for i, f := range filters {
		list[i] = Subscription{Filter: f, QoS: qos}
	}
	return p.subscribeTo(list...)
}

func (p *peer) subscribeTo(list ...Subscription) (codes []byte) {
	p.g.r.Subscribe(p.link, list, make([]byte, len(list)), func(dst, c []byte) []byte {
		codes = slices.Clone(c)
		return append(dst, 0x90, 0)
	})
	return codes
}

func (p *peer) unsubscribe(filters ...string) (codes []byte) {
	p.g.r.Unsubscribe(p.link, filters, func(dst, c []byte) []byte {
		codes = slices.Clone(c)
		return append(dst, 0xB0, 0)
	})
	return codes
}

// put publishes without a flush.
func (p *peer) put(m message.Message, id message.PacketID, dup bool) Outcome {
	f := message.Form{Version: p.link.Version, QoS: m.QoS, Retain: m.Retain, Dup: dup}
	if m.Expires != 0 {
		f.Now = time.Now().UnixNano()
	}
	raw := f.Append(nil, &m, id)
	_, head := message.Uvarint(raw[1:])
	var pub message.Publish
	if err := pub.Parse(p.link.Version, raw[0], raw[1+head:]); err != nil {
		p.g.t.Fatal(err)
	}
	return p.pub.Publish(&pub, raw)
}

// publish publishes one message under a new identifier.
func (p *peer) publish(topic, payload string, qos byte) Outcome {
	return p.send(message.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

func (p *peer) send(m message.Message) Outcome {
	if m.QoS > 0 {
		p.next++
	}
	o := p.put(m, p.next, false)
	p.pub.Flush()
	return o
}
