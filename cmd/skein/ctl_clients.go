package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/api/client"
	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// clientsFlags are those of clients.
type clientsFlags struct {
	q         client.ClientQuery
	user      string
	connected bool
	stalled   bool
	all       bool
}

func (c *ctl) clientsCommand() *cobra.Command {
	f := &clientsFlags{}
	cmd := &cobra.Command{
		Use: "clients", Short: "List clients",
		Long: "Clients lists sessions and their connections, by client id; all conditions must hold. With --sort they are\n" +
			"those with the most of it: --sort queued shows the slowest subscribers, --sort dropped those that lost most.",
		Example: "  skein ctl clients --search sensor --connected\n  skein ctl clients --sort queued --limit 10\n  skein ctl clients --connected=false --all --json",
		Args:    cobra.NoArgs,
	}
	o := cmd.Flags()
	o.StringVarP(&f.q.Search, "search", "s", "", "a `PART` of the client id, user name or address")
	o.StringVarP(&f.user, "user", "u", "", "the user `NAME`")
	o.StringVar(&f.q.Listener, "listener", "", "the `NAME` of the listener")
	o.BoolVar(&f.connected, "connected", true, "those that are connected; --connected=false: those that are away")
	o.BoolVar(&f.stalled, "stalled", true, "those whose socket does not take what waits for it")
	o.IntVar(&f.q.Version, "mqtt", 0, "the protocol `VERSION`: 3, 4 (3.1.1) or 5")
	o.StringVar(&f.q.Sort, "sort", "", "`ORDER`: id, queued, inflight or dropped")
	o.StringVar(&f.q.After, "after", "", "those behind a client `ID`")
	o.IntVarP(&f.q.Limit, "limit", "n", 100, "at most so `MANY`, up to 1000")
	o.BoolVar(&f.all, "all", false, "all pages")
	cmd.MarkFlagsMutuallyExclusive("all", "sort")
	must(cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions([]string{"id", "queued", "inflight", "dropped"}, cobra.ShellCompDirectiveNoFileComp)))
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("user") {
			f.q.User = &f.user
		}
		if cmd.Flags().Changed("connected") {
			f.q.Connected = &f.connected
		}
		if cmd.Flags().Changed("stalled") {
			f.q.Stalled = &f.stalled
		}
		out, err := f.list(ctx, n)
		if err != nil {
			return err
		}
		if err := c.print(cmd, out, func(t *table) { clientsTable(t, out.Clients) }); err != nil {
			return err
		}
		for _, name := range out.Missing {
			cmd.PrintErrf("node %s could not be asked: its clients are missing\n", plain(name))
		}
		if out.Next != "" && !c.json {
			cmd.PrintErrf("there are more: --after %s, or --all\n", shellWord(out.Next))
		}
		return nil
	})
	return cmd
}

// list answers the page, or all of them as one.
func (f *clientsFlags) list(ctx context.Context, n *client.Client) (v1.Clients, error) {
	all := v1.Clients{Clients: []v1.Client{}}
	q := f.q
	if f.all {
		q.Limit = 1000
	}
	for {
		page, err := n.Clients(ctx, q)
		if err != nil {
			return all, err
		}
		all.Clients = append(all.Clients, page.Clients...)
		for _, name := range page.Missing {
			if !slices.Contains(all.Missing, name) {
				all.Missing = append(all.Missing, name)
			}
		}
		if !f.all || page.Next == "" {
			all.Next = page.Next
			return all, nil
		}
		q.After = page.Next
	}
}

func clientsTable(t *table, list []v1.Client) {
	t.row("ID", "USER", "CONNECTED", "REMOTE", "NODE", "MQTT", "SUBSCRIPTIONS", "QUEUED", "IN FLIGHT", "DROPPED")
	for i := range list {
		o := &list[i]
		t.row(plain(o.ID), userName(o), connection(o), plain(o.Remote), plain(o.Node), o.Version, o.Subscriptions, o.Queued, o.Inflight, o.Dropped)
	}
}

func userName(o *v1.Client) string {
	if o.User == nil {
		return "-"
	}
	return plain(*o.User)
}

func connection(o *v1.Client) string {
	if o.Stalled {
		return "stalled"
	}
	return yes(o.Connected)
}

// clientAnswer is what client tells in JSON.
type clientAnswer struct {
	Client        v1.Client         `json:"client"`
	Subscriptions []v1.Subscription `json:"subscriptions"`
	Queue         v1.Entries        `json:"queue"`
	Inflight      v1.Entries        `json:"inflight"`
}

func (c *ctl) clientCommand() *cobra.Command {
	limit, payload := 10, 40
	cmd := &cobra.Command{
		Use: "client ID", Short: "Tell about one client: its subscriptions, what waits for it, what it lost",
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeClient,
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "at most so `MANY` subscriptions and messages each, up to 1000")
	cmd.Flags().IntVar(&payload, "payload", payload, "so many `BYTES` of each payload")
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		var o clientAnswer
		var subs v1.Subscriptions
		var err error
		if o.Client, err = n.Client(ctx, args[0]); err == nil {
			subs, err = n.Subscriptions(ctx, args[0], client.Page{Limit: limit})
			o.Subscriptions = subs.Subscriptions
		}
		if err == nil {
			o.Inflight, err = n.Inflight(ctx, args[0], limit, payload)
		}
		if err == nil {
			o.Queue, err = n.Queue(ctx, args[0], limit, payload)
		}
		if err != nil {
			return err
		}
		return c.print(cmd, &o, func(t *table) { clientTable(t, &o, payload) })
	})
	return cmd
}

func clientTable(t *table, o *clientAnswer, payload int) {
	i := &o.Client
	t.field("Client", plain(i.ID))
	t.field("Node", plain(i.Node))
	t.field("User", userName(i))
	t.field("Connected", connection(i))
	if i.Connected {
		t.field("From", fmt.Sprintf("%s by %s (%s) since %s", plain(i.Remote), plain(i.Listener), plain(i.Transport), moment(i.Since)))
	}
	t.field("MQTT", i.Version)
	t.field("Persistent", yes(i.Persistent))
	t.field("Will", yes(i.Will))
	if i.ExpiresAt != nil {
		t.field("Expires", moment(i.ExpiresAt))
	}
	t.field("Subscriptions", i.Subscriptions)
	t.field("Queued", fmt.Sprintf("%d, %s", i.Queued, byteCount(i.QueuedBytes)))
	t.field("In flight", i.Inflight)
	t.field("Dropped", i.Dropped)
	t.field("Because of", counts(i.Drops))
	if len(o.Subscriptions) > 0 {
		t.row()
		t.row("FILTER", "QOS", "NO LOCAL", "AS PUBLISHED", "RETAINED")
		for _, s := range o.Subscriptions {
			t.row(plain(s.Filter), s.QoS, yes(s.NoLocal), yes(s.RetainAsPublished), []string{"all", "if new", "none"}[min(max(s.RetainHandling, 0), 2)])
		}
		if i.Subscriptions > len(o.Subscriptions) {
			t.row("…")
		}
	}
	entries(t, &o.Inflight, payload)
	entries(t, &o.Queue, payload)
}

// entries are messages of a queue or window.
func entries(t *table, list *v1.Entries, payload int) {
	if len(list.Entries) == 0 {
		return
	}
	t.row()
	t.row("PHASE", "TOPIC", "QOS", "PACKET ID", "CREATED", "SIZE", "PAYLOAD")
	for i := range list.Entries {
		e := &list.Entries[i]
		t.row(plain(e.Phase), plain(e.Topic), e.QoS, e.PacketID, moment(&e.Created), e.Size, payloadText(e.Payload, e.PayloadBase64, payload))
	}
	if list.More {
		t.row("…")
	}
}

// each does something about each client that is named, also when one was refused.
func (c *ctl) each(f func(*client.Client, context.Context, string) error, done string) work {
	return func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		var errs []error
		for _, id := range args {
			if err := f(n, ctx, id); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", plain(id), err))
				continue
			}
			if err := c.print(cmd, map[string]string{"client": id, "done": done}, func(t *table) { t.row(plain(id) + " " + done) }); err != nil {
				return err
			}
		}
		return errors.Join(errs...)
	}
}

func (c *ctl) kickCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kick ID…", Short: "Disconnect clients; their sessions stay", Args: cobra.MinimumNArgs(1), ValidArgsFunction: c.completeClient,
		RunE: c.asks(c.each((*client.Client).Disconnect, "disconnected")),
	}
}

func (c *ctl) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID…", Short: "Disconnect clients and delete their sessions with all that waits in them",
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: c.completeClient,
		RunE: c.asks(c.each((*client.Client).DeleteClient, "deleted")),
	}
}
