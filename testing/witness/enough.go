package witness

import (
	"strconv"
	"testing"
)

// Enough fails a run in which something was never tried.
func Enough(t testing.TB, h *History) {
	t.Helper()
	count := make(map[string]int)
	for i := range h.Messages {
		m := &h.Messages[i]
		switch {
		case m.Acked == 0 || m.Loose:
			continue
		case m.Kind == KindWill:
			count["wills"]++
		case m.Kind == KindDelayed:
			count["delayed messages"]++
		case m.Retain:
			count["retained messages"]++
		}
		count["messages with QoS "+strconv.Itoa(int(m.QoS))]++
	}
	for _, s := range h.Subscriptions {
		if s.Ended > 0 {
			count["sessions that ended"]++
		}
		if s.Group != "" {
			count["members of groups"]++
		}
	}
	count["looks at retained messages"] = len(h.Retained)
	for _, c := range h.Connected {
		if c.Known {
			count["sessions that came back"]++
		}
	}
	t.Logf("%v", count)
	for _, what := range []string{
		"wills", "delayed messages", "retained messages", "messages with QoS 1", "messages with QoS 2",
		"sessions that ended", "members of groups", "looks at retained messages", "sessions that came back",
	} {
		if count[what] == 0 {
			t.Errorf("no %s", what)
		}
	}
}
