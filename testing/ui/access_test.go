package ui

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

// The token is asked for once, lives with its tab, and is asked for again when it is not
// taken any more.
func TestToken(t *testing.T) {
	b := serve(t)
	p := open(t, b.url)
	p.allow("401")
	p.until("document.activeElement?.id === 'token'")
	p.shoot("sign-in-light")
	p.window(phone, "dark")
	p.shoot("sign-in-phone-dark")
	p.window(desk, "light")

	p.signIn("a-token-that-nobody-has-0123456789")
	p.reads("No such token.")
	if kept := eval[int](p, "sessionStorage.length"); kept != 0 {
		t.Error("a token that is nobody's is kept")
	}
	p.shoot("sign-in-wrong")
	p.signIn("tokéns have plain characters ☃")
	p.reads("No such token.")
	p.signIn(writer)
	p.reads("Connections")
	if where := eval[string](p, "[...Object.keys(sessionStorage)].join() + '|' + Object.values(localStorage).join() + '|' + document.cookie"); where != "skein.token||" {
		t.Errorf("the token is kept in %q", where)
	}
	p.do(chromedp.Navigate(b.url + "/#/clients"))
	p.do(chromedp.Reload())
	p.reads("No client is like that.")

	next := *b.config
	next.HTTP.Tokens = []config.Token{{Name: "ops", Scope: config.ScopeWrite, Secret: "another-token-that-may-write-0123"}}
	if err := b.node.Reload(&next); err != nil {
		t.Fatal(err)
	}
	p.reads("The token is not taken any more.")
	if kept := eval[int](p, "sessionStorage.length"); kept != 0 {
		t.Error("a token that is not taken is kept")
	}
	p.signIn("another-token-that-may-write-0123")
	p.reads("No client is like that.") // where it was
	p.click("Sign out")
	p.until("document.getElementById('token') !== null")
	if kept := eval[int](p, "sessionStorage.length"); kept != 0 {
		t.Error("a token is kept after signing out")
	}
}

// A token that may only read is offered no change.
func TestReadOnly(t *testing.T) {
	b := serve(t)
	b.Connect(t, harness.Connect{ID: "somebody"}).Publish(harness.Publish{Topic: "a/b", Payload: "x", Retain: true})
	b.api("POST", "/api/v1/bans", map[string]any{"kind": "user", "value": "nobody"}, nil)
	p := open(t, b.url)
	p.signIn(reader)
	p.reads("Connections")
	p.until("document.querySelector('.who').innerText.includes('read only')")
	for address, changes := range map[string][]string{
		"client?id=somebody": {"Send a message", "Ban", "Disconnect", "Delete the session"},
		"topics?topic=a/b":   {"Set a retained message", "Set", "Delete"},
		"bans":               {"Add a ban", "Lift"},
		"operate":            {"Drain", "Reload the configuration"},
		"trace":              {"Start"},
	} {
		p.to(address)
		for _, words := range changes {
			find := "[...document.querySelectorAll('main button')].find((b) => b.innerText.trim() === '" + words + "')"
			p.until(find + "?.disabled === true")
		}
	}
	p.to("operate")
	p.until("document.querySelector('main select')?.disabled === true")
}

// Everything can be done without a mouse: the way goes through all of the page, and what
// has the focus can be seen.
func TestKeyboard(t *testing.T) {
	b := serve(t)
	c := b.Connect(t, harness.Connect{ID: "somebody"})
	for _, topic := range []string{"home/attic/fan", "home/attic/lamp", "home/garden/door"} {
		c.Publish(harness.Publish{Topic: topic, Payload: "on " + topic, QoS: 1, Retain: true})
	}
	p := open(t, b.url)
	p.signIn(writer)
	p.reads("Connections")

	eval[chromedp.Void](p, "document.activeElement.blur()")
	p.press(kb.Tab)
	if f := p.focused(); f != "Skip to the content" {
		t.Errorf("first is %q", f)
	}
	p.shoot("skip-link")
	p.press(kb.Enter)
	p.until("document.activeElement.id === 'main'")

	for _, view := range []string{"Clients", "Slow subscribers", "Refusals", "Topics", "Trace", "Test client", "Bans", "Operate", "Overview"} {
		p.tabTo(view)
		if style := eval[string](p, "getComputedStyle(document.activeElement).outlineStyle"); style == "none" {
			t.Errorf("%s: the focus cannot be seen", view)
		}
		p.press(kb.Enter)
		p.until("document.activeElement.tagName === 'H1' && document.activeElement.innerText === '" + view + "'")
		p.until("document.querySelector('nav [aria-current=page]').innerText.trim() === '" + view + "'")
	}

	p.tabTo("Topics")
	p.press(kb.Enter)
	p.until("document.querySelector('[role=treeitem]') !== null")
	for range 50 { // Tab comes into the tree once
		if eval[bool](p, "document.activeElement.getAttribute('role') === 'treeitem'") {
			break
		}
		p.press(kb.Tab)
	}
	p.press(kb.ArrowRight)
	p.until("document.querySelectorAll('[role=group] [role=treeitem]').length === 2")
	p.press(kb.ArrowRight, kb.ArrowRight)
	p.until("document.querySelectorAll('[role=treeitem]').length >= 5")
	p.press(kb.ArrowRight, kb.ArrowDown, kb.Enter)
	p.reads("on home/attic/lamp")
	p.shoot("tree")
	p.press(kb.ArrowLeft, kb.ArrowLeft)
	p.until("document.querySelectorAll('[role=group] [role=group]').length === 0")

	p.tabTo("Set")
	p.press(kb.Enter)
	p.until("document.querySelector('dialog[open]')?.contains(document.activeElement)")
	p.shoot("dialog")
	for range 20 { // the dialog keeps the focus
		p.press(kb.Tab)
		p.until("document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement)")
	}
	p.press(kb.Escape)
	p.until("document.querySelector('dialog') === null")
	if f := p.focused(); f != "Set" {
		t.Errorf("after the dialog %q has the focus", f)
	}

	p.window(phone, "light")
	p.tabTo("Menu")
	p.press(kb.Enter)
	p.tabTo("Bans")
	p.shoot("menu-phone")
	p.press(kb.Escape)
	if f := p.focused(); f != "Menu" {
		t.Errorf("after the menu %q has the focus", f)
	}
}

// The theme is the system's, or the one that was chosen, and stays.
func TestTheme(t *testing.T) {
	b := serve(t)
	p := open(t, b.url)
	back := "getComputedStyle(document.body).backgroundColor"
	light := eval[string](p, back)
	p.window(desk, "dark")
	dark := eval[string](p, back)
	if light == dark {
		t.Fatal("the system's theme makes no difference")
	}
	p.click("Theme: as the system")
	p.until(back + " === '" + light + "'")
	p.do(chromedp.Reload())
	p.until(back + " === '" + light + "'")
	p.click("Theme: light")
	p.window(desk, "light")
	p.until(back + " === '" + dark + "'")
}
