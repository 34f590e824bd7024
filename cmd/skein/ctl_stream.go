package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/api/client"
	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// resumePause is between two tries to take a subscription up again.
const resumePause = time.Second

// subscribeFlags are those of subscribe.
type subscribeFlags struct {
	q     client.SubscribeQuery
	count int
	raw   bool
}

// subscribed is a message in JSON, a line each.
type subscribed struct {
	ID string `json:"id,omitempty"` // where --after goes on
	v1.Event
}

var errEnough = errors.New("enough")

func (c *ctl) subscribeCommand() *cobra.Command {
	f := &subscribeFlags{}
	cmd := &cobra.Command{
		Use: "subscribe FILTER…", Short: "Show messages as they come",
		Long: "Subscribe shows the messages of topic filters until it is interrupted. With --session they are kept while\n" +
			"nobody looks, for --expiry, and a stream that is cut is taken up again where it was; --after goes on behind\n" +
			"the event of an earlier command, whose id --json shows.",
		Example: "  skein ctl subscribe 'sensors/#'\n  skein ctl subscribe alarms --session night --expiry 12h --json",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
	}
	o := cmd.Flags()
	o.IntVarP(&f.q.QoS, "qos", "q", 1, "the `QOS`: 0 or 1")
	o.StringVar(&f.q.Session, "session", "", "the `NAME` of a session that outlives the command")
	o.DurationVar(&f.q.Expiry, "expiry", 0, "it does so for so `LONG`; 0 is the node's own, 1h")
	o.StringVar(&f.q.LastID, "after", "", "the `ID` of the last event that was had")
	o.IntVarP(&f.count, "count", "n", 0, "end after so `MANY` messages; 0 is never")
	o.BoolVar(&f.raw, "raw", false, "payloads alone, a line each")
	cmd.RunE = c.streams(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		if f.raw && c.json {
			return wrongUsage(errors.New("--raw and --json do not go together"))
		}
		f.q.Filters = args
		return c.follow(ctx, n, cmd, f)
	})
	return cmd
}

// follow shows messages. A stream of a session that is cut is taken up again.
func (c *ctl) follow(ctx context.Context, n *client.Client, cmd *cobra.Command, f *subscribeFlags) error {
	seen, began := 0, false
	s := client.Subscription{
		Began: func(b v1.Subscribed) error {
			began = true
			for _, g := range b.Filters {
				if g.Code >= 0x80 {
					cmd.PrintErrf("%s was refused (0x%02X)\n", plain(g.Filter), g.Code)
				}
			}
			return nil
		},
		Message: func(id string, e v1.Event) error {
			if id != "" {
				f.q.LastID = id
			}
			if err := c.line(cmd, subscribed{id, e}, func() string { return f.text(&e) }); err != nil {
				return err
			}
			if seen++; seen == f.count {
				return errEnough
			}
			return nil
		},
	}
	for {
		err := n.Subscribe(ctx, f.q, s)
		var answer *client.Error
		switch {
		case ctx.Err() != nil, errors.Is(err, errEnough):
			return nil
		case f.q.Session == "" || !began || errors.As(err, &answer) && answer.Status < 500:
			return err
		}
		cmd.PrintErrf("%s; trying again\n", err)
		t := time.NewTimer(resumePause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

func (f *subscribeFlags) text(e *v1.Event) string {
	if f.raw {
		if e.Payload != nil {
			return *e.Payload
		}
		return string(e.PayloadBase64)
	}
	flags := fmt.Sprintf("q%d", e.QoS)
	if e.Retain {
		flags += " retained"
	}
	return fmt.Sprintf("%s  [%s]  %s", plain(e.Topic), flags, payloadText(e.Payload, e.PayloadBase64, 4000))
}

func (c *ctl) traceCommand() *cobra.Command {
	var q client.TraceQuery
	cmd := &cobra.Command{
		Use: "trace", Short: "Show the packets of a client, topic or network, and what is decided about them",
		Long: "Trace shows packets as they come (<) and leave (>), and decisions (*): which rule allowed or refused, whose\n" +
			"queue it went to, why it was dropped, when it was committed. All conditions that are given must hold, those\n" +
			"of a client for who published or for whom a message goes to. It ends after --duration, or interrupted; what\n" +
			"is over --rate is counted only, and nobody who is traced waits for it. Payloads are not shown unless asked\n" +
			"for, and then up to 4096 bytes. Packets without a topic are not shown with --topic.",
		Example: "  skein ctl trace --client sensor-7\n  skein ctl trace --topic 'alarms/#' --payload --duration 5m\n  skein ctl trace --ip 192.0.2.0/24 --json",
		Args:    cobra.NoArgs,
	}
	o := cmd.Flags()
	o.StringVar(&q.Client, "client", "", "the client `ID`")
	o.StringVar(&q.Topic, "topic", "", "a topic `FILTER`")
	o.StringVar(&q.IP, "ip", "", "an `ADDRESS` or a network such as 10.0.0.0/8")
	o.BoolVar(&q.Payload, "payload", false, "with payloads")
	o.DurationVarP(&q.Duration, "duration", "d", time.Minute, "for so `LONG`, up to 10m")
	o.IntVar(&q.Rate, "rate", 100, "at most so `MANY` events a second, up to 1000")
	cmd.MarkFlagsOneRequired("client", "topic", "ip")
	must(cmd.RegisterFlagCompletionFunc("client", func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return c.completeClient(cmd, nil, begun)
	}))
	cmd.RunE = c.streams(func(ctx context.Context, n *client.Client, cmd *cobra.Command, _ []string) error {
		began := func() { cmd.PrintErrln("tracing") }
		end, err := n.Trace(ctx, q, began, func(e v1.TraceEvent) error {
			return c.line(cmd, e, func() string { return traceLine(&e) })
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		for _, name := range end.Missing {
			cmd.PrintErrf("node %s was not traced to the end\n", plain(name))
		}
		cmd.PrintErrf("ended: %s; %d events were lost\n", plain(end.Reason), end.Lost)
		return nil
	})
	return cmd
}

// traceLine is an event on a line.
func traceLine(e *v1.TraceEvent) string {
	who := "-"
	if e.Client != "" {
		who = plain(e.Client)
	} else if e.Remote != "" {
		who = plain(e.Remote)
	}
	b := &strings.Builder{}
	mark := "*"
	if e.Kind == "packet" {
		mark = ">"
		if e.In {
			mark = "<"
		}
	}
	add := func(format string, args ...any) { _, _ = fmt.Fprintf(b, format, args...) } // a builder takes all
	add("%s %s %s", e.Time.Local().Format("15:04:05.000000"), mark, who)
	if e.Decision != "" {
		add(" %s", plain(e.Decision))
	}
	if e.Packet != "" {
		add(" %s", e.Packet)
	}
	if e.Count > 1 {
		add(" x%d", e.Count)
	}
	if e.PacketID != 0 {
		add(" id %d", e.PacketID)
	}
	if e.Topic != "" {
		add(" %s", plain(e.Topic))
	}
	if e.Packet == "PUBLISH" {
		add(" q%d", e.QoS)
	}
	if e.Retain {
		add(" retain")
	}
	if e.Dup {
		add(" dup")
	}
	if e.Code != 0 {
		add(" code 0x%02X", e.Code)
	}
	if e.Target != "" {
		add(" for %s", plain(e.Target))
	}
	if e.Rule != "" {
		add(" (%s)", plain(e.Rule))
	}
	if e.Took > 0 {
		add(" after %s", seconds(e.Took))
	}
	if e.Size > 0 {
		add(" %d bytes", e.Size)
	}
	if len(e.Payload) > 0 {
		text := string(e.Payload)
		add(" %s", short(text, 4000))
	}
	return b.String()
}
