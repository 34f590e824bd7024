package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write puts a file into the test's directory and returns its name.
func write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// problems loads and returns the lines, with file names cut to their base.
func problems(t testing.TB, s Source) []string {
	t.Helper()
	c, err := Load(s)
	if err == nil {
		return nil
	}
	var ps *Problems
	if !errors.As(err, &ps) || len(ps.List) == 0 {
		t.Fatalf("%T %v", err, err)
	}
	if c != nil {
		t.Error("a tree and problems")
	}
	var lines []string
	for line := range strings.SplitSeq(ps.Error(), "\n") {
		if s.File != "" {
			line = strings.ReplaceAll(line, filepath.Dir(s.File)+string(filepath.Separator), "")
		}
		lines = append(lines, line)
	}
	return lines
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func mustLoad(t *testing.T, s Source) *Config {
	t.Helper()
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNothingGivenIsTheDefault(t *testing.T) {
	if c := mustLoad(t, Source{}); !reflect.DeepEqual(c, Default()) {
		t.Errorf("%+v", c)
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "{}\n", "limits:\n  # all commented out\nlog:\n"} {
		if c := mustLoad(t, Source{File: write(t, "c.yaml", text)}); !reflect.DeepEqual(c, Default()) {
			t.Errorf("%q changes something", text)
		}
	}
}

// config.yaml is the documented default: it says every key, and nothing else than
// the code.
func TestTheDocumentedDefault(t *testing.T) {
	const file = "../../config.yaml"
	if c, d := mustLoad(t, Source{File: file}), Default(); !reflect.DeepEqual(c, d) {
		t.Errorf("config.yaml says\n%+v\nthe code\n%+v", c, d)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	y := yamlReader{report: report{from: origins{}}, source: file}
	said := y.document(b)
	var missing []string
	eachKey(reflect.TypeFor[Config](), "", func(path string) {
		if list, key, ok := strings.Cut(path, "[0]"); ok && y.from[list+"[0]"] == "" { // empty by default: a comment shows one
			shown := regexp.MustCompile(`(?m)^ *(#|headers:).*[ {-]` + strings.TrimPrefix(key, ".") + `:`)
			if key != "" && !shown.Match(b) {
				missing = append(missing, path)
			}
			return
		}
		if _, ok := y.from[path]; !ok {
			missing = append(missing, path)
		}
	})
	if len(missing) > 0 || said == nil {
		t.Errorf("config.yaml does not say %s", missing)
	}
}

// eachKey calls f with every path of the tree, and those of a list's first element.
func eachKey(typ reflect.Type, path string, f func(string)) {
	if path != "" {
		f(path)
	}
	switch {
	case isSection(typ):
		for i := range typ.NumField() {
			eachKey(typ.Field(i).Type, below(path, typ.Field(i).Tag.Get("koanf")), f)
		}
	case typ.Kind() == reflect.Slice && isSection(typ.Elem()):
		eachKey(typ.Elem(), item(path, 0), f)
	}
}

// The tags of the tree are read when a value is judged; here all are.
func TestTheTreesTags(t *testing.T) {
	eachKey(reflect.TypeFor[Config](), "", func(path string) {
		if strings.HasSuffix(path, ".") || path != strings.ToLower(path) || strings.Contains(path, "__") {
			t.Errorf("%q is not a key that a variable can name", path)
		}
		section := path == "http" // its keys have variables, SKEIN_HTTP is the address for skein ctl
		if !section && foreign.MatchString(envPrefix+strings.ToUpper(strings.ReplaceAll(path, ".", "__"))) {
			t.Errorf("%s is hidden by other variables", path)
		}
	})
}

func TestTypesAreNotConverted(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"mqtt: {retain_available: 1}", "mqtt.retain_available: must be true or false, is 1 (c.yaml:1)"},
		{"mqtt: {retain_available: yes}", `mqtt.retain_available: must be true or false, is "yes" (c.yaml:1)`},
		{"mqtt: {retain_available: }", "mqtt.retain_available: must be true or false, is empty (c.yaml:1)"},
		{"mqtt: {maximum_qos: \"1\"}", `mqtt.maximum_qos: must be a whole number, is "1" (c.yaml:1)`},
		{"mqtt: {maximum_qos: 1.0}", "mqtt.maximum_qos: must be a whole number, is 1.0 (c.yaml:1)"},
		{"mqtt: {maximum_qos: true}", "mqtt.maximum_qos: must be a whole number, is true (c.yaml:1)"},
		{"mqtt: {maximum_qos: [1]}", "mqtt.maximum_qos: must be a whole number, is a list (c.yaml:1)"},
		{"mqtt: {maximum_qos: 257}", "mqtt.maximum_qos: must be between 0 and 2, is 257 (c.yaml:1)"},
		{"mqtt: {maximum_qos: -1}", "mqtt.maximum_qos: must be between 0 and 2, is -1 (c.yaml:1)"},
		{"mqtt: {receive_maximum: 0x10}", "mqtt.receive_maximum: must be a whole number in decimal digits, is 0x10 (c.yaml:1)"},
		{"mqtt: {receive_maximum: 0100}", "mqtt.receive_maximum: must be a whole number in decimal digits, is 0100 (c.yaml:1)"},
		{"mqtt: {receive_maximum: 1_000}", "mqtt.receive_maximum: must be a whole number in decimal digits, is 1_000 (c.yaml:1)"},
		{"mqtt: {receive_maximum: 18446744073709551615}", "mqtt.receive_maximum: must be a number of 64 bits, is 18446744073709551615 (c.yaml:1)"},
		{"session: {max_inflight: 0}", "session.max_inflight: must be between 1 and 65535, is 0 (c.yaml:1)"},
		{"session: {max_inflight: 65536}", "session.max_inflight: must be between 1 and 65535, is 65536 (c.yaml:1)"},
		{"mqtt: {max_packet_size: 257MiB}", "mqtt.max_packet_size: must be between 1KiB and 256MiB, is 257MiB (c.yaml:1)"},
		{"mqtt: {max_packet_size: \"4096\"}", `mqtt.max_packet_size: must be a size such as 512B, 64KiB, 8MiB or 1GiB, is "4096" (c.yaml:1)`},
		{"mqtt: {max_packet_size: 1MB}", `mqtt.max_packet_size: must be a size such as 512B, 64KiB, 8MiB or 1GiB, is "1MB" (c.yaml:1)`},
		{"sys_interval: 10", "sys_interval: must be a duration such as 500ms, 10s, 5m, 24h or 7d, is 10 (c.yaml:1)"},
		{"sys_interval: never", "sys_interval: must not be never (c.yaml:1)"},
		{"sys_interval: 2h", "sys_interval: must be between 0 and 1h, is 2h (c.yaml:1)"},
		{"delayed: {max: 0}", "delayed.max: must be at least 1s, is 0 (c.yaml:1)"},
		{"session: {expiry_3x: 1500ms}", "session.expiry_3x: must be a multiple of 1s, is 1.5s (c.yaml:1)"},
		{"session: {max_expiry: 60000d}", "session.max_expiry: must be at most 4294967294s, or never (c.yaml:1)"},
		{"data: 5", "data: must be text in quotes, is 5 (c.yaml:1)"},
		{"data: ''", "data: must be a directory, is empty (c.yaml:1)"},
		{"node: {name: \"a\\nb\"}", "node.name: must be at most 255 printable characters (c.yaml:1)"},
		{"log: {level: Debug}", `log.level: must be debug, info, warn or error, is "Debug" (c.yaml:1)`},
		{"persistence: redis", `persistence: must be disk or none, is "redis" (c.yaml:1)`},
		{"limits: {memory: {high_watermark: 1.5}}", "limits.memory.high_watermark: must be between 0 and 1, is 1.5 (c.yaml:1)"},
		{"limits: {memory: {high_watermark: .nan}}", "limits.memory.high_watermark: must be a number, is .nan (c.yaml:1)"},
		{"limits: {memory: {high_watermark: high}}", `limits.memory.high_watermark: must be a number, is "high" (c.yaml:1)`},
		{"limits: 5", "limits: must be a section of keys, is 5 (c.yaml:1)"},
		{"limits: [a]", "limits: must be a section of keys, is a list (c.yaml:1)"},
		{"listeners: {}", "listeners: must be a list, is a section (c.yaml:1)"},
		{"listeners:", "listeners: must be a list, is empty (c.yaml:1)"},
		{"listeners: []", "listeners: must have at least one (c.yaml:1)"},
		{"listeners: [5]", "listeners[0]: must be a section of keys, is 5 (c.yaml:1)"},
		{"mqtt: {server_keep_alive: 2m, max_keep_alive: 1m}", "mqtt.server_keep_alive: must not be above mqtt.max_keep_alive (1m), is 2m (c.yaml:1)"},
		{"mqtt: {server_reference: \"\\u0007\"}", "mqtt.server_reference: must be at most 65535 bytes of printable characters (c.yaml:1)"},
	} {
		t.Run(c.yaml, func(t *testing.T) {
			expect(t, problems(t, Source{File: write(t, "c.yaml", c.yaml)}), c.want)
		})
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		yaml string
		want []string
	}{
		{"limit: {}", []string{"limit: is not a setting; did you mean limits? (c.yaml:1)"}},
		{"nonsense: 1", []string{"nonsense: is not a setting (c.yaml:1)"}},
		{"session:\n  Max_Inflight: 5", []string{"session.Max_Inflight: is not a setting; did you mean max_inflight? (c.yaml:2)"}},
		{"session.max_inflight: 5", []string{"session.max_inflight: is not a setting (c.yaml:1)"}},
		{"data: a\ndata: b", []string{"data: stands twice, first in line 1 (c.yaml:2)"}},
		{"log: {level: info}\nlog: {level: warn}", []string{"log: stands twice, first in line 1 (c.yaml:2)"}},
		{"1: a", []string{"c.yaml: has a key that is not a plain word (c.yaml:1)"}},
		{"log: {[a]: b}", []string{"log: has a key that is not a plain word (c.yaml:1)"}},
		{"a: &x {level: info}\nlog:\n  <<: *x", []string{"log: has a key that is not a plain word (c.yaml:3)", "a: is not a setting (c.yaml:1)"}},
		{strings.Repeat("k", 100) + ": 1", []string{strings.Repeat("k", 100) + ": is not a setting (c.yaml:1)"}},
	} {
		t.Run(c.yaml, func(t *testing.T) {
			expect(t, problems(t, Source{File: write(t, "c.yaml", c.yaml)}), c.want...)
		})
	}
}

func TestDocuments(t *testing.T) {
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+",", 10) + "]\n"
	}
	for _, c := range []struct{ name, yaml, want string }{
		{"syntax", "log: {level", "c.yaml: is not YAML: line 1: did not find expected ',' or '}'"},
		{"tab", "log:\n\tlevel: info", "c.yaml: is not YAML: line 2: found character that cannot start any token"},
		{"two", "log: {}\n---\ndata: x", "c.yaml: holds more than one document"},
		{"second broken", "log: {}\n---\n{", "c.yaml: is not YAML: line 3: did not find expected node content"},
		{"list", "- a", "c.yaml: must be a section of keys, is a list"},
		{"text", "hello", `c.yaml: must be a section of keys, is "hello"`},
		{"binary", "\x00\x01\x02", "c.yaml: is not YAML: control characters are not allowed"},
		{"deep", "listeners: " + deep, "c.yaml: is too large: at most 100000 values, 32 levels deep"},
		{"bomb", bomb, "c.yaml: is too large: at most 100000 values, 32 levels deep"},
		{"cycle", "listeners: &a [*a]", "c.yaml: is too large: at most 100000 values, 32 levels deep"},
		{"tag", "data: !!binary aGk=", "data: has the tag !!binary, which is not used here (c.yaml:1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problems(t, Source{File: write(t, "c.yaml", c.yaml)})
			if len(got) == 0 || got[0] != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	expect(t, problems(t, Source{File: filepath.Join(dir, "none.yaml")}), "none.yaml: there is no such file")
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(t, problems(t, Source{File: sub}), "sub: is a directory, not a file")
	large := write(t, "large.yaml", strings.Repeat("#", maxFile+1))
	expect(t, problems(t, Source{File: large}), "large.yaml: is larger than 4MiB")
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, "no permission to read the file"},
		{&fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}, "cannot be read: " + syscall.EIO.Error()},
	} {
		if got := cause(c.err).Error(); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// All is told at once, whichever layer it is from, and each once.
func TestAllProblemsAtOnce(t *testing.T) {
	file := write(t, "c.yaml", `
log:
  level: loud
session:
  max_inflight: many
  queue: {messages: -1}
listeners:
  - url: tcp://0.0.0.0:1883
`)
	expect(t, problems(t, Source{
		File:  file,
		Env:   []string{"SKEIN_SESSION__MAX_INFLIGHT=10", "SKEIN_LIMITS__CONNECTIONS=many", "SKEIN_NO=1", "PATH=/bin"},
		Flags: map[string]string{"sys_interval": "soon"},
	}),
		"SKEIN_NO: is not a setting (SKEIN_NO)",
		`session.max_inflight: must be a whole number, is "many" (c.yaml:5)`,
		`limits.connections: must be a whole number, is "many" (SKEIN_LIMITS__CONNECTIONS)`,
		`sys_interval: must be a duration such as 500ms, 10s, 5m, 24h or 7d, is "soon" (command line)`,
		"session.queue.messages: must be between 0 and 1000000000, is -1 (c.yaml:6)",
		`log.level: must be debug, info, warn or error, is "loud" (c.yaml:3)`,
		"listeners[0].url: "+open+" (c.yaml:8)",
	)
}

func TestLaterSourcesWin(t *testing.T) {
	file := write(t, "c.yaml", "node: {name: file}\nlog: {level: warn, format: json}\nsession: {max_inflight: 7}\n")
	s := Source{File: file}
	if c := mustLoad(t, s); c.Node.Name != "file" || c.Log.Level != "warn" || c.Session.MaxInflight != 7 || c.Session.WillGrace != 10*second {
		t.Errorf("file: %+v", c)
	}
	s.Env = []string{"SKEIN_NODE__NAME=env", "SKEIN_LOG__LEVEL=error"}
	if c := mustLoad(t, s); c.Node.Name != "env" || c.Log.Level != "error" || c.Log.Format != FormatJSON {
		t.Errorf("env: %+v", c)
	}
	s.Flags = map[string]string{"node.name": "flag"}
	if c := mustLoad(t, s); c.Node.Name != "flag" || c.Log.Level != "error" || c.Session.MaxInflight != 7 {
		t.Errorf("flags: %+v", c)
	}
}

func TestVariables(t *testing.T) {
	c := mustLoad(t, Source{Env: []string{
		"SKEIN_NODE__NAME=007",
		"SKEIN_AUTH__ANONYMOUS=true",
		"SKEIN_SYS_INTERVAL=0",
		"SKEIN_SESSION__EXPIRY_3X=never",
		"SKEIN_MQTT__MAX_PACKET_SIZE=4096",
		"SKEIN_LIMITS__OUTPUT_BUFFER=1MiB",
		"SKEIN_LIMITS__MEMORY__HIGH_WATERMARK=0.5",
		"SKEIN_LISTENERS=[{url: 'tcp://127.0.0.1:0', unix_mode: 0600, proxy: {enabled: true, trusted: [10.0.0.0/8, '::1']}}]",
		"SKEIN_SERVICE_HOST=10.0.0.1", "SKEIN_SERVICE_PORT=1883", "SKEIN_SERVICE_PORT_MQTT=1883", "SKEIN_PORT=tcp://10.0.0.1:1883",
		"SKEIN_PORT_1883_TCP=tcp://10.0.0.1:1883", "SKEIN_PORT_1883_TCP_ADDR=10.0.0.1", // of Kubernetes
	}})
	l := c.Listeners[0]
	switch {
	case c.Node.Name != "007", !c.Auth.Anonymous, c.SysInterval != 0, c.Session.Expiry3x != Never,
		c.MQTT.MaxPacketSize != 4096, c.Limits.OutputBuffer != MiB, c.Limits.Memory.HighWatermark != 0.5, len(c.Listeners) != 1:
		t.Errorf("%+v", c)
	case l.Name != l.URL, l.UnixMode != 0o600, l.HandshakeTimeout != 10*second, l.Optional,
		Prefixes(l.Proxy.Trusted)[0].String() != "10.0.0.0/8", Prefixes(l.Proxy.Trusted)[1].String() != "::1/128":
		t.Errorf("%+v", l)
	}

	expect(t, problems(t, Source{Env: []string{
		"SKEIN_AUTH__ANONYMOUS=1", "SKEIN_LIMITS=5", "SKEIN_LIMITS__", "SKEIN_=", "SKEIN_log__level=info", "SKEIN_LOG_LEVEL=info",
		"SKEIN_MQTT__MAXIMUM_QOS=", "SKEIN_NODE__NAME__X=1", "SKEIN_SHARED__STRATEGY=best",
	}}),
		"SKEIN_: is not a setting (SKEIN_)",
		"SKEIN_LIMITS: is a section; set its keys one by one (SKEIN_LIMITS)",
		"SKEIN_LIMITS__: is not a setting (SKEIN_LIMITS__)",
		"SKEIN_LOG_LEVEL: is not a setting (SKEIN_LOG_LEVEL)",
		"SKEIN_NODE__NAME__X: is not a setting (SKEIN_NODE__NAME__X)",
		"SKEIN_log__level: is not a setting (SKEIN_log__level)",
		`auth.anonymous: must be true or false, is "1" (SKEIN_AUTH__ANONYMOUS)`,
		"mqtt.maximum_qos: must be a whole number, is \"\" (SKEIN_MQTT__MAXIMUM_QOS)",
		`shared.strategy: must be round_robin, least_inflight, sticky, hash_client, hash_topic or random, is "best" (SKEIN_SHARED__STRATEGY)`,
	)
	expect(t, problems(t, Source{Env: []string{"SKEIN_LISTENERS=[{url: a, url: b}]"}}),
		"listeners[0].url: stands twice, first in line 1 (SKEIN_LISTENERS)")
	expect(t, problems(t, Source{Env: []string{"SKEIN_LISTENERS=tcp://127.0.0.1:1"}}),
		`listeners: must be a list, is "tcp://127.0.0.1:1" (SKEIN_LISTENERS)`)
	expect(t, problems(t, Source{Env: []string{"SKEIN_LISTENERS=[{ur: 1, url: 'tcp://127.0.0.1:1'}]"}}),
		"listeners[0].ur: is not a setting; did you mean url? (SKEIN_LISTENERS)")
}

// The places of a list that was replaced are gone with it.
func TestAReplacedListHasNoPlacesLeft(t *testing.T) {
	file := write(t, "c.yaml", "auth: {anonymous: false}\nlisteners:\n  - {url: 'tcp://127.0.0.1:1', name: x}\n  - {url: 'tcp://127.0.0.1:2'}\n")
	got := problems(t, Source{File: file, Flags: map[string]string{"listeners": "[{url: 'tcp://1.2.3.4:1'}, {url: ''}]"}})
	if len(got) != 2 || !strings.HasSuffix(got[0], "(command line)") || got[1] != "listeners[1].url: must be set, such as tcp://127.0.0.1:1883 (command line)" {
		t.Errorf("%q", got)
	}
	expect(t, problems(t, Source{Flags: map[string]string{"log.leve": "info"}}), "log.leve: is not a setting (command line)")
}

func TestAliasesAreFollowed(t *testing.T) {
	c := mustLoad(t, Source{File: write(t, "c.yaml", "listeners:\n  - {url: 'ws://127.0.0.1:1', websocket: &w {path: /mqtt}}\n  - {url: 'ws://127.0.0.1:2', websocket: *w}\n")})
	if c.Listeners[1].WebSocket.Path != "/mqtt" {
		t.Errorf("%+v", c.Listeners[1])
	}
}

func TestListenReplacesListeners(t *testing.T) {
	cert, key := certificate(t)
	tls := "tls: {cert: '" + cert + "', key: '" + key + "'}"
	file := write(t, "c.yaml", "listeners:\n"+
		"  - {url: 'tcp://127.0.0.1:1', anonymous: true, optional: true, max_connections: 5}\n"+
		"  - {url: 'wss://127.0.0.1:2', anonymous: true, websocket: {path: /mqtt}, "+tls+"}\n")
	c := mustLoad(t, Source{File: file, Listen: []string{"ssl://127.0.0.1:3", "ws://127.0.0.1:4", "tcp://127.0.0.1:1", "unix:///tmp/x"}})
	l := c.Listeners
	switch {
	case len(l) != 4:
		t.Fatalf("%+v", l)
	case l[0].Name != "ssl://127.0.0.1:3" || l[0].TLS.Cert != cert || l[0].Anonymous || l[0].WebSocket.Path != "",
		l[1].WebSocket.Path != "/mqtt" || l[1].TLS.Cert != "" || l[1].Anonymous,
		l[2].MaxConnections != 5 || !l[2].Anonymous || l[2].Optional,
		l[3].UnixMode != 0o660 || l[3].TLS.Cert != "":
		t.Errorf("%+v", l)
	}
	expect(t, problems(t, Source{File: file, Listen: []string{"tcp://0.0.0.0:1", "here"}}),
		"listeners[0].url: "+open+" (command line)",
		`listeners[1].url: must be a URL such as tcp://127.0.0.1:1883, is "here" (command line)`)
	expect(t, problems(t, Source{Listen: []string{"ssl://127.0.0.1:1"}}),
		"listeners[0].tls.cert: must be a file with the certificate (PEM) (command line)",
		"listeners[0].tls.key: must be a file with the private key (PEM) (command line)")
}
