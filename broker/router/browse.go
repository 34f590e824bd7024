package router

import (
	"strings"

	"github.com/skeinmq/skein/broker/topic"
)

// RetainedPage answers the retained messages that match a filter, in the order of
// their topics behind after, at most limit, and whether there are more.
func (r *Router) RetainedPage(f topic.Filter, after string, limit int) (list []*Message, more bool) {
	now := r.now().UnixNano()
	r.retained.mu.RLock()
	defer r.retained.mu.RUnlock()
	r.retained.names.Match(f, after, func(_ string, k *keep) bool {
		if more = len(list) == limit; more {
			return false
		}
		if !k.m.Expired(now) {
			list = append(list, k.m)
		}
		return true
	})
	return list, more
}

// RetainedMessage answers the retained message of a topic, or nil.
func (r *Router) RetainedMessage(name string) *Message {
	r.retained.mu.RLock()
	defer r.retained.mu.RUnlock()
	if k, ok := r.retained.names.Get(name); ok && !k.m.Expired(r.now().UnixNano()) {
		return k.m
	}
	return nil
}

// Level is one level below another of the topics with a retained message.
type Level struct {
	Name     string // of the level
	Topic    string // whole
	Retained bool   // the topic has a message itself
	Below    bool   // topics below it have
}

// beyond is behind every byte that a topic name can have.
const beyond = "\xff"

// sysLevel is the level of the broker's own topics, which # does not match.
const sysLevel = "$SYS"

// Levels answers the levels below a topic (the empty topic: the first levels), at most
// limit of those behind after, and the place to go on from, which is empty at the end
// and need not be UTF-8. A level costs two look-ups, however many messages are below
// it. In the order of names other levels may lie between a topic and what is below it,
// so a level may come again on a later page.
func (r *Router) Levels(parent, after string, limit int) (list []Level, next string) {
	prefix := parent + "/"
	if parent == "" {
		prefix = ""
	}
	at := max(after, parent)
	index := map[string]int{}
	for {
		name, ok := r.nextRetained(topic.Filter(prefix+"#"), at)
		if !ok {
			break
		}
		level, _, deeper := strings.Cut(name[len(prefix):], "/")
		i, known := index[level]
		if !known {
			if len(list) >= limit {
				return list, at
			}
			i = len(list)
			index[level] = i
			list = append(list, Level{Name: level, Topic: prefix + level})
		}
		if at = name; deeper {
			list[i].Below = true
			at = prefix + level + "/" + beyond
		} else {
			list[i].Retained = true
		}
	}
	if parent == "" {
		if _, ok := r.nextRetained(sysLevel+"/#", ""); ok {
			list = append(list, Level{Name: sysLevel, Topic: sysLevel, Below: true})
		}
	}
	return list, ""
}

// nextRetained answers the first topic behind a place that a filter matches.
func (r *Router) nextRetained(f topic.Filter, after string) (name string, ok bool) {
	r.retained.mu.RLock()
	defer r.retained.mu.RUnlock()
	r.retained.names.Match(f, after, func(n string, _ *keep) bool {
		name, ok = n, true
		return false
	})
	return name, ok
}
