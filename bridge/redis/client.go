package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Client is connections to a Redis. All methods of go-redis's clients are there; they
// may be called from any goroutine.
type Client struct {
	goredis.UniversalClient

	set *settled
}

// silence ends the talk of go-redis's only logger.
var silence = sync.OnceFunc(logging.Disable)

// New makes a client and connects to nothing: the first command does. Its error is an
// [*OptionError].
func New(o Options) (*Client, error) {
	s, err := o.settle()
	if err != nil {
		return nil, &OptionError{Err: err}
	}
	silence()
	c := &Client{set: s}
	switch u := s.universal(); s.target.Mode {
	case Cluster:
		cluster := u.Cluster()
		// Routing policies would spread a keyless command over all servers, and ask
		// COMMAND, which not every user may.
		cluster.DisableRoutingPolicies = true
		c.UniversalClient = goredis.NewClusterClient(cluster)
	case Sentinel:
		c.UniversalClient = goredis.NewFailoverClient(u.Failover())
	default:
		c.UniversalClient = goredis.NewClient(u.Simple())
	}
	c.AddHook(newGuard(s))
	return c, nil
}

// Open is [New] and a PING, so that a wrong address or password is told at once.
// [IsUnavailable] says whether another attempt may help.
func Open(ctx context.Context, o Options) (*Client, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	if err := c.Ping(ctx).Err(); err != nil {
		_ = c.Close() // nothing was begun
		return nil, fmt.Errorf("redis: %s does not answer: %w", c.Target(), err)
	}
	return c, nil
}

// Target is what the client connects to.
func (c *Client) Target() Target { return c.set.target }

func (s *settled) universal() *goredis.UniversalOptions {
	o, t := &s.opt, &s.target
	return &goredis.UniversalOptions{
		Addrs:      slices.Clone(t.Addrs),
		MasterName: t.Master,
		DB:         t.DB,
		Username:   t.User, Password: t.Password,
		SentinelUsername: o.SentinelUser, SentinelPassword: o.SentinelPassword,
		ClientName: o.Name,
		Protocol:   2, // 3 brings pushed messages among the answers, which nobody here reads

		MaxRetries:            -1, // see doc.go; in a Cluster the guard takes care of it
		DialerRetries:         1,  // the caller comes again
		ContextTimeoutEnabled: true,
		DialTimeout:           o.DialTimeout,
		ReadTimeout:           o.ReadTimeout,
		WriteTimeout:          o.WriteTimeout,
		PoolSize:              o.PoolSize,
		PoolTimeout:           o.ReadTimeout,
		PipelinePoolSize:      -1, // one bound on the connections

		Dialer:                   s.dialer(),
		OnConnect:                (&greeter{set: s}).greet,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// DialError is a connection that could not be made.
type DialError struct {
	Addr string
	Err  error
}

// Error tells address and cause.
func (e *DialError) Error() string { return "connect to " + e.Addr + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *DialError) Unwrap() error { return e.Err }

const keepAlive = 15 * time.Second // finds a peer that is gone behind an idle connection

// dialer connects with TLS if it is set, within the context. (That of go-redis does not
// look at the context while TLS is negotiated.)
func (s *settled) dialer() func(context.Context, string, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: s.opt.DialTimeout, KeepAlive: keepAlive}
	dial := plain.DialContext
	if s.tls != nil {
		dial = (&tls.Dialer{NetDialer: plain, Config: s.tls}).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if s.target.Unix {
			network = "unix"
		}
		ctx, cancel := context.WithTimeout(ctx, s.opt.DialTimeout)
		defer cancel()
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, &DialError{Addr: addr, Err: err}
		}
		return c, nil
	}
}

// greeter is the first to speak on a connection.
type greeter struct {
	set     *settled
	primary atomic.Pointer[string] // the last one, with Sentinel
}

// greet loads scripts where they are missing, which a server that was started again or
// promoted needs.
func (g *greeter) greet(ctx context.Context, c *goredis.Conn) error {
	if g.set.target.Mode == Sentinel {
		isSentinel, err := g.role(ctx, c)
		if isSentinel || err != nil {
			return err
		}
	}
	if len(g.set.opt.Scripts) == 0 {
		return nil
	}
	return load(ctx, c, g.set.opt.Scripts)
}

var errNotPrimary = errors.New("redis: the server that the Sentinels name is not a primary")

// role refuses a server that is a replica: Sentinels may be late. go-redis greets the
// Sentinels themselves too.
func (g *greeter) role(ctx context.Context, c *goredis.Conn) (isSentinel bool, err error) {
	role, err := c.Do(ctx, "role").Slice()
	switch {
	case Classify(err) == Network:
		return false, err
	case err == nil && len(role) > 0 && role[0] == "sentinel":
		return true, nil
	case err == nil && len(role) > 0 && role[0] != "master":
		return false, errNotPrimary
	}
	info, err := c.Do(ctx, "client", "info").Text() // without the right to ask, nothing is told
	for f := range strings.FieldsSeq(info) {
		if addr, ok := strings.CutPrefix(f, "laddr="); ok && err == nil {
			if old := g.primary.Swap(&addr); old != nil && *old != addr {
				g.set.opt.Log.Warn("redis has another primary", "primary", addr, "before", *old)
			}
		}
	}
	return false, nil
}
