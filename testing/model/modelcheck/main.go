// Command modelcheck searches one instance of the cluster's model and tells the trace of what
// it finds: the shortest way in which a promise breaks when a rule is left out.
//
//	go run ./testing/model/modelcheck -list
//	go run ./testing/model/modelcheck -instance move -set messages=1,crashes=1 -off holdLocal
//
// Exit codes: 0 no violation; 1 a violation; 2 the command line is wrong; 3 not finished.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/skeinmq/skein/testing/model"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are what the command line says.
type options struct {
	instance  model.Instance
	rules     model.Rules
	mode      model.Mode
	limits    model.Limits
	walks     int
	seed      uint64
	onlyNames bool
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err) // there is nowhere left to tell
		return 2
	}
	if o.onlyNames {
		return list(stdout)
	}
	_, _ = fmt.Fprintf(stdout, "%v\nrules off: %v\n", o.instance, o.rules.Off())
	var r model.Result
	if o.walks > 0 {
		r = model.Walks(o.instance, o.rules, o.seed, o.walks)
	} else {
		r = model.Search(o.instance, o.rules, o.mode, o.limits)
	}
	if r.Violation != "" {
		_, _ = fmt.Fprint(stdout, model.Trace(o.instance, o.rules, r.Trace))
	}
	_, _ = fmt.Fprintln(stdout, r)
	switch {
	case r.Violation != "":
		return 1
	case !r.Complete:
		return 3
	}
	return 0
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("model", flag.ContinueOnError)
	f.SetOutput(stderr)
	name := f.String("instance", "move", "the `NAME` of the instance")
	bounds := f.String("set", "", "its `BOUNDS`, as messages=1,crashes=1")
	off := f.String("off", "", "`RULES` left out, separated by commas")
	depth := f.Bool("depth", false, "depth first: less memory, no shortest trace")
	cycles := f.Bool("cycles", false, "look for behaviours that go on for ever")
	f.IntVar(&o.walks, "walks", 0, "take so many random walks instead")
	f.Uint64Var(&o.seed, "seed", 1, "of the walks")
	f.IntVar(&o.limits.States, "states", 120e6, "stop after so many")
	f.DurationVar(&o.limits.Time, "time", 10*time.Minute, "stop after so long")
	f.BoolVar(&o.onlyNames, "list", false, "list instances and rules")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.instance, err = model.Named(*name, *bounds); err != nil {
		return o, err
	}
	rules, err := model.ParseRules(*off)
	o.rules = model.AllRules.Without(rules...)
	switch {
	case *cycles:
		o.mode = model.Cycles
	case *depth:
		o.mode = model.Depth
	}
	return o, err
}

func list(stdout io.Writer) int {
	for _, name := range model.Names() {
		in, _ := model.Named(name, "") // it is one of the names
		_, _ = fmt.Fprintf(stdout, "%-9s %s\n", name, in.About)
	}
	_, _ = fmt.Fprintln(stdout, "rules:", model.Rules(0).Off())
	return 0
}
