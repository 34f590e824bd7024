package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name that Redis gives a script, no secret
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Script is one step in Lua: it is done whole or not at all. It is called by its hash.
//
// Scripts of [Options] are loaded on every connection that is made, so a server that was
// started again or promoted has them. Where they are missing nevertheless, as after
// SCRIPT FLUSH, the client sends the source: nothing was done that a second attempt
// could do twice. In a pipeline that is left to the caller when a later command of the
// same hash tag has been done already: its order would change. It then finds NOSCRIPT,
// for which [IsUnavailable] says yes.
type Script struct {
	name, source, sha string
}

// NewScript makes a script. The name is for errors.
func NewScript(name, source string) *Script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // as above
	return &Script{name: name, source: source, sha: hex.EncodeToString(sum[:])}
}

// MustScript reads a script that is part of the binary; its name is that of the file
// without directory and extension. It panics if the file does not exist.
func MustScript(files fs.FS, file string) *Script {
	b, err := fs.ReadFile(files, file)
	if err != nil {
		panic(err) // a mistake in the source, which every test meets
	}
	return NewScript(strings.TrimSuffix(path.Base(file), path.Ext(file)), string(b))
}

// Name is the name of the script.
func (s *Script) Name() string { return s.name }

// SHA is the hash by which it is called, in hex.
func (s *Script) SHA() string { return s.sha }

// Run calls the script, on a [Client], one of its pipelines or transactions. All keys
// have the same hash tag.
func (s *Script) Run(ctx context.Context, c goredis.Scripter, keys []string, args ...any) *goredis.Cmd {
	return c.EvalSha(ctx, s.sha, keys, args...)
}

// load puts scripts on the server of a connection if it has them not.
func load(ctx context.Context, c goredis.Scripter, scripts []*Script) error {
	shas := make([]string, len(scripts))
	for i, s := range scripts {
		shas[i] = s.sha
	}
	has, err := c.ScriptExists(ctx, shas...).Result()
	if err != nil {
		return &greetError{"ask for scripts", err}
	}
	if len(has) != len(scripts) {
		return &greetError{"ask for scripts", errors.New("the answer has another length")}
	}
	for i, s := range scripts {
		if has[i] {
			continue
		}
		if err := c.ScriptLoad(ctx, s.source).Err(); err != nil {
			return &greetError{"load script " + s.name, err}
		}
	}
	return nil
}

// greetError is a failure of the first words on a connection. Its Unwrap is the one of
// a list, as go-redis unwraps what it is given here once, and what was attempted would
// be lost.
type greetError struct {
	what string
	err  error
}

func (e *greetError) Error() string   { return "redis: " + e.what + ": " + e.err.Error() }
func (e *greetError) Unwrap() []error { return []error{e.err} }
