package config

import "strings"

// checkRedis judges what needs no connection; package broker reads the URLs.
func (c *Config) checkRedis(r *report) {
	b := &c.Bridge.Redis
	switch p := b.Prefix; {
	case p == "":
		r.add("bridge.redis.prefix", "must not be empty: keys of others would be ours")
	case len(p) > 64 || strings.ContainsFunc(p, unprintable) || strings.ContainsAny(p, "{}"):
		r.add("bridge.redis.prefix", "must be at most 64 printable characters without braces, which are hash tags")
	}
	// A lost lease is noticed by the answer of one command, and so must come in time.
	if b.ReadTimeout >= b.Lease {
		r.add("bridge.redis.read_timeout", "must be below bridge.redis.lease (%s), is %s", b.Lease, b.ReadTimeout)
	}
	if key := c.Auth.Redis.Key; !strings.Contains(key, "%u") || key == "%u" {
		r.add("auth.redis.key", "must have %%u for the user name, and more")
	}
	if a := &c.Auth.Redis; a.URL == "" && (a.User != "" || a.Password != "" || a.SentinelUser != "" || a.SentinelPassword != "" || a.TLS != ClientTLS{}) {
		r.add("auth.redis.url", "must be set, as other keys of the connection are")
	}
}
