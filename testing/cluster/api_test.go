package cluster

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	. "github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// ofTheNode are the operations that are about the node that is asked and name no other.
var ofTheNode = []string{"health", "ready", "metrics", "page", "pageFile", "webSocket", "document", "version"}

// request asks a node's API.
func (n *node) request(ctx context.Context, t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+n.http+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// asked answers status and body.
func (n *node) asked(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	res := n.request(t.Context(), t, method, path, body)
	defer func() { _ = res.Body.Close() }() // it was read
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// streams reads a stream of a node until a line has what is wanted; act is called again and
// again from its first line on.
func (n *node) streams(t *testing.T, path, want string, act func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	res := n.request(ctx, t, "GET", path, "")
	defer func() { _ = res.Body.Close() }() // what is left is of no use
	lines := bufio.NewScanner(res.Body)
	if res.StatusCode != http.StatusOK || !lines.Scan() {
		t.Fatalf("%s: status %d", path, res.StatusCode)
	}
	found := make(chan bool, 1)
	go func() {
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				found <- true
				return
			}
		}
		found <- false // ctx has ended it at the latest
	}()
	server.Poll(t, 0, func() bool {
		act()
		select {
		case ok := <-found:
			if !ok {
				t.Errorf("%s: no %q: %v", path, want, lines.Err())
			}
			return true
		default:
			return false
		}
	})
}

// call is a request that the first node gets about what another one has.
type call struct {
	operation, method, path, body string
	status                        int
	want                          string // in the answer
	then                          func() // looks at what it changed
}

// TestAPIOfAnyNode asks one node about clients, sessions and settings of the others: each
// operation of the document.
func TestAPIOfAnyNode(t *testing.T) {
	enabled(t)
	t.Parallel()
	c := start(t, options{settings: "drain_delay: 10m"})
	n0, n1, n2 := c.nodes[0], c.nodes[1], c.nodes[2]
	online, away := n1.Connect(t, keep(V5, "online")), n2.Connect(t, keep(V5, "away"))
	online.Subscribe("live/#", 1)
	away.Subscribe("later", 1)
	away.Leave()
	p := n1.Client(t, V5)
	p.Publish(Publish{Topic: "live/first", QoS: 1, Payload: "not acknowledged"})
	p.Publish(Publish{Topic: "later", QoS: 1, Payload: "waits"})
	p.Publish(Publish{Topic: "kept/one", QoS: 1, Retain: true, Payload: "retained"})
	online.Next() // it has it and acknowledges nothing
	seen := map[string]bool{}
	for _, o := range ofTheNode {
		seen[o] = true
	}
	look := func(k call) {
		seen[k.operation] = true
		status, body := n0.asked(t, k.method, k.path, k.body)
		if status != k.status || !strings.Contains(body, k.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", k.method, k.path, status, body, k.status, k.want)
		}
		if k.then != nil {
			k.then()
		}
	}
	for _, k := range apiReads {
		look(k)
	}
	seen["subscribe"], seen["trace"] = true, true
	n0.streams(t, "subscribe?filter=streamed", "to the stream", func() {
		p.Publish(Publish{Topic: "streamed", QoS: 1, Payload: "to the stream"})
	})
	n0.streams(t, "trace?topic=traced", "traced", func() { // the other nodes begin a moment later
		p.Publish(Publish{Topic: "traced", QoS: 1, Payload: "x"})
	})
	for _, k := range apiChanges(t, c, online) {
		look(k)
	}
	for _, o := range operations(t) {
		if !seen[o] {
			t.Errorf("%s is not asked for", o)
		}
	}
}

var apiReads = []call{
	{operation: "nodes", method: "GET", path: "nodes", status: 200, want: `"name":"n2"`},
	{operation: "stats", method: "GET", path: "stats?node=n1", status: 200, want: `"node":"n1"`},
	{operation: "clients", method: "GET", path: "clients?search=onlin", status: 200, want: `"node":"n1"`},
	{operation: "client", method: "GET", path: "clients/away", status: 200, want: `"node":"n2"`},
	{operation: "subscriptions", method: "GET", path: "clients/online/subscriptions", status: 200, want: `live/#`},
	{operation: "queue", method: "GET", path: "clients/away/queue", status: 200, want: `waits`},
	{operation: "inflight", method: "GET", path: "clients/online/inflight", status: 200, want: `not acknowledged`},
	{operation: "subscribers", method: "GET", path: "subscribers?topic=live/a", status: 200, want: `online`},
	{operation: "topics", method: "GET", path: "topics?parent=kept", status: 200, want: `one`},
	{operation: "retained", method: "GET", path: "retained?filter=kept/%23", status: 200, want: `retained`},
	{operation: "retainedMessage", method: "GET", path: "retained/message?topic=kept/one", status: 200, want: `retained`},
	{operation: "drainState", method: "GET", path: "drain?node=n1", status: 200, want: `none`},
	{operation: "logLevel", method: "GET", path: "log-level?node=n1", status: 200, want: `info`},
}

// apiChanges are the operations that change something, each with a look at the node whose
// it is.
func apiChanges(t *testing.T, c *cluster, online *Client) []call {
	n1, n2 := c.nodes[1], c.nodes[2]
	has := func(n *node, path string, want int, text string) func() {
		return func() {
			t.Helper()
			if status, body := n.asked(t, "GET", path, ""); status != want || !strings.Contains(body, text) {
				t.Errorf("%s: %s: %d %s, want %d with %q", n.name, path, status, body, want, text)
			}
		}
	}
	retained := func(want string) func() {
		return func() {
			if got := keeps(t, n2, "kept/two")["kept/two"]; got != want {
				t.Errorf("a subscriber gets %q, want %q", got, want)
			}
		}
	}
	return []call{
		{"setRetained", "PUT", "retained/message?topic=kept/two", `{"payload":"set","qos":1}`, 200, "", retained("set")},
		{"deleteRetained", "DELETE", "retained/message?topic=kept/two", "", 204, "", retained("")},
		{"publish", "POST", "publish", `{"topic":"live/http","payload":"by http","qos":1}`, 200, `"committed":true`, func() {
			online.ExpectMessage("live/http", "by http")
		}},
		{"sendMessage", "POST", "clients/away/messages", `{"topic":"direct","payload":"to one","qos":1}`, 200, `"committed":true`, has(n2, "clients/away/queue?scope=node", 200, "to one")},
		{"setLogLevel", "PUT", "log-level?node=n1", `{"level":"warn"}`, 200, "warn", func() {
			has(n1, "log-level", 200, "warn")()
			has(n2, "log-level", 200, "info")()
		}},
		{"reload", "POST", "reload?node=n1", "", 200, "", nil},
		{"drain", "POST", "drain?node=n2", "", 202, "waiting", has(n2, "drain", 200, "waiting")},
		{"undrain", "DELETE", "drain?node=n2", "", 200, "none", has(n2, "drain", 200, "none")},
		{"addBan", "POST", "bans", `{"kind":"client","value":"banned"}`, 200, "", func() {
			if _, ack := n1.TryConnect(t, Connect{Version: V5, ID: "banned"}); ack.Code == 0 {
				t.Error("n1 lets in who was banned at n0")
			}
		}},
		{"refusals", "GET", "refusals", "", 200, "banned", nil},
		{"bans", "GET", "bans", "", 200, "banned", nil},
		{"removeBan", "DELETE", "bans?kind=client&value=banned", "", 204, "", func() {
			n1.Connect(t, Connect{Version: V5, ID: "banned"}).Drop()
		}},
		{"disconnect", "POST", "clients/online/disconnect", "", 204, "", func() { online.ExpectRefused(0x98) }},
		{"deleteClient", "DELETE", "clients/away", "", 204, "", func() {
			server.Poll(t, 0, func() bool {
				status, _ := n2.asked(t, "GET", "clients/"+url.PathEscape("away"), "")
				return status == http.StatusNotFound
			})
		}},
	}
}

// operations are those of the document.
func operations(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile("../../broker/api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`operationId: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		list = append(list, m[1])
	}
	if len(list) < 30 {
		t.Fatalf("the document has %q", list)
	}
	return list
}
