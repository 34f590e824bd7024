package model

import (
	"os"
	"testing"
	"time"
)

// begun is when the tests began, for the time that MODEL gives them.
var begun = time.Now()

// longUntil is when the tests of make model must end: MODEL is their time.
func longUntil(t *testing.T) time.Time {
	t.Helper()
	s := os.Getenv("MODEL")
	if s == "" {
		t.Skip("takes minutes: make model")
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("MODEL: %v", err)
	}
	return begun.Add(d)
}

// left is the limit of a search that must end then; when that is past, it ends at once.
func left(until time.Time) Limits { return Limits{Time: max(time.Until(until), 1)} }

// large instances are all that was ever searched to the end in minutes, most promising
// first.
var large = []struct{ name, bounds string }{
	{"move", "crashes=1,forget=1"},
	{"move-own", "crashes=1,forget=1"},
	{"move-tgt", "crashes=1,forget=1"},
	{"move-s2", "crashes=1,forget=1"},
	{"third", "publisher=0"},
	{"third", "publisher=1"},
	{"third", "publisher=2"},
	{"third", "messages=1,publisher=2,connects=3"},
	{"still", "messages=3,crashes=1,qos=2"},
	{"still", "pauses=1,qos=2"},
	{"still", "crashes=1,elide=1"},
	{"still", "publisher=1,pauses=1,retake=1"},
	{"sub", "crashes=1,pauses=1"},
	{"sub", "remove=1,crashes=1,connects=1"},
	{"sub", "pauses=3,retake=1"},
	{"join", "pauses=1"},
	{"join", "crashes=1"},
	{"join", "pauses=1,retake=1"},
	{"move", "pauses=1,retake=1"},
	{"move-own", "pauses=1,retake=1"},
	{"move-tgt", "pauses=1,retake=1"},
	{"move", "qos=2,pauses=1,retake=1"},
	{"move-own", "pauses=1,elide=1"},
	{"move", "messages=1,pauses=1,crashes=1"},
	{"move-own", "messages=1,pauses=1,crashes=1"},
	{"move-tgt", "messages=1,pauses=1,crashes=1"},
	{"third", "messages=1,publisher=0,crashes=1"},
	{"third", "messages=1,publisher=1,crashes=1"},
	{"third", "messages=1,publisher=2,crashes=1"},
	{"move", "messages=1,pauses=1,crashes=1,retake=1"},
	{"move", "messages=1,publisher=0,pauses=2,retake=1"},
}

// acyclic instances have no behaviour that goes on for ever.
var acyclic = []struct{ name, bounds string }{
	{"move", "crashes=1,forget=1"},
	{"third", "messages=1"},
	{"move", "messages=1,pauses=1,retake=1"},
	{"sub", "remove=1,crashes=1"},
}

func TestExhaustive(t *testing.T) {
	until := longUntil(t)
	for _, c := range large {
		in := instance(t, c.name, c.bounds)
		passes(t, in, Search(in, AllRules, Depth, left(until)))
	}
	for _, c := range acyclic {
		in := instance(t, c.name, c.bounds)
		passes(t, in, Search(in, AllRules, Cycles, left(until)))
	}
}

// The shortest trace of every flaw, and walks from a new seed that find it too.
func TestEveryRuleIsNeededExhaustive(t *testing.T) {
	until := longUntil(t)
	s := seed(t)
	for _, f := range flaws {
		t.Run(f.title(), func(t *testing.T) {
			in := instance(t, f.name, f.bounds)
			rules := AllRules.Without(f.off...)
			if f.off[0] == FailClose {
				t.Log("its shortest trace has 30 steps and more: walks only")
			} else if r := Search(in, rules, Breadth, left(until)); r.Violation == "" {
				t.Errorf("%v without %v: %v", in, f.off, r)
			} else {
				t.Logf("%v\n%s", r, Trace(in, rules, r.Trace))
			}
			if r := Walks(in, rules, s, 4_000_000); r.Violation == "" {
				t.Errorf("SEED=%d %v without %v: %v", s, in, f.off, r)
			}
		})
	}
}

// Walks of the whole protocol for what is left of the time, a new seed each round.
func TestWalksUntil(t *testing.T) {
	until := longUntil(t)
	s := seed(t)
	rounds := uint64(0)
	for ; time.Now().Before(until) && !t.Failed(); rounds++ {
		walks(t, s+rounds, 2000)
	}
	t.Logf("%d rounds, SEED=%d and on", rounds, s)
}
