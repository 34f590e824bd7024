package model

import (
	"fmt"
	"math/rand/v2"
)

// Driver is a cluster that takes one atomic step at a time. The model is one; real code
// whose store and clock answer only when told to is another. A driver belongs to one
// walk and needs no lock.
type Driver interface {
	// Steps appends the steps that may be possible now.
	Steps(list []Step) []Step
	// Take performs one of them; false when it is not possible after all, and then
	// nothing has changed. The text is the promise that it broke.
	Take(x Step) (Violation, bool)
	// Quiet judges a state in which nothing more happens by itself.
	Quiet() Violation
}

// maxWalk bounds a walk: no schedule of the model is nearly as long.
const maxWalk = 2000

// rareness is how many steps a rare one has to wait, on the average.
const rareness = 4

// Walk takes steps of d, as r chooses, until a promise is broken or nothing is left.
//
// Each step has a random rank and the highest is taken. The ranks are drawn anew once in
// patience steps: with 1 every order has the same chance, with more some things stay
// undone for long, as behind a slow link. What happens rarely is taken rarely, for a
// walk whose failures all come at once sees little.
func Walk(d Driver, patience int, r *rand.Rand) Result {
	w := walk{d: d, r: r, patience: patience, salt: r.Uint64()}
	for len(w.trace) < maxWalk {
		switch v, more := w.step(); {
		case v != "":
			return Result{Violation: v, Trace: w.trace, Depth: len(w.trace)}
		case !more:
			return Result{Complete: true, Depth: len(w.trace)}
		}
	}
	return Result{Violation: Violation(fmt.Sprintf("T: no end after %d steps", maxWalk)), Trace: w.trace, Depth: maxWalk}
}

type walk struct {
	d        Driver
	r        *rand.Rand
	patience int
	salt     uint64 // of the ranks
	trace    []Step
	list     []Step
}

// step takes one step. It reports false when there is none.
func (w *walk) step() (Violation, bool) {
	w.list = w.d.Steps(w.list[:0])
	if w.r.IntN(w.patience) == 0 {
		w.salt = w.r.Uint64()
	}
	rarely := w.r.IntN(rareness) == 0
	judged := false
	for {
		if !judged && !w.progress() {
			if v := w.d.Quiet(); v != "" {
				return v, true
			}
			judged = true
		}
		if len(w.list) == 0 {
			return "", false
		}
		i := w.choose(rarely)
		x := w.list[i]
		if v, ok := w.d.Take(x); ok {
			w.trace = append(w.trace, x)
			return v, true
		}
		w.list[i] = w.list[len(w.list)-1]
		w.list = w.list[:len(w.list)-1]
	}
}

// progress reports whether something is left that happens by itself.
func (w *walk) progress() bool {
	for _, x := range w.list {
		if !x.Kind.Chance() {
			return true
		}
	}
	return false
}

// choose is the step of the highest rank; a rare one only in a step that allows it, or
// when there is no other.
func (w *walk) choose(rarely bool) int {
	const allowed = 1 << 63
	best, highest := 0, uint64(0)
	for i, x := range w.list {
		rank := w.rank(x) >> 1
		if rarely || !x.Kind.rare() {
			rank |= allowed
		}
		if rank >= highest {
			best, highest = i, rank
		}
	}
	return best
}

// rank mixes a step with the salt (the finalizer of splitmix64).
func (w *walk) rank(x Step) uint64 {
	h := w.salt + uint64(x.Kind)<<16 + uint64(x.Who)<<8 + uint64(x.Arg)
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return h ^ h>>31
}

// run is the model as a driver.
type run struct {
	m *Model
	s State
}

// Steps are those of the model.
func (d *run) Steps(list []Step) []Step { return d.m.steps(&d.s, list) }

// Take performs one on a copy, for one that fails may have changed something.
func (d *run) Take(x Step) (Violation, bool) {
	n := d.s
	v, ok := d.m.take(&n, x)
	if ok {
		d.s = n
	}
	return v, ok
}

// Quiet is the model's judgement.
func (d *run) Quiet() Violation { return d.m.quiet(&d.s) }

// patiences are those of Walks, in turn.
var patiences = [...]int{1, 4, 8, 16}

// Walks takes n walks of an instance from a seed until one breaks a promise.
func Walks(in Instance, rules Rules, seed uint64, n int) Result {
	m := New(in, rules)
	var sum Result
	for k := range n {
		d := &run{m: m, s: m.initial()}
		r := Walk(d, patiences[k%len(patiences)], rand.New(rand.NewPCG(seed, uint64(k))))
		sum.States += r.Depth
		sum.Depth = max(sum.Depth, r.Depth)
		if r.Violation != "" {
			r.States, r.Cut = sum.States, m.cut
			return r
		}
	}
	sum.Complete, sum.Cut = true, m.cut
	return sum
}
