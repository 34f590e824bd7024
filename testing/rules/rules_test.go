package rules

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// maxLines is the hard limit; 400 is what to aim for.
const maxLines = 600

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// repo reads every Go file of the repository, by its slash path from the root.
func repo(t *testing.T) map[string][]byte {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("not the root of the module: %v", err)
	}
	files := make(map[string][]byte)
	err = fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(p) != ".go" {
			return nil
		}
		files[p], err = os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return files
}

// report fails the test with every broken rule, in a stable order.
func report(t *testing.T, broken []string) {
	t.Helper()
	sort.Strings(broken)
	for _, b := range broken {
		t.Error(b)
	}
}

func TestFilesAreShort(t *testing.T)         { report(t, tooLong(repo(t))) }
func TestPackagesAreDocumented(t *testing.T) { report(t, undocumented(repo(t))) }
func TestNobodySleeps(t *testing.T)          { report(t, sleeps(t, repo(t))) }
func TestBuildConstraints(t *testing.T)      { report(t, badConstraints(repo(t))) }

func tooLong(files map[string][]byte) []string {
	var broken []string
	for name, src := range files {
		if n := bytes.Count(src, []byte("\n")); n > maxLines {
			broken = append(broken, fmt.Sprintf("%s: %d lines, at most %d", name, n, maxLines))
		}
	}
	return broken
}

// undocumented lists packages without a doc.go. A command says what it is in
// its main.go; packages under testing that are only tests need none.
func undocumented(files map[string][]byte) []string {
	dirs := make(map[string]bool)
	for name := range files {
		dir := path.Dir(name)
		if top, _, _ := strings.Cut(name, "/"); top != "testing" && top != "cmd" {
			dirs[dir] = true
		}
	}
	var broken []string
	for dir := range dirs {
		doc, ok := files[path.Join(dir, "doc.go")]
		if !ok {
			broken = append(broken, dir+": no doc.go")
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), "doc.go", doc, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil || f.Doc == nil {
			broken = append(broken, dir+"/doc.go: no package comment")
		}
	}
	return broken
}

// sleeps lists every use of time.Sleep, called or passed on, under any import name.
func sleeps(t *testing.T, files map[string][]byte) []string {
	var broken []string
	for name, src := range files {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		as := timeName(f)
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == as {
				broken = append(broken, fmt.Sprintf("%s: time.Sleep", fset.Position(sel.Pos())))
			}
			return true
		})
	}
	return broken
}

// timeName is the name under which a file imports package time, "" if it does not.
func timeName(f *ast.File) string {
	for _, imp := range f.Imports {
		if p, _ := strconv.Unquote(imp.Path.Value); p == "time" {
			if imp.Name != nil {
				return imp.Name.Name
			}
			return "time"
		}
	}
	return ""
}

// badConstraints lists build lines that do not parse, that come too late to
// count (the compiler ignores them in silence), and the form before Go 1.17.
func badConstraints(files map[string][]byte) []string {
	var broken []string
	for name, src := range files {
		inHeader := true
		for i, line := range strings.Split(string(src), "\n") {
			at := fmt.Sprintf("%s:%d: ", name, i+1)
			switch {
			case strings.HasPrefix(line, "package "):
				inHeader = false
			case constraint.IsPlusBuild(line) && inHeader:
				broken = append(broken, at+"// +build, use //go:build")
			case !constraint.IsGoBuild(line):
			case !inHeader:
				broken = append(broken, at+"//go:build after the package clause is ignored")
			default:
				if _, err := constraint.Parse(line); err != nil {
					broken = append(broken, at+err.Error())
				}
			}
		}
	}
	return broken
}

// The rules must be able to fail.
func TestRulesFindWhatTheyLookFor(t *testing.T) {
	sleepy := "package x\n\nimport clock \"time\"\n\nvar f = clock.Sleep\n"
	for _, c := range []struct {
		rule string
		src  string
		find func(map[string][]byte) []string
		want int
	}{
		{"long", "package x\n" + strings.Repeat("\n", maxLines), tooLong, 1},
		{"long enough", strings.Repeat("\n", maxLines), tooLong, 0},
		{"no doc.go", "package x\n", undocumented, 1},
		{"sleep", sleepy, func(f map[string][]byte) []string { return sleeps(t, f) }, 1},
		{"no sleep", "package x\n\nvar _ = time.Sleep\n", func(f map[string][]byte) []string { return sleeps(t, f) }, 0},
		{"late", "package x\n\n//go:build linux\n", badConstraints, 1},
		{"broken", "//go:build linux &&\n\npackage x\n", badConstraints, 1},
		{"old", "// +build linux\n\npackage x\n", badConstraints, 1},
		{"good", "//go:build linux && !arm\n\npackage x\n", badConstraints, 0},
	} {
		if got := c.find(map[string][]byte{"broker/x/x.go": []byte(c.src)}); len(got) != c.want {
			t.Errorf("%s: found %q, want %d", c.rule, got, c.want)
		}
	}
}
