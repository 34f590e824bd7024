package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/skeinmq/skein/broker/api"
)

// operation is one operation of the document.
type operation struct {
	path, method string
	ID           string         `yaml:"operationId"`
	Scope        string         `yaml:"x-scope"`
	Responses    map[string]any `yaml:"responses"`
	Security     *[]any         `yaml:"security"`
}

// openapi is the document, with what tests need of it.
type openapi struct {
	t          testing.TB
	root       map[string]any
	operations []*operation
}

// parsed is the document, read once: nobody changes it.
var parsed struct {
	once sync.Once
	d    openapi
}

func readDocument(t testing.TB) *openapi {
	t.Helper()
	parsed.once.Do(func() { parsed.d = *parseDocument(t) })
	return &openapi{t: t, root: parsed.d.root, operations: parsed.d.operations}
}

func parseDocument(t testing.TB) *openapi {
	t.Helper()
	d := &openapi{t: t}
	if err := yaml.Unmarshal(api.Document(), &d.root); err != nil {
		t.Fatal(err)
	}
	for path, item := range d.root["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			o := &operation{path: path, method: strings.ToUpper(method)}
			text, err := yaml.Marshal(op)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(text, o); err != nil {
				t.Fatal(err)
			}
			d.operations = append(d.operations, o)
		}
	}
	slices.SortFunc(d.operations, func(a, b *operation) int { return strings.Compare(a.ID, b.ID) })
	return d
}

func (d *openapi) operation(id string) *operation {
	d.t.Helper()
	i := slices.IndexFunc(d.operations, func(o *operation) bool { return o.ID == id })
	if i < 0 {
		d.t.Fatalf("there is no operation %s", id)
	}
	return d.operations[i]
}

// resolve follows a $ref.
func (d *openapi) resolve(v any) map[string]any {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	at := any(d.root)
	for _, key := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[key]
		if at == nil {
			d.t.Fatalf("%s leads nowhere", ref)
		}
	}
	return d.resolve(at)
}

// judge fails unless an answer is one that the document allows: its status, its media
// type and, for JSON, its schema.
func (d *openapi) judge(o *operation, status int, kind string, body []byte) {
	d.t.Helper()
	res, ok := o.Responses[fmt.Sprint(status)]
	if !ok {
		if res, ok = o.Responses["default"]; !ok || status < 300 {
			d.t.Errorf("%s: status %d is not in the document: %s", o.ID, status, body)
			return
		}
	}
	content, _ := d.resolve(res)["content"].(map[string]any)
	if content == nil {
		if len(body) > 0 && status < 300 {
			d.t.Errorf("%s: %d has a body: %s", o.ID, status, body)
		}
		return
	}
	kind, _, _ = strings.Cut(kind, ";")
	media, ok := content[kind]
	if !ok {
		if media, ok = content["*/*"]; !ok {
			d.t.Errorf("%s: media type %q is not in the document", o.ID, kind)
			return
		}
	}
	if !strings.HasSuffix(kind, "json") {
		return
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		d.t.Errorf("%s: %v: %s", o.ID, err, body)
		return
	}
	for _, p := range d.check(media.(map[string]any)["schema"], v, "$") {
		d.t.Errorf("%s: %s in %s", o.ID, p, body)
	}
}

// check answers what is wrong with a value by a schema.
func (d *openapi) check(schema, v any, at string) (wrong []string) {
	s := d.resolve(schema)
	kinds, _ := s["type"].([]any)
	if one, ok := s["type"].(string); ok {
		kinds = []any{one}
	}
	if len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k any) bool { return isKind(v, k.(string)) }) {
		return []string{fmt.Sprintf("%s: %T is not %v", at, v, kinds)}
	}
	if enum, ok := s["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		wrong = append(wrong, fmt.Sprintf("%s: %v is not one of %v", at, v, enum))
	}
	switch v := v.(type) {
	case map[string]any:
		wrong = append(wrong, d.checkObject(s, v, at)...)
	case []any:
		for i := range v {
			wrong = append(wrong, d.check(s["items"], v[i], fmt.Sprintf("%s[%d]", at, i))...)
		}
	case float64:
		if low, ok := s["minimum"].(int); ok && v < float64(low) {
			wrong = append(wrong, fmt.Sprintf("%s: %v is below %d", at, v, low))
		}
	case string:
		if s["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339, v); err != nil {
				wrong = append(wrong, at+": "+err.Error())
			}
		}
		if s["contentEncoding"] == "base64" {
			if _, err := base64.StdEncoding.DecodeString(v); err != nil {
				wrong = append(wrong, at+": "+err.Error())
			}
		}
	}
	return wrong
}

func (d *openapi) checkObject(s, v map[string]any, at string) (wrong []string) {
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	for name, value := range v {
		p, ok := properties[name]
		if !ok {
			if p = s["additionalProperties"]; p == false || p == nil {
				wrong = append(wrong, fmt.Sprintf("%s: %s is not in the schema", at, name))
				continue
			}
		}
		wrong = append(wrong, d.check(p, value, at+"."+name)...)
	}
	return wrong
}

func isKind(v any, kind string) bool {
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case float64:
		return kind == "number" || kind == "integer" && v == math.Trunc(v)
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}

// The validator must see what is wrong, or the other tests prove nothing.
func TestTheValidatorSeesMistakes(t *testing.T) {
	d := readDocument(t)
	good := `{"clients":[{"id":"a","node":"n","connected":true,"version":5,"persistent":false,"expiry":null,"will":false,` +
		`"subscriptions":0,"queued":0,"queued_bytes":0,"inflight":0,"stalled":false,"dropped":0,"drops":{"acl":1}}]}`
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""}, {`"id":"a",`, ``, "id is missing"}, {`"will":false`, `"will":0`, "is not"}, {`"version":5`, `"version":5.5`, "is not"},
		{`"acl":1`, `"acl":"x"`, "is not"}, {`"acl":1`, `"acl":-1`, "below"}, {`"node":"n"`, `"node":"n","x":1`, "not in the schema"},
		{`"expiry":null`, `"expiry":null,"since":"yesterday"`, "parsing time"},
	} {
		var v any
		if err := json.Unmarshal([]byte(strings.Replace(good, c.old, c.new, 1)), &v); err != nil {
			t.Fatal(err)
		}
		wrong := fmt.Sprint(d.check(map[string]any{"$ref": "#/components/schemas/Clients"}, v, "$"))
		if c.want == "" && wrong != "[]" || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: %s", c.new, wrong)
		}
	}
}
