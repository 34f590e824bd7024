package model

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// graph is a search's world in which a state is its number in RouteLen.
type graph map[uint8][]uint8

func (g graph) follow(bad uint8) expand {
	return func(s *State, f func(Step, *State, Violation) bool) Violation {
		for _, to := range g[s.RouteLen] {
			n := *s
			n.RouteLen = to
			var v Violation
			if to == bad {
				v = "X: bad"
			}
			if !f(Step{Kind: Apply, Arg: to}, &n, v) {
				return ""
			}
		}
		if len(g[s.RouteLen]) == 0 && s.RouteLen == 99 {
			return "Q: stuck"
		}
		return ""
	}
}

func path(r Result) []uint8 {
	var p []uint8
	for _, x := range r.Trace {
		p = append(p, x.Arg)
	}
	return p
}

func unlimited() *limiter { return &limiter{start: time.Now()} }

func TestSearchFindsAPath(t *testing.T) {
	g := graph{0: {1, 2}, 1: {3}, 2: {5}, 3: {4}, 4: {5}, 5: {6}}
	r := breadthFirst(State{}, g.follow(5), unlimited())
	if !slices.Equal(path(r), []uint8{2, 5}) {
		t.Errorf("breadth first went %v, want the shortest way 2 5", path(r))
	}
	r = depthFirst(State{}, g.follow(5), unlimited())
	if !slices.Equal(path(r), []uint8{1, 3, 4, 5}) && !slices.Equal(path(r), []uint8{2, 5}) {
		t.Errorf("depth first went %v, which is no way", path(r))
	}
	for _, search := range []func(State, expand, *limiter) Result{breadthFirst, depthFirst, cycles} {
		if r := search(State{}, g.follow(200), unlimited()); !r.Complete || r.States != 7 {
			t.Errorf("%v, want 7 states, complete", r)
		}
	}
}

func TestSearchJudgesEnds(t *testing.T) {
	g := graph{0: {1, 2}, 2: {99}}
	for _, search := range []func(State, expand, *limiter) Result{breadthFirst, depthFirst} {
		if r := search(State{}, g.follow(200), unlimited()); r.Violation != "Q: stuck" || !slices.Equal(path(r), []uint8{2, 99}) {
			t.Errorf("%v by %v, want stuck by 2 99", r, path(r))
		}
	}
}

func TestCycles(t *testing.T) {
	if r := cycles(State{}, graph{0: {1, 2}, 1: {3}, 2: {3}, 3: {4}}.follow(200), unlimited()); !r.Complete {
		t.Errorf("two ways to one state are no cycle: %v", r)
	}
	r := cycles(State{}, graph{0: {1}, 1: {2}, 2: {3, 1}}.follow(200), unlimited())
	if r.Violation == "" || !slices.Equal(path(r), []uint8{1, 2, 1}) {
		t.Errorf("%v by %v, want the cycle 1 2 1", r, path(r))
	}
}

func TestLimits(t *testing.T) {
	in := instance(t, "move", "crashes=1,pauses=1")
	for _, mode := range []Mode{Breadth, Depth, Cycles} {
		r := Search(in, AllRules, mode, Limits{States: 1000})
		if r.Complete || r.Violation != "" || r.States > 2000 {
			t.Errorf("mode %d: %v, want it to stop at 1000 states", mode, r)
		}
		r = Search(in, AllRules, mode, Limits{Time: time.Nanosecond})
		if r.Complete {
			t.Errorf("mode %d: %v, want it to stop", mode, r)
		}
	}
}

// line is a driver that ends after n steps, the last of which is as told.
type line struct {
	left    int
	last    Violation
	quiet   Violation
	refuses bool // one of the two steps offered is never possible
	taken   int
}

func (d *line) Steps(list []Step) []Step {
	if d.left == 0 {
		return list
	}
	if d.refuses {
		list = append(list, Step{Kind: Commit, Arg: 1})
	}
	return append(list, Step{Kind: Commit})
}

func (d *line) Take(x Step) (Violation, bool) {
	if x.Arg == 1 {
		return "", false
	}
	d.left--
	d.taken++
	if d.left == 0 {
		return d.last, true
	}
	return "", true
}

func (d *line) Quiet() Violation { return d.quiet }

func TestWalk(t *testing.T) {
	for _, c := range []struct {
		name string
		d    line
		want Violation
		took int
	}{
		{"to its end", line{left: 7}, "", 7},
		{"a step is not possible", line{left: 7, refuses: true}, "", 7},
		{"the last step breaks a promise", line{left: 7, last: "L: lost"}, "L: lost", 7},
		{"the end does", line{left: 7, quiet: "T: waits"}, "T: waits", 7},
		{"it does not end", line{left: 1e6}, "T: no end after 2000 steps", maxWalk},
	} {
		r := Walk(&c.d, 4, rand.New(rand.NewPCG(1, 2)))
		if r.Violation != c.want || c.d.taken != c.took || r.Complete != (c.want == "") {
			t.Errorf("%s: %v after %d steps, want %q after %d", c.name, r, c.d.taken, c.want, c.took)
		}
	}
}

// The same seed takes the same steps.
func TestWalksRepeat(t *testing.T) {
	in := instance(t, "move", "messages=1,pauses=1")
	a := Walks(in, AllRules.Without(OwnTag), 5, 1000)
	b := Walks(in, AllRules.Without(OwnTag), 5, 1000)
	if a.Violation == "" || !slices.Equal(a.Trace, b.Trace) {
		t.Errorf("%v and %v, want the same violation", a, b)
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct{ name, bounds, problem string }{
		{"nowhere", "", "no instance"},
		{"move", "messages", "invalid syntax"},
		{"move", "colour=1", "colour"},
		{"move", "messages=0", "1 to 3"},
		{"move", "qos=3", "1 or 2"},
		{"move", "publisher=3", "0 to 2"},
		{"move", "messages=3,reconnects=4", "15 ids"},
	} {
		if _, err := Named(c.name, c.bounds); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s %s: %v, want %q", c.name, c.bounds, err, c.problem)
		}
	}
	in := instance(t, "move", "messages=1,retake=1")
	if in.Messages != 1 || !in.Retake || !strings.Contains(in.String(), "retake") {
		t.Errorf("%v", in)
	}
}

func TestParseRules(t *testing.T) {
	list, err := ParseRules("tag,ownTag")
	if err != nil || !slices.Equal(list, []Rule{Tag, OwnTag}) {
		t.Errorf("%v, %v", list, err)
	}
	if off := AllRules.Without(list...).Off(); !slices.Equal(off, []string{"tag", "ownTag"}) {
		t.Errorf("off: %v", off)
	}
	if _, err := ParseRules("nothing"); err == nil {
		t.Error("an unknown rule is taken")
	}
	for r, name := range ruleNames {
		if name == "" {
			t.Errorf("rule %d has no name", r)
		}
	}
	for k, name := range kindNames {
		if name == "" || effects[k] == nil {
			t.Errorf("kind %d has no name or no effect", k)
		}
	}
}
