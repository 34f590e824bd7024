package ui

import (
	"fmt"
	"net/http"
	"testing"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/testing/harness"
)

// What is done to clients, bans, topics and the node is done.
func TestChanges(t *testing.T) {
	b := serve(t)
	keep := harness.Connect{ID: "a/b c?d#e%2F", Keep: true, Props: [][]byte{harness.Prop(harness.PSessionExpiry, harness.U32(600))}}
	c := b.Connect(t, keep)
	c.Subscribe("to/them", 1)
	p := open(t, b.url)
	p.allow("404")
	p.signIn(writer)
	p.reads("Connections")

	p.to("clients")
	p.click(keep.ID)
	p.reads("to/them")
	p.click("Disconnect")
	p.reads("is sent away")
	p.shoot("confirm")
	click(p, "Disconnect")
	p.says("The client is disconnected.")
	c.ExpectRefused(0x98)
	p.reads("away")

	p.click("Send a message")
	p.fill("dialog", "Topic", "to/them/alone")
	p.fill("dialog", "Payload", "a word")
	p.click("Send")
	p.says("Published")
	p.reads("to/them/alone")
	p.reads("a word")

	p.click("Delete the session")
	p.reads("This cannot be undone.")
	click(p, "Delete")
	p.says("The session is deleted.")
	if code := b.api("GET", "/api/v1/clients/a%2Fb%20c%3Fd%23e%252F", nil, nil); code != http.StatusNotFound {
		t.Errorf("the session is there: %d", code)
	}
	p.to("client?id=gone")
	p.reads("There is no such client now.")

	bans(p, b)
	retained(p, b)
	node(p, b)
}

// click presses a button of the dialog that is open.
func click(p *page, words string) {
	p.t.Helper()
	p.until("document.querySelector('dialog[open]') !== null")
	p.click(words)
	p.until("document.querySelector('dialog[open]') === null")
}

func bans(p *page, b *bed) {
	p.to("bans")
	p.reads("Nobody is banned.")
	p.click("Add a ban")
	p.fill("dialog", "Kind", "address")
	p.fill("dialog", "Whom", "not a network")
	p.click("Ban")
	p.allow("400")
	p.until("document.querySelector('dialog [role=alert]').innerText.length > 5") // it says why, and stays
	p.shoot("ban-wrong")
	p.fill("dialog", "Whom", "192.0.2.0/24")
	p.fill("dialog", "Until", "2199-01-01T12:00:00")
	p.fill("dialog", "Reason", "testing")
	click(p, "Ban")
	p.says("Banned")
	p.reads("192.0.2.0/24")
	p.shoot("bans")
	var list v1.Bans
	b.api("GET", "/api/v1/bans", nil, &list)
	if len(list.Bans) != 1 || list.Bans[0].Kind != "address" || list.Bans[0].Until == nil || list.Bans[0].Reason != "testing" {
		p.t.Errorf("banned: %+v", list)
	}
	p.click("Lift")
	click(p, "Lift")
	p.reads("Nobody is banned.")
}

func retained(p *page, b *bed) {
	p.to("topics")
	p.click("Set a retained message")
	p.fill("dialog", "Topic", "house/hall/lamp")
	p.fill("dialog", "Payload as", "hex")
	p.fill("dialog", "Payload", "ff 00 zz")
	p.click("Publish")
	p.reads("not pairs of hexadecimal digits")
	p.fill("dialog", "Payload", "ff 00 41")
	p.fill("dialog", "Content type", "application/x-lamp")
	click(p, "Publish")
	p.reads("ff 00 41")
	p.reads("application/x-lamp")
	var m v1.Stored
	b.api("GET", "/api/v1/retained/message?topic=house/hall/lamp", nil, &m)
	if string(m.PayloadBase64) != "\xff\x00A" || m.ContentType != "application/x-lamp" {
		p.t.Errorf("stored: %+v", m)
	}
	p.click("Delete")
	p.shoot("delete-retained")
	click(p, "Delete")
	p.reads("This topic has no retained message.")
	if code := b.api("GET", "/api/v1/retained/message?topic=house/hall/lamp", nil, nil); code != http.StatusNotFound {
		p.t.Errorf("it is there: %d", code)
	}
}

func node(p *page, b *bed) {
	p.to("operate")
	p.click("Reload the configuration")
	click(p, "Reload")
	p.says("The configuration is in force.")
	p.fill("main", "Log level", "debug")
	click(p, "Change")
	p.says("The log level is debug.")
	var level v1.LogLevel
	if b.api("GET", "/api/v1/log-level", nil, &level); level.Level != "debug" {
		p.t.Errorf("the level is %q", level.Level)
	}
	p.click("Drain")
	click(p, "Drain")
	p.says("The drain has begun.")
	p.until("document.querySelector('.node-state')?.innerText.includes('draining')")
	p.shoot("draining")
	p.click("End the drain")
	click(p, "End the drain")
	p.until("document.querySelector('.node-state')?.innerText.includes('ready')")
	p.shoot("operate")
}

// The test client speaks MQTT 5 with the node, in every QoS and with properties.
func TestTestClient(t *testing.T) {
	b := serve(t)
	other := b.Connect(t, harness.Connect{ID: "other"})
	other.Subscribe("to/other", 2)
	p := open(t, b.url)
	p.signIn(writer)
	p.reads("Connections")
	p.to("console")
	const connection, subscribe, publish = "[aria-label=Connection]", "form[aria-label=Subscribe]", "form[aria-label=Publish]"

	p.fill(connection, "Client id", "page")
	p.fill(connection, "Session expiry (s)", "60")
	p.fill(connection, "Topic", "will/of/page")
	p.fill(connection, "Payload", "it is gone")
	p.click("Connect")
	p.reads("Connected as page")
	p.fill(subscribe, "Filter", "from/#")
	p.fill(subscribe, "QoS", "2")
	p.fill(subscribe, "Subscription identifier", "77")
	p.click("Subscribe")
	p.reads("Subscribed to from/# with QoS 2")

	p.fill(publish, "Topic", "to/other")
	p.click("Properties")
	p.fill(publish, "Expires after (s)", "100")
	p.fill(publish, "Content type", "text/plain")
	p.fill(publish, "Response topic", "from/other")
	p.fill(publish, "Correlation data", "c-1")
	p.fill(publish, "Payload is UTF-8 (payload format 1)", "true")
	p.click("Add a user property")
	p.until("document.activeElement.placeholder === 'name'")
	p.press("who")
	eval[any](p, "document.activeElement.nextElementSibling.focus()")
	p.press("the page")
	for qos := range 3 {
		p.fill(publish, "QoS", fmt.Sprint(qos))
		p.fill(publish, "Payload", fmt.Sprintf("größer als %d", qos))
		p.click("Publish")
		m := other.ExpectMessage("to/other", fmt.Sprintf("größer als %d", qos))
		if m.QoS() != byte(qos) {
			t.Errorf("QoS %d, want %d", m.QoS(), qos)
		}
		ps := m.Props
		if left := ps.Num(harness.PMessageExpiry, 0); left < 90 || left > 100 {
			t.Errorf("expires after %d", left)
		}
		if ps.Num(harness.PPayloadFormat, 0) != 1 || ps.Text(harness.PContentType) != "text/plain" || ps.Text(harness.PResponseTopic) != "from/other" ||
			ps.Text(harness.PCorrelationData) != "c-1" || len(ps.All(harness.PUserProperty)) != 1 || ps.All(harness.PUserProperty)[0].Str != "who" {
			t.Errorf("properties: %+v", ps)
		}
	}
	p.until("[...document.querySelectorAll('.log .sub')].filter((s) => s.innerText.includes('Success')).length === 2")

	for qos := range byte(3) {
		other.Publish(harness.Publish{Topic: fmt.Sprintf("from/other/%d", qos), Payload: fmt.Sprintf(`{"qos": %d}`, qos), QoS: qos, Props: [][]byte{harness.UserProp("who", "the other")}})
		p.reads(fmt.Sprintf("from/other/%d", qos))
	}
	p.until("document.querySelector('.log details') !== null")
	eval[any](p, "document.querySelector('.log details summary').click()")
	p.reads("the other")
	p.reads("77")
	p.shoot("test-client-light")
	p.window(phone, "dark")
	eval[any](p, "document.querySelector('.log').scrollIntoView()")
	p.shoot("test-client-phone-dark")
	p.window(desk, "light")

	p.to("bans") // it lives on while another view is shown
	p.reads("Nobody is banned.")
	other.Publish(harness.Publish{Topic: "from/other/later", Payload: "still there", QoS: 2})
	p.to("console")
	p.reads("still there")
	other.Subscribe("will/#", 1)
	b.api("POST", "/api/v1/clients/page/disconnect", nil, nil)
	p.reads("Administrative action (0x98)")
	p.reads("not connected")
	other.ExpectMessage("will/of/page", "it is gone")

	p.fill(connection, "Clean start", "false")
	p.click("Connect")
	p.reads("the session was there before")
	p.click("Unsubscribe from from/#")
	p.reads("Unsubscribed from from/#: Success")
	p.click("Disconnect")
	p.reads("Disconnected.")
	b.api("POST", "/api/v1/bans", map[string]any{"kind": "client", "value": "page"}, nil)
	p.click("Connect")
	p.reads("Refused: Banned (0x8A)")
}

// A trace shows packets and decisions as they happen.
func TestTrace(t *testing.T) {
	b := serve(t)
	c := b.Connect(t, harness.Connect{ID: "traced"})
	p := open(t, b.url)
	p.allow("400")
	p.signIn(writer)
	p.reads("Connections")
	p.to("trace")
	p.click("Start")
	p.reads("client, topic or ip must say what is traced")
	p.to("trace?client=traced")
	p.until("document.querySelector('main form input').value === 'traced'")
	p.fill("main form", "With payloads", "true")
	p.click("Start")
	p.reads("Tracing")
	c.Subscribe("x/#", 1)
	c.Publish(harness.Publish{Topic: "x/y", Payload: hostile, QoS: 1})
	p.reads("SUBSCRIBE")
	p.reads("PUBLISH")
	p.reads(hostile)
	p.shoot("trace-light")
	p.window(phone, "dark")
	p.shoot("trace-phone-dark")
	p.click("Stop")
	p.reads("Stopped.")
}
