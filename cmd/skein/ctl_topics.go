package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/api/client"
	v1 "github.com/skeinmq/skein/broker/api/v1"
)

func (c *ctl) retainedCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "retained", Short: "Look at retained messages and change them", Args: cobra.NoArgs}
	cmd.AddCommand(c.retainedListCommand(), c.retainedGetCommand(), c.retainedSetCommand(), &cobra.Command{
		Use: "delete TOPIC", Short: "Remove the retained message of a topic", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
			if err := n.DeleteRetained(ctx, args[0]); err != nil {
				return err
			}
			return c.print(cmd, map[string]string{"topic": args[0], "done": "deleted"}, func(t *table) { t.row(plain(args[0]) + " deleted") })
		}),
	})
	return cmd
}

func (c *ctl) retainedListCommand() *cobra.Command {
	var p client.Page
	payload := 60
	cmd := &cobra.Command{
		Use: "list [FILTER]", Short: "List the retained messages that a filter matches; without one all that do not begin with $",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&p.After, "after", "", "those behind a `TOPIC`")
	cmd.Flags().IntVarP(&p.Limit, "limit", "n", 100, "at most so `MANY`, up to 1000")
	cmd.Flags().IntVar(&payload, "payload", payload, "so many `BYTES` of each payload")
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		out, err := n.Retained(ctx, strings.Join(args, ""), p, payload)
		if err != nil {
			return err
		}
		if err := c.print(cmd, out, func(t *table) {
			t.row("TOPIC", "QOS", "SIZE", "CREATED", "EXPIRES", "PUBLISHER", "PAYLOAD")
			for i := range out.Messages {
				m := &out.Messages[i]
				t.row(plain(m.Topic), m.QoS, m.Size, moment(&m.Created), moment(m.ExpiresAt), plain(m.Publisher), payloadText(m.Payload, m.PayloadBase64, payload))
			}
		}); err != nil {
			return err
		}
		if out.Next != "" && !c.json {
			cmd.PrintErrf("there are more: --after %s\n", shellWord(out.Next))
		}
		return nil
	})
	return cmd
}

// shellWord is a word as a shell takes it.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (c *ctl) retainedGetCommand() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{Use: "get TOPIC", Short: "Show the retained message of a topic", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions}
	cmd.Flags().BoolVar(&raw, "raw", false, "the payload alone, as it is")
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		m, err := n.RetainedMessage(ctx, args[0])
		switch {
		case err != nil:
			return err
		case raw && m.Payload != nil:
			_, err = io.WriteString(cmd.OutOrStdout(), *m.Payload)
			return err
		case raw:
			_, err = cmd.OutOrStdout().Write(m.PayloadBase64)
			return err
		}
		return c.print(cmd, m, func(t *table) { storedTable(t, &m) })
	})
	return cmd
}

func storedTable(t *table, m *v1.Stored) {
	t.field("Topic", plain(m.Topic))
	t.field("QoS", m.QoS)
	t.field("Size", m.Size)
	t.field("Created", moment(&m.Created))
	if m.ExpiresAt != nil {
		t.field("Expires", moment(m.ExpiresAt))
	}
	t.field("Publisher", plain(m.Publisher))
	t.field("User", plain(m.User))
	if m.ContentType != "" {
		t.field("Content type", plain(m.ContentType))
	}
	if m.ResponseTopic != "" {
		t.field("Response topic", plain(m.ResponseTopic))
	}
	for _, u := range m.UserProperties {
		t.field("Property", plain(u.Name)+" = "+plain(u.Value))
	}
	t.field("Payload", payloadText(m.Payload, m.PayloadBase64, 4000))
}

// messageFlags are those of a message.
type messageFlags struct {
	m        v1.Message
	expiry   time.Duration
	props    []string
	wait     bool
	waitTime time.Duration
}

func (f *messageFlags) add(cmd *cobra.Command) {
	o := cmd.Flags()
	o.IntVarP(&f.m.QoS, "qos", "q", 1, "the `QOS`: 0, 1 or 2")
	o.DurationVar(&f.expiry, "expiry", 0, "it expires after so `LONG`; 0 is never")
	o.StringVar(&f.m.ContentType, "content-type", "", "the content `TYPE`")
	o.StringVar(&f.m.ResponseTopic, "response-topic", "", "the `TOPIC` of an answer")
	o.StringArrayVar(&f.props, "property", nil, "a user property `NAME=VALUE`; may be given more than once")
}

// message is the message of a command line: its payload is what follows the topic, or is
// read from standard input for -.
func (f *messageFlags) message(cmd *cobra.Command, args []string) (v1.Message, error) {
	m := f.m
	m.Topic = args[0]
	payload := []byte(args[1])
	if args[1] == "-" {
		var err error
		if payload, err = io.ReadAll(cmd.InOrStdin()); err != nil {
			return m, wrongUsage(fmt.Errorf("read the payload: %w", err))
		}
	}
	if utf8.Valid(payload) {
		text := string(payload)
		m.Payload = &text
	} else {
		m.PayloadBase64 = payload
	}
	if f.expiry > 0 {
		s := uint32(min((f.expiry+time.Second-1)/time.Second, 1<<32-1))
		m.Expiry = &s
	}
	for _, p := range f.props {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return m, wrongUsage(fmt.Errorf("--property: must be NAME=VALUE, is %q", p))
		}
		m.UserProperties = append(m.UserProperties, v1.UserProperty{Name: name, Value: value})
	}
	return m, nil
}

func (c *ctl) retainedSetCommand() *cobra.Command {
	var f messageFlags
	cmd := &cobra.Command{
		Use: "set TOPIC PAYLOAD", Short: "Publish a retained message; the payload - is standard input",
		Args: cobra.ExactArgs(2), ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(cmd)
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		m, err := f.message(cmd, args)
		if err != nil {
			return err
		}
		out, err := n.SetRetained(ctx, m)
		if err != nil {
			return err
		}
		return c.published(cmd, out)
	})
	return cmd
}

func (c *ctl) publishCommand() *cobra.Command {
	var f messageFlags
	var to string
	cmd := &cobra.Command{
		Use: "publish TOPIC PAYLOAD", Short: "Publish a message; the payload - is standard input",
		Long: "Publish ends when the message is stored, or with --wait when everybody whom it reached has acknowledged it.\n" +
			"With --to it goes to one client alone, whatever that is subscribed to.",
		Example: "  skein ctl publish room/1/light on --wait\n  skein ctl publish firmware - --qos 1 --retain < image.bin",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&f.m.Retain, "retain", "r", false, "it is retained")
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "wait until it is delivered")
	cmd.Flags().DurationVar(&f.waitTime, "wait-timeout", 10*time.Second, "wait so `LONG` at most, up to 60s")
	cmd.Flags().StringVar(&to, "to", "", "the client `ID` that gets it")
	cmd.MarkFlagsMutuallyExclusive("to", "retain")
	must(cmd.RegisterFlagCompletionFunc("to", func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return c.completeClient(cmd, nil, begun)
	}))
	cmd.RunE = c.asks(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		m, err := f.message(cmd, args)
		if err != nil {
			return err
		}
		w := client.Wait{Delivered: f.wait, Timeout: f.waitTime}
		var out v1.Published
		if to != "" {
			out, err = n.Send(ctx, to, m, w)
		} else {
			out, err = n.Publish(ctx, v1.Publish{Message: &m}, w)
		}
		if err != nil {
			return err
		}
		return c.published(cmd, out)
	})
	return cmd
}

// published tells what became of one message. One that is not where it was to be in time
// is an error.
func (c *ctl) published(cmd *cobra.Command, out v1.Published) error {
	err := c.print(cmd, out, func(t *table) {
		for _, r := range out.Results {
			t.field("Stored", yes(r.Committed))
			t.field("Reached", r.Matched)
			if r.Delivered+r.Dropped+r.Pending > 0 {
				t.field("Delivered", r.Delivered)
				t.field("Dropped", r.Dropped)
				t.field("Pending", r.Pending)
			}
		}
	})
	if err == nil && out.TimedOut {
		return fmt.Errorf("%w in time", errRefused)
	}
	return err
}
