package conn_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/testing/harness"
)

func TestDrainIsGradual(t *testing.T) {
	for reference, want := range map[string]string{"": "disconnect:8b", "other:1883": "disconnect:9c"} {
		test(t, func(s *setup) { s.ServerReference, s.ReasonStrings = reference, false }, func(g *rig) {
			var clients []*client
			for i := range 10 {
				clients = append(clients, g.connect(harness.Connect{ID: fmt.Sprint("c", i)}))
			}
			old := g.connect(harness.Connect{Version: 4, ID: "old"})
			done := make(chan error, 1)
			begun := time.Now()
			go func() { done <- g.server.Drain(g.t.Context(), 2) }()
			wait(2400 * time.Millisecond)    // the last one gets a moment for its last word
			if n := g.server.Len(); n != 6 { // 5 at 0, 0.5, 1, 1.5 and 2 s
				t.Errorf("%d are left after 2 s", n)
			}
			late := g.dial(home, false)
			late.send(harness.Connect{ID: "late"}.Bytes())
			late.want("connack:" + want[len(want)-2:])
			late = g.dial(home, false)
			late.version = 4
			late.send(harness.Connect{Version: 4, ID: "late"}.Bytes())
			late.want("connack:03")
			if err := <-done; err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took < 5*time.Second || took > 6*time.Second {
				t.Errorf("took %v", took)
			}
			for i, c := range clients {
				if c.want(want); !c.gone() {
					t.Errorf("%d is still there", i)
				}
			}
			old.want("")
			if list := g.stats.Refusals.List(10); len(list) != 2 || list[0].What != stats.Connects || list[0].Rule != "the node is being drained" || list[0].At == 0 {
				t.Errorf("refusals %+v", list)
			}
			g.server.Undrain()
			g.connect(harness.Connect{ID: "back"})
		})
	}
}

func TestDrainIsGivenUp(t *testing.T) {
	test(t, nil, func(g *rig) {
		c := g.connect(harness.Connect{ID: "c"})
		g.connect(harness.Connect{ID: "d"})
		ctx, cancel := context.WithCancel(g.t.Context())
		done := make(chan error, 1)
		go func() { done <- g.server.Drain(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		g.server.Undrain()
		wait(time.Minute)
		if n := g.server.Len(); n != 1 {
			t.Errorf("%d are left", n)
		}
		_ = c
	})
}
