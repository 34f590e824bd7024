package broker

import (
	"context"
	"fmt"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/hooks"
)

// Reload takes a checked configuration over, for connections to come. Certificates,
// users, rules, keys and bans are read first: if one is bad, nothing is changed. Then
// the connections are looked at that would not be let in now or have subscriptions which
// are refused now. What needs a restart is logged and left.
func (n *Node) Reload(cfg *config.Config) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	swaps := make([]func(), 0, len(n.listeners))
	for _, l := range n.listeners {
		swap, err := l.Prepare()
		if err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		swaps = append(swaps, swap)
	}
	swap, err := n.web.prepare()
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	swaps = append(swaps, swap)
	force := inForce(n.cfg, cfg)
	next, err := newAccess(force, n.access, n.log)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	if err := next.bans.Replace(next.banned); err != nil { // they were parsed
		next.close()
		return fmt.Errorf("reload: bans: %w", err)
	}
	if n.restart = n.cfg.Reloadable(cfg); len(n.restart) > 0 {
		n.log.Warn("changes that need a restart were not taken over", "paths", n.restart)
	}
	for _, swap := range swaps {
		swap()
	}
	n.cfg = force
	n.memory.configure(n.cfg.Limits.Memory.HighWatermark)
	n.router.Configure(n.routerSettings(n.cfg))
	n.server.Configure(n.connSettings(n.cfg))
	if n.level != nil {
		n.level.Set(n.cfg.Log.Level.Slog())
	}
	n.web.configure(n.cfg)
	n.swapAccess(next)
	n.log.Info("configuration reloaded")
	return nil
}

// inForce is the next configuration with what needs a restart as it was.
func inForce(now, next *config.Config) *config.Config {
	c := *next
	c.Node, c.Persistence, c.Data, c.Store, c.Bridge, c.SysInterval = now.Node, now.Persistence, now.Data, now.Store, now.Bridge, now.SysInterval
	c.HTTP.Address, c.HTTP.TLS, c.HTTP.Advertise = now.HTTP.Address, now.HTTP.TLS, now.HTTP.Advertise
	c.Listeners = make([]config.Listener, len(now.Listeners))
	for i := range c.Listeners {
		c.Listeners[i] = reloaded(now.Listeners[i], next.Listeners)
	}
	return &c
}

// reloaded is a listener in force with what a reload may change of it.
func reloaded(l config.Listener, next []config.Listener) config.Listener {
	for i := range next {
		if next[i].Name == l.Name {
			l.Anonymous, l.Auth = next[i].Anonymous, next[i].Auth
		}
	}
	return l
}

// swapAccess puts what decides into force and looks at who is connected.
func (n *Node) swapAccess(next *access) {
	old := n.access
	n.access = next
	idle := n.auth.Swap(next.access())
	judge := func(h *hooks.Client) (byte, string) { return n.auth.Review(old.checker, h) }
	if n.ownAuth {
		judge = func(*hooks.Client) (byte, string) { return hooks.CodeSuccess, "" }
	}
	n.router.Review(judge, n.cfg.Auth.OnReload == config.ReloadDisconnects)
	next.retired.add(idle, old.close)
}

func (n *Node) closeAccess(context.Context) error {
	n.access.retired.end()
	n.access.close()
	return nil
}

// AuthCounters count logins and what became of them.
func (n *Node) AuthCounters() *auth.Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.access.counters
}
