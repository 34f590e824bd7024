package auth

import (
	"strconv"
	"strings"
)

// ParseMosquittoACL reads an acl_file of mosquitto, with mosquitto's meaning:
//
//   - topic lines before the first user line are for clients without user name, those
//     behind one for that user; pattern lines are for everybody, wherever they stand;
//   - deny lines come before the others of their kind, wherever they stand, and topic
//     lines before pattern lines: what a topic line allows no pattern line denies;
//   - behind the topic lines, a user name or client id with + or # is denied
//     everything as soon as there is a pattern line;
//   - what no line is about is denied, also by a file without lines;
//   - mosquitto accepts every subscription and judges each delivery, so mode is
//     usually [Filtered].
//
// It is stricter than mosquitto with names that are not plain (see [Rules]): one
// that is empty or contains / has no place that a pattern would allow it, and is
// denied all that a pattern could deny it. Lines whose topic no client can use
// (U+0000, not well-formed UTF-8) are problems here.
//
// name is the file's, for problems. All problems are reported, and with one there
// are no rules.
func ParseMosquittoACL(name string, text []byte, mode SubscribeMode) (*Rules, []Problem) {
	p := mosquittoParser{file: name}
	for i, line := range strings.Split(string(text), "\n") {
		p.where = name + ":" + strconv.Itoa(i+1)
		p.line(line)
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	r := &Rules{mode: mode, closed: true, list: p.rules()}
	r.seal()
	return r, nil
}

// mosquittoParser reads line by line.
type mosquittoParser struct {
	file, where string
	user        string // of the section, valid with named
	named       bool
	// The rules by the order in which they count.
	topicDeny, topicAllow, patternDeny, patternAllow []rule
	problems                                         []Problem
}

func (p *mosquittoParser) bad(what string) {
	p.problems = append(p.problems, Problem{p.where, what})
}

// line reads one. Spaces separate words, a tab is part of one; blanks at the end
// do not count. A comment begins with the line.
func (p *mosquittoParser) line(line string) {
	if strings.HasPrefix(line, "#") {
		return
	}
	line = strings.Trim(strings.TrimRight(line, " \t\r\v\f"), " ")
	keyword, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimLeft(rest, " ")
	switch keyword {
	case "":
	case "topic", "pattern":
		p.topic(keyword, rest)
	case "user":
		if rest == "" {
			p.bad("user without a name")
			return
		}
		p.user, p.named = rest, true
	default:
		p.bad("unknown keyword " + quote(keyword) + ": a line begins with topic, pattern, user or #, and a space ends the keyword")
	}
}

// topic reads what follows topic or pattern: an access and a topic, or a topic
// without a space.
func (p *mosquittoParser) topic(keyword, rest string) {
	access, topic, two := strings.Cut(rest, " ")
	if topic = strings.TrimLeft(topic, " "); !two {
		access, topic = "readwrite", rest
	}
	if topic == "" {
		p.bad(keyword + " without a topic")
		return
	}
	k := rule{allow: access != "deny", message: message{maxQoS: maxQoS}}
	switch access {
	case "read":
		k.acts = onSubscribe
	case "write":
		k.acts = onPublish
	case "readwrite", "deny":
		k.acts = onPublish | onSubscribe
	default:
		p.bad("unknown access " + quote(access) + ": it is read, write, readwrite or deny, and needed before a topic with a space")
		return
	}
	var known holes
	if keyword == "pattern" {
		known = holeUser | holeClient
	}
	f, err := compileFilter(topic, known)
	if err != nil {
		p.bad("topic " + quote(topic) + ": " + err.Error())
		return
	}
	k.filters = []filter{f}
	k.text = p.where + ": " + keyword + " " + access + " " + cut(topic)
	p.add(k, keyword == "pattern")
}

// add gives a rule those it is for, and its place.
func (p *mosquittoParser) add(k rule, pattern bool) {
	list := &p.topicAllow
	switch {
	case pattern && k.allow:
		list = &p.patternAllow
	case pattern:
		list = &p.patternDeny
	case !k.allow:
		list = &p.topicDeny
	}
	switch {
	case pattern && k.filters[0].holes&holeUser != 0:
		k.who.anonymous = no
	case pattern:
	case p.named:
		k.who.users = []string{p.user}
		k.text += "; user " + cut(p.user)
	default:
		k.who.anonymous = yes
		k.text += "; anonymous"
	}
	*list = append(*list, k)
}

func (p *mosquittoParser) rules() []rule {
	list := append(p.topicDeny, p.topicAllow...)
	if len(p.patternDeny)+len(p.patternAllow) > 0 {
		list = append(list, rule{
			text:    p.file + ": patterns deny everything to names with + or #",
			filters: []filter{{text: "every topic", open: true}},
			who:     conditions{dangerous: true},
			message: message{maxQoS: maxQoS},
			acts:    onPublish | onSubscribe,
		})
	}
	list = append(list, p.patternDeny...)
	return append(list, p.patternAllow...)
}
