package stats

const (
	// PacketTypes is the number of MQTT packet types with the reserved 0, for
	// arrays indexed by the type as it stands in the fixed header [MQTT-2.1.2].
	PacketTypes = 16
	// QoSLevels is the number of QoS levels.
	QoSLevels = 3
)

// PacketCount counts the packets of one direction.
type PacketCount struct {
	Packets [PacketTypes]uint64 // by packet type
	Bytes   [PacketTypes]uint64 // by packet type, with the fixed header
	Publish [QoSLevels]uint64   // PUBLISH packets by QoS, repeated ones too
	Payload uint64              // bytes of PUBLISH payloads
}

// Packet counts one packet of a type (1 to 15) and its size with the fixed header.
func (c *PacketCount) Packet(packetType byte, size int) {
	c.Packets[packetType&(PacketTypes-1)]++
	c.Bytes[packetType&(PacketTypes-1)] += uint64(size)
}

// publishType is the packet type of PUBLISH.
const publishType = 3

// Message counts one PUBLISH, as a packet of its size too. A qos of 3, which is
// malformed, is counted as a packet alone.
func (c *PacketCount) Message(qos byte, size, payload int) {
	c.Packets[publishType]++
	c.Bytes[publishType] += uint64(size)
	if qos < QoSLevels {
		c.Publish[qos]++
		c.Payload += uint64(payload)
	}
}

// Messages counts n PUBLISH packets that are alike, as a fan-out sends them.
func (c *PacketCount) Messages(n int, qos byte, size, payload int) {
	c.Packets[publishType] += uint64(n)
	c.Bytes[publishType] += uint64(n) * uint64(size)
	if qos < QoSLevels {
		c.Publish[qos] += uint64(n)
		c.Payload += uint64(n) * uint64(payload)
	}
}

// Batch is what one goroutine has counted since it last added it to the node.
// It belongs to that goroutine; the zero value is empty. With about 750 bytes it
// should lie beside a pooled buffer, not in each idle connection.
type Batch struct {
	In, Out PacketCount
	Drops   [NumDropReasons]uint64

	// Changes of gauges, so they may be negative.
	Inflight    int64 // messages sent and not yet acknowledged
	Queued      int64 // messages waiting in sessions
	QueuedBytes int64 // their size
}

// Drop counts one dropped message.
func (b *Batch) Drop(r DropReason) { b.Drops[r]++ }

// Add adds a batch to the node and empties it. Only what is not zero costs
// anything. The batch must not be used by another goroutine meanwhile.
func (n *Node) Add(b *Batch) {
	n.in.add(&b.In)
	n.out.add(&b.Out)
	for i, d := range b.Drops {
		if d != 0 {
			n.router.drops[i].Add(d)
		}
	}
	if b.Inflight != 0 {
		n.router.inflight.Add(b.Inflight)
	}
	if b.Queued != 0 {
		n.router.queued.Add(b.Queued)
	}
	if b.QueuedBytes != 0 {
		n.router.queuedBytes.Add(b.QueuedBytes)
	}
	*b = Batch{}
}

func (p *packets) add(c *PacketCount) {
	for i, v := range c.Packets {
		if v != 0 { // a type that was not met has no bytes either
			p.packets[i].Add(v)
			p.bytes[i].Add(c.Bytes[i])
		}
	}
	for i, v := range c.Publish {
		if v != 0 {
			p.publish[i].Add(v)
		}
	}
	if c.Payload != 0 {
		p.payload.Add(c.Payload)
	}
}
