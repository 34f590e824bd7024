package main

import (
	"errors"
	"fmt"
	"strings"
)

// clusterTable prints the rows of clusters as they come in: Skein, and beside it what
// it is compared with.
type clusterTable struct {
	tally
	peers []peer // the first is Skein
}

const notMeasured = "not measured"

func (t *clusterTable) begin(machine string, versions []string, s settings) {
	t.printf("%s\n\n", machine)
	for _, v := range versions {
		t.printf("- %s\n", v)
	}
	t.printf("- %d instances, one Redis that acknowledges what is on disk, and the load on the same cores; median of %d runs, %v each\n\n", instances, s.runs, s.duration)
	head, rule := "| `skein bench`, three addresses | figure | skein | required | verdict |", "|---|---|--:|--:|---|"
	for _, p := range t.peers[1:] {
		head += fmt.Sprintf(" %s | ratio |", p.name)
		rule += "--:|--:|"
	}
	t.printf("%s\n%s\n", head, rule)
}

// row takes a result of each peer, in their order.
func (t *clusterTable) row(r *clusterRow, results []clusterResult) {
	for i, f := range r.figures {
		name := "`" + strings.TrimPrefix(r.name, clusterPrefix) + "`"
		if i > 0 {
			name = ""
		}
		v, known := f.value(&results[0])
		cells := []string{name, f.title, cell(&f, &results[0]), f.required, t.verdict(r.name, f.title, f.required, known && f.ok != nil && f.ok(v))}
		for k := range results[1:] {
			other := &results[k+1]
			cells = append(cells, cell(&f, other), ratioText(ratioOf(&f, &results[0], other)))
		}
		t.printf("| %s |\n", strings.Join(cells, " | "))
	}
	for k := range results {
		t.told(r, t.peers[k].name, &results[k], k == 0)
	}
}

// told keeps for the end what went wrong: at Skein it counts.
func (t *clusterTable) told(r *clusterRow, name string, res *clusterResult, counts bool) {
	err := res.absent
	if err == nil {
		err = errors.Join(res.load.Err(), res.end)
	}
	switch {
	case err == nil:
	case counts:
		t.faults = append(t.faults, fmt.Sprintf("%s: %v", r.name, err))
	default:
		t.notes = append(t.notes, fmt.Sprintf("%s, %s: %v", name, r.name, err))
	}
}

// cell is empty where a cluster that was measured has no such figure.
func cell(f *figure, r *clusterResult) string {
	v, known := f.value(r)
	switch {
	case known:
		return f.text(v)
	case r.absent != nil:
		return notMeasured
	}
	return ""
}

// ratioOf is Skein's figure over the other's; 0 where that says nothing.
func ratioOf(f *figure, one, other *clusterResult) float64 {
	a, ok := f.value(one)
	b, known := f.value(other)
	if !ok || !known || a <= 0 || b <= 0 {
		return 0
	}
	return a / b
}
