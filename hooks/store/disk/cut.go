package disk

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errCut is what an engine that broke gets for everything that would write.
var errCut = errors.New("the store was given up")

// cutFS is a file system that can be cut: from then on nothing is written through
// it, so an engine that broke cannot harm the one that follows it.
type cutFS struct {
	vfs.FS
	cut atomic.Bool
}

func (c *cutFS) whole() error {
	if c.cut.Load() {
		return errCut
	}
	return nil
}

func (c *cutFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &cutFile{File: f, fs: c}, nil
}

// Unwrap implements vfs.FS.
func (c *cutFS) Unwrap() vfs.FS { return c.FS }

// Lock implements vfs.FS. The store itself holds the directory's lock as long as it
// lives, whatever becomes of an engine.
func (c *cutFS) Lock(string) (io.Closer, error) { return noLock{}, nil }

type noLock struct{}

// Close implements io.Closer.
func (noLock) Close() error { return nil }

// Create implements vfs.FS.
func (c *cutFS) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	if err := c.whole(); err != nil {
		return nil, err
	}
	return c.file(c.FS.Create(name, cat))
}

// OpenReadWrite implements vfs.FS.
func (c *cutFS) OpenReadWrite(name string, cat vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := c.whole(); err != nil {
		return nil, err
	}
	return c.file(c.FS.OpenReadWrite(name, cat, opts...))
}

// ReuseForWrite implements vfs.FS.
func (c *cutFS) ReuseForWrite(from, to string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	if err := c.whole(); err != nil {
		return nil, err
	}
	return c.file(c.FS.ReuseForWrite(from, to, cat))
}

// Link implements vfs.FS.
func (c *cutFS) Link(from, to string) error {
	if err := c.whole(); err != nil {
		return err
	}
	return c.FS.Link(from, to)
}

// Remove implements vfs.FS.
func (c *cutFS) Remove(name string) error {
	if err := c.whole(); err != nil {
		return err
	}
	return c.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (c *cutFS) RemoveAll(name string) error {
	if err := c.whole(); err != nil {
		return err
	}
	return c.FS.RemoveAll(name)
}

// Rename implements vfs.FS.
func (c *cutFS) Rename(from, to string) error {
	if err := c.whole(); err != nil {
		return err
	}
	return c.FS.Rename(from, to)
}

// MkdirAll implements vfs.FS.
func (c *cutFS) MkdirAll(dir string, perm os.FileMode) error {
	if err := c.whole(); err != nil {
		return err
	}
	return c.FS.MkdirAll(dir, perm)
}

type cutFile struct {
	vfs.File
	fs *cutFS
}

// Write implements vfs.File.
func (f *cutFile) Write(p []byte) (int, error) {
	if err := f.fs.whole(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// WriteAt implements vfs.File.
func (f *cutFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.whole(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

// Sync implements vfs.File.
func (f *cutFile) Sync() error {
	if err := f.fs.whole(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *cutFile) SyncData() error {
	if err := f.fs.whole(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f *cutFile) SyncTo(length int64) (bool, error) {
	if err := f.fs.whole(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
