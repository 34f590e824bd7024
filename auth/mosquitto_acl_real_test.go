package auth

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMosquittoItself asks mosquitto the questions of the table, so that the table
// says what mosquitto does and not what somebody thinks it does.
func TestMosquittoItself(t *testing.T) {
	binary, err := exec.LookPath("mosquitto")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("mosquitto is not installed")
		}
	}
	for i, tc := range mosquittoTable {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			address := startMosquitto(t, binary, tc.acl)
			for _, a := range tc.asked {
				if got := mosquittoAllows(t, address, a); got != (a.allowed || a.stricter) {
					t.Errorf("%q: mosquitto says %v to %+v", tc.acl, got, a)
				}
			}
		})
	}
}

// startMosquitto runs mosquitto with an acl_file until the test ends.
func startMosquitto(t *testing.T, binary, acl string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address) // a listener's address has a port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, conf := filepath.Join(dir, "acl"), filepath.Join(dir, "conf")
	for name, text := range map[string]string{file: acl, conf: fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nacl_file %s\nuser root\n", port, file)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has nothing to keep
		_ = cmd.Wait()         // the error is that it was killed
	})
	return address
}

// dialMosquitto dials until mosquitto listens.
func dialMosquitto(t *testing.T, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			return c
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// mosquittoAllows publishes with MQTT 5 and QoS 1: PUBACK says whether it may.
func mosquittoAllows(t *testing.T, address string, a mosquittoAsked) bool {
	t.Helper()
	c := dialMosquitto(t, address)
	defer c.Close() //nolint:errcheck // nothing is promised
	text := func(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }
	body := append(text("MQTT"), 5, 0x02, 0, 60, 0)
	body = append(body, text(a.client)...)
	if a.user != "-" {
		body[7] |= 0x80
		body = append(body, text(a.user)...)
	}
	publish := append(append(text(a.topic), 0, 1, 0), 'x')
	for _, p := range [][]byte{append([]byte{0x10, byte(len(body))}, body...), append([]byte{0x32, byte(len(publish))}, publish...)} {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReader(c)
	if ack := readSmall(t, r, 0x20); ack[1] != 0 {
		t.Fatalf("CONNACK %x for %+v", ack, a)
	}
	ack := readSmall(t, r, 0x40)
	return len(ack) < 3 || ack[2] < 0x80
}

// readSmall reads a packet of less than 128 bytes and returns what follows its length.
func readSmall(t *testing.T, r io.Reader, first byte) []byte {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != first || head[1] >= 128 {
		t.Fatalf("got %x, want %x: %v", head, first, err)
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	return body
}
