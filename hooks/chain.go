package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// Loaded is a third-party hook with what its Init is given.
type Loaded struct {
	Hook   mqtt.Hook
	Config any
}

// Options are what a Chain is made of. The zero value accepts everybody and allows
// everything.
type Options struct {
	Log           *slog.Logger  // nil: nothing is logged
	Authenticator Authenticator // nil: Everybody
	Authorizer    Authorizer    // nil: AllowAll
	Hooks         []Loaded      // in the order in which they are asked
	// Capabilities are shown to hooks, which only read them; nil: mochi's defaults.
	Capabilities *mqtt.Capabilities
	// AllowUnusedEvents takes a hook that provides events which are never called.
	AllowUnusedEvents bool
}

// Chain is everybody who has a say. All its methods are safe for concurrent use,
// apart from what they say of the Client.
type Chain struct {
	log           *slog.Logger
	authenticator Authenticator
	authorizer    Authorizer
	hooks         []*hook // in the order of Options
	on            [lastEvent + 1][]*hook
	has           Has
	// template makes the clients that hooks are shown; it serves nothing. Nil
	// without hooks.
	template     *mqtt.Server
	wantsClients bool // somebody provides an event with a client
	allowsAll    bool // nobody may refuse a request

	portPanics atomic.Uint64

	closing  sync.Once
	stopping atomic.Pointer[hook] // the one that is being stopped
	closed   chan struct{}        // closed when every hook has stopped
	closeErr error                // valid when closed is closed
}

// New starts every hook (SetOpts, Init) and works out which events they provide.
// An error names the hook; then those that were started have been stopped.
func New(o Options) (*Chain, error) {
	c := &Chain{log: o.Log, authenticator: o.Authenticator, authorizer: o.Authorizer, closed: make(chan struct{})}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.authenticator == nil {
		c.authenticator = Everybody{}
	}
	if c.authorizer == nil {
		c.authorizer = AllowAll{}
	}
	if err := c.start(o); err != nil {
		return nil, errors.Join(err, c.Close(context.Background()))
	}
	_, allows := c.authorizer.(AllowAll)
	c.has = hasOf(&c.on)
	c.has.ACL = c.has.ACL || !allows
	c.allowsAll = !c.has.ACL
	for e := range c.on {
		if len(c.on[e]) > 0 && e != int(mqtt.OnStarted) && e != int(mqtt.OnStopped) {
			c.wantsClients = true
		}
	}
	return c, nil
}

func (c *Chain) start(o Options) error {
	if len(o.Hooks) == 0 {
		return nil
	}
	caps := o.Capabilities
	if caps == nil {
		caps = mqtt.NewDefaultServerCapabilities()
	}
	c.template = newTemplate(c.log)
	for i, l := range o.Hooks {
		if l.Hook == nil {
			return fmt.Errorf("hook %d is nil", i)
		}
		h := &hook{Hook: l.Hook}
		if err := h.init(c.log, caps, l.Config); err != nil {
			return err
		}
		c.hooks = append(c.hooks, h)
		if err := enter(&c.on, h, o.AllowUnusedEvents); err != nil {
			return err
		}
	}
	return nil
}

// init does what mochi's AddHook does.
func (h *hook) init(log *slog.Logger, caps *mqtt.Capabilities, config any) (err error) {
	h.id, h.log = "unknown", log
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("start hook %q: panicked: %v", h.id, r)
		}
	}()
	h.id = h.ID()
	h.name, h.log = "hook "+h.id, log.With("hook", h.id)
	h.SetOpts(h.log, &mqtt.HookOptions{Capabilities: caps})
	if err := h.Init(config); err != nil {
		return fmt.Errorf("start hook %q: %w", h.id, err)
	}
	return nil
}

// newTemplate is a server that only makes clients: they have all the parts that
// hooks may look at, and no buffers.
func newTemplate(log *slog.Logger) *mqtt.Server {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = 0
	return mqtt.New(&mqtt.Options{Capabilities: caps, Logger: log})
}

// Has says which events somebody provides; it does not change.
func (c *Chain) Has() Has { return c.has }

// Generation changes when access rules may have changed. A cached Decision holds
// while it stays the same.
func (c *Chain) Generation() uint64 { return c.authorizer.Generation() }

// Started tells hooks that the node serves.
func (c *Chain) Started() {
	for _, h := range c.on[mqtt.OnStarted] {
		func() {
			defer h.caught(mqtt.OnStarted)
			h.OnStarted()
		}()
	}
}

// Stopped tells hooks that the node serves no more. Close follows.
func (c *Chain) Stopped() {
	for _, h := range c.on[mqtt.OnStopped] {
		func() {
			defer h.caught(mqtt.OnStopped)
			h.OnStopped()
		}()
	}
}

// Close stops the hooks, the last one first, and waits for them, or until ctx ends:
// the error then names the hook that does not stop. No other method may be called
// any more. Further calls wait for the same end.
func (c *Chain) Close(ctx context.Context) error {
	c.closing.Do(func() { go c.stop() })
	select {
	case <-c.closed:
		return c.closeErr
	case <-ctx.Done():
		id := ""
		if h := c.stopping.Load(); h != nil {
			id = h.id
		}
		return fmt.Errorf("stop hook %q: %w", id, ctx.Err())
	}
}

// stop ends by itself when the last hook has stopped.
func (c *Chain) stop() {
	defer close(c.closed)
	for i := len(c.hooks) - 1; i >= 0; i-- {
		c.stopping.Store(c.hooks[i])
		if err := c.hooks[i].stop(); err != nil {
			c.closeErr = errors.Join(c.closeErr, err)
		}
	}
}

func (h *hook) stop() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("stop hook %q: panicked: %v", h.id, r)
		}
	}()
	if err := h.Stop(); err != nil {
		return fmt.Errorf("stop hook %q: %w", h.id, err)
	}
	return nil
}
