package listen

import (
	"io"
	"net"
	"testing"
)

const benchMessage = 1 << 10

// flood writes messages until the benchmark is over.
func flood(b *testing.B, nc net.Conn, message []byte) {
	b.SetBytes(int64(len(message)))
	go func() {
		for range b.N {
			if _, err := nc.Write(message); err != nil {
				b.Error(err)
				return
			}
		}
		_ = nc.(*net.TCPConn).CloseWrite() // what is missing is seen by the reader
	}()
}

func BenchmarkReadPlain(b *testing.B) {
	nc, peer := tcpPair(b)
	p := make([]byte, 64<<10)
	flood(b, peer, make([]byte, benchMessage))
	b.ReportAllocs()
	total := 0
	for {
		n, err := nc.Read(p)
		total += n
		if err != nil {
			break
		}
	}
	if total != b.N*benchMessage {
		b.Fatal(total)
	}
}

func BenchmarkPumpTCP(b *testing.B) { benchPump(b, nil, make([]byte, benchMessage)) }

func BenchmarkPumpWebSocket(b *testing.B) {
	benchPump(b, &frames{}, frame(0x82, make([]byte, benchMessage)))
}

func benchPump(b *testing.B, f *frames, message []byte) {
	c, peer := pair(b)
	c.ws = f
	p := make([]byte, 64<<10)
	flood(b, peer, message)
	b.ReportAllocs()
	total, steps := 0, 0
	err := c.Pump(func(read func([]byte) (int, error)) bool {
		steps++
		for {
			n, err := read(p)
			total += n
			if err != nil {
				return false
			}
		}
	})
	if err != io.EOF || total != b.N*benchMessage {
		b.Fatal(total, err)
	}
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
}

// One message at a time, to and fro: what a wait costs.
func BenchmarkPingPong(b *testing.B) {
	for _, kind := range []string{"plain", "busy", "own", "borrowed"} {
		b.Run(kind, func(b *testing.B) {
			nc, peer := tcpPair(b)
			p := make([]byte, 64<<10)
			go func() {
				msg := make([]byte, 64)
				for range b.N {
					_, _ = peer.Write(msg)
					_, _ = io.ReadFull(peer, msg)
				}
				_ = peer.Close()
			}()
			b.ReportAllocs()
			if kind == "plain" {
				for {
					n, err := nc.Read(p)
					if err != nil {
						return
					}
					_, _ = nc.Write(p[:n])
				}
			}
			c := NewConn(nc)
			defer func() { _ = c.Close() }()
			_ = c.Pump(func(read func([]byte) (int, error)) bool {
				if kind != "busy" {
					c.in.looks, c.in.grown = 0, kind == "own"
				}
				for {
					n, err := read(p)
					if err != nil {
						return false
					}
					_, _ = c.Write(p[:n])
				}
			})
		})
	}
}

func BenchmarkWriteFrame(b *testing.B) {
	for name, size := range map[string]int{"small": 100, "large": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			c, peer := webSocketPair(b)
			go func() { _, _ = io.Copy(io.Discard, peer) }()
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for range b.N {
				if _, err := c.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.Close()
		})
	}
}
