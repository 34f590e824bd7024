package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestAuthIsRead(t *testing.T) {
	file := write(t, "c.yaml", `
listeners:
  - {name: in, url: 'tcp://0.0.0.0:1'}
  - {name: own, url: 'tcp://0.0.0.0:2', auth: {sources: [certificate]}}
  - {name: open, url: 'tcp://0.0.0.0:3', anonymous: true}
auth:
  sources: [users_file, jwt]
  users_file: users
  jwt: {secret: s, issuers: [a, b], leeway: 5s}
  acl:
    rules:
      - {effect: allow, action: all, topics: ['a/#'], users: [bob], min_qos: 0, max_qos: 1, retain: false}
      - {effect: deny, action: publish, topics: ['b'], anonymous: true}
`)
	c := mustLoad(t, Source{File: file})
	r := c.Auth.ACL.Rules
	switch {
	case len(r) != 2, *r[0].MinQoS != 0, *r[0].MaxQoS != 1, *r[0].Retain, r[0].Anonymous != nil, !*r[1].Anonymous, r[1].Users != nil:
		t.Errorf("%+v", r)
	}
	for i, want := range []string{"[users_file jwt] false", "[certificate] false", "[users_file jwt] true"} {
		l := &c.Listeners[i]
		if got := fmt.Sprint(c.SourcesOf(l), " ", c.AnonymousAt(l)); got != want {
			t.Errorf("%s: %s, want %s", l.Name, got, want)
		}
	}
	if got := fmt.Sprint(c.AllSources()); got != "[users_file jwt certificate]" {
		t.Errorf("all are %s", got)
	}
	if c := Default(); !c.AnonymousAt(&c.Listeners[0]) || c.Filtered() {
		t.Error("by default loopback is not open, or subscriptions are filtered")
	}
	if s := fmt.Sprintf("%v %+v %#v %s", c, c.Auth, c.Auth.JWT.Secret, c.Auth.JWT.Secret); strings.Contains(s, "Secret:s") || !strings.Contains(s, redacted) {
		t.Errorf("the secret is printed: %s", s)
	}
}

func TestAuthProblems(t *testing.T) {
	for text, want := range map[string]string{
		"auth: {sources: [ldap]}":                                                       `auth.sources[0]: must be users_file, certificate, jwt, http or redis, is "ldap"`,
		"auth: {sources: [jwt, jwt], jwt: {secret: x}}":                                 "auth.sources[1]: stands twice",
		"auth: {sources: [users_file]}":                                                 "auth.users_file: must be the file with the users, as users_file is one of the sources",
		"auth: {users_file: users}":                                                     "auth.users_file: is set, but nobody asks it: name users_file in auth.sources",
		"auth: {sources: [http]}":                                                       "auth.http.url: must be the URL of the service, as http is one of the sources",
		"auth: {sources: [jwt]}":                                                        "auth.jwt: must have a key: secret, key_files, jwks_files or jwks.url, as jwt is one of the sources",
		"auth: {sources: [certificate], certificate: {user: ''}}":                       "auth.certificate: must have user or client_id, as certificate is one of the sources",
		"auth: {certificate: {user: serial}}":                                           `auth.certificate.user: must be empty, cn, dn, san_dns, san_email or san_uri, is "serial"`,
		"auth: {acl: {rules: [{effect: maybe, action: all, topics: [a]}]}}":             `auth.acl.rules[0].effect: must be allow or deny, is "maybe"`,
		"auth: {acl: {rules: [{effect: allow, action: all}]}}":                          "auth.acl.rules[0].topics: must have at least one",
		"auth: {acl: {rules: [{effect: allow, action: all, topics: [a], users: []}]}}":  "auth.acl.rules[0].users: must not be empty: a condition without values would be none",
		"auth: {acl: {rules: [{effect: allow, action: all, topics: [a], max_qos: 3}]}}": "auth.acl.rules[0].max_qos: must be between 0 and 2, is 3",
		"auth: {acl: {rules: [{effect: allow, action: all, topics: [a], retain: 1}]}}":  "auth.acl.rules[0].retain: must be true or false, is 1",
		"auth: {acl: {rules: [{effect: allow, action: all, topics: [a], user: x}]}}":    "auth.acl.rules[0].user: is not a setting; did you mean users?",
		"auth: {jwt: {secret: 123456}}":                                                 "auth.jwt.secret: must be text in quotes",
		"auth: {acl: {http: {url: 'https://x', on_failure: ignore}}}":                   "auth.acl.http.on_failure: must be deny or allow: nobody is asked after the service",
		"auth: {acl: {http: {url: 'https://x'}, subscribe: filtered}}":                  "auth.acl.http.url: and subscribe: filtered do not go together: a service is asked about subscriptions, not about each delivery",
		"auth: {acl: {file: x, rules: [{effect: allow, action: all, topics: [a]}]}}":    "auth.acl.file: and auth.acl.rules do not go together: which of them comes first is nowhere said",
		"auth: {http: {headers: [{value: x}]}}":                                         "auth.http.headers[0].name: must be the name of a header",
		"auth: {sources: [redis]}":                                                      "auth.redis.url: must be the URL of a Redis, or bridge.redis.url, as redis is one of the sources",
		"auth: {redis: {url: 'redis://x'}}":                                             "auth.redis.url: is set, but nobody asks it: name redis in auth.sources",
		"auth: {redis: {key: '%u'}}":                                                    "auth.redis.key: must have %u for the user name, and more",
		"auth: {redis: {user: x}}":                                                      "auth.redis.url: must be set, as other keys of the connection are",
		"bridge: {redis: {prefix: ''}}":                                                 "bridge.redis.prefix: must not be empty: keys of others would be ours",
		"bridge: {redis: {prefix: 'a{b}'}}":                                             "bridge.redis.prefix: must be at most 64 printable characters without braces, which are hash tags",
		"bridge: {redis: {read_timeout: 3s}}":                                           "bridge.redis.read_timeout: must be below bridge.redis.lease (3s), is 3s",
		"auth: {on_reload: kick}":                                                       `auth.on_reload: must be disconnect or subscriptions, is "kick"`,
	} {
		t.Run(text, func(t *testing.T) {
			expect(t, problems(t, Source{File: write(t, "c.yaml", text)}), want+" (c.yaml:1)")
		})
	}
}

func TestExpansion(t *testing.T) {
	expand := func(s string) (string, error) {
		if strings.Contains(s, "${none}") {
			return "", errors.New("there is no ${none}")
		}
		return strings.ReplaceAll(s, "${x}", "hidden"), nil
	}
	file := write(t, "c.yaml", "node: {name: 'a-${x}'}\nauth: {sources: [jwt], jwt: {secret: '${x}', issuers: ['i', '${x}']}}\n")
	c := mustLoad(t, Source{File: file, Env: []string{"SKEIN_DATA=${x}/d"}, Flags: map[string]string{"mqtt.response_information": "${x}"}, Expand: expand})
	if c.Node.Name != "a-hidden" || c.Auth.JWT.Secret.Reveal() != "hidden" || c.Auth.JWT.Issuers[1] != "hidden" || c.Data != "hidden/d" || c.MQTT.ResponseInformation != "hidden" {
		t.Errorf("%+v %q", c, c.Auth.JWT.Secret.Reveal())
	}
	if c := mustLoad(t, Source{File: file}); c.Node.Name != "a-${x}" {
		t.Errorf("without an expander: %s", c.Node.Name)
	}
	file = write(t, "c.yaml", "log: {level: '${x}'}\nsys_interval: '${x}'\nnode: {name: '${none}'}\nlisteners:\n  - url: tcp://0.0.0.0:1${y}\n")
	expect(t, problems(t, Source{File: file, Expand: func(s string) (string, error) {
		s, err := expand(s)
		return strings.ReplaceAll(s, "${y}", "883"), err
	}}),
		"node.name: there is no ${none} (c.yaml:3)",
		"sys_interval: what was put in for ${...} does not fit here (c.yaml:2)",
		"log.level: what was put in for ${...} does not fit here (c.yaml:1)",
		"listeners[0].url: "+open+" (c.yaml:5)",
	)
}

func TestListenersPoliciesNeedNoRestart(t *testing.T) {
	next := Default()
	next.Listeners[0].Anonymous, next.Listeners[1].Auth.Sources = true, []string{"jwt"}
	next.Auth = Auth{}
	if got := Default().Reloadable(next); got != nil {
		t.Errorf("%q", got)
	}
}
