package auth

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// why is the reason of a denial, for the log; empty is none. Reasons are constant
// texts: nothing of a token or an answer gets into the log through them.
type why string

// judge says what is wrong with the claims at now.
func (j *JWT) judge(c object, now time.Time) why {
	exp, hasExp, okExp := c.date("exp")
	nbf, hasNbf, okNbf := c.date("nbf")
	iat, hasIat, okIat := c.date("iat")
	leeway := j.cfg.Leeway
	switch {
	case !okExp || !okNbf || !okIat:
		return "token has a time that is none"
	case !hasExp && !j.cfg.AllowEndless:
		return "token has no expiry"
	case hasExp && !now.Before(exp.Add(leeway)):
		return "token has expired"
	case hasNbf && now.Before(nbf.Add(-leeway)):
		return "token is not yet valid"
	case hasIat && now.Before(iat.Add(-leeway)):
		return "token is from the future"
	}
	if len(j.cfg.Issuers) > 0 {
		if iss, ok := c.text("iss"); !ok || !slices.Contains(j.cfg.Issuers, iss) {
			return "token has another issuer"
		}
	}
	if len(j.cfg.Audiences) > 0 {
		aud, _ := c.texts("aud")
		if !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(j.cfg.Audiences, a) }) {
			return "token is for another audience"
		}
	}
	return ""
}

// identify is the answer for claims that hold.
func (j *JWT) identify(c object, cr *Credentials, now time.Time) Answer {
	user, ok := c.text(j.cfg.UserClaim)
	switch {
	case !ok || !validName(user):
		return Denied(CodeBadCredentials, "token has no valid user name")
	case j.cfg.MatchUser && (!cr.HasUser || cr.User != user):
		return Denied(CodeBadCredentials, "token is another user's")
	}
	if j.cfg.ClientClaim != "" {
		if id, ok := c.text(j.cfg.ClientClaim); !ok || id != cr.ClientID {
			return Denied(codeClientID, "token is for another client id")
		}
	}
	id := Named(user, true)
	id.ExpiresAt = j.end(c, now)
	if j.cfg.GroupsClaim != "" {
		if _, found := c.lookup(j.cfg.GroupsClaim); found {
			if id.Groups, ok = c.texts(j.cfg.GroupsClaim); !ok {
				return Denied(CodeBadCredentials, "token's groups are malformed")
			}
		}
	}
	if j.cfg.ACLClaim != "" {
		if raw, found := c.lookup(j.cfg.ACLClaim); found {
			rules, ok := parseGrant(raw)
			if !ok {
				return Denied(CodeBadCredentials, "token's ACL is malformed")
			}
			id.Rules = &Grant{Rules: rules}
		}
	}
	return Allowed(id)
}

// end is when the token's connection ends: with the token or, when only the leeway
// let it in, with that.
func (j *JWT) end(c object, now time.Time) int64 {
	exp, found, _ := c.date("exp")
	if !found {
		return 0
	}
	if !now.Before(exp) {
		exp = exp.Add(j.cfg.Leeway)
	}
	return unixNano(exp)
}

// Grant is the Rules of an [Identity] that a token or a call-out made.
type Grant struct {
	// Rules are what the client may do, nil when nothing was said of that. They deny
	// what none of them allows, also when there is no rule.
	Rules *Rules
	// Attributes are what the service said of the client. [HTTPACL] tells it again.
	Attributes map[string]string
}

// grantRule is a rule in a token or an answer. What else is in it is a mistake: it
// could be a condition.
type grantRule struct {
	Effect string   `json:"effect"` // empty is allow
	Action string   `json:"action"`
	Topics []string `json:"topics"`
	MinQoS *int     `json:"min_qos"`
	MaxQoS *int     `json:"max_qos"`
	Retain *bool    `json:"retain"`
}

// parseGrant reads a list of rules: [{"action": "publish", "topics": ["a/#"]}].
func parseGrant(raw []byte) (*Rules, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var list []grantRule
	if d.Decode(&list) != nil || list == nil {
		return nil, false
	}
	specs := make([]RuleSpec, len(list))
	for i, g := range list {
		if g.Effect == "" {
			g.Effect = "allow"
		}
		specs[i] = RuleSpec{Effect: g.Effect, Action: g.Action, Topics: g.Topics, MinQoS: g.MinQoS, MaxQoS: g.MaxQoS, Retain: g.Retain}
	}
	r, problems := Compile(specs, Covered)
	if len(problems) > 0 {
		return nil, false
	}
	r.closed = true
	return r, true
}
