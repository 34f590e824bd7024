package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/api/client"
	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// statusAnswer is what status tells in JSON.
type statusAnswer struct {
	Node  *v1.Node `json:"node,omitempty"` // absent when the node does not list itself
	Stats v1.Stats `json:"stats"`
}

func (c *ctl) statusCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{Use: "status", Short: "Tell how a node is", Args: cobra.NoArgs}
	c.nodeFlag(cmd, &node)
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
		var out statusAnswer
		var err error
		if out.Stats, err = n.Stats(ctx, node); err != nil {
			return err
		}
		nodes, err := n.Nodes(ctx)
		if err != nil {
			return err
		}
		for i := range nodes.Nodes {
			if nodes.Nodes[i].Name == out.Stats.Node {
				out.Node = &nodes.Nodes[i]
			}
		}
		return c.print(cmd, out, func(t *table) { statusTable(t, &out) })
	})
	return cmd
}

func statusTable(t *table, o *statusAnswer) {
	s := &o.Stats
	t.field("Node", plain(s.Node))
	if n := o.Node; n != nil {
		t.field("Version", plain(n.Version))
		t.field("State", state(n))
	}
	t.field("Up", s.Time.Sub(s.Started).Round(time.Second))
	t.row("Connections:", s.Connections, "(at most", s.MaxConnected, "at a time)")
	t.row("Sessions:", s.Sessions, "persistent", s.Persistent)
	t.row("Subscriptions:", s.Subscribed, "shared", s.Shared)
	t.field("Retained", s.Retained)
	t.row("Queued:", s.Queued, byteCount(s.QueuedBytes))
	t.field("In flight", s.Inflight)
	t.row("Received:", s.Received.Messages, "messages", byteCount(s.Received.Bytes))
	t.row("Sent:", s.Sent.Messages, "messages", byteCount(s.Sent.Bytes))
	t.field("Dropped", counts(s.Drops))
	t.field("Refused", counts(s.Refusals))
	t.field("Acknowledged in", "p50 "+seconds(s.AckDelay.P50)+", p99 "+seconds(s.AckDelay.P99))
	t.field("Committed in", "p50 "+seconds(s.CommitDelay.P50)+", p99 "+seconds(s.CommitDelay.P99))
	t.field("Memory", byteCount(s.MemoryBytes))
}

// state is how a node is, in words.
func state(n *v1.Node) string {
	switch {
	case n.Error != "":
		return plain(n.Error)
	case n.Draining:
		return "draining"
	case !n.Ready:
		return "not ready: " + plain(n.Reason)
	}
	return "ready"
}

func (c *ctl) nodesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "nodes", Short: "List the nodes", Args: cobra.NoArgs,
		RunE: c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
			out, err := n.Nodes(ctx)
			if err != nil {
				return err
			}
			return c.print(cmd, out, func(t *table) {
				t.row("NAME", "STATE", "VERSION", "CONNECTIONS", "SESSIONS", "SUBSCRIPTIONS", "QUEUED", "MEMORY", "MAILBOXES")
				for i := range out.Nodes {
					o := &out.Nodes[i]
					t.row(plain(o.Name), state(o), plain(o.Version), o.Connections, o.Sessions, o.Subscriptions, o.Queued, byteCount(o.MemoryBytes), mailboxes(o.Mailboxes))
				}
			})
		}),
	}
}

// mailboxes names them; those that were adopted have a +.
func mailboxes(list []v1.Mailbox) string {
	var names []string
	for _, m := range list {
		name := m.ID
		if m.Adopted {
			name = "+" + name
		}
		names = append(names, name)
	}
	return plain(strings.Join(names, " "))
}

func (c *ctl) drainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drain", Short: "Send all clients of a node away, gradually",
		Long: "Drain makes a node not ready and disconnects its clients, gradually; the process stays. Without a further\n" +
			"word it tells how far a drain is.",
		Args: cobra.NoArgs,
	}
	var node string
	add := func(to *cobra.Command, use, short string, f func(*client.Client, context.Context, string) (v1.Drain, error)) *cobra.Command {
		to.Use, to.Short, to.Args = use, short, cobra.NoArgs
		c.nodeFlag(to, &node)
		to.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
			out, err := f(n, ctx, node)
			if err != nil {
				return err
			}
			return c.print(cmd, out, func(t *table) {
				t.field("Node", plain(out.Node))
				t.field("Drain", plain(out.Phase))
				t.field("Clients left", out.Clients)
			})
		})
		return to
	}
	add(cmd, "drain", cmd.Short, (*client.Client).DrainState)
	cmd.AddCommand(
		add(&cobra.Command{}, "start", "Begin to send them away", (*client.Client).Drain),
		add(&cobra.Command{}, "state", "Tell how far it is", (*client.Client).DrainState),
		add(&cobra.Command{}, "undo", "Let clients come again", (*client.Client).Undrain),
	)
	return cmd
}

func (c *ctl) reloadCommand() *cobra.Command {
	var node string
	cmd := &cobra.Command{Use: "reload", Short: "Have a node read its configuration again", Args: cobra.NoArgs}
	c.nodeFlag(cmd, &node)
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
		out, err := n.Reload(ctx, node)
		if err != nil {
			return err
		}
		return c.print(cmd, out, func(t *table) {
			t.row("the configuration is in force")
			for _, path := range out.Restart {
				t.row("needs a restart: " + plain(path))
			}
		})
	})
	return cmd
}

func (c *ctl) logLevelCommand() *cobra.Command {
	var node string
	levels := []string{"debug", "info", "warn", "error"}
	cmd := &cobra.Command{
		Use: "log-level [LEVEL]", Short: "Tell or change from which level on a node logs, until its next reload or start",
		Args: cobra.MaximumNArgs(1), ValidArgs: levels,
	}
	c.nodeFlag(cmd, &node)
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		out, err := v1.LogLevel{}, error(nil)
		if len(args) > 0 {
			out, err = n.SetLogLevel(ctx, node, args[0])
		} else {
			out, err = n.LogLevel(ctx, node)
		}
		if err != nil {
			return err
		}
		return c.print(cmd, out, func(t *table) { t.row(plain(out.Level)) })
	})
	return cmd
}
