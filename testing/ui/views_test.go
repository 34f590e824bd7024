package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skeinmq/skein/testing/harness"
)

// hostile is a name that is markup, for everything that somebody else may choose.
const hostile = `<img src=/x onerror="document.title='owned'"><b>bold</b>`

// populate gives a node what the views show.
func populate(b *bed) {
	t := b.t
	rooms := []string{"hall", "kitchen", "cellar", "roof"}
	for i := range 60 {
		c := b.Connect(t, harness.Connect{ID: fmt.Sprintf("sensor-%03d", i), User: fmt.Sprintf("building-%d", i%4)})
		c.Subscribe(fmt.Sprintf("building/%d/%s/set", i%4, rooms[i%4]), 1)
	}
	watcher := b.Connect(t, harness.Connect{ID: "watcher"})
	watcher.Subscribe("building/#", 0)
	go func() { _, _ = watcher.Conn.Read(make([]byte, 1)) }() // what comes is not of interest

	pub := b.Connect(t, harness.Connect{ID: "gateway-north"})
	for _, room := range rooms {
		for n := range 3 {
			pub.Publish(harness.Publish{Topic: fmt.Sprintf("building/%d/%s/state", n, room), Payload: `{"on":true,"level":9007199254740993,"tags":[]}`, QoS: 1, Retain: true,
				Props: [][]byte{harness.Prop(harness.PContentType, harness.Str("application/json")), harness.UserProp("source", "gateway")}})
		}
	}
	away := b.Connect(t, harness.Connect{ID: "display-7", Keep: true, Props: [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(86400))}})
	away.Subscribe("building/1/+/set", 1)
	away.Leave()
	for n := range 40 {
		pub.Publish(harness.Publish{Topic: "building/1/kitchen/set", Payload: fmt.Sprintf(`{"level": %d}`, n), QoS: 1})
		pub.Publish(harness.Publish{Topic: "building/1/kitchen/set", Payload: "now", QoS: 0})
	}
	bad := b.Connect(t, harness.Connect{ID: hostile, User: hostile, Keep: true, Props: [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(86400))}})
	bad.Subscribe(hostile+"/#", 1)
	bad.Leave()
	pub.Publish(harness.Publish{Topic: hostile + "/t", Payload: hostile, QoS: 1, Retain: true, Props: [][]byte{harness.UserProp(hostile, hostile), harness.Prop(harness.PContentType, harness.Str(hostile))}})
	if code := b.api("POST", "/api/v1/bans", map[string]any{"kind": "client", "value": hostile + "2", "reason": hostile}, nil); code != 200 {
		t.Fatalf("ban: %d", code)
	}
	if _, ack := b.TryConnect(t, harness.Connect{ID: hostile + "2", User: hostile}); ack.Code != 0x8A {
		t.Fatalf("not refused: %v", ack)
	}
	b.traffic(20*time.Millisecond, "building/0/hall/set", "building/2/cellar/set", "nobody/listens")
}

// Every view is shown, with what it is for, at every size and in both themes.
func TestViews(t *testing.T) {
	b := serve(t)
	p := open(t, b.url)
	populate(b)
	p.signIn(writer)
	views := []struct{ name, address, wants string }{
		{"overview", "overview", "No subscriber"},
		{"clients", "clients", "sensor-030"},
		{"client", "client?id=display-7", "building/1/+/set"},
		{"slow", "slow", "display-7"},
		{"refusals", "refusals", "Banned"},
		{"topics", "topics?topic=building/1/kitchen/state", "9007199254740993"},
		{"topics-filter", "topics?filter=building/%2B/hall/state", "building/2/hall/state"},
		{"trace", "trace", "Nothing is traced"},
		{"console", "console", "not connected"},
		{"bans", "bans", hostile + "2"},
		{"operate", "operate", "Reload the configuration"},
	}
	for _, v := range views {
		p.window(desk, "light")
		p.to(v.address)
		p.reads(v.wants)
		if v.name == "overview" { // lines, not a first point
			p.until("[...document.querySelectorAll('.plot .line')].filter((l) => l.getAttribute('d').split('L').length > 4).length >= 5")
		}
		p.shoot(v.name + "-light")
		p.window(desk, "dark")
		p.shoot(v.name + "-dark")
		p.window(phone, "light")
		if wide := eval[int](p, "document.documentElement.scrollWidth"); int64(wide) > phone.width {
			t.Errorf("%s: %d pixels wide on a phone", v.name, wide)
		}
		if n := eval[int](p, "document.querySelectorAll('main h1').length"); n != 1 {
			t.Errorf("%s: %d main headings", v.name, n)
		}
		if bad := eval[[]string](p, unlabelled); len(bad) > 0 {
			t.Errorf("%s: without a name: %q", v.name, bad)
		}
		p.shoot(v.name + "-phone")
	}
}

// unlabelled are the controls that a screen reader has no name for.
const unlabelled = `[...document.querySelectorAll('button, a, input, select, textarea, [role=region], [role=tree], [role=img]')].filter((e) => {
	if (!e.checkVisibility()) return false;
	const words = e.getAttribute('aria-label') || (e.labels && [...e.labels].map((l) => l.innerText).join('')) || (e.matches('input, select, textarea') ? '' : e.textContent);
	return !words?.trim();
}).map((e) => e.outerHTML.slice(0, 120))`

// What others choose is text, wherever it is shown.
func TestNamesAreText(t *testing.T) {
	b := serve(t)
	p := open(t, b.url)
	populate(b)
	p.signIn(writer)
	p.reads("Connections")
	address := func(view, key string) string {
		return view + "?" + key + "=" + strings.NewReplacer("%", "%25", "<", "%3C", ">", "%3E", "\"", "%22", " ", "%20", "#", "%23", "&", "%26", "+", "%2B", "=", "%3D").Replace(map[string]string{"id": hostile, "topic": hostile + "/t", "search": "bold"}[key])
	}
	for _, view := range []string{address("clients", "search"), address("client", "id"), address("topics", "topic"), "topics?filter=%23", "refusals", "bans"} {
		p.to(view)
		p.reads(hostile)
		p.until("document.querySelector('main b, main img') === null && !document.title.includes('owned')")
		p.shoot("hostile-" + strings.SplitN(view, "?", 2)[0])
	}
}
