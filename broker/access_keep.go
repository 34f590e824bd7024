package broker

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker/config"
)

// banFile keeps the bans that are added while the node runs, in the words of a bans
// file: `bans` in the data directory. Without persistence they go with the process. What
// is in the file of `auth.bans` is its operator's and not written.
type banFile struct {
	path string // empty is nowhere

	mu sync.Mutex // held while the list is read and written: the file has the last one
}

func newBanFile(cfg *config.Config) *banFile {
	if cfg.Persistence != config.PersistenceDisk {
		return &banFile{}
	}
	return &banFile{path: filepath.Join(cfg.Data, "bans")}
}

// load adds what was kept.
func (f *banFile) load(b *auth.Bans) error {
	if f.path == "" {
		return nil
	}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the bans that were kept: %w", err)
	}
	list, err := auth.ParseBans(f.path, text)
	if err != nil {
		return err
	}
	for _, ban := range list {
		if err := b.Add(ban, time.Now()); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return nil
}

// save writes the bans that hold and were added. They hold also when it fails.
func (f *banFile) save(b *auth.Bans) error {
	if f.path == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(b.List(time.Now()), func(ban auth.Ban) bool { return ban.FromFile })
	err := os.MkdirAll(filepath.Dir(f.path), 0o700) // a node whose store is elsewhere has not made it
	if err == nil {
		err = auth.ReplaceFile(f.path, auth.FormatBans(list))
	}
	if err != nil {
		return fmt.Errorf("the bans hold, but are not kept over a restart: %w", err)
	}
	return nil
}

// saySys tells $SYS what became of logins.
func saySys(c *auth.Counters) func(say func(topic, value string)) {
	return func(say func(topic, value string)) {
		for _, v := range []struct {
			topic string
			value int64
		}{
			{"allowed", c.Allowed.Load()}, {"denied", c.Denied.Load()}, {"backed_off", c.BackedOff.Load()}, {"banned", c.Banned.Load()},
			{"busy", c.Busy.Load()}, {"failed", c.Failed.Load()}, {"hashed", c.Hashed.Load()}, {"recalled", c.Recalled.Load()},
		} {
			say("auth/"+v.topic, strconv.FormatInt(v.value, 10))
		}
		for _, l := range c.Logins() {
			say("auth/source/"+cmp.Or(l.Source, "none")+"/"+cmp.Or(l.Reason, "allowed"), strconv.FormatInt(l.Count, 10))
		}
	}
}
