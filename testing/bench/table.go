package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/skeinmq/skein/broker/load"
)

// tally is what rows have come to, and where they are printed.
type tally struct {
	w      io.Writer
	missed []string
	faults []string // of Skein: they count
	notes  []string // of the other broker: they are told
	err    error    // the first that a write had
}

func (t *tally) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

// table prints markdown as rows come in.
type table struct {
	tally
	other string
}

func (t *table) begin(machine string, versions []string, s settings) {
	t.printf("%s\n\n", machine)
	for _, v := range versions {
		t.printf("- %s\n", v)
	}
	t.printf("- median of %d runs in turn, %v each; p50 and p99 are skein / %s\n\n", s.runs, s.duration, t.other)
	t.printf("| `skein bench` | figure | skein | %s | ratio | required | verdict | p50 | p99 |\n", t.other)
	t.printf("|---|---|--:|--:|--:|--:|---|--:|--:|\n")
}

func (t *table) row(r *row, rep *load.Report, own stored) {
	m := newMeasured(rep)
	m.stored = own
	for i, f := range r.judge(m) {
		name := "`" + r.name + "`"
		if i > 0 {
			name = ""
		}
		cells := []string{name, f.figure, f.skein, f.other, ratioText(f.ratio), f.required, t.verdict(r.name, f.figure, f.required, f.ok), f.p50, f.p99}
		t.printf("| %s |\n", strings.Join(cells, " | "))
	}
	if err := rep.Median.Err(); err != nil {
		t.faults = append(t.faults, fmt.Sprintf("%s: %v", r.name, err))
	}
	if rep.Against == nil {
		return
	}
	if err := rep.Against.Median.Err(); err != nil {
		t.notes = append(t.notes, fmt.Sprintf("%s, %s: %v", rep.Against.Median.Name(), r.name, err))
	}
}

func (t *tally) verdict(row, figure, required string, ok bool) string {
	switch {
	case required == "":
		return ""
	case ok:
		return "OK"
	}
	t.missed = append(t.missed, row+", "+figure)
	return "MISSED"
}

// end prints what went wrong; its error is what makes the command fail.
func (t *tally) end() error {
	if len(t.faults)+len(t.notes) > 0 {
		t.printf("\n")
	}
	for _, n := range append(t.notes, t.faults...) {
		t.printf("- %s\n", n)
	}
	errs := []error{t.err}
	for _, m := range t.missed {
		errs = append(errs, errors.New("missed: "+m))
	}
	for _, f := range t.faults {
		errs = append(errs, errors.New(f))
	}
	return errors.Join(errs...)
}

func ratioText(x float64) string {
	if x == 0 {
		return ""
	}
	if x < .1 {
		return short(x) + " ×"
	}
	return two(x) + " ×"
}
