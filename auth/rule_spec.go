package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// RuleSpec is a rule as somebody writes it. Each condition that is set must hold;
// of a list one value is enough. A nil list and a nil pointer are no condition, an
// empty list is a mistake.
type RuleSpec struct {
	// Source is where the rule stands, for logs and problems: file:line or a path in
	// the configuration. Empty is "rule N", counted from 1.
	Source string
	// Effect is allow or deny.
	Effect string
	// Action is publish, subscribe (also what subscriptions deliver) or all.
	Action string
	// Topics are filters; one must match. In them %u is the user name, %c the client
	// id and %g each group; see [Rules] for values that are not plain. A wildcard in the
	// first level does not match topics that begin with $.
	Topics []string
	// MinQoS and MaxQoS make it a rule about messages of these QoS only, whatever its
	// effect. A subscription is about messages up to its QoS.
	MinQoS, MaxQoS *int
	// Retain makes it a rule about messages with or without retain flag; it is for
	// rules about publishing alone.
	Retain *bool
	// Anonymous makes it a rule for clients without (true) or with (false) user name.
	Anonymous *bool

	Users, Clients, Groups []string
	// Addresses are addresses and networks such as 10.0.0.0/8.
	Addresses []string
	// CertCN, CertDN and CertSAN are for fields of the client certificate, compared
	// as a whole.
	CertCN, CertDN, CertSAN []string
	Listeners               []string
}

// Problem is one thing that is wrong with rules.
type Problem struct {
	Where string // file:line, a path in the configuration, or "rule N"
	What  string
}

// String returns one line for a user.
func (p Problem) String() string { return p.Where + ": " + p.What }

// Compile makes rules of what somebody wrote, in its order. All problems are
// reported, and with one there are no rules.
func Compile(specs []RuleSpec, mode SubscribeMode) (*Rules, []Problem) {
	r := &Rules{mode: mode, list: make([]rule, len(specs))}
	var all []Problem
	for i := range specs {
		c := compiler{spec: &specs[i], where: specs[i].Source}
		if c.where == "" {
			c.where = "rule " + strconv.Itoa(i+1)
		}
		r.list[i] = c.rule()
		all = append(all, c.problems...)
	}
	if len(all) > 0 {
		return nil, all
	}
	r.seal()
	return r, nil
}

// seal makes the index, once the list is complete.
func (r *Rules) seal() {
	for i := range r.list {
		r.index.add(int32(i), &r.list[i])
	}
	r.index.plant(r.list)
}

// compiler compiles one rule.
type compiler struct {
	spec     *RuleSpec
	where    string
	problems []Problem
}

func (c *compiler) bad(format string, args ...any) {
	c.problems = append(c.problems, Problem{c.where, fmt.Sprintf(format, args...)})
}

func (c *compiler) rule() rule {
	s := c.spec
	k := rule{allow: s.Effect == "allow", acts: c.actions(), filters: c.filters(), message: c.message()}
	if s.Effect != "allow" && s.Effect != "deny" {
		c.bad("effect %s is not allow or deny", quote(s.Effect))
	}
	k.who = conditions{
		users:     c.names("users", s.Users, true),
		clients:   c.names("clients", s.Clients, false),
		groups:    c.names("groups", s.Groups, false),
		cns:       c.names("cert_cn", s.CertCN, false),
		dns:       c.names("cert_dn", s.CertDN, false),
		sans:      c.names("cert_san", s.CertSAN, false),
		listeners: c.names("listeners", s.Listeners, false),
		nets:      c.nets(),
		anonymous: ternaryOf(s.Anonymous),
	}
	if s.Users != nil && k.who.anonymous == yes {
		c.bad("users and anonymous: true are never both so")
	}
	k.text = c.where + ": " + s.describe()
	return k
}

func (c *compiler) actions() actions {
	switch c.spec.Action {
	case "publish":
		return onPublish
	case "subscribe":
		return onSubscribe
	case "all":
		return onPublish | onSubscribe
	}
	c.bad("action %s is not publish, subscribe or all", quote(c.spec.Action))
	return 0
}

// prefixes of subscriptions and publishes that rules never see.
var prefixes = []string{"$share/", "$exclusive/", "$delayed/"}

func (c *compiler) filters() []filter {
	if len(c.spec.Topics) == 0 {
		c.bad("it has no topics")
	}
	fs := make([]filter, 0, len(c.spec.Topics))
	for _, t := range c.spec.Topics {
		f, err := compileFilter(t, holeUser|holeClient|holeGroup)
		if err != nil {
			c.bad("topic %s: %v", quote(t), err)
			continue
		}
		for _, p := range prefixes {
			if strings.HasPrefix(t, p) {
				c.bad("topic %s: rules judge the topic behind %s", quote(t), p)
			}
		}
		fs = append(fs, f)
	}
	return fs
}

func (c *compiler) message() message {
	m := message{maxQoS: maxQoS, retain: ternaryOf(c.spec.Retain)}
	m.minQoS = c.qos("min_qos", c.spec.MinQoS, m.minQoS)
	m.maxQoS = c.qos("max_qos", c.spec.MaxQoS, m.maxQoS)
	if m.minQoS > m.maxQoS {
		c.bad("min_qos %d is above max_qos %d", m.minQoS, m.maxQoS)
	}
	if m.retain != either && c.spec.Action != "publish" {
		c.bad("retain is for rules whose action is publish")
	}
	return m
}

func (c *compiler) qos(key string, given *int, otherwise byte) byte {
	if given == nil {
		return otherwise
	}
	if *given < 0 || *given > maxQoS {
		c.bad("%s %d is not 0, 1 or 2", key, *given)
		return otherwise
	}
	return byte(*given)
}

// names returns a condition's values in order.
func (c *compiler) names(key string, list []string, emptyToo bool) []string {
	if list == nil {
		return nil
	}
	if len(list) == 0 {
		c.bad("%s is empty: leave it out for everybody", key)
	}
	for i, s := range list {
		if s == "" && !emptyToo {
			c.bad("%s[%d] is empty", key, i)
		}
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func (c *compiler) nets() []netip.Prefix {
	if c.spec.Addresses == nil {
		return nil
	}
	if len(c.spec.Addresses) == 0 {
		c.bad("addresses is empty: leave it out for everybody")
	}
	nets := make([]netip.Prefix, 0, len(c.spec.Addresses))
	for i, s := range c.spec.Addresses {
		n, err := addressRange(s)
		if err != nil {
			c.bad("addresses[%d] %s %v", i, quote(s), err)
			continue
		}
		nets = append(nets, n)
	}
	return nets
}

// addressRange reads an address or a network. One of IPv4 in IPv6 is one of IPv4.
func addressRange(s string) (netip.Prefix, error) {
	n, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errors.New("is not an address or a network such as 10.0.0.0/8")
		}
		n = netip.PrefixFrom(a, a.BitLen())
	}
	if n != n.Masked() {
		return netip.Prefix{}, fmt.Errorf("has bits set behind its prefix: write %s", n.Masked())
	}
	if a := n.Addr(); a.Is4In6() {
		if n.Bits() < 96 {
			return netip.Prefix{}, errors.New("is only in part a network of IPv4")
		}
		n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
	}
	return n, nil
}

// describe spells the rule in one line of bounded length.
func (s *RuleSpec) describe() string {
	var b strings.Builder
	b.WriteString(s.Effect + " " + s.Action + " " + some(s.Topics))
	for _, l := range []struct {
		key  string
		list []string
	}{
		{"users", s.Users}, {"clients", s.Clients}, {"groups", s.Groups}, {"addresses", s.Addresses},
		{"cert_cn", s.CertCN}, {"cert_dn", s.CertDN}, {"cert_san", s.CertSAN}, {"listeners", s.Listeners},
	} {
		if l.list != nil {
			b.WriteString("; " + l.key + " " + some(l.list))
		}
	}
	if s.Anonymous != nil {
		fmt.Fprintf(&b, "; anonymous %v", *s.Anonymous)
	}
	if s.MinQoS != nil {
		fmt.Fprintf(&b, "; min_qos %d", *s.MinQoS)
	}
	if s.MaxQoS != nil {
		fmt.Fprintf(&b, "; max_qos %d", *s.MaxQoS)
	}
	if s.Retain != nil {
		fmt.Fprintf(&b, "; retain %v", *s.Retain)
	}
	return b.String()
}

// shown values of a list are shown, each up to shownBytes.
const (
	shown      = 4
	shownBytes = 100
)

// some spells a list, or its beginning.
func some(list []string) string {
	out := make([]string, 0, shown+1)
	for i, s := range list {
		if i == shown {
			out = append(out, strconv.Itoa(len(list)-i)+" more")
			break
		}
		if s == "" {
			s = `""`
		}
		out = append(out, cut(s))
	}
	return strings.Join(out, ", ")
}

// cut shortens a text where a character begins.
func cut(s string) string {
	if len(s) <= shownBytes {
		return s
	}
	return strings.ToValidUTF8(s[:shownBytes], "") + "…"
}

// quote spells what may be any bytes.
func quote(s string) string { return strconv.Quote(cut(s)) }
