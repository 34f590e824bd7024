package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxUsersFile bounds a users file, in bytes: a million users take about a quarter.
const maxUsersFile = 1 << 30

// LoadUsers reads and parses a users file.
func LoadUsers(file string) (*UserList, error) {
	data, err := readUsers(file)
	if err != nil {
		return nil, err
	}
	return ParseUsers(file, data)
}

func readUsers(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the users file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the users file: %w", err)
	}
	if len(data) > maxUsersFile {
		return nil, fmt.Errorf("reading the users file: %s is larger than %d bytes", file, maxUsersFile)
	}
	return data, nil
}

// UpdateUsers changes a users file, or makes a new one that only its owner may read.
// It waits for others who are changing it, by way of a lock file beside it, whose
// name ends in .lock and which stays. The file is replaced whole and keeps its mode
// and owner: who reads it sees it before the change or after it, whatever happens.
// When change fails nothing is written.
func UpdateUsers(file string, change func(*UsersFile) error) error {
	file, err := followLinks(file)
	if err != nil {
		return err
	}
	unlock, err := lockFile(file + ".lock")
	if err != nil {
		return fmt.Errorf("locking the users file: %w", err)
	}
	defer unlock()
	data, err := readUsers(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := EditUsers(file, data)
	if err != nil {
		return err
	}
	if err := change(f); err != nil {
		return err
	}
	if err := replaceFile(file, f.Bytes()); err != nil {
		return fmt.Errorf("writing the users file: %w", err)
	}
	return nil
}

// followLinks is the file that a name stands for: a link is not to be replaced.
func followLinks(file string) (string, error) {
	real, err := filepath.EvalSymlinks(file)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(file); err == nil {
			return "", fmt.Errorf("opening the users file: %s is a link to nowhere", file)
		}
		return file, nil
	}
	if err != nil {
		return "", fmt.Errorf("opening the users file: %w", err)
	}
	return real, nil
}

// ReplaceFile writes a file whole: who reads it sees what was there before or all of data,
// whatever happens. A new file can only be read by its owner, an old one keeps its mode.
func ReplaceFile(file string, data []byte) error { return replaceFile(file, data) }

// replaceFile writes a new file beside the old one and renames it.
func replaceFile(file string, data []byte) (err error) {
	t, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = t.Close()           // the first error is told
			_ = os.Remove(t.Name()) // likewise
		}
	}()
	if old, err := os.Stat(file); err == nil {
		if err := keepOwner(t, old); err != nil {
			return err
		}
		if err := t.Chmod(old.Mode().Perm()); err != nil {
			return err
		}
	}
	if _, err := t.Write(data); err != nil {
		return err
	}
	if err := t.Sync(); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := os.Rename(t.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}
