package auth

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxSteps bounds an explanation.
const maxSteps = 64

// Step is a rule that was looked at and did not decide.
type Step struct {
	Rule string
	Why  string
}

// Explanation is how rules came to a verdict.
type Explanation struct {
	Question string
	Verdict  Verdict
	// Steps are rules before the one that decided, in order. When there are more than
	// 64, only rules that are about this subject and action are among them, and then
	// the first 64.
	Steps []Step
	// Omitted is how many rules are not among the steps.
	Omitted int
	// Why says why the rule that decided matches.
	Why string
}

// Explain answers a question and says how. It looks at one rule after the other,
// without index: for people, not for the hot path.
func (r *Rules) Explain(q *Query) Explanation {
	e := Explanation{Question: q.describe()}
	var done bool
	if e.Verdict, done = r.before(q); done {
		return e
	}
	var steps []explained
	best, held := int32(len(r.list)), int32(len(r.list))
	for i := range r.list {
		m := r.list[i].meets(q)
		if m.mismatch == decides {
			best = int32(i)
			e.Why = m.text(q)
			break
		}
		if m.mismatch == otherMessage {
			held = min(held, int32(i))
		}
		steps = append(steps, explained{m, i})
	}
	e.Verdict = r.verdict(best, held)
	e.keep(r, q, steps)
	return e
}

// explained is a step before it is put into words.
type explained struct {
	meeting
	index int
}

// keep makes words of the steps, as many as there may be.
func (e *Explanation) keep(r *Rules, q *Query, steps []explained) {
	all := len(steps) <= maxSteps
	for _, s := range steps {
		if len(e.Steps) == maxSteps || !all && (s.mismatch == otherAction || s.mismatch == otherSubject) {
			e.Omitted++
			continue
		}
		e.Steps = append(e.Steps, Step{Rule: r.list[s.index].text, Why: s.text(q)})
	}
}

// String spells it in lines, the verdict last.
func (e Explanation) String() string {
	var b strings.Builder
	b.WriteString(e.Question + "\n")
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "  no match  %s\n            %s\n", s.Rule, s.Why)
	}
	if e.Omitted > 0 {
		fmt.Fprintf(&b, "  no match  %d more rules\n", e.Omitted)
	}
	word := "denied"
	if e.Verdict.Allowed {
		word = "allowed"
	}
	fmt.Fprintf(&b, "%s by     %s\n", word, e.Verdict.Rule)
	if e.Why != "" {
		fmt.Fprintf(&b, "            %s\n", e.Why)
	}
	if e.Verdict.PerMessage {
		b.WriteString("            other messages to this topic may be judged otherwise\n")
	}
	return b.String()
}

// mismatch is why a rule does not decide.
type mismatch byte

const (
	decides mismatch = iota
	otherAction
	otherSubject
	otherTopic
	partly // the rule allows some of what a filter matches
	otherMessage
)

// meeting is what comes of a rule and a question.
type meeting struct {
	rule      *rule
	filter    *filter // the one that matches
	mismatch  mismatch
	condition condition // the one that does not hold
}

func (k *rule) meets(q *Query) meeting {
	m := meeting{rule: k}
	if k.acts&q.Action.set() == 0 {
		m.mismatch = otherAction
		return m
	}
	if m.condition = k.who.unmet(q.Subject, k.allow); m.condition != noCondition {
		m.mismatch = otherSubject
		return m
	}
	if m.filter = k.find(k.relation(q.Action), q); m.filter == nil {
		m.mismatch = otherTopic
		if m.filter = k.find(overlaps, q); m.filter != nil && q.Action == Subscribe {
			m.mismatch = partly
		}
		return m
	}
	if !k.message.takes(q, k.allow) {
		m.mismatch = otherMessage
	}
	return m
}

func (k *rule) find(rel relation, q *Query) *filter {
	for i := range k.filters {
		if k.filters[i].relates(rel, q.Subject, k.allow, q.Topic) {
			return &k.filters[i]
		}
	}
	return nil
}

// text says it in words.
func (m meeting) text(q *Query) string {
	k := m.rule
	switch m.mismatch {
	case otherAction:
		return "it is not about " + actionNoun(q.Action)
	case otherSubject:
		return conditionText(m.condition, k.allow, q.Subject)
	case otherTopic:
		return m.topicText(q)
	case partly:
		return cut(m.filter.text) + " is only a part of the filter; rules are not put together"
	case otherMessage:
		return "it is not about messages with " + k.message.text(q)
	}
	text := cut(m.filter.text) + " " + m.verb(q)
	if !k.allow && m.filter.unfit(q.Subject) {
		text += ", as a name has no place in it: any value could stand there"
	}
	return text
}

func (m meeting) verb(q *Query) string {
	switch m.rule.relation(q.Action) {
	case covers:
		return "covers all that the filter matches"
	case overlaps:
		return "shares topics with the filter"
	}
	return "matches the topic"
}

func (m meeting) topicText(q *Query) string {
	for i := range m.rule.filters {
		if f := &m.rule.filters[i]; f.unfit(q.Subject) {
			return cut(f.text) + " has a placeholder whose value is missing, empty, or has + # / or a $ in front: it matches nothing"
		}
	}
	texts := make([]string, len(m.rule.filters))
	for i := range texts {
		texts[i] = m.rule.filters[i].text
	}
	return some(texts) + map[bool]string{true: " shares no topic with the filter", false: " does not match the topic"}[q.Action == Subscribe]
}

// unfit reports whether a placeholder has no plain value, for each group if need be.
func (f *filter) unfit(w *Subject) bool {
	if f.holes&holeGroup == 0 {
		return f.fits(&values{who: w}) < len(f.levels)
	}
	for _, g := range w.Groups {
		if f.fits(&values{w, g}) == len(f.levels) {
			return false
		}
	}
	return true
}

func (m *message) text(q *Query) string {
	switch {
	case q.Action == Publish && !m.retain.takes(q.Retain):
		if q.Retain {
			return "retain flag"
		}
		return "no retain flag"
	case q.Action == Subscribe:
		return fmt.Sprintf("QoS 0 to %d: it is for QoS %d to %d", q.QoS, m.minQoS, m.maxQoS)
	}
	return fmt.Sprintf("QoS %d: it is for QoS %d to %d", q.QoS, m.minQoS, m.maxQoS)
}

func actionNoun(a Action) string {
	switch a {
	case Publish:
		return "publishing"
	case Subscribe:
		return "subscribing"
	}
	return "delivery"
}

// conditionText says which condition does not hold.
func conditionText(c condition, allow bool, w *Subject) string {
	if w.Partial && allow && c >= byCN && c <= byAddress {
		return "how the client is connected is not known any more, so no allow rule that asks matches"
	}
	switch c {
	case byUser:
		return "it is for other users"
	case byAnonymous:
		if w.HasUser {
			return "it is for clients without user name"
		}
		return "it is for clients with a user name"
	case byClient:
		return "it is for other client ids"
	case byGroup:
		return "it is for other groups"
	case byCN, byDN, bySAN:
		return "it is for other client certificates"
	case byListener:
		return "it is for other listeners"
	case byAddress:
		return "it is for other addresses"
	}
	return "it is for names with + or #"
}

// describe spells the question in one line.
func (q *Query) describe() string {
	w := q.Subject
	who := "nobody"
	if w.HasUser {
		who = "user " + quote(w.User)
	}
	parts := []string{who, "client " + quote(w.ClientID)}
	if len(w.Groups) > 0 {
		parts = append(parts, "groups "+some(w.Groups))
	}
	if w.Address.IsValid() {
		parts = append(parts, "address "+addressText(w.Address))
	}
	if w.Listener != "" {
		parts = append(parts, "listener "+cut(w.Listener))
	}
	if w.Certificate.CN != "" {
		parts = append(parts, "certificate "+quote(w.Certificate.CN))
	}
	what := fmt.Sprintf("%s %s QoS %d", q.Action, quote(q.Topic), q.QoS)
	if q.Action == Publish && q.Retain {
		what += " retain"
	}
	return what + " by " + strings.Join(parts, ", ")
}

func addressText(a netip.Addr) string { return a.Unmap().String() }
