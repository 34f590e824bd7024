package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// guard is between the callers and go-redis: it keeps commands from being sent twice,
// sends the source of a script that is missing, and keeps passwords out of errors.
type guard struct {
	once    bool     // go-redis repeats unless told otherwise
	secrets []string // never empty ones
	sources map[string]string
}

func newGuard(s *settled) *guard {
	g := &guard{once: s.target.Mode == Cluster, sources: make(map[string]string, len(s.opt.Scripts))}
	for _, secret := range []string{s.target.Password, s.opt.SentinelPassword} {
		if secret != "" {
			g.secrets = append(g.secrets, secret)
		}
	}
	for _, script := range s.opt.Scripts {
		g.sources[script.sha] = script.source
	}
	return g
}

// DialHook marks what fails before there is a server to connect to: that of Sentinels
// which do not know the primary wraps redis.Nil, no answer to any command.
func (g *guard) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := next(ctx, network, addr)
		var dial *DialError
		if err != nil && !errors.As(err, &dial) {
			err = &DialError{Addr: addr, Err: err}
		}
		return c, err
	}
}

// ProcessHook is of one command.
func (g *guard) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	send := func(ctx context.Context, cmd goredis.Cmder) error {
		if g.once {
			cmd = once{cmd}
		}
		return next(ctx, cmd)
	}
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := send(ctx, cmd)
		if full := g.missing(cmd, err); full != nil {
			err = send(ctx, full)
			take(cmd, full)
		}
		if g.quotes(err) {
			cmd.SetErr(errHidden)
			return errHidden
		}
		return err
	}
}

// ProcessPipelineHook is of a pipeline or transaction.
func (g *guard) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		err := next(ctx, g.wrap(cmds))
		if err == nil {
			return nil
		}
		if again, full := g.again(cmds); len(again) > 0 {
			err = next(ctx, g.wrap(full))
			for i, cmd := range again {
				take(cmd, full[i])
			}
			if first := firstError(cmds); first != nil || err == nil {
				err = first
			}
		}
		for _, cmd := range cmds {
			if g.quotes(cmd.Err()) {
				cmd.SetErr(errHidden)
			}
		}
		if g.quotes(err) {
			return errHidden
		}
		return err
	}
}

// once is a command that go-redis does not send again after an error.
type once struct{ goredis.Cmder }

// NoRetry is what go-redis asks.
func (once) NoRetry() bool { return true }

// wrap makes every command one that is sent once. MULTI and EXEC around a transaction
// stay as they are, go-redis looks at their types; those between them speak for all.
func (g *guard) wrap(cmds []goredis.Cmder) []goredis.Cmder {
	if !g.once {
		return cmds
	}
	all := make([]goredis.Cmder, len(cmds))
	for i, cmd := range cmds {
		if name := cmd.Name(); name == "multi" || name == "exec" {
			all[i] = cmd
		} else {
			all[i] = once{cmd}
		}
	}
	return all
}

// missing is the command with the source of the script that the server did not have,
// or nil.
func (g *guard) missing(cmd goredis.Cmder, err error) *goredis.Cmd {
	if err == nil || cmd.Name() != "evalsha" || Classify(err) != NoScript {
		return nil
	}
	args := cmd.Args()
	if len(args) < 3 {
		return nil
	}
	sha, _ := args[1].(string)
	source, ok := g.sources[sha]
	if !ok {
		return nil
	}
	full := append([]any{"eval", source}, args[2:]...)
	c := goredis.NewCmd(context.Background(), full...) // go-redis keeps the context and looks at another
	if fmt.Sprint(args[2]) != "0" {
		c.SetFirstKeyPos(3)
	}
	return c
}

// again is the commands of a pipeline that are sent again with their sources: those
// that met a server without the script, unless a later one of their hash tag was done.
func (g *guard) again(cmds []goredis.Cmder) (again []goredis.Cmder, full []goredis.Cmder) {
	if len(cmds) > 0 && cmds[0].Name() == "multi" { // the others of the transaction are done
		return nil, nil
	}
	done := map[string]bool{}
	for i := len(cmds) - 1; i >= 0; i-- {
		cmd := cmds[i]
		tag := hashTag(cmd)
		c := g.missing(cmd, cmd.Err())
		switch {
		case c != nil && !done[tag]:
			again, full = append(again, cmd), append(full, c)
		case c == nil && cmd.Name() != "ping":
			done[tag] = true
		}
	}
	slices.Reverse(again)
	slices.Reverse(full)
	return again, full
}

// hashTag is the part of a command's key that its slot comes from.
func hashTag(cmd goredis.Cmder) string {
	args, i := cmd.Args(), 1
	if name := cmd.Name(); name == "evalsha" || name == "eval" {
		i = 3
	}
	if len(args) <= i {
		return ""
	}
	key, _ := args[i].(string)
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

// take gives a command the answer of the one that was sent in its place.
func take(cmd, full goredis.Cmder) {
	if to, ok := cmd.(*goredis.Cmd); ok {
		if from, ok := full.(*goredis.Cmd); ok {
			to.SetVal(from.Val())
		}
	}
	cmd.SetErr(full.Err())
}

func firstError(cmds []goredis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

// quotes reports whether an error has a password: a server without AUTH, or one with
// another name for it, quotes what it was sent.
func (g *guard) quotes(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return slices.ContainsFunc(g.secrets, func(secret string) bool { return strings.Contains(text, secret) })
}
