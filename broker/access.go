package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/hooks"
)

// access is what says who may come in and what they may do, built from one
// configuration. A reload builds another one and swaps it whole.
type access struct {
	lasting
	checker *auth.Checker
	users   *auth.Users // nil where nobody asks it, as the next two
	jwt     *auth.JWT
	http    *auth.HTTP
	lookup  *auth.LookupUsers
	rules   *auth.Rules
	service *auth.HTTPACL // nil is none
	banned  []auth.Ban    // of the file; they hold once they are put into bans
}

// lasting is what outlives a reload, unless its own settings change.
type lasting struct {
	bans     *auth.Bans
	counters *auth.Counters
	retired  *retired
	kept     *banFile
	backoff  *auth.Backoff
	pool     *auth.Pool

	backoffSet config.Backoff
	poolSet    config.Pool
}

// next is the lasting part for a configuration.
func (l lasting) next(a *config.Auth) lasting {
	if l.bans == nil {
		l.bans, l.counters, l.retired = auth.NewBans(), &auth.Counters{}, newRetired()
	}
	if l.backoff == nil || l.backoffSet != a.Backoff {
		steps := func(s config.BackoffSteps) auth.Steps {
			return auth.Steps{Free: s.Free, First: s.First.Std(), Max: s.Max.Std(), Forgive: s.Forgive.Std()}
		}
		b := &a.Backoff
		l.backoff = auth.NewBackoff(auth.BackoffConfig{Pair: steps(b.Pair), Address: steps(b.Address), User: steps(b.User), Now: time.Now, Size: b.Entries})
		l.backoffSet = a.Backoff
	}
	if l.pool == nil || l.poolSet != a.Pool {
		l.pool, l.poolSet = auth.NewPool(a.Pool.Size, a.Pool.Queue), a.Pool
	}
	return l
}

// retired are the accesses that a reload has replaced while logins asked them.
type retired struct {
	wg   sync.WaitGroup
	over chan struct{}
}

func newRetired() *retired { return &retired{over: make(chan struct{})} }

// add closes one when nobody asks it any more. Its goroutine ends with the last login
// that does, which has its own deadline, or with end.
func (r *retired) add(idle <-chan struct{}, closeIt func()) {
	r.wg.Go(func() {
		select {
		case <-idle:
		case <-r.over:
		}
		closeIt()
	})
}

// end closes all.
func (r *retired) end() {
	close(r.over)
	r.wg.Wait()
}

// newAccess reads all files and begins to fetch keys; close must follow. The listeners
// of cfg are those in force. old is nil at the start. The error is a *config.Problems.
func newAccess(cfg *config.Config, old *access, log *slog.Logger) (*access, error) {
	b := accessBuilder{cfg: cfg, log: log, out: &access{}}
	if old != nil {
		b.out.lasting = old.lasting
	}
	b.out.lasting = b.out.next(&cfg.Auth)
	sources := b.sources()
	b.checkRedis()
	b.rules()
	b.bans()
	if old == nil {
		b.out.kept = newBanFile(cfg)
	}
	if len(b.problems) == 0 {
		var err error
		b.out.checker, err = auth.NewChecker(auth.CheckerConfig{
			Listeners: policies(cfg), Default: auth.Policy{Sources: []string{}}, Sources: sources,
			Bans: b.out.bans, Backoff: b.out.backoff, Counters: b.out.counters, Now: time.Now, Binding: auth.Binding(cfg.Auth.ClientID),
		})
		b.failed("auth.sources", err)
	}
	if len(b.problems) > 0 {
		b.out.close()
		return nil, &config.Problems{List: b.problems}
	}
	if old != nil && old.jwt != nil && b.out.jwt != nil {
		b.out.jwt.Inherit(old.jwt)
	}
	return b.out, nil
}

// policies are whom each listener lets in.
func policies(cfg *config.Config) map[string]auth.Policy {
	all := make(map[string]auth.Policy, len(cfg.Listeners))
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		all[l.Name] = auth.Policy{Sources: append([]string{}, cfg.SourcesOf(l)...), Anonymous: cfg.AnonymousAt(l)}
	}
	if h := &cfg.HTTP; h.Address != "" {
		a := &cfg.Auth
		all[config.HTTPName] = auth.Policy{Sources: append([]string{}, a.Sources...), Anonymous: a.Anonymous || len(a.Sources) == 0 && h.Local()}
	}
	return all
}

// access is what an Auth decides by.
func (a *access) access() hooks.Access {
	return hooks.Access{Checker: a.checker, Rules: a.rules, Service: a.service}
}

// close ends the fetching of keys and the connections to services.
func (a *access) close() {
	if a.jwt != nil {
		a.jwt.Close()
	}
	if a.http != nil {
		_ = a.http.Close() // returns nil
	}
	if a.lookup != nil {
		_ = a.lookup.Close() // nobody asks it any more
	}
	if a.service != nil {
		_ = a.service.Close() // returns nil
	}
}

// CheckAccess reads what the `auth` section names and says what is wrong with it: a
// *config.Problems, or nil.
func CheckAccess(cfg *config.Config) error {
	a, err := newAccess(cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	a.close()
	return nil
}

// accessBuilder collects what is wrong.
type accessBuilder struct {
	cfg      *config.Config
	log      *slog.Logger
	out      *access
	problems []config.Problem
}

// failed adds an error, of which each line is a problem, and reports whether there is
// one.
func (b *accessBuilder) failed(path string, err error) bool {
	if err == nil {
		return false
	}
	var list interface{ Unwrap() []error }
	if errors.As(err, &list) {
		for _, e := range list.Unwrap() {
			b.failed(path, e)
		}
		return true
	}
	b.problems = append(b.problems, config.Problem{Path: path, Message: err.Error()})
	return true
}

// sources makes those that some listener asks, in order.
func (b *accessBuilder) sources() []auth.Source {
	var list []auth.Source
	add := func(s auth.Source, path string, err error) {
		if !b.failed(path, err) {
			list = append(list, s)
		}
	}
	a := &b.cfg.Auth
	for _, name := range b.cfg.AllSources() {
		var err error
		switch name {
		case config.SourceUsersFile:
			b.out.users, err = b.usersFile()
			add(b.out.users, "auth.users_file", err)
		case config.SourceCertificate:
			var c *auth.Cert
			c, err = auth.NewCert(certConfig(&a.Certificate))
			add(c, "auth.certificate", err)
		case config.SourceJWT:
			b.out.jwt, err = auth.NewJWT(jwtConfig(&a.JWT, b.log))
			add(b.out.jwt, "auth.jwt", err)
		case config.SourceHTTP:
			b.out.http, err = auth.NewHTTP(httpConfig(config.SourceHTTP, &a.HTTP, b.log))
			add(b.out.http, "auth.http", err)
		case config.SourceRedis:
			b.out.lookup, err = b.redisUsers()
			add(b.out.lookup, "auth.redis", err)
		default: // config.Check refuses it
			b.failed("auth.sources", fmt.Errorf("there is no source of identity named %q", name))
		}
	}
	return list
}

func (b *accessBuilder) usersFile() (*auth.Users, error) {
	list, err := auth.LoadUsers(b.cfg.Auth.UsersFile)
	if err != nil {
		return nil, err
	}
	return auth.NewUsers(auth.UsersConfig{
		Name: config.SourceUsersFile, List: list, Passwords: b.passwords(), Secret: b.scramSecret(),
	}), nil
}

func (b *accessBuilder) passwords() *auth.Passwords {
	return auth.NewPasswords(auth.PasswordsConfig{
		Pool: b.out.pool, Counters: b.out.counters, Now: time.Now, TTL: b.cfg.Auth.CacheTTL.Std(),
	})
}

// scramSecret is what unknown users are made up with; nil leaves it to the source.
func (b *accessBuilder) scramSecret() []byte {
	if s := b.cfg.Auth.ScramSecret; s != "" {
		return []byte(s.Reveal())
	}
	return nil
}

func (b *accessBuilder) rules() {
	a := &b.cfg.Auth.ACL
	mode := auth.Covered
	if b.cfg.Filtered() {
		mode = auth.Filtered
	}
	var problems []auth.Problem
	if a.File != "" {
		text, err := os.ReadFile(a.File)
		if b.failed("auth.acl.file", err) {
			return
		}
		b.out.rules, problems = auth.ParseMosquittoACL(a.File, text, mode)
	} else {
		b.out.rules, problems = auth.Compile(ruleSpecs(a.Rules), mode)
	}
	for _, p := range problems {
		b.problems = append(b.problems, config.Problem{Path: p.Where, Message: p.What})
	}
	if a.HTTP.URL != "" {
		var err error
		b.out.service, err = auth.NewHTTPACL(httpConfig("acl", &a.HTTP, b.log))
		b.failed("auth.acl.http", err)
	}
}

func (b *accessBuilder) bans() {
	file := b.cfg.Auth.Bans
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if b.failed("auth.bans", err) {
		return
	}
	b.out.banned, err = auth.ParseBans(file, text)
	b.failed("auth.bans", err)
}
