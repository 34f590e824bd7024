package auth

import "slices"

// HasMethods reports whether some listener knows a method of enhanced authentication.
func (k *Checker) HasMethods() bool {
	for _, p := range k.listeners {
		if len(p.methods) > 0 {
			return true
		}
	}
	return len(k.standard.methods) > 0
}

// Review says whether a connection that old let in as id would be let in now, as far
// as that can be told without its password: it is denied when it is banned, when its
// listener does not let clients in any more that nothing vouches for, and when a users
// file says something else of its user than before. c needs no password and no TLS.
func (k *Checker) Review(old *Checker, c Credentials, id *Identity) Answer {
	if a := k.banned(&c, id.User, id.HasUser); a.Outcome == Deny {
		return a
	}
	if id.HasUser && k.binding != old.binding && !k.binding.allows(id.User, c.ClientID) {
		if e, known := k.policy(c.Listener).entry(id.User); !known || len(e.clients) == 0 {
			return Denied(CodeNotAuthorized, "the client id is not the user's any more")
		}
	}
	was, is := old.policy(c.Listener), k.policy(c.Listener)
	switch {
	case was.believes() && !is.believes() && (id.HasUser || !is.anonymous):
		return Denied(CodeNotAuthorized, "names are not believed any more")
	case was.anonymous && !is.anonymous && !id.HasUser:
		return Denied(CodeNotAuthorized, "anonymous clients are not let in any more")
	case id.HasUser && was.changed(is, id.User):
		return Denied(CodeNotAuthorized, "the users file has changed what it says of the user")
	}
	return Allowed(*id)
}

// believes reports whether everybody is who they say they are.
func (p *policy) believes() bool { return len(p.sources) == 0 && p.anonymous }

// changed reports whether the first users file that knows a user says something else
// of it in another policy.
func (p *policy) changed(now *policy, user string) bool {
	before, known := p.entry(user)
	if !known {
		return false
	}
	after, known := now.entry(user)
	return !known || after.hash != before.hash || after.scram != before.scram ||
		!slices.Equal(after.groups, before.groups) || !slices.Equal(after.clients, before.clients)
}

func (p *policy) entry(user string) (userEntry, bool) {
	for _, s := range p.sources {
		if u, ok := s.(*Users); ok {
			if e, ok := u.list.users[user]; ok {
				return e, true
			}
		}
	}
	return userEntry{}, false
}
