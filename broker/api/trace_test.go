package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/skeinmq/skein/broker/api"
	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// silent is a Tracer of which nothing is seen.
type silent struct{}

func (silent) Trace(ctx context.Context, _ api.TraceQuery, _ func(*v1.TraceEvent) error) (uint64, error) {
	<-ctx.Done()
	return 0, nil
}

// A trace of somebody who is silent is not silent itself: a proxy would close it.
func TestASilentTraceBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(s *setup) { s.Tracer = silent{} })
		w := g.do("GET", "/api/v1/trace?client=x&duration=100s", writer, "")
		body := w.Body.String()
		if w.Code != http.StatusOK || strings.Count(body, ":\n\n") != 1+6 { // at its begin, then each 15 s
			t.Errorf("%d %q", w.Code, body)
		}
		if !strings.HasSuffix(body, "\n\n") || !strings.Contains(body, `"reason":"time"`) {
			t.Errorf("it does not say why it ended: %q", body)
		}
	})
}
