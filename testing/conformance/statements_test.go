package conformance

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tests that cover each statement into statements.txt")

const golden = "statements.txt"

// line is one statement of the list: id | who | what it says | tests or reason.
type line struct {
	id, who, says, cover string
}

// reason is why no test covers the statement, "" for a list of tests.
func (l line) reason() string {
	r, ok := strings.CutPrefix(l.cover, "uncovered: ")
	if !ok {
		return ""
	}
	return r
}

func readStatements(t *testing.T) []line {
	t.Helper()
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	for i, s := range strings.Split(string(b), "\n") {
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		f := strings.Split(s, " | ")
		if len(f) != 4 {
			t.Fatalf("%s:%d: %d fields, want 4", golden, i+1, len(f))
		}
		lines = append(lines, line{f[0], f[1], f[2], f[3]})
	}
	return lines
}

// named are the statements that the tests name, with the top-level tests that do.
func named(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			for _, id := range namedIn(fn.Body) {
				found[id] = append(found[id], fn.Name.Name)
			}
		}
	}
	return found
}

// namedIn are the ids in the names of the subtests of a function.
func namedIn(body ast.Node) []string {
	var ids []string
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 3 {
			return true
		}
		fun, ok := call.Fun.(*ast.Ident)
		if !ok || fun.Name != "statement" && fun.Name != "each" && fun.Name != "both" {
			return true
		}
		ids = append(ids, strings.Fields(text(call.Args[1]))...)
		return true
	})
	return ids
}

// text is a string literal, or the sum of some.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value) // the file parsed, so the literal is good
		return s
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	}
	return ""
}

// TestStatements compares the list with the tests, both ways.
func TestStatements(t *testing.T) {
	lines, tests := readStatements(t), named(t)
	if *update {
		writeStatements(t, lines, tests)
		lines = readStatements(t)
	}
	known := map[string]bool{}
	for _, l := range lines {
		if known[l.id] {
			t.Errorf("%s is listed twice", l.id)
		}
		known[l.id] = true
		for _, p := range checkLine(l, tests[l.id]) {
			t.Error(p)
		}
	}
	for id, in := range tests {
		if !known[id] {
			t.Errorf("%s names %s, which is no statement", in[0], id)
		}
	}
	summary(t, lines)
}

// checkLine compares a line of the list with the tests that name its statement.
func checkLine(l line, tests []string) (problems []string) {
	fail := func(format string, args ...any) {
		problems = append(problems, l.id+": "+fmt.Sprintf(format, args...))
	}
	switch l.who {
	case "broker", "both":
		if l.cover != cover(tests) && (l.reason() == "" || len(tests) > 0) {
			fail("the list says %q, the tests say %q (-update writes it)", l.cover, cover(tests))
		}
		if len(tests) == 0 && l.reason() == "" {
			fail("no test and no reason why")
		}
	case "client":
		if l.cover != "-" || len(tests) > 0 {
			fail("binds clients only, and has %q and tests %v", l.cover, tests)
		}
	default:
		fail("applies to %q, want broker, client or both", l.who)
	}
	if l.says == "" {
		fail("says nothing")
	}
	return problems
}

// The comparison must be able to fail.
func TestStatementsAreCompared(t *testing.T) {
	t.Parallel()
	tests := []string{"TestB", "TestA", "TestA"}
	for _, c := range []struct {
		l     line
		tests []string
		want  int
	}{
		{line{"good", "broker", "x", "TestA, TestB"}, tests, 0},
		{line{"reason", "both", "x", "uncovered: because"}, nil, 0},
		{line{"client", "client", "x", "-"}, nil, 0},
		{line{"another test", "broker", "x", "TestC"}, tests, 1},
		{line{"a test is gone", "broker", "x", "TestA"}, nil, 2},
		{line{"no reason", "broker", "x", "uncovered: "}, nil, 2},
		{line{"a reason and a test", "broker", "x", "uncovered: because"}, tests, 1},
		{line{"client with a test", "client", "x", "-"}, tests, 1},
		{line{"nobody", "nobody", "x", "-"}, nil, 1},
		{line{"silent", "client", "", "-"}, nil, 1},
	} {
		if got := checkLine(c.l, c.tests); len(got) != c.want {
			t.Errorf("%s: got %q, want %d problems", c.l.id, got, c.want)
		}
	}
}

func cover(tests []string) string {
	uniq := map[string]bool{}
	var list []string
	for _, s := range tests {
		if !uniq[s] {
			uniq[s] = true
			list = append(list, s)
		}
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}

// summary prints how much is covered, and what is not.
func summary(t *testing.T, lines []line) {
	t.Helper()
	var covered, client int
	var gaps []string
	for _, l := range lines {
		switch {
		case l.who == "client":
			client++
		case l.reason() != "":
			gaps = append(gaps, fmt.Sprintf("%s: %s", l.id, l.reason()))
		default:
			covered++
		}
	}
	t.Logf("%d statements: %d covered, %d not, %d of clients only", len(lines), covered, len(gaps), client)
	for _, g := range gaps {
		t.Log(g)
	}
}

// writeStatements fills in the tests; reasons stay where there is no test.
func writeStatements(t *testing.T, lines []line, tests map[string][]string) {
	t.Helper()
	old, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, s := range strings.Split(string(old), "\n") {
		if !strings.HasPrefix(s, "#") {
			break
		}
		b.WriteString(s + "\n")
	}
	for _, l := range lines {
		switch {
		case l.who == "client":
			l.cover = "-"
		case len(tests[l.id]) > 0:
			l.cover = cover(tests[l.id])
		case l.reason() == "":
			l.cover = "uncovered: no test yet"
		}
		fmt.Fprintf(&b, "%s | %s | %s | %s\n", l.id, l.who, l.says, l.cover)
	}
	if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
