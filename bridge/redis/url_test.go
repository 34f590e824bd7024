package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]Target{
		"redis://localhost":                              {Addrs: []string{"localhost:6379"}},
		"redis://10.0.0.1:7000/3":                        {Addrs: []string{"10.0.0.1:7000"}, DB: 3},
		"REDIS://h/":                                     {Addrs: []string{"h:6379"}},
		"rediss://:p%40ss@[::1]:7000":                    {TLS: true, Addrs: []string{"[::1]:7000"}, Password: "p@ss"},
		"redis://u:p:q@[::1]":                            {Addrs: []string{"[::1]:6379"}, User: "u", Password: "p:q"},
		"redis://u:a@b@h":                                {Addrs: []string{"h:6379"}, User: "u", Password: "a@b"},
		"redis+sentinel://u:p@h1,h2:7,[::1]/MASTER/2":    {Mode: Sentinel, Addrs: []string{"h1:26379", "h2:7", "[::1]:26379"}, Master: "MASTER", DB: 2, User: "u", Password: "p"},
		"rediss+sentinel://h1/a%2Fb":                     {Mode: Sentinel, TLS: true, Addrs: []string{"h1:26379"}, Master: "a/b"},
		"redis+cluster://h1,h2:7001":                     {Mode: Cluster, Addrs: []string{"h1:6379", "h2:7001"}},
		"rediss+cluster://u:p@h1":                        {Mode: Cluster, TLS: true, Addrs: []string{"h1:6379"}, User: "u", Password: "p"},
		"redis+cluster://h1/0":                           {Mode: Cluster, Addrs: []string{"h1:6379"}},
		"redis+unix:///run/redis/redis.sock":             {Unix: true, Addrs: []string{"/run/redis/redis.sock"}},
		"redis+unix://u:p@/run/a%20b/redis.sock?db=15":   {Unix: true, Addrs: []string{"/run/a b/redis.sock"}, DB: 15, User: "u", Password: "p"},
		"redis://user@h":                                 {Addrs: []string{"h:6379"}, User: "user"},
		"redis+sentinel://h1:26379/mymaster/":            {Mode: Sentinel, Addrs: []string{"h1:26379"}, Master: "mymaster"},
		"redis://h:65535/65536":                          {Addrs: []string{"h:65535"}, DB: 65536},
		"redis+sentinel://:p%2Fq%3F%23%3A%25@h1/m":       {Mode: Sentinel, Addrs: []string{"h1:26379"}, Master: "m", Password: "p/q?#:%"},
		"rediss://redis.example.com:6380/0":              {TLS: true, Addrs: []string{"redis.example.com:6380"}},
		"redis+cluster://[2001:db8::1]:1,[2001:db8::2]:": {},
	} {
		got, err := ParseURL(raw)
		if reflect.DeepEqual(want, Target{}) {
			if err == nil {
				t.Errorf("ParseURL(%q) = %v, want an error", raw, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseURL(%q) = %#v, %v; want %#v", raw, struct{ Target }{got}, err, struct{ Target }{want})
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "h:6379", "http://secret@h", "redis+tls://secret@h", "redis+://secret@h", "rediss+unix:///secret",
		"redis://", "redis://secret@", "redis://secret,b", "redis://secret:0", "redis://secret:70000", "redis://secret:port",
		"redis://::1", "redis://[secret]", "redis://[::1", "redis://h/secret", "redis://h/-1", "redis://h/65537", "redis://h/99999999999",
		"redis://h?secret=1", "redis://h#secret", "redis://secret%zz:p@h", "redis://u:secret%@h",
		"redis+sentinel://secret", "redis+sentinel://secret/", "redis+sentinel:///m", "redis+sentinel://h//1", "redis+sentinel://h/m/secret", "redis+sentinel://h/secret%zz",
		"redis+cluster://h/1", "redis+cluster://h,,secret", "redis+unix://secret", "redis+unix://", "redis+unix:///secret?x=1", "redis+unix:///secret?db=x", "redis+unix:///%zzsecret",
	} {
		got, err := ParseURL(raw)
		if err == nil {
			t.Errorf("ParseURL(%q) = %v, want an error", raw, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseURL(%q): the error %q has a part of it", raw, err)
		}
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	const url = "redis+sentinel://user:hunter2@h1,h2/m/1"
	o := Options{URL: url, Password: "hunter2", SentinelPassword: "hunter2"}
	target, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "options", o, "target", target)
	for _, s := range []string{
		b.String(), fmt.Sprintf("%v %+v %#v %s %q %x %d", o, o, o, o, o, o, o), fmt.Sprintf("%v %+v %#v %s", target, target, target, target),
		fmt.Sprint(Options{URL: "redis://:hunter2@h:x"}),
	} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
			t.Errorf("printed: %s", s)
		}
	}
	if want := "redis+sentinel://h1:26379,h2:26379/m/1"; target.String() != want {
		t.Errorf("target is %s, want %s", target, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for what, o := range map[string]Options{
		"URL":               {URL: "h"},
		"no password":       {URL: "redis://user@h"},
		"timeout":           {URL: "redis://h", ReadTimeout: 1},
		"pool":              {URL: "redis://h", PoolSize: -1},
		"name":              {URL: "redis://h", Name: "a b"},
		"TLS of nothing":    {URL: "redis://h", TLS: TLS{CA: "x"}},
		"no such CA":        {URL: "rediss://h", TLS: TLS{CA: "/nonexistent"}},
		"CA without any":    {URL: "rediss://h", TLS: TLS{CA: "/dev/null"}},
		"cert without key":  {URL: "rediss://h", TLS: TLS{Cert: "x"}},
		"no such cert":      {URL: "rediss://h", TLS: TLS{Cert: "/nonexistent", Key: "/nonexistent"}},
		"sentinel, no name": {URL: "redis+sentinel://h"},
	} {
		c, err := New(o)
		var option *OptionError
		if !errors.As(err, &option) || IsUnavailable(err) {
			t.Errorf("%s: %v, want an OptionError", what, err)
		}
		if c != nil {
			t.Errorf("%s: there is a client", what)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis+sentinel://u:p@h1,h2:7,[::1]/MASTER/2")
	f.Add("redis+unix://u:p@/run/a%20b/redis.sock?db=15")
	f.Add("rediss+cluster://h1,h2")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := ParseURL(raw)
		if err != nil {
			return
		}
		if len(a.Addrs) == 0 || a.DB < 0 || (a.Mode == Sentinel) != (a.Master != "") {
			t.Errorf("ParseURL(%q) = %v", raw, a)
		}
		if a.Unix || strings.ContainsAny(a.Master, "/%?#") {
			return // printed as it is
		}
		b, err := ParseURL(a.String())
		a.User, a.Password = "", ""
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("ParseURL(%q) = %#v, but its own spelling gives %#v, %v", raw, struct{ Target }{a}, struct{ Target }{b}, err)
		}
	})
}
