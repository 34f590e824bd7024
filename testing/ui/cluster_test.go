package ui

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
	"github.com/skeinmq/skein/testing/server"
)

// The page of one node of three shows all of them, and changes what is another one's.
func TestThreeNodes(t *testing.T) {
	redis := server.StartRedis(t)
	beds := make([]*bed, 3)
	for i := range beds {
		beds[i] = serveAs(t, fmt.Sprintf("knot-%d", i+1), func(c *config.Config) {
			c.Bridge.Redis.URL = config.Secret(redis.URL())
		})
		for k := range 3 {
			c := beds[i].Connect(t, harness.Connect{ID: fmt.Sprintf("client-%d-of-knot-%d", k, i+1)})
			c.Subscribe("to/all", 1)
		}
	}
	p := open(t, beds[0].url)
	p.signIn(writer)
	p.until("document.querySelector('.node-state')?.innerText?.includes('3 nodes')")
	for _, name := range []string{"knot-1", "knot-2", "knot-3", "Mailboxes"} {
		p.reads(name)
	}
	p.until("document.querySelector('.tile-value')?.innerText === '9'") // connections of all
	p.until("[...document.querySelectorAll('.plot .line')].filter((l) => l.getAttribute('d').split('L').length > 2).length >= 5")
	p.shoot("overview-three")
	eval[any](p, `(() => {
		const pick = document.querySelector('.page-head select');
		pick.value = 'knot-2';
		pick.dispatchEvent(new Event('change', { bubbles: true }));
	})()`)
	p.until("document.querySelector('.tile-value')?.innerText === '3'")

	p.to("clients?search=of-knot-3")
	p.reads("client-2-of-knot-3")
	p.click("client-2-of-knot-3")
	p.reads("to/all")
	p.click("Disconnect")
	click(p, "Disconnect")
	p.says("The client is disconnected.")
	p.allow("404")
	p.reads("There is no such client now.")
	if code := beds[2].api("GET", "/api/v1/clients/client-2-of-knot-3", nil, nil); code != http.StatusNotFound {
		t.Errorf("it is there: %d", code)
	}

	p.to("topics?topic=to/all")
	p.reads("client-1-of-knot-3")
	p.to("operate")
	p.reads("knot-3")
	p.until("document.querySelectorAll('main select').length === 3")
	p.shoot("operate-three")
	eval[any](p, `[...document.querySelectorAll('main .card')].find((c) => c.querySelector('h2').innerText === 'knot-2').querySelector('.button.danger').click()`)
	p.reads("knot-2")
	click(p, "Drain")
	p.until("document.querySelector('.node-state')?.innerText?.includes('1 not ready')")
	p.shoot("draining-three")
}
