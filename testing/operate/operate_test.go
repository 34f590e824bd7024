package operate

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-token-of-at-least-twenty"

// program is a broker that runs as a process, in a directory of its own.
type program struct {
	t      *testing.T
	binary string
	dir    string
	proc   *harness.Proc
	mqtt   string
	http   string
}

func start(t *testing.T) *program {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a test cannot send signals on Windows")
	}
	p := &program{t: t, dir: t.TempDir()}
	p.binary = filepath.Join(p.dir, "skein")
	if out, err := exec.Command("go", "build", "-o", p.binary, "github.com/skeinmq/skein/cmd/skein").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.write("token", secret+"\n")
	p.configure("0", "info")
	p.run()
	return p
}

func (p *program) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) configure(delay, level string) {
	p.write("c.yaml", fmt.Sprintf(`
listeners: [{url: "tcp://127.0.0.1:0"}]
http: {tokens: [{name: ops, scope: write, secret: "${file:token}"}]}
drain_delay: %s
drain_rate: 50
log: {level: %s}
`, delay, level))
}

func (p *program) run() {
	p.t.Helper()
	cmd := exec.Command(p.binary, "--config", "c.yaml", "--http", "127.0.0.1:0")
	cmd.Dir = p.dir
	p.proc = harness.StartCmd(p.t, cmd)
	p.proc.WaitOutput("msg=ready")
	p.mqtt = regexp.MustCompile(`tcp://127\.0\.0\.1:[0-9]+`).FindString(p.proc.Output())
	p.http = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`).FindString(p.proc.Output())
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.proc.Cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) request(ctx context.Context, method, path, body string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, p.http+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	return r
}

// ask answers status and body; 0 when nobody answers.
func (p *program) ask(method, path, body string) (int, string) {
	res, err := http.DefaultClient.Do(p.request(p.t.Context(), method, path, body))
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }() // it was read
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// listen reads n messages of a stream and answers their payloads and the last id.
func (p *program) listen(query, last string, n int) (payloads, id string) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	r := p.request(ctx, "GET", "/api/v1/subscribe?"+query, "")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != 200 {
		p.t.Fatalf("%v %v", res, err)
	}
	defer func() { _ = res.Body.Close() }() // it is cut
	for in := bufio.NewScanner(res.Body); n > 0 && in.Scan(); {
		field, value, _ := strings.Cut(in.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "data":
			var e v1.Event
			if err := json.Unmarshal([]byte(value), &e); err == nil && e.Payload != nil {
				payloads += *e.Payload
				n--
			}
		}
	}
	return payloads, id
}

// What the API acknowledged outlives the process, and who listens goes on where it was.
func TestTheChannelOutlivesTheProcess(t *testing.T) {
	p := start(t)
	if status, body := p.ask("GET", "/readyz", ""); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	const query = "filter=a&session=one"
	if got, _ := p.listen(query, "", 0); got != "" {
		t.Error(got)
	}
	publish := func(payload string) {
		if status, body := p.ask("POST", "/api/v1/publish", `{"topic":"a","qos":1,"payload":"`+payload+`"}`); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	for i := range 5 {
		publish(fmt.Sprint(i))
	}
	got, _ := p.listen(query, "", 3)
	if got != "012" {
		t.Errorf("%q", got)
	}
	var at string
	if got, at = p.listen(query, "", 2); got != "01" { // nothing was said to be received
		t.Errorf("%q", got)
	}
	p.proc.Kill()
	p.run()
	publish("5")
	if got, _ = p.listen(query, at, 4); got != "2345" {
		t.Errorf("%q after %s", got, at)
	}
	p.signal(syscall.SIGTERM)
	if code := p.proc.Wait(); code != 0 {
		t.Errorf("code %d\n%s", code, p.proc.Output())
	}
}

// SIGTERM: not ready, then the clients go, then the process.
func TestSIGTERMDrains(t *testing.T) {
	p := start(t)
	p.configure("500ms", "warn")
	if status, body := p.ask("POST", "/api/v1/reload", ""); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := p.ask("GET", "/api/v1/log-level", ""); status != 200 || !strings.Contains(body, "warn") {
		t.Errorf("%d %s", status, body)
	}
	b := &harness.Broker{TCP: p.mqtt}
	c := b.Client(t, harness.V5)
	p.signal(syscall.SIGTERM)
	harness.Poll(t, 0, func() bool {
		status, body := p.ask("GET", "/readyz", "")
		return status == 503 && strings.Contains(body, "not ready: ")
	})
	c.Barrier() // nobody has been sent away yet
	b.Client(t, harness.V311).Barrier()
	c.ExpectRefused(0x8B)
	if code := p.proc.Wait(); code != 0 {
		t.Errorf("code %d\n%s", code, p.proc.Output())
	}
	if status, _ := p.ask("GET", "/healthz", ""); status != 0 {
		t.Errorf("%d after the end", status)
	}
	http.DefaultClient.CloseIdleConnections()
}
