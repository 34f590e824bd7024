package config

import "slices"

var sourceNames = []string{SourceUsersFile, SourceCertificate, SourceJWT, SourceHTTP, SourceRedis}

// SourcesOf are the names of the sources that a listener asks, in order.
func (c *Config) SourcesOf(l *Listener) []string {
	if len(l.Auth.Sources) > 0 {
		return l.Auth.Sources
	}
	return c.Auth.Sources
}

// AnonymousAt reports whether a listener lets clients in that nobody vouches for: it
// says so, or nothing checks who connects and other hosts cannot.
func (c *Config) AnonymousAt(l *Listener) bool {
	return c.Auth.Anonymous || l.Anonymous || len(c.SourcesOf(l)) == 0 && l.Local()
}

// AllSources are the sources that some listener asks, those of all listeners first.
func (c *Config) AllSources() []string {
	all := slices.Clone(c.Auth.Sources)
	for i := range c.Listeners {
		for _, name := range c.Listeners[i].Auth.Sources {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func (c *Config) checkAuth(r *report) {
	a := &c.Auth
	checkSources(r, a.Sources, "auth.sources")
	for i := range c.Listeners {
		checkSources(r, c.Listeners[i].Auth.Sources, item("listeners", i)+".auth.sources")
	}
	used := c.AllSources()
	for _, s := range []struct {
		name, key, must string
		set             bool
	}{
		{SourceUsersFile, "auth.users_file", "must be the file with the users", a.UsersFile != ""},
		{SourceJWT, "auth.jwt", "must have a key: secret, key_files, jwks_files or jwks.url", a.JWT.hasKey()},
		{SourceHTTP, "auth.http.url", "must be the URL of the service", a.HTTP.URL != ""},
		{SourceRedis, "auth.redis.url", "must be the URL of a Redis, or bridge.redis.url", a.Redis.URL != "" || c.Bridge.Redis.URL != "" && slices.Contains(used, SourceRedis)},
		{SourceCertificate, "auth.certificate", "must have user or client_id", a.Certificate.User != "" || a.Certificate.ClientID != ""},
	} {
		asked := slices.Contains(used, s.name)
		switch {
		case asked && !s.set:
			r.add(s.key, "%s, as %s is one of the sources", s.must, s.name)
		case !asked && s.set && s.name != SourceCertificate: // that one has a default
			r.add(s.key, "is set, but nobody asks it: name %s in auth.sources", s.name)
		}
	}
	checkHTTP(r, &a.HTTP, "auth.http")
	checkHTTP(r, &a.ACL.HTTP, "auth.acl.http")
	c.checkACL(r)
}

func checkSources(r *report, names []string, path string) {
	for i, name := range names {
		switch {
		case !slices.Contains(sourceNames, name):
			r.add(item(path, i), "must be users_file, certificate, jwt, http or redis, is %s", shown(name))
		case slices.Contains(names[:i], name):
			r.add(item(path, i), "stands twice")
		}
	}
}

func checkHTTP(r *report, h *HTTP, path string) {
	for i := range h.Headers {
		if h.Headers[i].Name == "" {
			r.add(item(path+".headers", i)+".name", "must be the name of a header")
		}
	}
}

func (c *Config) checkACL(r *report) {
	a := &c.Auth.ACL
	if a.File != "" && len(a.Rules) > 0 {
		r.add("auth.acl.file", "and auth.acl.rules do not go together: which of them comes first is nowhere said")
	}
	if a.HTTP.URL != "" && c.Filtered() {
		r.add("auth.acl.http.url", "and subscribe: filtered do not go together: a service is asked about subscriptions, not about each delivery")
	}
	if a.HTTP.URL != "" && a.HTTP.OnFailure == "ignore" {
		r.add("auth.acl.http.on_failure", "must be deny or allow: nobody is asked after the service")
	}
	for i := range a.Rules {
		if len(a.Rules[i].Topics) == 0 {
			r.add(item("auth.acl.rules", i)+".topics", "must have at least one")
		}
	}
}

// Filtered reports whether subscriptions are accepted and each delivery is judged:
// what a file of mosquitto means unless told otherwise.
func (c *Config) Filtered() bool {
	a := &c.Auth.ACL
	return a.Subscribe == "filtered" || a.Subscribe == "auto" && a.File != ""
}
