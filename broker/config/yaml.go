package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Numbers stay text until the type that they are for is known, so nothing is
// rounded, cut or read in another base on the way.
type (
	intText   string
	floatText string
)

// The bounds of a document. Aliases are followed, so what a document says may be
// far more than its bytes.
const (
	maxDepth = 32
	maxNodes = 100_000
)

// yamlReader turns a YAML document into maps, lists and scalars: string, bool,
// intText, floatText, nil.
type yamlReader struct {
	report
	source string // file or variable
	lines  bool   // whether a line number tells more than source
	nodes  int
}

// document reads the one document of b; nil if it is empty or broken.
func (y *yamlReader) document(b []byte) any {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var n yaml.Node
	switch err := dec.Decode(&n); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		y.broken(err)
		return nil
	}
	var more yaml.Node
	switch err := dec.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		y.broken(err)
	default:
		y.list = append(y.list, Problem{Path: y.source, Message: "holds more than one document"})
	}
	if len(n.Content) == 0 {
		return nil
	}
	return y.value(n.Content[0], "", 0)
}

func (y *yamlReader) broken(err error) {
	y.list = append(y.list, Problem{Path: y.source, Message: "is not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")})
}

func (y *yamlReader) value(n *yaml.Node, path string, depth int) any {
	y.nodes++
	if y.nodes > maxNodes || depth > maxDepth {
		if y.nodes < 2*maxNodes { // told once
			y.nodes = 2 * maxNodes
			y.list = append(y.list, Problem{Path: y.source, Message: fmt.Sprintf("is too large: at most %d values, %d levels deep", maxNodes, maxDepth)})
		}
		return nil
	}
	if path != "" {
		y.from[path] = y.where(n)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return y.value(n.Alias, path, depth+1)
	case yaml.MappingNode:
		return y.section(n, path, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, e := range n.Content {
			list = append(list, y.value(e, item(path, i), depth+1))
		}
		return list
	default:
		return y.scalar(n, path)
	}
}

func (y *yamlReader) where(n *yaml.Node) string {
	if !y.lines {
		return y.source
	}
	return fmt.Sprintf("%s:%d", y.source, n.Line)
}

func (y *yamlReader) section(n *yaml.Node, path string, depth int) any {
	m := make(map[string]any, len(n.Content)/2)
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() != "!!str" || k.Value == "" {
			y.addAt(path, k, "has a key that is not a plain word")
			continue
		}
		at := below(path, k.Value)
		if line, ok := first[k.Value]; ok {
			y.addAt(at, k, "stands twice, first in line %d", line)
			continue
		}
		first[k.Value] = k.Line
		m[k.Value] = y.value(v, at, depth+1)
		y.from[at] = y.where(k)
	}
	return m
}

func (y *yamlReader) addAt(path string, n *yaml.Node, format string, args ...any) {
	if path == "" {
		path = y.source
	}
	y.list = append(y.list, Problem{Path: path, Message: fmt.Sprintf(format, args...), Where: y.where(n)})
}

func (y *yamlReader) scalar(n *yaml.Node, path string) any {
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp":
		return n.Value
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		return intText(n.Value)
	case "!!float":
		return floatText(n.Value)
	default:
		y.addAt(path, n, "has the tag %s, which is not used here", tag)
		return nil
	}
}
