package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Mode is how a server is found.
type Mode uint8

// The modes.
const (
	Single   Mode = iota // at its address
	Sentinel             // the primary that Sentinels name
	Cluster              // by hash slot
)

// String is the name of a mode.
func (m Mode) String() string {
	switch m {
	case Sentinel:
		return "sentinel"
	case Cluster:
		return "cluster"
	}
	return "single"
}

// Target is what a URL says. It prints without its password.
type Target struct {
	Mode     Mode
	TLS      bool
	Addrs    []string // host:port; a path with Unix
	Unix     bool
	Master   string // the name that Sentinels know
	DB       int
	User     string
	Password string
}

// Format prints the target without its password, for every verb.
func (t Target) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) } // fmt keeps the error itself

// String is the URL without user and password.
func (t Target) String() string {
	scheme := "redis"
	if t.TLS {
		scheme = "rediss"
	}
	switch {
	case t.Unix:
		return fmt.Sprintf("redis+unix://%s?db=%d", strings.Join(t.Addrs, ","), t.DB)
	case t.Mode == Sentinel:
		return fmt.Sprintf("%s+sentinel://%s/%s/%d", scheme, strings.Join(t.Addrs, ","), t.Master, t.DB)
	case t.Mode == Cluster:
		return fmt.Sprintf("%s+cluster://%s", scheme, strings.Join(t.Addrs, ","))
	}
	return fmt.Sprintf("%s://%s/%d", scheme, strings.Join(t.Addrs, ","), t.DB)
}

// maxDB is the largest number of a database. Servers have 16 unless told otherwise.
const maxDB = 1 << 16

// ParseURL reads one of
//
//	redis://[USER[:PASSWORD]@]HOST[:6379][/DB]
//	redis+sentinel://[USER[:PASSWORD]@]HOST[:26379],HOST.../MASTER[/DB]
//	redis+cluster://[USER[:PASSWORD]@]HOST[:6379],HOST...
//	redis+unix://[USER[:PASSWORD]@]/FILE[?db=DB]
//
// and with rediss in place of redis the first three over TLS. A password alone is
// written :PASSWORD@. User and password are those of Redis, also with Sentinel, and
// percent-encoded where they have one of %:/?#@. No part of the URL is in the error.
func ParseURL(raw string) (Target, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return Target{}, errors.New("must be a URL such as redis://127.0.0.1:6379")
	}
	t := Target{}
	scheme, kind, _ := strings.Cut(strings.ToLower(scheme), "+")
	t.TLS = scheme == "rediss"
	switch {
	case scheme != "redis" && scheme != "rediss":
		return Target{}, errScheme
	case kind == "sentinel":
		t.Mode = Sentinel
	case kind == "cluster":
		t.Mode = Cluster
	case kind == "unix" && !t.TLS:
		t.Unix = true
	case kind != "" || strings.HasSuffix(raw[:strings.Index(raw, "://")], "+"):
		return Target{}, errScheme
	}
	if strings.Contains(rest, "#") {
		return Target{}, errors.New("must have no fragment: write # as %23")
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		if err := t.userinfo(authority[:i]); err != nil {
			return Target{}, err
		}
		authority = authority[i+1:]
	}
	if t.Unix {
		return t.unix(authority, path, query)
	}
	if hasQuery {
		return Target{}, errors.New("must have no query: settings have keys of their own")
	}
	if err := t.hosts(authority); err != nil {
		return Target{}, err
	}
	return t, t.path(path)
}

var errScheme = errors.New("must begin with redis://, rediss://, redis+sentinel://, rediss+sentinel://, " +
	"redis+cluster://, rediss+cluster:// or redis+unix://")

func (t *Target) userinfo(s string) error {
	user, password, _ := strings.Cut(s, ":")
	var err1, err2 error
	t.User, err1 = url.PathUnescape(user)
	t.Password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errors.New("user and password must be percent-encoded: write % as %25") // theirs would have the text
	}
	return nil
}

func (t Target) unix(authority, path, query string) (Target, error) {
	if authority != "" || path == "" {
		return Target{}, errors.New("must be redis+unix:///FILE, with three slashes")
	}
	file, err := url.PathUnescape(path)
	if err != nil {
		return Target{}, errors.New("the file must be percent-encoded: write % as %25")
	}
	t.Addrs = []string{"/" + file}
	if query == "" {
		return t, nil
	}
	db, ok := strings.CutPrefix(query, "db=")
	if !ok {
		return Target{}, errors.New("must have no query but db=NUMBER")
	}
	return t, t.db(db)
}

func (t *Target) hosts(authority string) error {
	port := "6379"
	if t.Mode == Sentinel {
		port = "26379"
	}
	for h := range strings.SplitSeq(authority, ",") {
		addr, err := address(h, port)
		if err != nil {
			return err
		}
		t.Addrs = append(t.Addrs, addr)
	}
	if t.Mode == Single && len(t.Addrs) > 1 {
		return errors.New("must have one host, or be redis+sentinel:// or redis+cluster://")
	}
	return nil
}

func address(h, port string) (string, error) {
	host := h
	if i := strings.LastIndexByte(h, ':'); i >= 0 && !strings.HasSuffix(h, "]") {
		host, port = h[:i], h[i+1:]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("must have ports from 1 to 65535")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok || net.ParseIP(inner) == nil {
			return "", errors.New("must have IPv6 addresses in brackets")
		}
		host = inner
	} else if strings.ContainsAny(host, ":[] ") {
		return "", errors.New("must have IPv6 addresses in brackets")
	}
	if host == "" {
		return "", errors.New("must name a host")
	}
	return net.JoinHostPort(host, port), nil
}

// path reads what follows the hosts: MASTER and DB, or DB.
func (t *Target) path(path string) error {
	path = strings.TrimSuffix(path, "/")
	switch t.Mode {
	case Cluster:
		if path != "" && path != "0" {
			return errors.New("must have no database: a Cluster has only number 0")
		}
		return nil
	case Sentinel:
		master, db, hasDB := strings.Cut(path, "/")
		name, err := url.PathUnescape(master)
		if err != nil || name == "" {
			return errors.New("must name the primary as the Sentinels do: redis+sentinel://HOSTS/MASTER")
		}
		t.Master = name
		if !hasDB {
			return nil
		}
		path = db
	}
	if path == "" {
		return nil
	}
	return t.db(path)
}

func (t *Target) db(s string) error {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n > maxDB {
		return fmt.Errorf("must have a number from 0 to %d as the database", maxDB)
	}
	t.DB = int(n)
	return nil
}
