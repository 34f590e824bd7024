package ui_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skeinmq/skein/broker/api/ui"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(ui.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(ui.Files(), name)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// references are what a page and a module load.
var references = regexp.MustCompile(`(?:src|href|from|import|src:) ?=? ?["']((?:/ui/|\./)[^"'#]+)["']`)

// Everything that is loaded is there, and everything that is there is loaded.
func TestFilesAreLoaded(t *testing.T) {
	all := files(t)
	loaded := map[string]bool{"index.html": true}
	for name, text := range all {
		for _, m := range references.FindAllStringSubmatch(text, -1) {
			to := path.Base(m[1])
			loaded[to] = true
			if _, ok := all[to]; !ok {
				t.Errorf("%s loads %s, which is not there", name, m[1])
			}
		}
	}
	for name := range all {
		if !loaded[name] {
			t.Errorf("%s is not loaded", name)
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d files", len(all))
	}
}

// forbidden is what would make markup or code of what somebody else chose, what the
// content policy refuses, and what would be of another host.
var forbidden = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|<style|\bstyle=|\son[a-z]+=|@import|url\(|//[a-z0-9.-]+\.[a-z]{2,}/|localStorage\.[gs]etItem\("(?:skein\.)?token`)

func TestNothingForeignOrInline(t *testing.T) {
	for name, text := range files(t) {
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // a name, which nobody asks for
		if m := forbidden.FindString(text); m != "" {
			t.Errorf("%s has %q", name, m)
		}
		if n := strings.Count(text, "\n"); n > 400 {
			t.Errorf("%s: %d lines", name, n)
		}
	}
}
