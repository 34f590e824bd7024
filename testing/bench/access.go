package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skeinmq/skein/auth"
)

// The users and rules of the rows about access, and who the load is.
const (
	accessUsers    = 100_000
	accessRules    = 10_000
	accessUser     = "bench"
	accessPassword = "a password of the bench"
)

// writeAccess writes a users file and answers the `auth` section with it and the rules.
// All users have one hash, so that it takes no hour to make; what a login costs is the
// same. Half of the rules are of a user each, half of everybody; none but the last lets
// the load do anything, so it is judged after all the others.
func writeAccess(dir string) (string, error) {
	hash, err := auth.NewHash([]byte(accessPassword))
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "users")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	for i := range accessUsers - 1 {
		_, _ = fmt.Fprintf(w, "user%d:%s:groups=site%d\n", i, hash, i%100) // Flush tells
	}
	_, _ = fmt.Fprintf(w, "%s:%s\n", accessUser, hash) // as above
	if err := w.Flush(); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	text := fmt.Appendf(nil, "auth:\n  sources: [users_file]\n  users_file: %q\n  acl:\n    rules:\n", file)
	for i := range accessRules - 1 {
		if i%2 == 0 {
			text = fmt.Appendf(text, "      - {effect: allow, action: all, topics: ['site/%d/%%u/#'], users: [user%d]}\n", i, i)
		} else {
			text = fmt.Appendf(text, "      - {effect: allow, action: subscribe, topics: ['site/%d/+/state'], max_qos: 1}\n", i)
		}
	}
	return string(fmt.Appendf(text, "      - {effect: allow, action: all, topics: ['#'], users: [%s]}\n", accessUser)), nil
}
