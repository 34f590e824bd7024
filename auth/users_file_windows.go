package auth

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits until nobody else has the lock of a file, which it makes. The lock
// ends with the process too.
func lockFile(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &windows.Overlapped{})
	if err != nil {
		_ = f.Close() // the first error is told
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return func() { _ = f.Close() }, nil // closing lets go
}

// keepOwner does nothing: a new file has the rights of its directory.
func keepOwner(*os.File, fs.FileInfo) error { return nil }

// syncDir does nothing: a directory cannot be synced.
func syncDir(string) error { return nil }
