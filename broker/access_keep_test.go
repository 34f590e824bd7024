package broker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skeinmq/skein/auth"
	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/config"
)

// made is a node that was not started, and is stopped with the test.
func made(t *testing.T, cfg *config.Config) *Node {
	t.Helper()
	n, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return n
}

func TestAddedBansOutliveTheProcess(t *testing.T) {
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	file := filepath.Join(t.TempDir(), "bans")
	if err := os.WriteFile(file, []byte("user eve\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Auth.Bans = file
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	t.Run("before", func(t *testing.T) {
		b := bans{made(t, cfg)}
		for _, ban := range []v1.Ban{
			{Kind: "user", Value: "a b", Reason: "for\na test"}, {Kind: "client", Value: "c", Until: &future}, {Kind: "network", Value: "192.0.2.0/24"},
			{Kind: "address", Value: "2001:db8::1", Until: &past}, {Kind: "user", Value: "gone"},
		} {
			if _, err := b.Add(ban); err != nil {
				t.Fatal(err)
			}
		}
		if ok, err := b.Remove("user", "gone"); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		if ok, err := b.Remove("user", "eve"); ok || err != nil {
			t.Errorf("one of the file: %v, %v", ok, err)
		}
	})
	b := bans{made(t, cfg)}
	var got []string
	for _, ban := range b.List() {
		until := ""
		if ban.Until != nil {
			until = "until"
		}
		got = append(got, strings.TrimSpace(ban.Kind+" "+ban.Value+" "+ban.Reason+" "+until))
	}
	if want := "address 192.0.2.0/24|user a b for a test|user eve|client c  until"; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
}

func TestBansThatCannotBeReadStopTheStart(t *testing.T) {
	cfg := config.Default()
	cfg.Data = t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.Data, "bans"), []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, Options{}); err == nil || !strings.Contains(err.Error(), "bans:1") {
		t.Errorf("got %v", err)
	}
	cfg.Persistence = config.PersistenceNone // and nobody looks at the directory
	made(t, cfg)
}

// A node whose store is elsewhere has no data directory until it keeps a ban.
func TestBansMakeTheirDirectory(t *testing.T) {
	f := &banFile{path: filepath.Join(t.TempDir(), "data", "bans")}
	b := auth.NewBans()
	if err := f.save(b); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path); err != nil {
		t.Error(err)
	}
}
