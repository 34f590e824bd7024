package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/hooks/store/disk"
)

func inspectCommand(options storeOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Tell what is stored: sessions, queues, retained messages, sizes",
		Long: "Inspect lists the sessions in the order in which they began, and totals. QUEUED and BYTES are messages\n" +
			"whose delivery has not begun, and their topics, properties and payloads; IN FLIGHT are those that were sent\n" +
			"and not acknowledged. Nothing is changed.",
		Example: "  skein store inspect --data /var/lib/skein\n  skein store inspect --json | jq '.sessions[] | select(.queued > 1000) | .client'",
		Args:    cobra.NoArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "write one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := options()
		if err != nil {
			return err
		}
		var c *contents
		if err := withView(o, func(v *disk.View) error {
			c, err = readContents(cmd.Context(), v)
			return err
		}); err != nil {
			return err
		}
		c.Dir = o.Dir
		if *asJSON {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			return enc.Encode(c)
		}
		return c.print(cmd.OutOrStdout())
	}
	return cmd
}

// print writes tables for people. Names that could mislead a terminal are quoted.
func (c *contents) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	put := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) } // Flush answers the error
	if len(c.Sessions) > 0 {
		put("CLIENT\tUSER\tSUBSCRIPTIONS\tQUEUED\tBYTES\tIN FLIGHT\tEXPIRES\n")
	}
	for i := range c.Sessions {
		s := &c.Sessions[i]
		put("%s\t%s\t%d\t%d\t%d\t%d\t%s\n", plain(s.Client), plain(s.User), s.Subscriptions, s.Queued, s.QueuedBytes, s.InFlight, s.expires())
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if len(c.Sessions) > 0 {
		put("\n")
	}
	z := &c.Totals
	put("sessions\t%d\n", z.Sessions)
	put("subscriptions\t%d\n", z.Subscriptions)
	put("queued\t%d (%s)\n", z.Queued, byteCount(z.QueuedBytes))
	put("in flight\t%d\n", z.InFlight)
	put("in shared groups\t%d\n", z.GroupQueued)
	put("retained\t%d (%s)\n", z.Retained, byteCount(z.RetainedBytes))
	put("delayed\t%d\n", z.Delayed)
	put("on disk\t%s\n", byteCount(z.Disk))
	if z.Ending > 0 {
		put("ended sessions\t%d, whose records are not all taken away\n", z.Ending)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// expires says when the session ends.
func (s *sessionInfo) expires() string {
	switch {
	case s.ExpiresAt != nil:
		return s.ExpiresAt.Format(time.RFC3339)
	case s.Expiry == nil:
		return "never"
	case *s.Expiry == 0:
		return "at the next start" // its will is then sent
	}
	return (time.Duration(*s.Expiry) * time.Second).String() + " after the next start"
}

// plain is a name that a client chose, on one line and without control characters.
func plain(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != s || s == "-" {
		return q
	}
	if s == "" {
		return "-"
	}
	return s
}

// byteCount is a number of bytes in the largest unit of which there is one.
func byteCount[T int64 | uint64](n T) string {
	f, unit := float64(n), 0
	for ; f >= 1024 && unit < len(byteUnits)-1; unit++ {
		f /= 1024
	}
	if unit == 0 {
		return strconv.FormatUint(uint64(n), 10) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + byteUnits[unit]
}

var byteUnits = [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
