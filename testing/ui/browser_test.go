package ui

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/skeinmq/skein/testing/harness"
)

// patience is what a browser may take for one step on a machine that is busy.
const patience = 30 * time.Second

// size is a window.
type size struct{ width, height int64 }

var (
	desk  = size{1360, 900}
	phone = size{360, 740}
)

// page is a tab of a browser of its own, so that nothing is shared between tests.
type page struct {
	t    *testing.T
	ctx  context.Context
	base string // of the node: http://127.0.0.1:PORT

	mu     sync.Mutex
	wrong  []string // what no page may do
	expect []string // parts of what a test means to go wrong
}

// open starts a browser and shows a node's page.
func open(t *testing.T, base string) *page {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: make ui installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	p := &page{t: t, ctx: ctx, base: base}
	t.Cleanup(func() {
		ctx, timeout := context.WithTimeout(ctx, patience)
		defer timeout()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("end the browser: %v", err)
		}
		cancel()
		p.judge()
	})
	if err := chromedp.Listen(ctx, p.watch); err != nil { // it starts the browser
		t.Fatal(err)
	}
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	p.window(desk, "light")
	p.do(chromedp.Navigate(base + "/"))
	return p
}

// watch notes what a page may not do. It is called one event after the other.
func (p *page) watch(ev any) {
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		if url := ev.Request.URL; !strings.HasPrefix(url, p.base+"/") && !strings.HasPrefix(url, "data:") {
			p.blame("request to another host: " + url)
		}
	case *network.EventWebSocketCreated:
		if "http"+strings.TrimPrefix(ev.URL, "ws") != p.base+"/mqtt" {
			p.blame("WebSocket to another host: " + ev.URL)
		}
	case *runtime.EventExceptionThrown:
		p.blame(fmt.Sprintf("exception: %s %s", ev.ExceptionDetails.Text, words([]*runtime.RemoteObject{ev.ExceptionDetails.Exception})))
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning || ev.Type == runtime.ConsoleAPICalledTypeAssert {
			p.blame(fmt.Sprintf("console %s: %s", ev.Type, words(ev.Args)))
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
			p.blame(fmt.Sprintf("browser %s: %s %s", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL))
		}
	}
}

func words(args []*runtime.RemoteObject) string {
	var b strings.Builder
	for _, a := range args {
		fmt.Fprintf(&b, "%s%s ", a.Value, a.Description)
	}
	return b.String()
}

func (p *page) blame(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, what)
}

// allow says what a test means to go wrong: a browser logs every answer that is an error.
func (p *page) allow(part string) { p.expect = append(p.expect, part) }

func (p *page) judge() {
	p.mu.Lock()
	defer p.mu.Unlock()
next:
	for _, w := range p.wrong {
		for _, part := range p.expect {
			if strings.Contains(w, part) {
				continue next
			}
		}
		p.t.Error(w)
	}
}

// do runs steps; one that fails ends the test, with a screenshot.
func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.fail(err)
	}
}

func (p *page) fail(err error) {
	p.t.Helper()
	p.shoot("failed")
	p.t.Fatalf("%v; the page says:\n%s", err, p.text())
}

// call sends a command of the browser's protocol.
func call[P, R any](p *page, command cdp.Command[P, R], params P) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, command, params); err != nil {
		p.t.Fatal(err)
	}
}

// text is what can be read on the page, for messages.
func (p *page) text() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText")) // the page may be gone
	return text
}

// eval is a value of the page.
func eval[T any](p *page, js string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		p.fail(fmt.Errorf("%s: %w", js, err))
	}
	return v
}

// until waits for a condition of the page.
func (p *page) until(js string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	poll := chromedp.Poll[bool](js, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience))
	if _, err := chromedp.Run(ctx, poll); err != nil {
		p.fail(fmt.Errorf("waiting for %s: %w", js, err))
	}
}

// reads waits until something can be read in the main part.
func (p *page) reads(words string) {
	p.t.Helper()
	p.until(fmt.Sprintf("(document.querySelector('dialog[open]') ?? document.querySelector('main') ?? document.body).innerText.includes(%q)", words))
}

// says waits for a note.
func (p *page) says(words string) {
	p.t.Helper()
	p.until(fmt.Sprintf("[...document.querySelectorAll('.toast')].some((t) => t.innerText.includes(%q))", words))
}

// to shows a view.
func (p *page) to(address string) {
	p.t.Helper()
	eval[chromedp.Void](p, fmt.Sprintf("location.hash = %q", "#/"+address))
}

// click presses the button or link with a text, in the dialog if one is open.
func (p *page) click(words string) {
	p.t.Helper()
	find := fmt.Sprintf(`[...(document.querySelector('dialog[open]') ?? document).querySelectorAll('button, a, summary')].find((b) => (b.innerText.trim() === %[1]q || b.getAttribute('aria-label') === %[1]q) && !b.disabled)`, words)
	p.until(find + " !== undefined")
	eval[chromedp.Void](p, find+".click()")
}

// fill types into the field with a label; where is a selector of what it is in.
func (p *page) fill(where, label, text string) {
	p.t.Helper()
	js := fmt.Sprintf(`(() => {
		const l = [...document.querySelectorAll(%q + ' label')].find((l) => l.textContent.trim() === %q);
		const c = document.getElementById(l.htmlFor) ?? l.querySelector('input');
		c.focus();
		if (c.type === 'checkbox') c.checked = %q === 'true';
		else c.value = %q;
		c.dispatchEvent(new Event('input', { bubbles: true }));
		c.dispatchEvent(new Event('change', { bubbles: true }));
		return true;
	})()`, where, label, text, text)
	eval[chromedp.Void](p, js)
}

// press sends keys as a keyboard does.
func (p *page) press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.do(chromedp.KeyEvent(k))
	}
}

// focused is what has the focus: its text or label.
func (p *page) focused() string {
	p.t.Helper()
	return eval[string](p, "(document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.innerText ?? '').trim()")
}

// tabTo presses Tab until something has the focus; a trap on the way fails the test.
func (p *page) tabTo(words string) {
	p.t.Helper()
	for range 200 {
		if p.focused() == words {
			return
		}
		p.press(kb.Tab)
	}
	p.t.Fatalf("Tab does not come to %q", words)
}

// window sets the size of the page and the theme of its system.
func (p *page) window(s size, theme string) {
	p.t.Helper()
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s == phone})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// signIn shows a token.
func (p *page) signIn(token string) {
	p.t.Helper()
	p.until("document.getElementById('token') !== null")
	eval[chromedp.Void](p, "document.getElementById('token').focus()")
	p.press(token, kb.Enter)
}

// shoot writes a screenshot to the test's artifacts.
func (p *page) shoot(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Logf("screenshot %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), png, 0o600); err != nil {
		p.t.Error(err)
	}
}

func TestMain(m *testing.M) { harness.Main(m) }
