package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

type pkgState int

const (
	running pkgState = iota
	passed
	failed
	skipped // no test files
)

type pkg struct {
	state       pkgState
	begun       bool
	output      []string // what belongs to no test
	failedTests int
}

type testID struct{ pkg, test string }

// summary is what has been read so far.
type summary struct {
	out    io.Writer
	pkgs   map[string]*pkg
	output map[testID][]string // of tests not ended yet
	result map[string]int      // tests by action: pass, fail, skip
	skips  []string
	fails  []string
}

func newSummary(out io.Writer) *summary {
	return &summary{
		out:    out,
		pkgs:   make(map[string]*pkg),
		output: make(map[testID][]string),
		result: make(map[string]int),
	}
}

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	if !s.finish() {
		os.Exit(1)
	}
}

func (s *summary) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading test events: %w", err)
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		s.print(line)
		return
	}
	switch {
	case e.Action == "build-output":
		s.print(e.Output)
	case e.Action == "build-fail":
		s.fails = append(s.fails, "build of "+e.ImportPath)
	case e.Test != "":
		s.test(e)
	case e.Package != "":
		s.pkg(e)
	}
}

func (s *summary) test(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.output[id] = append(s.output[id], e.Output)
		return
	case "skip":
		s.skips = append(s.skips, e.Package+" "+e.Test+reason(s.output[id]))
	case "fail":
		s.fails = append(s.fails, e.Package+" "+e.Test)
		s.pkgOf(e.Package).failedTests++
		s.print(strings.Join(s.output[id], ""))
	case "pass":
	default:
		return
	}
	s.result[e.Action]++
	delete(s.output, id)
}

// reason is what the skipped test said, on one line.
func reason(output []string) string {
	var said []string
	for _, l := range output {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "=== ") || strings.HasPrefix(l, "--- ") {
			continue
		}
		said = append(said, l)
	}
	if len(said) == 0 {
		return ""
	}
	return ": " + strings.Join(said, " ")
}

func (s *summary) pkgOf(name string) *pkg {
	p := s.pkgs[name]
	if p == nil {
		p = &pkg{}
		s.pkgs[name] = p
	}
	return p
}

func (s *summary) pkg(e event) {
	p := s.pkgOf(e.Package)
	switch e.Action {
	case "start":
		s.again(e.Package, p)
	case "output":
		p.output = append(p.output, e.Output)
	case "pass":
		if p.state != failed { // once is enough
			p.state = passed
		}
		s.print(fmt.Sprintf("ok    %s (%.1fs)\n", e.Package, e.Elapsed))
	case "skip":
		p.state = skipped
	case "fail":
		p.state = failed
		before := len(s.fails)
		s.flush(e.Package)
		if p.failedTests == 0 && len(s.fails) == before {
			s.fails = append(s.fails, e.Package+" (no test failed: TestMain, exit or build)")
		}
		s.print(strings.Join(p.output, ""))
		s.print(fmt.Sprintf("FAIL  %s (%.1fs)\n", e.Package, e.Elapsed))
	}
}

// again begins a package, which may have been tested before with other tests.
func (s *summary) again(name string, p *pkg) {
	if p.begun && p.state == running {
		s.cutOff(name, p)
	}
	p.begun, p.output, p.failedTests = true, nil, 0
	if p.state != failed {
		p.state = running
	}
}

// cutOff ends a package of which nothing more was read.
func (s *summary) cutOff(name string, p *pkg) {
	s.flush(name)
	s.fails = append(s.fails, name+" (no result: the stream ended early)")
	p.state = failed
}

// flush prints the tests of a package that never ended: a panic, an os.Exit or
// a timeout takes them along. Each counts as failed.
func (s *summary) flush(name string) {
	var ids []testID
	for id := range s.output {
		if id.pkg == name {
			ids = append(ids, id)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i].test < ids[j].test })
	for _, id := range ids {
		s.print(strings.Join(s.output[id], ""))
		s.fails = append(s.fails, id.pkg+" "+id.test+" (did not end)")
		s.result["fail"]++
		delete(s.output, id)
	}
}

// finish prints the summary and says whether all is well.
func (s *summary) finish() bool {
	var names []string
	for name := range s.pkgs {
		names = append(names, name)
	}
	sort.Strings(names)
	count := make(map[pkgState]int)
	for _, name := range names {
		p := s.pkgs[name]
		if p.state == running {
			s.cutOff(name, p)
		}
		count[p.state]++
	}
	s.list("skipped", s.skips)
	s.list("failed", s.fails)
	s.print(fmt.Sprintf("packages: %d ok, %d failed, %d without tests\n",
		count[passed], count[failed], count[skipped]))
	s.print(fmt.Sprintf("%d passed, %d failed, %d skipped\n",
		s.result["pass"], s.result["fail"], s.result["skip"]))
	return len(s.fails) == 0 && count[failed] == 0 && s.result["fail"] == 0
}

func (s *summary) list(title string, entries []string) {
	if len(entries) == 0 {
		return
	}
	s.print(fmt.Sprintf("\n%s:\n", title))
	for _, e := range entries {
		s.print("  " + e + "\n")
	}
}

func (s *summary) print(text string) {
	// A report that cannot be written has nobody to tell; the exit code stands.
	_, _ = io.WriteString(s.out, text)
}
