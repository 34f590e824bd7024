package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// print answers v in JSON, or f's table.
func (c *ctl) print(cmd *cobra.Command, v any, f func(t *table)) error {
	if c.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	t := &table{w: tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)}
	f(t)
	return t.w.Flush()
}

// line answers v in JSON on a line, or f's text: an event of a stream.
func (c *ctl) line(cmd *cobra.Command, v any, f func() string) error {
	if c.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), f())
	return err
}

// table is for people.
type table struct{ w *tabwriter.Writer }

// row writes a row. What came from clients must be plain before.
func (t *table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			_, _ = fmt.Fprint(t.w, "\t") // Flush has the error, here and below
		}
		_, _ = fmt.Fprint(t.w, c)
	}
	_, _ = fmt.Fprintln(t.w)
}

// field writes a row of a list of names and values; what is empty is left out.
func (t *table) field(name string, value any) {
	if s := fmt.Sprint(value); s != "" {
		t.row(name+":", s)
	}
}

// short is plain, cut to about n characters.
func short(s string, n int) string {
	s = plain(s)
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// yes is an X in a table.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// moment is a time in a table.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// counts are figures by name, the highest first; those that are 0 are left out.
func counts(m map[string]uint64) string {
	var names []string
	for k, n := range m {
		if n > 0 {
			names = append(names, k)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if m[a] != m[b] {
			if m[a] > m[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for i, k := range names {
		names[i] = fmt.Sprintf("%s %d", k, m[k])
	}
	return strings.Join(names, ", ")
}

// seconds is a duration that the API tells in seconds.
func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond).String()
}

// payloadText is a payload as a person reads it.
func payloadText(text *string, bytes []byte, n int) string {
	switch {
	case text != nil:
		return short(*text, n)
	case len(bytes) > 0:
		return short(fmt.Sprintf("%x", bytes), n)
	}
	return "-"
}
