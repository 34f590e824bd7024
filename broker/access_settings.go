package broker

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker/config"
)

func certConfig(c *config.Certificate) auth.CertConfig {
	return auth.CertConfig{
		Name: config.SourceCertificate, User: auth.CertField(c.User), ClientID: auth.CertField(c.ClientID), Groups: c.Groups,
		EndWith: c.EndWith, CRLFiles: c.CRLFiles, CAFiles: c.CRLCAFiles, AllowLapsed: c.AllowLapsed,
	}
}

func jwtConfig(j *config.JWT, log *slog.Logger) auth.JWTConfig {
	return auth.JWTConfig{
		Name: config.SourceJWT, Secret: auth.Secret(j.Secret.Reveal()), KeyFiles: j.KeyFiles, JWKSFiles: j.JWKSFiles,
		JWKS: auth.JWKSConfig{
			URL: j.JWKS.URL, TLS: clientTLS(&j.JWKS.TLS), Refresh: j.JWKS.Refresh.Std(), MinRefresh: j.JWKS.MinRefresh.Std(),
			Timeout: j.JWKS.Timeout.Std(), Log: log,
		},
		Issuers: j.Issuers, Audiences: j.Audiences, Leeway: j.Leeway.Std(), AllowEndless: j.AllowEndless, MaxBytes: int(j.MaxSize),
		UserClaim: j.UserClaim, MatchUser: j.MatchUser, ClientClaim: j.ClientClaim, GroupsClaim: j.GroupsClaim, ACLClaim: j.ACLClaim,
	}
}

func clientTLS(t *config.ClientTLS) auth.ClientTLS {
	return auth.ClientTLS{CAFile: t.CA, CertFile: t.Cert, KeyFile: t.Key, ServerName: t.ServerName}
}

// httpConfig: what is 0 in the configuration is none, which is negative there.
func httpConfig(name string, h *config.HTTP, log *slog.Logger) auth.HTTPConfig {
	headers := make(map[string]auth.Secret, len(h.Headers))
	for _, e := range h.Headers {
		headers[e.Name] = auth.Secret(e.Value.Reveal())
	}
	none := func(d config.Duration) time.Duration {
		if d == 0 {
			return -1
		}
		return d.Std()
	}
	size := h.CacheSize
	if size == 0 {
		size = -1
	}
	return auth.HTTPConfig{
		Name: name, URL: h.URL, AllowPlain: h.AllowPlain, TLS: clientTLS(&h.TLS), Headers: headers, Timeout: h.Timeout.Std(),
		Tries: h.Tries, MaxCalls: h.MaxCalls, MaxWaiting: h.MaxWaiting, CacheSize: size, AllowTTL: none(h.AllowTTL), DenyTTL: none(h.DenyTTL),
		BreakAfter: h.BreakAfter, BreakFor: h.BreakFor.Std(), OnFailure: auth.Failure(h.OnFailure), Log: log,
	}
}

func ruleSpecs(list []config.Rule) []auth.RuleSpec {
	specs := make([]auth.RuleSpec, len(list))
	for i := range list {
		r := &list[i]
		specs[i] = auth.RuleSpec{
			Source: fmt.Sprintf("auth.acl.rules[%d]", i), Effect: r.Effect, Action: r.Action, Topics: r.Topics,
			MinQoS: r.MinQoS, MaxQoS: r.MaxQoS, Retain: r.Retain, Anonymous: r.Anonymous,
			Users: r.Users, Clients: r.Clients, Groups: r.Groups, Addresses: r.Addresses,
			CertCN: r.CertCN, CertDN: r.CertDN, CertSAN: r.CertSAN, Listeners: r.Listeners,
		}
	}
	return specs
}
