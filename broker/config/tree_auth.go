package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Auth is who may come in and what they may do.
type Auth struct {
	Anonymous   bool        `koanf:"anonymous"`
	Sources     []string    `koanf:"sources"`    // in the order in which they are asked
	UsersFile   string      `koanf:"users_file"` // for the source of this name, as the next three
	Certificate Certificate `koanf:"certificate"`
	JWT         JWT         `koanf:"jwt"`
	HTTP        HTTP        `koanf:"http"`
	Redis       AuthRedis   `koanf:"redis"`
	ACL         ACL         `koanf:"acl"`
	Bans        string      `koanf:"bans"` // file; empty is none
	Backoff     Backoff     `koanf:"backoff"`
	Pool        Pool        `koanf:"pool"`
	CacheTTL    Duration    `koanf:"cache_ttl" max:"24h"` // 0 is not at all
	ClientID    string      `koanf:"client_id" oneof:"any|user|prefix"`
	ScramSecret Secret      `koanf:"scram_secret"`
	OnReload    OnReload    `koanf:"on_reload" oneof:"disconnect|subscriptions"`
}

// The names of sources of identity.
const (
	SourceUsersFile   = "users_file"
	SourceCertificate = "certificate"
	SourceJWT         = "jwt"
	SourceHTTP        = "http"
	SourceRedis       = "redis"
)

// ListenerAuth is whom one listener asks.
type ListenerAuth struct {
	Sources []string `koanf:"sources"` // empty is those of Auth
}

// OnReload is what becomes of a client that has a subscription which new rules refuse.
type OnReload string

// The values of OnReload.
const (
	ReloadDisconnects   OnReload = "disconnect"
	ReloadSubscriptions OnReload = "subscriptions" // it loses that subscription only
)

// Secret is a text that is printed by nothing.
type Secret string

const redacted = "[redacted]"

// Reveal returns the text, for who needs it to work.
func (s Secret) Reveal() string { return string(s) }

// Format prints [redacted] for every verb.
func (Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, redacted) // fmt keeps the error of its writer itself
}

// MarshalText is [redacted].
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is [redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Certificate is how client certificates say who somebody is.
type Certificate struct {
	User        string   `koanf:"user" oneof:"|cn|dn|san_dns|san_email|san_uri"`
	ClientID    string   `koanf:"client_id" oneof:"|cn|dn|san_dns|san_email|san_uri"`
	Groups      bool     `koanf:"groups"`
	EndWith     bool     `koanf:"end_with_certificate"`
	CRLFiles    []string `koanf:"crl_files"`
	CRLCAFiles  []string `koanf:"crl_ca_files"`
	AllowLapsed bool     `koanf:"allow_lapsed"`
}

// JWT is how tokens are checked.
type JWT struct {
	Secret       Secret   `koanf:"secret"`
	KeyFiles     []string `koanf:"key_files"`
	JWKSFiles    []string `koanf:"jwks_files"`
	JWKS         JWKS     `koanf:"jwks"`
	Issuers      []string `koanf:"issuers"`
	Audiences    []string `koanf:"audiences"`
	Leeway       Duration `koanf:"leeway" max:"1h"`
	AllowEndless bool     `koanf:"allow_endless"`
	MaxSize      Size     `koanf:"max_size" min:"256B" max:"65535B"`
	UserClaim    string   `koanf:"user_claim"`
	MatchUser    bool     `koanf:"match_user"`
	ClientClaim  string   `koanf:"client_claim"`
	GroupsClaim  string   `koanf:"groups_claim"`
	ACLClaim     string   `koanf:"acl_claim"`
}

// hasKey reports whether there is something to check a token with.
func (j *JWT) hasKey() bool {
	return j.Secret != "" || len(j.KeyFiles)+len(j.JWKSFiles) > 0 || j.JWKS.URL != ""
}

// JWKS is where keys for tokens are fetched.
type JWKS struct {
	URL        string    `koanf:"url"`
	TLS        ClientTLS `koanf:"tls"`
	Refresh    Duration  `koanf:"refresh" min:"1s" max:"30d"`
	MinRefresh Duration  `koanf:"min_refresh" min:"100ms" max:"24h"`
	Timeout    Duration  `koanf:"timeout" min:"10ms" max:"5m"`
}

// ClientTLS is how a service is trusted and what is shown to it. Files are PEM.
type ClientTLS struct {
	CA         string `koanf:"ca"`
	Cert       string `koanf:"cert"`
	Key        string `koanf:"key"`
	ServerName string `koanf:"server_name"`
}

// HTTP is a service that is asked.
type HTTP struct {
	URL        string    `koanf:"url"`
	AllowPlain bool      `koanf:"allow_plain"`
	TLS        ClientTLS `koanf:"tls"`
	Headers    []Header  `koanf:"headers"`
	Timeout    Duration  `koanf:"timeout" min:"10ms" max:"5m"`
	Tries      int       `koanf:"tries" min:"1" max:"10"`
	MaxCalls   int       `koanf:"max_calls" min:"1" max:"10000"`
	MaxWaiting int       `koanf:"max_waiting" min:"1" max:"1000000"`
	CacheSize  int       `koanf:"cache_size" max:"10000000"` // 0 is none
	AllowTTL   Duration  `koanf:"allow_ttl" max:"24h"`       // 0 is not at all
	DenyTTL    Duration  `koanf:"deny_ttl" max:"24h"`        // 0 is not at all
	BreakAfter int       `koanf:"break_after" min:"1" max:"1000000"`
	BreakFor   Duration  `koanf:"break_for" min:"10ms" max:"1h"`
	OnFailure  string    `koanf:"on_failure" oneof:"deny|allow|ignore"`
}

// Header is one of a request.
type Header struct {
	Name  string `koanf:"name"`
	Value Secret `koanf:"value"`
}

// ACL is what clients may do.
type ACL struct {
	Rules     []Rule `koanf:"rules"`
	File      string `koanf:"file"` // of mosquitto
	Subscribe string `koanf:"subscribe" oneof:"auto|covered|filtered"`
	HTTP      HTTP   `koanf:"http"`
}

// Rule is one of the ACL. What is not given is no condition.
type Rule struct {
	Effect    string   `koanf:"effect" oneof:"allow|deny"`
	Action    string   `koanf:"action" oneof:"publish|subscribe|all"`
	Topics    []string `koanf:"topics"`
	MinQoS    *int     `koanf:"min_qos" max:"2"`
	MaxQoS    *int     `koanf:"max_qos" max:"2"`
	Retain    *bool    `koanf:"retain"`
	Anonymous *bool    `koanf:"anonymous"`
	Users     []string `koanf:"users"`
	Clients   []string `koanf:"clients"`
	Groups    []string `koanf:"groups"`
	Addresses []string `koanf:"addresses"`
	CertCN    []string `koanf:"cert_cn"`
	CertDN    []string `koanf:"cert_dn"`
	CertSAN   []string `koanf:"cert_san"`
	Listeners []string `koanf:"listeners"`
}

// Backoff is how failed logins are slowed down.
type Backoff struct {
	Pair    BackoffSteps `koanf:"pair"`                            // of a user from an address
	Address BackoffSteps `koanf:"address"`                         // from an address
	User    BackoffSteps `koanf:"user"`                            // of a user
	Entries int          `koanf:"entries" min:"16" max:"10000000"` // of each table
}

// BackoffSteps is the pauses of one kind of failures. Max 0 is none.
type BackoffSteps struct {
	Free    int      `koanf:"free" max:"1000000"`
	First   Duration `koanf:"first" min:"1ms" max:"24h"`
	Max     Duration `koanf:"max" max:"24h"`
	Forgive Duration `koanf:"forgive" min:"1ms" max:"30d"`
}

// Pool bounds what password hashes take of the machine.
type Pool struct {
	Size  int `koanf:"size" max:"4096"`     // cores; 0 is half of them
	Queue int `koanf:"queue" max:"1000000"` // that wait; 0 is 64 for each core
}

func defaultAuth() Auth {
	return Auth{
		Certificate: Certificate{User: "cn"},
		JWT: JWT{
			JWKS:    JWKS{Refresh: hour, MinRefresh: 10 * second, Timeout: 10 * second},
			MaxSize: 8 * KiB, UserClaim: "sub",
		},
		HTTP:  defaultHTTP(),
		Redis: defaultAuthRedis(),
		ACL:   ACL{Subscribe: "auto", HTTP: defaultHTTP()},
		Backoff: Backoff{
			Pair:    BackoffSteps{Free: 3, First: second, Max: 5 * minute, Forgive: 10 * minute},
			Address: BackoffSteps{Free: 20, First: second, Max: minute, Forgive: 10 * second},
			User:    BackoffSteps{Free: 20, First: second, Max: 30 * second, Forgive: 10 * second},
			Entries: 1 << 16,
		},
		CacheTTL: 10 * minute,
		ClientID: "any",
		OnReload: ReloadDisconnects,
	}
}

func defaultHTTP() HTTP {
	return HTTP{
		Timeout: 3 * second, Tries: 2, MaxCalls: 64, MaxWaiting: 1024, CacheSize: 10_000,
		AllowTTL: minute, DenyTTL: 10 * second, BreakAfter: 5, BreakFor: 10 * second, OnFailure: "deny",
	}
}
