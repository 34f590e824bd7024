package model

// frame is a state on the path of a depth-first search with what follows from it.
type frame struct {
	print uint64
	nodes []State
	steps []Step
	at    int
}

// stack is the path from the initial state; frames are used again.
type stack struct {
	frames []*frame
	pool   []*frame
	deep   int
}

func (t *stack) push(h uint64) *frame {
	var f *frame
	if n := len(t.pool); n > 0 {
		f, t.pool = t.pool[n-1], t.pool[:n-1]
		f.nodes, f.steps, f.at = f.nodes[:0], f.steps[:0], 0
	} else {
		f = &frame{}
	}
	f.print = h
	t.frames = append(t.frames, f)
	t.deep = max(t.deep, len(t.frames))
	return f
}

// next is the next state of the path, nil when there is none. Frames that are done
// are left.
func (t *stack) next() *State {
	for len(t.frames) > 0 {
		f := t.frames[len(t.frames)-1]
		if f.at < len(f.nodes) {
			f.at++
			return &f.nodes[f.at-1]
		}
		t.frames = t.frames[:len(t.frames)-1]
		t.pool = append(t.pool, f)
	}
	return nil
}

// path is how the newest frame was reached.
func (t *stack) path() []Step {
	p := make([]Step, 0, len(t.frames))
	for _, f := range t.frames[:len(t.frames)-1] {
		p = append(p, f.steps[f.at-1])
	}
	return p
}

func depthFirst(first State, follow expand, l *limiter) Result {
	known := newSeen()
	var path stack
	known.add(&first)
	for s := &first; s != nil; s = path.next() {
		f := path.push(0)
		var bad Violation
		var badStep Step
		quiet := follow(s, func(x Step, n *State, v Violation) bool {
			if v != "" {
				bad, badStep = v, x
				return false
			}
			if known.add(n) {
				f.nodes, f.steps = append(f.nodes, *n), append(f.steps, x)
			}
			return true
		})
		switch {
		case bad != "":
			return Result{Violation: bad, Trace: append(path.path(), badStep), States: known.n, Depth: path.deep}
		case quiet != "":
			return Result{Violation: quiet, Trace: path.path(), States: known.n, Depth: path.deep}
		case l.over(known.n):
			return Result{States: known.n, Depth: path.deep}
		}
	}
	return Result{Complete: true, States: known.n, Depth: path.deep}
}

// cycles looks for a state that comes again on its own path: without one no behaviour
// goes on for ever, so what quiet says of ends holds of everything. States are marked
// when they are entered, not when they are found.
func cycles(first State, follow expand, l *limiter) Result {
	known := newSeen()
	var path stack
	for s := &first; s != nil; s = path.next() {
		h := known.fingerprint(s)
		if !known.addPrint(h) {
			if path.has(h) {
				return Result{Violation: "C: a cycle", Trace: path.taken(), States: known.n, Depth: path.deep}
			}
			continue
		}
		f := path.push(h)
		follow(s, func(x Step, n *State, _ Violation) bool {
			f.nodes, f.steps = append(f.nodes, *n), append(f.steps, x)
			return true
		})
		if l.over(known.n) {
			return Result{States: known.n, Depth: path.deep}
		}
	}
	return Result{Complete: true, States: known.n, Depth: path.deep}
}

func (t *stack) has(h uint64) bool {
	for _, f := range t.frames {
		if f.print == h {
			return true
		}
	}
	return false
}

// taken is the path with the step that is just looked at.
func (t *stack) taken() []Step {
	p := make([]Step, 0, len(t.frames))
	for _, f := range t.frames {
		p = append(p, f.steps[f.at-1])
	}
	return p
}
