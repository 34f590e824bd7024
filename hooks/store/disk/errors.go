package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skeinmq/skein/hooks/store"
)

// Errors of a store, beside those of package store. Each one is wrapped with the
// file or directory and with what to do about it. No data is deleted on account
// of any.
var (
	// ErrLocked: the directory is in use, by this process or another.
	ErrLocked = errors.New("directory is in use")
	// ErrNewer: the store was written in a format that this version does not know.
	ErrNewer = errors.New("format is newer than this version knows")
	// ErrDamaged: a file is missing, cut or changed.
	ErrDamaged = errors.New("store is damaged")
	// ErrPermission: the process may not read or write the directory.
	ErrPermission = errors.New("no permission")
	// ErrDiskFull: there is too little space to add data.
	ErrDiskFull = errors.New("disk is full")
	// ErrBroken: writing failed; the store is being opened again.
	ErrBroken = errors.New("store is broken")
	// ErrMissing: there is no store in the directory.
	ErrMissing = errors.New("no store there")
)

// named wraps err, from opening the store in dir, with its name and the way out.
func named(dir string, err error) error {
	for _, k := range []error{ErrLocked, ErrNewer, ErrDamaged, ErrPermission, ErrDiskFull, ErrMissing, store.ErrClosed} {
		if errors.Is(err, k) {
			return err
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission), readOnlyFS(err):
		return fmt.Errorf("disk store %s: %w: give the user of the process read and write access to the directory and all files in it: %w", dir, ErrPermission, err)
	case full(err):
		return fmt.Errorf("disk store %s: %w: make room on the file system, nothing was deleted: %w", dir, ErrDiskFull, err)
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return fmt.Errorf("disk store %s: %w: check the directory's name: %w", dir, ErrMissing, err)
	case pebble.IsCorruptionError(err), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("disk store %s: %w: restore the directory from a backup, or move it away to begin with an empty one; nothing was changed: %w", dir, ErrDamaged, err)
	}
	return fmt.Errorf("disk store %s: %w", dir, err)
}

func full(err error) bool { return vfs.IsNoSpaceError(err) }

func readOnlyFS(err error) bool { return errors.Is(err, syscall.EROFS) }
