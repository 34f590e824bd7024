package conformance

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	. "github.com/skeinmq/skein/testing/harness"
)

// seedEnv repeats the run of a seed that was printed.
const seedEnv = "SKEIN_TEST_SEED"

func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if e := os.Getenv(seedEnv); e != "" {
		var err error
		if s, err = strconv.ParseUint(e, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d repeats this run", seedEnv, s)
	return s
}

// ownNode is a node for a test that leaves its traces in it, or the broker under test.
func ownNode(t testing.TB) *Broker {
	t.Helper()
	if os.Getenv(External) != "" {
		return Shared(t)
	}
	return NodeWith(t, Setup{All: true})
}

// TestRandom lets many connections send packets that are nearly right, while a
// healthy pair goes on.
func TestRandom(t *testing.T) {
	t.Parallel()
	const clients, rounds = 12, 60
	b, s := ownNode(t), seed(t)
	h := newHealthy(t, b)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(s, uint64(i)))
			for range rounds {
				if err := sendAll(b, randomStream(r), r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }() // ends with the clients
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		h.check(t)
	}
}

// sendAll sends bytes in chunks on a connection of its own and reads what comes until
// the broker has closed: it must, once our side has.
func sendAll(b *Broker, stream []byte, r *rand.Rand) error {
	nc, err := DialConn(b.TCP)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()            // the test is over with it
	_ = nc.SetDeadline(time.Now().Add(Deadline)) // a broken connection fails the write
	read := make(chan error, 1)
	go func() { // ends with the connection
		_, err := io.Copy(io.Discard, nc)
		read <- err
	}()
	for len(stream) > 0 {
		n := min(len(stream), 1+r.IntN(64))
		if _, err := nc.Write(stream[:n]); err != nil {
			break // the broker has had enough
		}
		stream = stream[n:]
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // the broker may have closed it
	}
	if err := <-read; err != nil && TimedOut(err) {
		return fmt.Errorf("the broker kept a connection whose other side was closed: %w", err)
	}
	return nil
}

// randomStream is a connection's bytes: packets, most of them right, some changed.
func randomStream(r *rand.Rand) []byte {
	v := versions[r.IntN(len(versions))]
	var all []byte
	if r.IntN(10) > 0 {
		all = Connect{Version: v, ID: fmt.Sprint("random", r.IntN(20)), Keep: r.IntN(2) == 0}.Bytes()
	} else {
		all = mutate(r, randomConnect(r, v))
	}
	for range r.IntN(30) {
		p := randomPacket(r, v)
		if r.IntN(8) == 0 {
			p = mutate(r, p)
		}
		all = append(all, p...)
	}
	return all
}

func randomConnect(r *rand.Rand, v byte) []byte {
	return Connect{
		Version: v, ID: fmt.Sprint("random", r.IntN(20)), Keep: r.IntN(2) == 0, KeepAlive: r.IntN(100), User: "u", Pass: "p",
		Will:  &Will{Topic: randomTopic(r), Payload: "w", QoS: byte(r.IntN(3)), Retain: r.IntN(2) == 0, Props: [][]byte{Prop(PWillDelay, U32(r.IntN(3)))}},
		Props: [][]byte{Prop(PSessionExpiry, U32(r.IntN(10))), Prop(PReceiveMaximum, U16(1+r.IntN(5))), Prop(PTopicAliasMaximum, U16(r.IntN(5)))},
	}.Bytes()
}

func randomTopic(r *rand.Rand) string {
	return []string{"a", "a/b", "a/b/c", "/", "$x/y", "a//b", "$delayed/1/a", "$SYS/x"}[r.IntN(8)]
}

func randomFilter(r *rand.Rand) string {
	return []string{"a", "a/#", "+/b", "#", "+", "$share/g/a/#", "$share/h/+", "$exclusive/a", "$x/#", "a/+/c"}[r.IntN(10)]
}

func randomPacket(r *rand.Rand, v byte) []byte {
	id := 1 + r.IntN(6)
	switch r.IntN(12) {
	case 0, 1, 2:
		p := Publish{Topic: randomTopic(r), Payload: string(make([]byte, r.IntN(300))), QoS: byte(r.IntN(3)), ID: id, Retain: r.IntN(4) == 0}
		if r.IntN(3) == 0 {
			p.Props = [][]byte{UserProp("k", "v"), Prop(PMessageExpiry, U32(r.IntN(3))), alias(1 + r.IntN(3))}
		}
		return p.Bytes(v)
	case 3, 4:
		options := byte(r.IntN(3))
		if v == V5 {
			options |= byte(r.IntN(16)) << 2 &^ 0x30
		}
		return Subscribe(v, id, nil, To(randomFilter(r), options), To(randomFilter(r), byte(r.IntN(3))))
	case 5:
		return Unsubscribe(v, id, randomFilter(r))
	case 6:
		return Ack(PUBACK, id, 0)
	case 7:
		return Ack(PUBREC, id, 0)
	case 8:
		return Ack(PUBREL, id, 0)
	case 9:
		return Ack(PUBCOMP, id, 0)
	case 10:
		return Ping()
	}
	return randomConnect(r, v)
}

// mutate changes, adds or removes some bytes.
func mutate(r *rand.Rand, p []byte) []byte {
	p = append([]byte(nil), p...)
	for range 1 + r.IntN(3) {
		at := r.IntN(len(p))
		switch r.IntN(4) {
		case 0:
			p[at] = byte(r.IntN(256))
		case 1:
			p[at] ^= 1 << r.IntN(8)
		case 2:
			p = append(p[:at], append([]byte{byte(r.IntN(256))}, p[at:]...)...)
		case 3:
			if len(p) > 1 {
				p = append(p[:at], p[at+1:]...)
			}
		}
	}
	return p
}

// FuzzLive sends any bytes to a node, with and without a CONNECT before them.
func FuzzLive(f *testing.F) {
	for _, list := range [][]badPacket{badPublish(), badAcks(), badSubscribe(), badUnsubscribe(), badOthers(), bad3(V311)} {
		for _, c := range list {
			f.Add(byte(5), c.p)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 50 {
		f.Add(byte(i%6), randomStream(r))
	}
	b := ownNode(f)
	f.Fuzz(func(t *testing.T, version byte, p []byte) {
		var head []byte
		if v := version % 6; v >= V31 {
			head = Connect{Version: v, ID: "fuzz"}.Bytes()
		}
		chunks := rand.New(rand.NewPCG(uint64(version), uint64(len(p)))) // the same input, the same run
		if err := sendAll(b, Cat(head, p), chunks); err != nil {
			t.Fatal(err)
		}
		c := b.Client(t, V5)
		c.ExpectNothing()
		c.Leave()
	})
}
