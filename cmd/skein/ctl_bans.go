package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/api/client"
	v1 "github.com/skeinmq/skein/broker/api/v1"
)

var banKinds = []string{"address", "network", "user", "client"}

func (c *ctl) bansCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bans", Aliases: []string{"ban"}, Short: "See who is kept out, and change it", Args: cobra.NoArgs}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the bans", Args: cobra.NoArgs,
		RunE: c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
			out, err := n.Bans(ctx)
			if err != nil {
				return err
			}
			notTold(cmd, out.Missing, "its bans are missing")
			return c.print(cmd, out, func(t *table) {
				t.row("KIND", "VALUE", "UNTIL", "FROM FILE", "REASON")
				for _, b := range out.Bans {
					t.row(plain(b.Kind), plain(b.Value), moment(b.Until), yes(b.File), plain(b.Reason))
				}
			})
		}),
	}, c.banAddCommand(), &cobra.Command{
		Use: "remove KIND VALUE", Short: "Lift a ban that was added here", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeBan,
		RunE: c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
			if err := n.RemoveBan(ctx, args[0], args[1]); err != nil {
				return err
			}
			return c.print(cmd, map[string]string{"kind": args[0], "value": args[1], "done": "lifted"}, func(t *table) {
				t.row(plain(args[0]) + " " + plain(args[1]) + " is not banned any more")
			})
		}),
	})
	return cmd
}

func (c *ctl) banAddCommand() *cobra.Command {
	var b v1.Ban
	var life time.Duration
	cmd := &cobra.Command{
		Use: "add KIND VALUE", Short: "Keep an address, network, user or client out, and disconnect whom it is about",
		Example: "  skein ctl bans add address 192.0.2.7 --for 1h --reason 'guesses passwords'\n  skein ctl bans add client sensor-7",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: c.completeBan,
	}
	cmd.Flags().DurationVar(&life, "for", 0, "for so `LONG`; without it until it is lifted")
	cmd.Flags().StringVar(&b.Reason, "reason", "", "the `REASON`, for who looks at it later")
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		if life < 0 {
			return wrongUsage(fmt.Errorf("--for: must not be negative, is %s", life))
		}
		b.Kind, b.Value = args[0], args[1]
		if life > 0 {
			until := time.Now().Add(life).UTC()
			b.Until = &until
		}
		out, err := n.AddBan(ctx, b)
		if err != nil {
			return err
		}
		notTold(cmd, out.Missing, "add the ban again when it answers")
		return c.print(cmd, out, func(t *table) {
			t.row(fmt.Sprintf("%s %s is banned, %d disconnected", plain(b.Kind), plain(b.Value), out.Disconnected))
		})
	})
	return cmd
}

// notTold names the nodes that could not be asked.
func notTold(cmd *cobra.Command, missing []string, so string) {
	for _, name := range missing {
		cmd.PrintErrf("node %s could not be asked: %s\n", plain(name), so)
	}
}

// completeBan completes a kind, then for a client its id.
func (c *ctl) completeBan(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return banKinds, cobra.ShellCompDirectiveNoFileComp
	case len(args) == 1 && args[0] == "client":
		return c.completeClient(cmd, nil, begun)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func (c *ctl) refusalsCommand() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{Use: "refusals", Short: "List the most recent refusals with their reason, newest first", Args: cobra.NoArgs}
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "at most so `MANY`, up to 1000")
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
		out, err := n.Refusals(ctx, limit)
		if err != nil {
			return err
		}
		return c.print(cmd, out, func(t *table) {
			t.row("TIME", "NODE", "WHAT", "CLIENT", "USER", "REMOTE", "TOPIC", "CODE", "RULE")
			for _, r := range out.Refusals {
				t.row(moment(&r.Time), plain(r.Node), plain(r.What), plain(r.Client), plain(r.User), plain(r.Remote), plain(r.Topic), fmt.Sprintf("0x%02X", r.Code), plain(r.Rule))
			}
		})
	})
	return cmd
}
