package model

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seed is SEED, or a new one; every use tells it.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := os.Getenv("SEED")
	if s == "" {
		return rand.Uint64N(1e9)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("SEED: %v", err)
	}
	return n
}

func instance(t *testing.T, name, bounds string) Instance {
	t.Helper()
	in, err := Named(name, bounds)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// passes fails the test unless the whole instance was looked at and keeps every promise.
func passes(t *testing.T, in Instance, r Result) {
	t.Helper()
	switch {
	case r.Violation != "":
		t.Errorf("%v: %v\n%s", in, r, Trace(in, AllRules, r.Trace))
	case !r.Complete:
		t.Errorf("%v: %v", in, r)
	case r.Cut > 0:
		t.Errorf("%v: %d states are larger than the model holds", in, r.Cut)
	default:
		t.Logf("%v: %v", in, r)
	}
}

// small instances are searched whole in every run, large ones by make model.
var small = []struct{ name, bounds string }{
	{"move", "messages=1,crashes=1"},
	{"move-own", "messages=1,crashes=1"},
	{"move-s2", "messages=1"},
	{"still", "messages=1,crashes=1,elide=1"},
	{"still", "messages=2,qos=2"},
	{"sub", "crashes=1"},
	{"sub", "pauses=1"},
	{"join", "crashes=1"},
}

func TestSmall(t *testing.T) {
	for _, c := range small {
		in := instance(t, c.name, c.bounds)
		passes(t, in, Search(in, AllRules, Breadth, Limits{States: 1e6}))
	}
}

// bounds are those under which walks look at every instance.
var bounds = []string{
	"crashes=1,forget=1,leave=1",
	"pauses=1,retake=1,remove=1",
	"qos=2,crashes=1,pauses=1",
	"crashes=1,pauses=1,elide=1,remove=1,forget=1,retake=1",
	"qos=2,pauses=1,reconnects=1,publisher=0,retake=1",
}

func TestWalks(t *testing.T) {
	const each = 400
	s := seed(t)
	walks(t, s, each)
	t.Logf("%d walks of each of %d instances, SEED=%d", each, len(Names())*len(bounds), s)
}

// walks takes n walks of each instance within each of bounds.
func walks(t *testing.T, s uint64, n int) {
	t.Helper()
	for _, name := range Names() {
		for _, b := range bounds {
			in := instance(t, name, b)
			if r := Walks(in, AllRules, s, n); r.Violation != "" {
				t.Errorf("SEED=%d %v: %v\n%s", s, in, r, Trace(in, AllRules, r.Trace))
			}
		}
	}
}

// flaw is a rule left out in an instance that then breaks a promise.
type flaw struct {
	name, bounds string
	off          []Rule
	promise      string // whose violation is the shortest, by its letter
	seed         uint64 // of walks that find it soon; 0 is breadth first
}

func (f flaw) title() string { return strings.Join(AllRules.Without(f.off...).Off(), "+") }

var flaws = []flaw{
	{"move-own", "messages=1", []Rule{PrepAck}, "D", 0},
	{"move-s2", "messages=1", []Rule{Tag}, "D", 0},
	{"move", "messages=1", []Rule{KeepOverlap}, "D", 0},
	{"third", "messages=1", []Rule{Token}, "L", 0},
	{"third", "messages=1,publisher=0", []Rule{HoldLeave}, "L", 0},
	{"third", "messages=1", []Rule{Meet}, "T", 12},
	{"move", "messages=1,crashes=1", []Rule{Incoming}, "L", 0},
	{"move", "messages=1,crashes=1", []Rule{HoldLocal}, "L", 0},
	{"still", "messages=2", []Rule{Order}, "O", 0},
	{"still", "messages=2,crashes=1,reconnects=0,publisher=1", []Rule{Order}, "L", 0},
	{"move", "messages=2,crashes=1,reconnects=1,publisher=0", []Rule{Drain}, "O", 14},
	{"move", "messages=1,pauses=1", []Rule{OwnTag, Bump}, "E", 0},
	{"move", "messages=1,pauses=1", []Rule{OwnTag}, "L", 0},
	{"move", "messages=1,pauses=1", []Rule{TrimFence}, "L", 0},
	{"move", "messages=1,pauses=1", []Rule{NoRevive}, "L", 23},
	{"sub", "pauses=1", []Rule{CheckAll}, "W", 0},
	{"join", "", []Rule{LeaseFirst}, "W", 0},
	{"sub", "remove=1", []Rule{RouteOrder}, "W", 0},
	{"sub", "remove=1,pauses=1,connects=1", []Rule{RouteFence}, "W", 27},
	{"still", "qos=2,crashes=1", []Rule{Seen}, "D", 0},
	{"move", "qos=2,crashes=1,reconnects=1,publisher=0", []Rule{DupWait}, "L", 0},
	{"move", "messages=1,pauses=1,retake=1", []Rule{LeaseGen}, "L", 24},
	{"move", "messages=1,pauses=2,retake=1", []Rule{RetakeAll}, "T", 26},
	{"still", "publisher=1,pauses=1,retake=1", []Rule{AdoptAtomic}, "L", 1},
	{"move", "qos=2,pauses=1,reconnects=1,publisher=0", []Rule{FailClose}, "O", 16},
}

// Without a rule a promise breaks, and the model says so; with it, the same schedules
// break none.
func TestEveryRuleIsNeeded(t *testing.T) {
	for _, f := range flaws {
		t.Run(f.title(), func(t *testing.T) {
			in := instance(t, f.name, f.bounds)
			rules := AllRules.Without(f.off...)
			var r Result
			if f.seed == 0 {
				r = Search(in, rules, Breadth, Limits{States: 1e6})
			} else {
				r = Walks(in, rules, f.seed, 100000)
			}
			if r.Violation == "" || string(r.Violation[:1]) != f.promise {
				t.Fatalf("%v without %v: %v; want a violation of %s", in, f.off, r, f.promise)
			}
			t.Logf("%v\n%s", r, Trace(in, rules, r.Trace))
			follows(t, in, r.Trace)
		})
	}
}

// follows takes a trace with all rules, as far as it goes: no promise breaks.
func follows(t *testing.T, in Instance, trace []Step) {
	t.Helper()
	m := New(in, AllRules)
	s := m.initial()
	for i, x := range trace {
		if !slices.Contains(m.steps(&s, nil), x) {
			return // this is where the rule holds
		}
		n := s
		v, ok := m.take(&n, x)
		if v != "" {
			t.Errorf("with all rules step %d of the trace breaks a promise: %s", i+1, v)
		}
		if !ok {
			return
		}
		s = n
	}
}

// Each rule has its flaw. Bump is the forerunner of OwnTag, and changes nothing beside it.
func TestEveryRuleHasAFlaw(t *testing.T) {
	have := map[Rule]bool{Bump: true}
	for _, f := range flaws {
		if len(f.off) == 1 {
			have[f.off[0]] = true
		}
	}
	for r := range ruleCount {
		if !have[r] {
			t.Errorf("nothing shows that %v is needed", r)
		}
	}
}

// The model is alive: S moves, all is delivered and acknowledged, the client is answered.
func TestMoveCanSucceed(t *testing.T) {
	in := instance(t, "move", "")
	m := New(in, AllRules)
	reached := false
	breadthFirst(m.initial(), func(s *State, f func(Step, *State, Violation) bool) Violation {
		if s.Seen.Acked == 3 && s.Seen.Len == 2 && s.S.Box == 1 && s.Client.State == clientAnswered {
			reached = true
			return "reached"
		}
		return m.successors(s, f)
	}, &limiter{start: time.Now()})
	if !reached {
		t.Error("no schedule moves the session and delivers everything")
	}
}
