package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// Source is where values come from. A later field wins over an earlier one, and
// all win over the defaults. A list is replaced whole.
type Source struct {
	File  string            // a YAML file; empty is none
	Env   []string          // as of os.Environ; only names with SKEIN_ count
	Flags map[string]string // by path; the text as it would stand in a variable
	// Expand, unless nil, is given every text of the other fields that has a ${ in it.
	Expand Expander
	// Listen, unless empty, is the URLs of the listeners, whatever the other sources
	// say: see [Config.listen] for what stays of theirs.
	Listen []string
}

// maxFile is the size of a configuration file that is read. A real one has a few
// kilobytes; a wrong path may be a disk.
const maxFile = 4 << 20

// layer is what one source says.
type layer struct {
	tree     map[string]any
	from     origins
	expanded expanded
}

// Load reads the sources into a tree and checks it. The error is a *[Problems].
func Load(s Source) (*Config, error) {
	var problems []Problem
	var layers []layer
	collect := func(l layer, list []Problem) {
		problems = append(problems, list...)
		problems = append(problems, l.expand(s.Expand)...)
		layers = append(layers, l)
	}
	if s.File != "" {
		collect(fileLayer(s.File))
	}
	collect(envLayer(s.Env))
	collect(flagLayer(s.Flags))

	// Each layer is judged alone, so that a bad value in the file is told even where
	// a variable wins over it.
	from, put := origins{}, expanded{}
	merged := koanf.New(".")
	for _, l := range layers {
		d := decoder{report{from: l.from, expanded: l.expanded}}
		d.config(&Config{}, l.tree)
		problems = append(problems, d.list...)
		if err := merged.Load(confmap.Provider(l.tree, ""), nil); err != nil {
			problems = append(problems, Problem{Path: "configuration", Message: err.Error()})
		}
		put.overlay(&l)
		from.overlay(l.from)
	}

	c := Default()
	(&decoder{}).config(c, merged.Raw()) // its problems are known from the layers
	if len(s.Listen) > 0 {
		c.listen(s.Listen)
		from.overlay(origins{"listeners": commandLine})
	}
	c.fill()
	r := report{from: from, expanded: put}
	c.check(&r)
	problems = append(problems, news(r.list, problems)...)
	if len(problems) > 0 {
		return nil, &Problems{List: problems}
	}
	return c, nil
}

// news returns the problems found that are not about values known to be bad.
func news(found, known []Problem) []Problem {
	return slices.DeleteFunc(found, func(p Problem) bool {
		return slices.ContainsFunc(known, func(k Problem) bool { return within(p.Path, k.Path) })
	})
}

// overlay puts the places of a later layer over those of earlier ones. A list
// that it gives replaces the earlier one with all places in it.
func (o origins) overlay(later origins) {
	maps.DeleteFunc(o, func(path, _ string) bool {
		for p := parent(path); p != ""; p = parent(p) {
			if _, ok := later[p]; ok && path[len(p)] == '[' {
				return true
			}
		}
		return false
	})
	maps.Copy(o, later)
}

// fileLayer reads a file.
func fileLayer(name string) (layer, []Problem) {
	b, err := readFile(name, maxFile)
	if err != nil {
		return layer{}, []Problem{{Path: name, Message: err.Error()}}
	}
	y := yamlReader{report: report{from: origins{}}, source: name, lines: true}
	v := y.document(b)
	tree, ok := v.(map[string]any)
	if v != nil && !ok {
		y.list = append(y.list, Problem{Path: name, Message: "must be a section of keys, is " + shown(v)})
	}
	return layer{tree: tree, from: y.from}, y.list
}

// readFile reads a regular file of a size, with an error that says what to do.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, cause(err)
	case info.IsDir():
		return nil, errors.New("is a directory, not a file")
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, cause(err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("is larger than %s", Size(limit))
	}
	return b, nil
}

// cause says why a file cannot be read, without its name, which the path has.
func cause(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("no permission to read the file")
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// listen replaces the listeners by those of the URLs. A URL that is configured
// keeps all its settings. A new one has the defaults, with the certificates of the
// first listener that has some, and the rules of the first WebSocket listener:
// what a URL cannot say, and nothing that lets anybody in.
func (c *Config) listen(urls []string) {
	before := c.Listeners
	c.Listeners = make([]Listener, len(urls))
	for i, url := range urls {
		l := &c.Listeners[i]
		if same := slices.IndexFunc(before, func(l Listener) bool { return l.URL == url }); same >= 0 {
			*l = before[same]
			l.Optional = false // it is asked for
			continue
		}
		*l = defaultListener(url, url)
		scheme, _, _ := strings.Cut(url, "://")
		if first := slices.IndexFunc(before, func(l Listener) bool { return l.TLS.Cert != "" }); first >= 0 && (scheme == "ssl" || scheme == "wss") {
			l.TLS = before[first].TLS
		}
		if first := slices.IndexFunc(before, func(l Listener) bool { return strings.HasPrefix(l.URL, "ws") }); first >= 0 && (scheme == "ws" || scheme == "wss") {
			l.WebSocket = before[first].WebSocket
		}
	}
}

// fill gives names to what has none.
func (c *Config) fill() {
	if c.Node.Name == "" {
		c.Node.Name = hostName()
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Name == "" {
			l.Name = l.URL
		}
	}
}

func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "skein"
}
