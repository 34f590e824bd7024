package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/testing/harness"
)

const (
	ctlWriter = "0123456789abcdefghij-write"
	ctlReader = "0123456789abcdefghij-read"
)

// operated is a node that serves in this process and is asked by ctl.
type operated struct {
	t    *testing.T
	s    *serving
	http string
	mqtt *harness.Broker
}

func operate(t *testing.T) *operated {
	t.Helper()
	file := write(t, `
listeners: [{url: 'tcp://127.0.0.1:0'}]
node: {name: n1}
persistence: none
http:
  address: 127.0.0.1:0
  tokens:
    - {name: ops, scope: write, secret: `+ctlWriter+`}
    - {name: look, scope: read, secret: `+ctlReader+`}
auth:
  anonymous: true
  acl:
    rules:
      - {effect: deny, action: publish, topics: [secret/#]}
      - {effect: allow, action: all, topics: ['#']}
`)
	o := &operated{t: t, s: serve(context.Background(), t, "--config", file)}
	m := regexp.MustCompile(`url=http://(127\.0\.0\.1:[0-9]+)`).FindStringSubmatch(o.s.errs.String())
	if m == nil {
		t.Fatalf("no listener in %s", o.s.errs)
	}
	o.http, o.mqtt = m[1], &harness.Broker{TCP: "tcp://" + o.s.url()}
	t.Cleanup(func() {
		o.s.signals <- syscall.SIGTERM
		o.s.end(exitDone)
	})
	return o
}

func (o *operated) env(token string) []string {
	return []string{"SKEIN_HTTP=" + o.http, "SKEIN_TOKEN=" + token}
}

// ctl runs a command with the writer's token; it must end with want.
func (o *operated) ctl(want int, args ...string) (out, errs string) {
	o.t.Helper()
	code, out, errs := run(o.t, o.env(ctlWriter), append([]string{"ctl"}, args...)...)
	if code != want {
		o.t.Errorf("ctl %s: code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
	}
	return out, errs
}

// table is a command's output, which must have every one of some texts.
func (o *operated) table(has []string, args ...string) {
	o.t.Helper()
	out, errs := o.ctl(exitDone, args...)
	for _, s := range has {
		if !regexp.MustCompile(s).MatchString(out) {
			o.t.Errorf("ctl %s: no %q in\n%s%s", strings.Join(args, " "), s, out, errs)
		}
	}
}

// answer is a command's JSON.
func answer[T any](o *operated, args ...string) (v T) {
	o.t.Helper()
	out, _ := o.ctl(exitDone, append(args, "--json")...)
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		o.t.Errorf("ctl %s: %v in\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

func TestCtlLooks(t *testing.T) {
	o := operate(t)
	o.table([]string{`Node: +n1\n`, `State: +ready`, `Connections: +0`}, "status")
	o.table([]string{`NAME +STATE`, `n1 +ready`}, "nodes")
	if n := answer[v1.Nodes](o, "nodes"); len(n.Nodes) != 1 || n.Nodes[0].Name != "n1" || !n.Nodes[0].Self {
		t.Errorf("%+v", n)
	}
	sub := o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "s/1", User: "bob", Keep: true, Props: [][]byte{harness.Prop(17, harness.U32(3600))}})
	sub.Subscribe("t/#", 1)
	o.mqtt.Connect(t, harness.Connect{Version: harness.V311, ID: "other\x1b[2J"})
	if s := answer[statusAnswer](o, "status"); s.Node == nil || s.Node.Connections != 2 || s.Stats.Subscribed != 1 {
		t.Errorf("%+v", s)
	}
	o.table([]string{`ID +USER`, `s/1 +bob +yes +127\.0\.0\.1:\d+ +n1 +5 +1 +0 +0 +0`, `"other\\x1b\[2J"`}, "clients")
	if l := answer[v1.Clients](o, "clients", "--search", "s/", "--user", "bob", "--connected", "--mqtt", "5"); len(l.Clients) != 1 || l.Clients[0].ID != "s/1" {
		t.Errorf("%+v", l)
	}
	if l := answer[v1.Clients](o, "clients", "--connected=false"); len(l.Clients) != 0 {
		t.Errorf("%+v", l)
	}
	if out, errs := o.ctl(exitDone, "clients", "-n", "1"); strings.Count(out, "\n") != 2 || !strings.Contains(errs, "--after 'other\x1b[2J'") {
		t.Errorf("%s%q", out, errs)
	}
	if l := answer[v1.Clients](o, "clients", "--all"); len(l.Clients) != 2 || l.Next != "" {
		t.Errorf("%+v", l)
	}
	sub.Leave()
	o.ctl(exitDone, "publish", "t/1", "waits")
	o.table([]string{`Client: +s/1`, `Connected: +no`, `Queued: +1,`, `t/# +1 +no`, `queued +t/1 +1 +0 .* waits`}, "client", "s/1")
	if c := answer[clientAnswer](o, "client", "s/1"); len(c.Subscriptions) != 1 || len(c.Queue.Entries) != 1 || c.Client.Queued != 1 {
		t.Errorf("%+v", c)
	}
	if l := answer[v1.Clients](o, "clients", "--sort", "queued"); len(l.Clients) != 2 || l.Clients[0].ID != "s/1" {
		t.Errorf("%+v", l)
	}
}

func TestCtlKicksAndDeletes(t *testing.T) {
	o := operate(t)
	a := o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "a", Keep: true, Props: [][]byte{harness.Prop(17, harness.U32(3600))}})
	o.table([]string{`a disconnected`}, "kick", "a")
	a.ExpectRefused(0x98)
	if _, errs := o.ctl(exitNotFound, "kick", "nobody", "a"); !strings.Contains(errs, "nobody: 404 Not Found: there is no client with that id") {
		t.Error(errs)
	}
	if m := answer[map[string]string](o, "delete", "a"); m["client"] != "a" || m["done"] != "deleted" {
		t.Error(m)
	}
	o.ctl(exitNotFound, "client", "a")
}

func TestCtlRetained(t *testing.T) {
	o := operate(t)
	o.table([]string{`Stored: +yes`}, "retained", "set", "r/1", "on", "--qos", "1", "--property", "k=v", "--content-type", "text/plain")
	if p := answer[v1.Published](o, "retained", "set", "r/2", "\xff\x00"); !p.Results[0].Committed {
		t.Errorf("%+v", p)
	}
	o.table([]string{`TOPIC +QOS`, `r/1 +1 .*http/ops +on`, `r/2 .*ff00`}, "retained", "list")
	if l := answer[v1.Retained](o, "retained", "list", "r/+", "-n", "1"); len(l.Messages) != 1 || l.Next != "r/1" {
		t.Errorf("%+v", l)
	}
	o.table([]string{`Topic: +r/1`, `Property: +k = v`, `Payload: +on`}, "retained", "get", "r/1")
	if out, _ := o.ctl(exitDone, "retained", "get", "r/2", "--raw"); out != "\xff\x00" {
		t.Errorf("%q", out)
	}
	if m := answer[v1.Stored](o, "retained", "get", "r/1"); m.Topic != "r/1" || *m.Payload != "on" || m.ContentType != "text/plain" {
		t.Errorf("%+v", m)
	}
	o.table([]string{`r/1 deleted`}, "retained", "delete", "r/1")
	o.ctl(exitNotFound, "retained", "get", "r/1")
	o.ctl(exitNotFound, "retained", "delete", "r/1")
}

func TestCtlPublishes(t *testing.T) {
	o := operate(t)
	c := o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "c"})
	c.Subscribe("t", 1)
	o.table([]string{`Reached: +1`}, "publish", "t", "x")
	c.ExpectMessage("t", "x")
	code, out, errs := runOn(t, o.env(ctlWriter), "from stdin", "ctl", "publish", "t", "-", "--expiry", "1m")
	if code != 0 || !strings.Contains(out, "Stored") {
		t.Error(code, out, errs)
	}
	c.ExpectMessage("t", "from stdin")
	o.ctl(exitDone, "publish", "elsewhere", "direct", "--to", "c")
	c.ExpectMessage("elsewhere", "direct")
	o.ctl(exitNotFound, "publish", "t", "x", "--to", "nobody")
	if _, errs := o.ctl(exitFailed, "publish", "secret/1", "x"); !strings.Contains(errs, "(0x87)") {
		t.Error(errs)
	}
	if _, errs := o.ctl(exitFailed, "publish", "t/#", "x"); !strings.Contains(errs, "not a topic name") {
		t.Error(errs)
	}
	if p := answer[v1.Published](o, "publish", "nobody/hears", "x"); p.Results[0].Code != 16 {
		t.Errorf("%+v", p)
	}
	out, errs = o.ctl(exitFailed, "publish", "t", "x", "--wait", "--wait-timeout", "10ms") // c acknowledges nothing
	if !strings.Contains(out, "Pending") || !strings.Contains(errs, "in time") {
		t.Error(out, errs)
	}
	o.ctl(exitUsage, "publish", "t", "x", "--property", "k")
	o.ctl(exitUsage, "publish", "t")
}

// following is a command that runs until it ends or is signalled.
type following struct {
	*serving
	out *output
}

func (o *operated) follow(args ...string) *following {
	a, out, errs, signals := testApp(o.env(ctlWriter)...)
	f := &following{&serving{t: o.t, signals: signals, errs: errs, code: make(chan int, 1)}, out}
	go func() { f.code <- a.run(o.t.Context(), append([]string{"ctl"}, args...)) }()
	return f
}

func (f *following) shows(what string) {
	f.t.Helper()
	harness.Poll(f.t, 0, func() bool { return strings.Contains(f.out.String(), what) })
}

func TestCtlSubscribes(t *testing.T) {
	o := operate(t)
	f := o.follow("subscribe", "s/#", "--json")
	harness.Poll(t, 0, func() bool { return len(answer[v1.Clients](o, "clients", "--search", "http/ops/").Clients) == 1 })
	harness.Poll(t, 0, func() bool {
		return answer[v1.Published](o, "publish", "s/1", "hello", "--qos", "0").Results[0].Matched == 1
	})
	f.shows(`"topic":"s/1","payload":"hello"`)
	f.signals <- os.Interrupt
	f.end(exitDone)

	first := o.follow("subscribe", "k", "--session", "night", "-n", "1", "--json")
	harness.Poll(t, 0, func() bool { return answer[v1.Published](o, "publish", "k", "one").Results[0].Matched == 1 })
	first.end(exitDone)
	var e subscribed
	if err := json.Unmarshal([]byte(strings.SplitN(first.out.String(), "\n", 2)[0]), &e); err != nil || e.ID == "" || *e.Payload != "one" {
		t.Fatal(err, first.out)
	}
	o.ctl(exitDone, "publish", "k", "two") // nobody looks
	next := o.follow("subscribe", "k", "--session", "night", "--after", e.ID, "-n", "1", "--raw")
	next.end(exitDone)
	if got := next.out.String(); got != "two\n" {
		t.Errorf("%q", got)
	}
	o.ctl(exitFailed, "subscribe", "bad/#/filter")
	o.ctl(exitUsage, "subscribe", "x", "--raw", "--json")
}

// A stream of a session that is cut is taken up where it was.
func TestCtlTakesASubscriptionUpAgain(t *testing.T) {
	o := operate(t)
	f := o.follow("subscribe", "k", "--session", "s", "--raw", "-n", "2")
	harness.Poll(t, 0, func() bool { return answer[v1.Published](o, "publish", "k", "one").Results[0].Matched == 1 })
	f.shows("one")
	o.ctl(exitDone, "kick", "http/ops/s")
	o.ctl(exitDone, "publish", "k", "two")
	f.end(exitDone)
	if got := f.out.String(); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
}

func TestCtlBans(t *testing.T) {
	o := operate(t)
	c := o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "bad"})
	o.table([]string{`client bad is banned, 1 disconnected`}, "bans", "add", "client", "bad", "--for", "1h", "--reason", "noise")
	c.ExpectRefused(0x87) // a DISCONNECT has no 0x8A
	_, ack := o.mqtt.TryConnect(t, harness.Connect{Version: harness.V5, ID: "bad"})
	if ack.Code != 0x8A {
		t.Error(ack)
	}
	o.table([]string{`KIND +VALUE`, `client +bad +20.* noise`}, "ban", "list")
	if b := answer[v1.Bans](o, "bans", "list"); len(b.Bans) != 1 || b.Bans[0].Value != "bad" || b.Bans[0].Until == nil {
		t.Errorf("%+v", b)
	}
	o.table([]string{`connect +bad .*0x8A`}, "refusals")
	if r := answer[v1.Refusals](o, "refusals", "-n", "1"); len(r.Refusals) != 1 || r.Refusals[0].Client != "bad" {
		t.Errorf("%+v", r)
	}
	o.table([]string{`client bad is not banned any more`}, "bans", "remove", "client", "bad")
	o.ctl(exitNotFound, "bans", "remove", "client", "bad")
	o.ctl(exitFailed, "bans", "add", "planet", "x")
	o.ctl(exitFailed, "bans", "add", "address", "x")
}

func TestCtlOperatesTheNode(t *testing.T) {
	o := operate(t)
	o.table([]string{`^info\n$`}, "log-level")
	o.table([]string{`^debug\n$`}, "log-level", "debug")
	if l := answer[v1.LogLevel](o, "log-level"); l.Level != "debug" {
		t.Error(l)
	}
	o.ctl(exitFailed, "log-level", "loud")
	o.table([]string{`the configuration is in force`}, "reload")
	if r := answer[v1.Reloaded](o, "reload"); len(r.Restart) != 0 {
		t.Error(r)
	}
	o.table([]string{`Drain: +none`}, "drain", "state")
	o.table([]string{`Node: +n1`, `Drain: +(waiting|disconnecting|done)`}, "drain", "start")
	if d := answer[v1.Drain](o, "drain"); !d.Draining {
		t.Errorf("%+v", d)
	}
	if d := answer[v1.Drain](o, "drain", "undo", "--node", "n1"); d.Draining {
		t.Errorf("%+v", d)
	}
	o.ctl(exitNotFound, "drain", "state", "--node", "elsewhere")
}

func TestCtlTraces(t *testing.T) {
	o := operate(t)
	c := o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "c"})
	sub := o.mqtt.Connect(t, harness.Connect{Version: harness.V311, ID: "sub"})
	sub.Subscribe("t/#", 1)
	people, programs := o.follow("trace", "--client", "c"), o.follow("trace", "--topic", "t/+", "--payload", "--json")
	nets := o.follow("trace", "--ip", "127.0.0.0/8")
	people.await("tracing")
	programs.await("tracing")
	nets.await("tracing")
	awaitTraces(o, people, c)
	c.Subscribe("mine", 0)
	c.Publish(harness.Publish{Topic: "t/1", Payload: "hello", QoS: 1})
	sub.Receive()
	sub.Barrier()
	c.Publish(harness.Publish{Topic: "secret/1", QoS: 1})
	c.Leave(harness.Disconnect(0))
	for _, want := range []string{
		`< c SUBSCRIBE id \d+ mine`, `\* c allowed SUBSCRIBE mine .*allow`, `> c SUBACK`, `< c PUBLISH id \d+ t/1 q1 \d+ bytes`,
		`\* c allowed PUBLISH id \d+ t/1 q1 .*allow`, `\* c sent PUBLISH id \d+ t/1 q1 for sub`, `> c PUBACK id \d+`,
		`\* c refused PUBLISH id \d+ secret/1 q1 code 0x87 .*deny`, `> c PUBACK id \d+ code 0x87`, `< c DISCONNECT`, `\* c ended .*disconnected by the client`,
	} {
		harness.Poll(t, 0, func() bool { return regexp.MustCompile(want).MatchString(people.out.String()) })
	}
	if out := people.out.String(); strings.Contains(out, "hello") || strings.Contains(out, "> sub") {
		t.Error(out)
	}
	programs.shows(`"client":"sub"`)
	var packets []string
	for line := range strings.Lines(programs.out.String()) {
		var e v1.TraceEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Topic != "t/1" && e.Topic != "t/0" || e.Node != "n1" {
			t.Error(err, line)
		}
		if e.Kind == "packet" && e.Topic == "t/1" {
			packets = append(packets, e.Client+" "+string(e.Payload))
		}
	}
	if got := strings.Join(packets, ", "); got != "c hello, sub hello" {
		t.Error(got)
	}
	late := o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "late"})
	late.Barrier()
	nets.shows("< late CONNECT")
	nets.shows("> late CONNACK")
	nets.shows("> late PINGRESP")
	for _, f := range []*following{people, programs, nets} {
		f.signals <- os.Interrupt
		f.end(exitDone)
	}
	ends := o.follow("trace", "--ip", "::1", "-d", "1s", "--rate", "1")
	ends.end(exitDone)
	if !strings.Contains(ends.errs.String(), "ended: time; 0 events were lost") {
		t.Error(ends.errs)
	}
	o.ctl(exitUsage, "trace")
	o.ctl(exitFailed, "trace", "--topic", "#/x")
}

// awaitTraces publishes until a trace that has been let in shows it.
func awaitTraces(o *operated, f *following, c *harness.Client) {
	o.t.Helper()
	harness.Poll(o.t, 0, func() bool {
		c.Publish(harness.Publish{Topic: "t/0"})
		return strings.Contains(f.out.String(), "t/0")
	})
}

func TestCtlWithoutTheRightToken(t *testing.T) {
	o := operate(t)
	for _, c := range []struct {
		env  []string
		args []string
		code int
		errs string
	}{
		{[]string{"SKEIN_HTTP=" + o.http}, []string{"nodes"}, exitToken, "skein: 401 Unauthorized: a bearer token is needed\n"},
		{o.env("wrong"), []string{"nodes"}, exitToken, "skein: 401 Unauthorized: the token is not known\n"},
		{o.env(ctlReader), []string{"reload"}, exitToken, "skein: 403 Forbidden: the token's scope is read, and this needs write\n"},
		{o.env(ctlReader), []string{"nodes", "--token-file", "none"}, exitUsage, "skein: --token-file: open none: " + syscall.ENOENT.Error() + "\n"},
		{o.env("wrong"), []string{"trace", "--client", "x"}, exitToken, "skein: 401 Unauthorized: the token is not known\n"},
	} {
		code, out, errs := run(t, c.env, append([]string{"ctl"}, c.args...)...)
		if code != c.code || out != "" || errs != c.errs {
			t.Errorf("%q: code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]int{ctlReader + "\n": exitDone, "": exitUsage, "a\nb": exitUsage, "wrong": exitToken} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := run(t, o.env("wrong"), "ctl", "nodes", "--token-file", file); code != want {
			t.Errorf("%q: code %d\n%s%s", content, code, out, errs)
		}
	}
	for _, args := range [][]string{{"status"}, {"clients"}, {"retained", "list"}, {"bans", "list"}, {"refusals"}, {"drain", "state"}, {"log-level"}} {
		if code, out, errs := run(t, o.env(ctlReader), append([]string{"ctl"}, args...)...); code != exitDone {
			t.Errorf("%q: code %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestCtlOfANodeThatIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"nodes"}, {"trace", "--client", "x"}, {"subscribe", "t"}} {
		code, out, errs := run(t, nil, append([]string{"ctl", "--http", address}, args...)...)
		if code != exitUnreachable || out != "" || !strings.HasPrefix(errs, "skein: ask "+address+": ") {
			t.Errorf("%q: code %d\n%s%s", args, code, out, errs)
		}
	}
	if code, _, errs := run(t, nil, "ctl", "nodes", "--http", "ftp://x"); code != exitUsage {
		t.Errorf("code %d\n%s", code, errs)
	}
	if code, out, _ := run(t, []string{"SKEIN_HTTP=" + address}, "__complete", "ctl", "client", ""); code != exitDone || !strings.HasPrefix(out, ":") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestCtlCompletes(t *testing.T) {
	o := operate(t)
	o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "sensor-1"})
	o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "sensor-2"})
	o.mqtt.Connect(t, harness.Connect{Version: harness.V5, ID: "my-sensor"})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"kick", "sens"}, "sensor-1\nsensor-2\n:4\n"},
		{[]string{"client", "my"}, "my-sensor\n:4\n"},
		{[]string{"client", "my-sensor", ""}, ":4\n"},
		{[]string{"trace", "--client", "sensor-2"}, "sensor-2\n:4\n"},
		{[]string{"bans", "add", "client", "my"}, "my-sensor\n:4\n"},
		{[]string{"drain", "start", "--node", ""}, "n1\n:4\n"},
		{[]string{"clients", "--sort", "q"}, "id\nqueued\ninflight\ndropped\n:4\n"},
	} {
		if code, out, errs := run(t, o.env(ctlReader), append([]string{"__complete", "ctl"}, c.args...)...); code != 0 || out != c.want {
			t.Errorf("%q: %d %q, want %q\n%s", c.args, code, out, c.want, errs)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, errs := run(t, nil, "completion", shell); code != 0 || !strings.Contains(out, "skein") {
			t.Errorf("%s: code %d\n%s", shell, code, errs)
		}
	}
}
