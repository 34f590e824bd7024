package auth

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func mustParse(t *testing.T, text string) *Rules {
	t.Helper()
	r, problems := ParseMosquittoACL("acl", []byte(text), Filtered)
	if problems != nil {
		t.Fatalf("%q: %v", text, problems)
	}
	return r
}

// mosquittoCase asks what a client may publish. The answers are mosquitto's,
// except where stricter is set: there mosquitto allows it.
type mosquittoCase struct {
	acl   string
	asked []mosquittoAsked
}

type mosquittoAsked struct {
	user, client, topic string // user - is none
	allowed, stricter   bool
}

var mosquittoTable = []mosquittoCase{
	{"", []mosquittoAsked{{"-", "c", "t", false, false}}},
	{"# only a comment\n", []mosquittoAsked{{"-", "c", "t", false, false}}},
	{"user bob\n", []mosquittoAsked{{"-", "c", "t", false, false}, {"bob", "c", "t", false, false}}},
	{" topic a\n\n   \ntopic read b\ntopic write\n", []mosquittoAsked{
		{"-", "c", "a", true, false}, {"-", "c", "b", false, false}, {"-", "c", "write", true, false}, {"bob", "c", "a", false, false},
	}},
	{"topic write a b  \ntopic write  c  d\nuser bob smith \ntopic write x\nuser  two\t\ntopic write y\r\n", []mosquittoAsked{
		{"-", "c", "a b", true, false}, {"-", "c", "a b  ", false, false}, {"-", "c", "c  d", true, false},
		{"bob smith", "c", "x", true, false}, {"bob smith ", "c", "x", false, false}, {"two", "c", "y", true, false},
	}},
	{"topic deny a/b\ntopic a/#\npattern deny a/c\npattern z/#\npattern deny z/c\n", []mosquittoAsked{
		{"-", "c", "a/b", false, false}, {"-", "c", "a/c", true, false}, {"-", "c", "a", true, false},
		{"-", "c", "z/c", false, false}, {"-", "c", "z/d", true, false}, {"bob", "c", "a/d", false, false}, {"bob", "c", "z/d", true, false},
	}},
	{"topic a/#\ntopic deny a/b\n", []mosquittoAsked{{"-", "c", "a/b", false, false}, {"-", "c", "a/c", true, false}}},
	{"user bob\ntopic write a\nuser ann\ntopic write b\nuser bob\ntopic deny a\ntopic write c\n", []mosquittoAsked{
		{"bob", "c", "a", false, false}, {"bob", "c", "c", true, false}, {"ann", "c", "b", true, false}, {"zed", "c", "a", false, false}, {"-", "c", "a", false, false},
	}},
	{"pattern write s/%u/d\npattern write c/%c\npattern write p/#\npattern deny p/%u/x\ntopic write t\nuser a+b\ntopic write t\nuser a/b\ntopic write t\n", []mosquittoAsked{
		{"-", "c", "s/x/d", false, false}, {"-", "c", "c/c", true, false}, {"-", "c", "p/x", true, false}, {"-", "c", "p/%u/x", true, false},
		{"a/b", "c", "s/a/b/d", false, true}, {"a/b", "c", "p/a/b/x", false, false}, {"a/b", "c", "p/q", false, true}, {"a/b", "c", "t", true, false},
		{"a+b", "c", "p/q", false, false}, {"a+b", "c", "t", true, false}, {"bob", "c#", "p/q", false, false}, {"+", "c", "p/q", false, false},
		{"bob", "c", "p/bob/x", false, false}, {"bob", "c", "p/ann/x", true, false}, {"", "c", "s//d", false, false}, {"", "c", "p/q", false, true},
	}},
	{"pattern write %u/#\npattern write %u%c/x\npattern write a-%u/y\n", []mosquittoAsked{
		{"$x", "c", "$x/x", false, true}, {"bob", "c", "bob/x", true, false}, {"bob", "c", "bobc/x", true, false},
		{"bob", "c", "a-bob/y", true, false}, {"bob", "c", "a-%u/y", false, false},
	}},
	{"pattern write public/#\n", []mosquittoAsked{{"bob", "+", "public/a", false, false}, {"bob", "c/d", "public/a", true, false}}},
	{"topic write %u/x\npattern write %g/y\n", []mosquittoAsked{{"-", "c", "%u/x", true, false}, {"bob", "c", "%g/y", true, false}}},
	{"topic #\ntopic $y/#\ntopic deny $x/#\n", []mosquittoAsked{{"-", "c", "$x", false, false}, {"-", "c", "$z", false, false}, {"-", "c", "$y/a", true, false}, {"-", "c", "a", true, false}}},
	{"topic write a/+/b\ntopic write +\ntopic write d/#\ntopic write /\ntopic write +/+/#\ntopic deny e/+/+\n", []mosquittoAsked{
		{"-", "c", "a//b", true, false}, {"-", "c", "x", true, false}, {"-", "c", "d", true, false}, {"-", "c", "/", true, false},
		{"-", "c", "q/r", true, false}, {"-", "c", "e/f/g", false, false}, {"-", "c", "e/f", true, false},
	}},
}

func (a *mosquittoAsked) query() *Query {
	w := &Subject{ClientID: a.client}
	if a.user != "-" {
		w.User, w.HasUser = a.user, true
	}
	return &Query{Subject: w, Action: Publish, Topic: a.topic, QoS: 1}
}

func TestMosquittoACL(t *testing.T) {
	for _, tc := range mosquittoTable {
		r := mustParse(t, tc.acl)
		for _, a := range tc.asked {
			if v := r.Judge(a.query()); v.Allowed != a.allowed {
				t.Errorf("%q\n%s", tc.acl, r.Explain(a.query()))
			}
		}
	}
}

func TestMosquittoAccess(t *testing.T) {
	r := mustParse(t, "topic read r\ntopic write w\ntopic readwrite rw\ntopic both\ntopic deny d\ntopic #\n")
	for _, tc := range []struct {
		topic         string
		write, readIt bool
	}{{"r", true, true}, {"rw", true, true}, {"both", true, true}, {"d", false, false}} {
		ask(t, r, &Query{Subject: &Subject{}, Action: Publish, Topic: tc.topic}, tc.write)
		ask(t, r, &Query{Subject: &Subject{}, Action: Deliver, Topic: tc.topic}, tc.readIt)
		ask(t, r, &Query{Subject: &Subject{}, Action: Subscribe, Topic: tc.topic}, true)
	}
	r = mustParse(t, "topic read r\ntopic write w\n")
	ask(t, r, &Query{Subject: &Subject{}, Action: Publish, Topic: "r"}, false)
	ask(t, r, &Query{Subject: &Subject{}, Action: Deliver, Topic: "r"}, true)
	ask(t, r, &Query{Subject: &Subject{}, Action: Publish, Topic: "w"}, true)
	ask(t, r, &Query{Subject: &Subject{}, Action: Deliver, Topic: "w"}, false)
}

// Subscriptions can be judged by what they cover also with mosquitto's file.
func TestMosquittoCovered(t *testing.T) {
	r, problems := ParseMosquittoACL("acl", []byte("topic deny a/x\ntopic read a/#\ntopic read b/+\n"), Covered)
	if problems != nil {
		t.Fatal(problems)
	}
	for f, allowed := range map[string]bool{"a/#": false, "a/y/#": true, "b/+": true, "b/#": false, "a/+": false} {
		ask(t, r, &Query{Subject: &Subject{}, Action: Subscribe, Topic: f}, allowed)
	}
}

func TestMosquittoNames(t *testing.T) {
	r := mustParse(t, "topic a\nuser bob\ntopic deny b\npattern c/%u\n")
	for _, tc := range []struct{ user, topic, rule string }{
		{"-", "a", "acl:1: topic readwrite a; anonymous"},
		{"bob", "b", "acl:3: topic deny b; user bob"},
		{"bob", "c/bob", "acl:4: pattern readwrite c/%u"},
		{"b#", "c/b", "acl: patterns deny everything to names with + or #"},
		{"b#", "$c", "acl: patterns deny everything to names with + or #"},
		{"bob", "d", "default: no rule allows it"},
	} {
		a := mosquittoAsked{user: tc.user, client: "c", topic: tc.topic}
		if v := r.Judge(a.query()); v.Rule != tc.rule {
			t.Errorf("%s to %s: %q, want %q", tc.user, tc.topic, v.Rule, tc.rule)
		}
	}
}

func TestMosquittoProblems(t *testing.T) {
	long := strings.Repeat("x", 70000)
	for line, want := range map[string]string{
		"foo bar":           `unknown keyword "foo": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"topics a":          `unknown keyword "topics": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"Topic a":           `unknown keyword "Topic": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"\ttopic a":         `unknown keyword "\ttopic": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"topic\ta":          `unknown keyword "topic\ta": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"  # c":             `unknown keyword "#": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"\ufefftopic a":     `unknown keyword "\ufefftopic": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"\x00":              `unknown keyword "\x00": a line begins with topic, pattern, user or #, and a space ends the keyword`,
		"topic":             "topic without a topic",
		"topic  ":           "topic without a topic",
		"pattern":           "pattern without a topic",
		"user":              "user without a name",
		"user  \t":          "user without a name",
		"topic foo bar":     `unknown access "foo": it is read, write, readwrite or deny, and needed before a topic with a space`,
		"topic READ bar":    `unknown access "READ": it is read, write, readwrite or deny, and needed before a topic with a space`,
		"pattern allow a":   `unknown access "allow": it is read, write, readwrite or deny, and needed before a topic with a space`,
		"topic a#":          `topic "a#": # is not alone in the last level`,
		"topic read a/#/b":  `topic "a/#/b": # is not alone in the last level`,
		"topic write +a":    `topic "+a": + is not alone in its level`,
		"pattern %u+":       `topic "%u+": + is not alone in its level`,
		"pattern %u#":       `topic "%u#": # is not alone in the last level`,
		"topic a\xff":       `topic "a\xff": it is not well-formed UTF-8`,
		"topic read a\x00b": `topic "a\x00b": it contains U+0000`,
		"topic " + long:     `topic "` + long[:100] + `…": it is longer than 65,535 bytes`,
	} {
		r, problems := ParseMosquittoACL("some.acl", []byte("topic ok\r\n"+line+"\nnonsense\n"), Filtered)
		got := make([]string, len(problems))
		for i, p := range problems {
			got[i] = p.String()
		}
		if r != nil || len(got) != 2 || got[0] != "some.acl:2: "+want || !strings.HasPrefix(got[1], "some.acl:3: unknown keyword") {
			t.Errorf("%.40q: %q, want %q", line, got, want)
		}
	}
}

func FuzzMosquittoACL(f *testing.F) {
	for _, tc := range mosquittoTable {
		f.Add([]byte(tc.acl), "bob", "c", "a/b")
	}
	f.Add([]byte("topic read\x00\r\n\tuser\xff\npattern deny %c/%u/%%u%/#"), "a+", "", "$x")
	f.Fuzz(func(t *testing.T, text []byte, user, client, topic string) {
		r, problems := ParseMosquittoACL("f", text, Covered)
		if (r == nil) != (len(problems) > 0) {
			t.Fatalf("rules %v and problems %v", r, problems)
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		if len(problems) > lines || r != nil && r.Len() > lines+1 {
			t.Fatalf("%d lines make %v, %v", lines, problems, r)
		}
		if r == nil {
			return
		}
		w := &Subject{User: user, HasUser: len(user) > 1, ClientID: client}
		for a := range Action(3) {
			q := &Query{Subject: w, Action: a, Topic: topic}
			v := r.Judge(q)
			if e := r.Explain(q); e.Verdict != v {
				t.Fatalf("Judge = %+v\n%s", v, e)
			}
			if allowed := mosquittoTwin(string(text), q); a != Subscribe && v.Allowed && !allowed {
				t.Fatalf("mosquitto denies it\n%s", r.Explain(q))
			} else if a != Subscribe && v.Allowed != allowed && plain(user, true) && plain(client, true) {
				t.Fatalf("mosquitto allows it\n%s", r.Explain(q))
			}
		}
	})
}

// mosquittoTwin decides as mosquitto does, straight from a file without problems.
func mosquittoTwin(text string, q *Query) bool {
	if q.Topic == "" {
		return false
	}
	verdicts := map[string][]bool{} // of the lines that match, by keyword
	user, named, patterns := "", false, false
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.SplitN(strings.Trim(strings.TrimRight(line, " \t\r\v\f"), " "), " ", 2)
		if words[0] == "" || line[0] == '#' {
			continue
		}
		rest := strings.TrimLeft(strings.Join(words[1:], ""), " ")
		if words[0] == "user" {
			user, named = rest, true
			continue
		}
		access, filter, ok := strings.Cut(rest, " ")
		if filter = strings.TrimLeft(filter, " "); !ok {
			access, filter = "readwrite", rest
		}
		if words[0] == "pattern" {
			patterns = true
			if strings.Contains(filter, "%u") && !q.Subject.HasUser {
				continue
			}
			if filter[0] != '$' && q.Topic[0] == '$' {
				continue
			}
			filter = mosquittoFill(filter, q.Subject)
		} else if named != q.Subject.HasUser || named && user != q.Subject.User {
			continue
		}
		if filter != "" && naiveMatch(filter, q.Topic) && (access == "deny" || strings.Contains(access, map[bool]string{true: "write", false: "read"}[q.Action == Publish])) {
			verdicts[words[0]] = append(verdicts[words[0]], access != "deny")
		}
	}
	if v := verdicts["topic"]; len(v) > 0 {
		return !slices.Contains(v, false)
	}
	v := verdicts["pattern"]
	return len(v) > 0 && !slices.Contains(v, false) && (!patterns || !dangerous(q.Subject))
}

func mosquittoFill(filter string, w *Subject) string {
	user := "%u"
	if w.HasUser {
		user = w.User
	}
	return strings.NewReplacer("%u", user, "%c", w.ClientID).Replace(filter)
}

func TestMosquittoMany(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "user u%d\ntopic write d/%d/#\n", i, i)
	}
	for i := range 100 {
		fmt.Fprintf(&b, "pattern deny p/%d/%%u\npattern readwrite p/%d/#\n", i, i)
	}
	r := mustParse(t, b.String())
	ask(t, r, &Query{Subject: &Subject{User: "u4000", HasUser: true}, Action: Publish, Topic: "d/4000/x"}, true)
	ask(t, r, &Query{Subject: &Subject{User: "u4000", HasUser: true}, Action: Publish, Topic: "d/4001/x"}, false)
	for _, tc := range []struct {
		user, topic string
		allowed     bool
	}{{"u1", "p/50/u1", false}, {"u1", "p/50/u2", true}, {"u1/", "p/50/u2", false}, {"u#", "p/50/u2", false}, {"u#", "p/50", false}, {"u1", "p/50", true}} {
		ask(t, r, &Query{Subject: &Subject{User: tc.user, HasUser: true}, Action: Publish, Topic: tc.topic}, tc.allowed)
	}
	if v := r.Judge(&Query{Subject: &Subject{User: "u#", HasUser: true}, Topic: "$p"}); v.Rule != "acl: patterns deny everything to names with + or #" {
		t.Errorf("by %s", v.Rule)
	}
}
