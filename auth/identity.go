package auth

// Identity is who a connection acts as. It must not be changed, nor what its
// slices hold, after it has been handed over.
type Identity struct {
	// User is the user name, valid with HasUser: an empty name is a name.
	User string
	// Groups are the names of the groups whose rules also apply.
	Groups []string
	// Rules is what the source that authenticated the connection found there and
	// its authorizer needs; nobody in between looks at it. Nil is none.
	Rules any
	// ExpiresAt is when the identity ends, in Unix nanoseconds; 0 is never.
	ExpiresAt int64
	// HasUser tells a connection with a user name from an anonymous one.
	HasUser bool
}

// Named is the identity of a connection that is believed what it says: the user
// name it gave, and nothing else. Without one it is anonymous, the zero Identity.
func Named(user string, has bool) Identity {
	if !has {
		return Identity{}
	}
	return Identity{User: user, HasUser: true}
}

// Expired reports whether the identity has ended at now, in Unix nanoseconds.
func (i *Identity) Expired(now int64) bool { return i.ExpiresAt != 0 && now >= i.ExpiresAt }

// Same reports whether two identities are the same user, or both nobody.
func (i *Identity) Same(o *Identity) bool { return i.HasUser == o.HasUser && i.User == o.User }
