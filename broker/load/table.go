package load

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// column is one figure of the table. It is left out when no run has it.
type column struct {
	title string
	cell  func(res *Result) string // "" is that the run does not have it
	ratio func(r *Ratio) float64   // nil when there is none
}

// WriteTable writes the runs for people: a line each, their median, and for two
// brokers the ratio.
func (rep *Report) WriteTable(w io.Writer) error {
	if len(rep.Runs) == 0 {
		_, err := fmt.Fprintln(w, "nothing was measured")
		return err
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", rep.Runs[0].Describe()); err != nil {
		return err
	}
	cols := rep.columns()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := []string{"broker", "run"}
	for _, c := range cols {
		line = append(line, c.title)
	}
	writeLine(t, line)
	rep.writeSide(t, cols, rep.Runs, &rep.Median)
	if a := rep.Against; a != nil {
		rep.writeSide(t, cols, a.Runs, &a.Median)
		writeRatio(t, cols, &a.Ratio)
	}
	return t.Flush()
}

func (rep *Report) writeSide(t io.Writer, cols []column, runs []Result, m *Result) {
	line := func(name string, r *Result) {
		cells := []string{r.Name(), name}
		for _, c := range cols {
			cells = append(cells, c.cell(r))
		}
		writeLine(t, cells)
	}
	for i := range runs {
		name := fmt.Sprint(i + 1)
		if runs[i].Interrupted {
			name += " (interrupted)"
		}
		line(name, &runs[i])
	}
	if len(runs) > 1 {
		line("median", m)
	}
}

func writeRatio(t io.Writer, cols []column, r *Ratio) {
	cells := []string{"ratio", ""}
	for _, c := range cols {
		s := ""
		if c.ratio != nil && c.ratio(r) > 0 {
			s = fmt.Sprintf("%.2f x", c.ratio(r))
		}
		cells = append(cells, s)
	}
	writeLine(t, cells)
}

// writeLine writes the cells of one line. The writer keeps its first error for Flush.
func writeLine(t io.Writer, cells []string) {
	_, _ = io.WriteString(t, strings.Join(cells, "\t")+"\t\n") // Flush answers it
}

// columns are those that some run fills.
func (rep *Report) columns() []column {
	runs := rep.Runs
	if rep.Against != nil {
		runs = append(runs[:len(runs):len(runs)], rep.Against.Runs...)
	}
	var cols []column
	for _, c := range allColumns() {
		for i := range runs {
			if c.cell(&runs[i]) != "" {
				cols = append(cols, c)
				break
			}
		}
	}
	return cols
}

func allColumns() []column {
	cols := append(rateColumns(), latencyColumns()...)
	cols = append(cols, scenarioColumns()...)
	cols = append(cols, brokerColumns()...)
	return append(cols, faultColumns()...)
}

func rateColumns() []column {
	return []column{{
		"msg/s",
		func(r *Result) string { return textIf(r.carries(), thousands(r.Rate)) },
		func(r *Ratio) float64 { return r.Rate },
	}}
}

func latencyColumns() []column {
	of := func(get func(*LatencyResult) float64) func(*Result) string {
		return func(r *Result) string {
			if r.Latency == nil {
				return ""
			}
			return (time.Duration(get(r.Latency)) * time.Microsecond).String()
		}
	}
	return []column{
		{"p50", of(func(l *LatencyResult) float64 { return l.P50 }), func(r *Ratio) float64 { return r.P50 }},
		{"p99", of(func(l *LatencyResult) float64 { return l.P99 }), func(r *Ratio) float64 { return r.P99 }},
		{"p99.9", of(func(l *LatencyResult) float64 { return l.P999 }), nil},
		{"max", of(func(l *LatencyResult) float64 { return l.Max }), nil},
	}
}

func scenarioColumns() []column {
	idle := func(get func(*IdleResult) string) func(*Result) string {
		return func(r *Result) string {
			if r.Idle == nil {
				return ""
			}
			return get(r.Idle)
		}
	}
	return []column{
		{"connects/s", func(r *Result) string {
			return textIf(r.Idle != nil || r.Reconnect != nil, thousands(r.connectRate()))
		}, func(r *Ratio) float64 { return r.ConnectsPerSecond }},
		{"present", func(r *Result) string {
			if r.Reconnect == nil {
				return ""
			}
			return fmt.Sprintf("%d of %d", r.Reconnect.Present, r.Reconnect.Sessions)
		}, nil},
		{"granted/s", func(r *Result) string {
			if r.Subscribe == nil {
				return ""
			}
			return thousands(r.Subscribe.GrantsPerSecond)
		}, nil},
		{"KB/connection", idle(func(i *IdleResult) string {
			return textIf(i.BytesPerConnection != 0, fmt.Sprintf("%.2f", i.BytesPerConnection/1024))
		}), func(r *Ratio) float64 { return r.BytesPerConnection }},
		{"publish s", func(r *Result) string {
			if r.Retained == nil {
				return ""
			}
			return fmt.Sprintf("%.2f", r.Retained.PublishSeconds)
		}, nil},
		{"enqueue msg/s", func(r *Result) string {
			if r.Offline == nil {
				return ""
			}
			return thousands(r.Offline.EnqueueRate)
		}, func(r *Ratio) float64 { return r.EnqueueRate }},
	}
}

func brokerColumns() []column {
	of := func(get func(*BrokerResult) string) func(*Result) string {
		return func(r *Result) string {
			if r.Broker == nil {
				return ""
			}
			return get(r.Broker)
		}
	}
	megabytes := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }
	return []column{
		{"cpu us/msg", of(func(b *BrokerResult) string {
			return textIf(b.CPUMicros != 0, fmt.Sprintf("%.2f", b.CPUMicros))
		}), func(r *Ratio) float64 { return r.CPUMicros }},
		{"cpu %", of(func(b *BrokerResult) string { return fmt.Sprintf("%.1f", b.CPUPercent) }), nil},
		{"rss MB", of(func(b *BrokerResult) string { return megabytes(b.RSS) }), func(r *Ratio) float64 { return r.RSS }},
		{"peak MB", of(func(b *BrokerResult) string { return megabytes(b.PeakRSS) }), nil},
		{"driver cpu %", func(r *Result) string {
			if r.Driver == nil {
				return ""
			}
			return fmt.Sprintf("%.0f", r.Driver.CPUPercent)
		}, nil},
	}
}

// faultColumns are what went wrong: lost is always told, the others when there are any.
func faultColumns() []column {
	of := func(title string, get func(*Result) int64) column {
		return column{title, func(r *Result) string { return textIf(get(r) > 0, fmt.Sprint(get(r))) }, nil}
	}
	return []column{
		{"lost", func(r *Result) string { return textIf(r.carries(), fmt.Sprint(r.Lost)) }, nil},
		of("duplicates", func(r *Result) int64 { return r.Duplicates }),
		of("disorder", func(r *Result) int64 { return r.Disorder }),
		of("refused", func(r *Result) int64 { return r.Refused }),
		of("unexpected", func(r *Result) int64 { return r.Unexpected }),
		of("failed connections", func(r *Result) int64 { return r.FailedConnections }),
	}
}

// Name is the label, or the addresses when there is none.
func (res *Result) Name() string {
	if res.Label != "" {
		return res.Label
	}
	return strings.Join(res.Addresses, ",")
}

// Describe is what was run, as one line.
func (res *Result) Describe() string {
	s := fmt.Sprintf("%s, %d clients, MQTT %s", res.Scenario, res.Clients, res.MQTT)
	if !res.carries() {
		return s
	}
	s += fmt.Sprintf(", QoS %d, %d bytes", res.QoS, res.Size)
	if res.SubQoS != res.QoS {
		s += fmt.Sprintf(", subscriptions QoS %d", res.SubQoS)
	}
	return s
}

func textIf(ok bool, s string) string {
	if ok {
		return s
	}
	return ""
}

// thousands writes a number without its fraction, in groups of three.
func thousands(x float64) string {
	s := fmt.Sprintf("%.0f", x)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
