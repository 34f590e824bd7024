package model

import (
	"fmt"
	"time"
)

// Mode is how a search goes through the states.
type Mode uint8

// The modes of a search.
const (
	Breadth Mode = iota // finds a shortest trace
	Depth               // needs little memory
	Cycles              // looks for a behaviour that goes on for ever
)

// Limits stop a search that is not done.
type Limits struct {
	States int           // 0 is none
	Time   time.Duration // 0 is none
}

// Result is what a search or a walk has found.
type Result struct {
	Violation Violation
	Trace     []Step // to the violation
	Complete  bool   // every state within the bounds was looked at
	States    int
	Depth     int
	Cut       int // states that a size of the model would not hold
}

// String is the result in one line.
func (r Result) String() string {
	what := "not finished"
	switch {
	case r.Violation != "":
		what = fmt.Sprintf("violated after %d steps: %s", len(r.Trace), r.Violation)
	case r.Complete:
		what = "passed, complete"
	}
	return fmt.Sprintf("%s; %d states, depth %d, %d cut", what, r.States, r.Depth, r.Cut)
}

// limiter says when a search must stop.
type limiter struct {
	limits Limits
	start  time.Time
	calls  int
}

func (l *limiter) over(states int) bool {
	l.calls++
	if l.limits.States > 0 && states > l.limits.States {
		return true
	}
	return l.limits.Time > 0 && l.calls&0xFFF == 0 && time.Since(l.start) > l.limits.Time
}

// Search looks at the states of an instance until a promise is broken, all were seen,
// or a limit is met.
func Search(in Instance, rules Rules, mode Mode, limits Limits) Result {
	m := New(in, rules)
	search := breadthFirst
	switch mode {
	case Depth:
		search = depthFirst
	case Cycles:
		search = cycles
	}
	r := search(m.initial(), m.successors, &limiter{limits: limits, start: time.Now()})
	r.Cut = m.cut
	return r
}

// expand calls f with each state that can follow s, valid during the call, until f
// reports false. What it returns is what is wrong with s itself.
type expand func(s *State, f func(x Step, n *State, v Violation) bool) Violation

// successors is the model's expand. A state from which nothing happens by itself is
// judged by quiet.
func (m *Model) successors(s *State, f func(x Step, n *State, v Violation) bool) Violation {
	m.scratch = m.steps(s, m.scratch[:0])
	progress := false
	var n State
	for _, x := range m.scratch {
		n = *s
		v, ok := m.take(&n, x)
		if !ok {
			continue
		}
		progress = progress || !x.Kind.Chance()
		if !f(x, &n, v) {
			return ""
		}
	}
	if progress {
		return ""
	}
	return m.quiet(s)
}

// breadth is what a breadth-first search keeps: how each state was reached.
type breadth struct {
	parents []uint32
	steps   []Step
}

func (b *breadth) add(parent uint32, x Step) uint32 {
	b.parents = append(b.parents, parent)
	b.steps = append(b.steps, x)
	return uint32(len(b.parents) - 1)
}

func (b *breadth) path(id uint32) []Step {
	var p []Step
	for ; id != 0; id = b.parents[id] {
		p = append(p, b.steps[id])
	}
	for i, j := 0, len(p)-1; i < j; i, j = i+1, j-1 {
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// node is a state with its number in breadth.
type node struct {
	state State
	id    uint32
}

func breadthFirst(first State, follow expand, l *limiter) Result {
	known := newSeen()
	var tree breadth
	known.add(&first)
	level := []node{{state: first, id: tree.add(0, Step{})}}
	var next []node
	depth := 0
	for ; len(level) > 0; depth++ {
		next = next[:0]
		for i := range level {
			at := &level[i]
			var bad Violation
			var badStep Step
			quiet := follow(&at.state, func(x Step, n *State, v Violation) bool {
				if v != "" { // no further: the promise is broken
					bad, badStep = v, x
					return false
				}
				if known.add(n) {
					next = append(next, node{state: *n, id: tree.add(at.id, x)})
				}
				return true
			})
			switch {
			case bad != "":
				return Result{Violation: bad, Trace: append(tree.path(at.id), badStep), States: known.n, Depth: depth + 1}
			case quiet != "":
				return Result{Violation: quiet, Trace: tree.path(at.id), States: known.n, Depth: depth}
			case l.over(known.n):
				return Result{States: known.n, Depth: depth}
			}
		}
		level, next = next, level
	}
	return Result{Complete: true, States: known.n, Depth: depth}
}
