package router

import (
	"strings"

	"github.com/skeinmq/skein/broker/topic"
)

// shareTopic reports whether there is a topic that two filters match; a topic name is a
// filter of itself. What $share and the like put before a filter does not count.
func shareTopic(a, b string) bool {
	if p, err := topic.Parse(b); err == nil {
		b = string(p.Filter)
	}
	if hidden(a, b) || hidden(b, a) {
		return false
	}
	for {
		la, ra, moreA := strings.Cut(a, "/")
		lb, rb, moreB := strings.Cut(b, "/")
		switch {
		case la == "#" || lb == "#":
			return true
		case la != lb && la != "+" && lb != "+":
			return false
		case !moreA && !moreB:
			return true
		case !moreA: // a/# matches a, too [MQTT-4.7.1-2]
			return rb == "#"
		case !moreB:
			return ra == "#"
		}
		a, b = ra, rb
	}
}

// hidden reports whether a filter that begins with a wildcard stands against a topic
// that begins with $ [MQTT-4.7.2-1].
func hidden(wild, dollar string) bool {
	return strings.HasPrefix(dollar, "$") && (strings.HasPrefix(wild, "+") || strings.HasPrefix(wild, "#"))
}
