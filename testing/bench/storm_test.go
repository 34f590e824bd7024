package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeinmq/skein/auth"
)

// judge answers each CONNECT with a return code of CONNACK; 0xFF is none.
func judge(t *testing.T, code byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() }) // ends Accept
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }() // it has been answered
				var head [2]byte
				if _, err := io.ReadFull(c, head[:]); err != nil || head[0] != 0x10 {
					return
				}
				if _, err := io.CopyN(io.Discard, c, int64(head[1])); err == nil && code != 0xFF {
					_, _ = c.Write([]byte{0x20, 2, 0, code}) // who does not get it counts it
				}
			})
		}
	})
	return l.Addr().String()
}

func TestStormsThatAreNoneAreTold(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("127.0.0.2 is no address of this system")
	}
	for code, want := range map[byte]string{5: "", 0: "were let in", 0xFF: "had no answer"} {
		s := startStorm(t.Context(), judge(t, code), 200)
		<-time.After(300 * time.Millisecond)
		err := s.stop()
		if want == "" && err != nil && !strings.Contains(err.Error(), "a second instead of") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("answered %#x: %v, want %q", code, err, want)
		}
	}
	if s := (&storm{begun: time.Now().Add(-time.Second), rate: 100, cancel: func() {}}); s.stop() == nil {
		t.Error("a storm of nobody passes")
	}
}

func TestAccessIsReadable(t *testing.T) {
	dir := t.TempDir()
	text, err := writeAccess(dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := auth.LoadUsers(filepath.Join(dir, "users"))
	if err != nil || list.Len() != accessUsers || !list.Has(accessUser) {
		t.Errorf("%v", err)
	}
	if n := strings.Count(text, "effect:"); n != accessRules {
		t.Errorf("%d rules", n)
	}
	if info, err := os.Stat(filepath.Join(dir, "users")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
