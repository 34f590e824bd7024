package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Lookup finds what a store of users says of one. It must be safe for concurrent use
// and end with ctx.
type Lookup interface {
	// Lookup returns the fields of a user that are there; none is that there is no such
	// user. Fields are those of [LookupFields].
	Lookup(ctx context.Context, user string) (map[string]string, error)
	// Close lets go of what it needs.
	Close() error
}

// Fields of a user in a [Lookup].
const (
	FieldPassword = "password"  // a hash of [ParseHash]
	FieldScram    = "scram"     // a verifier of [ParseVerifier]
	FieldGroups   = "groups"    // names with commas between
	FieldDisabled = "disabled"  // 1, true or yes; 0, false, no or nothing
	FieldClientID = "client_id" // patterns with commas between, see [ParseClientIDs]
)

// LookupFields are all fields.
var LookupFields = []string{FieldPassword, FieldScram, FieldGroups, FieldDisabled, FieldClientID}

// LookupConfig configures [NewLookupUsers]. Zero values of the numbers are not
// defaults: each is needed, but for the lifetimes and the size, where 0 is none.
type LookupConfig struct {
	Name      string
	Lookup    Lookup
	Passwords *Passwords
	// Secret makes up what unknown users are shown, see [UsersConfig].
	Secret []byte
	// Timeout bounds one question with the wait for its turn.
	Timeout time.Duration
	// MaxCalls questions may be under way, and MaxWaiting more wait; past it: busy.
	MaxCalls, MaxWaiting int
	// CacheSize users are remembered for AllowTTL, and as many who are not there for
	// DenyTTL.
	CacheSize         int
	AllowTTL, DenyTTL time.Duration
	// BreakAfter failures in a row make the store count as failing for BreakFor.
	BreakAfter int
	BreakFor   time.Duration
	// Now is the time, [time.Now] but in tests.
	Now func() time.Time
	Log *slog.Logger
}

// LookupUsers is the [Source] of users who are looked up one by one, such as in a
// Redis. It judges connections with a password. A store that does not answer, or says
// what cannot be understood, denies. Users are remembered, passwords are not: see
// [Passwords].
type LookupUsers struct {
	cfg     LookupConfig
	cache   *answerCache[lookedUp]
	breaker breaker

	calls   chan struct{} // a place for each question under way
	waiting atomic.Int64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	under  sync.WaitGroup // questions; Close waits for them

	mu      sync.Mutex
	closed  bool // no question begins any more
	flights map[string]*lookupFlight
}

// lookedUp is what is known of a user. The zero value is that there is none.
type lookedUp struct {
	userEntry
	known    bool
	disabled bool
}

// lookupFlight is one question. user and err are valid once done is closed.
type lookupFlight struct {
	done chan struct{}
	user lookedUp
	err  error
}

// NewLookupUsers makes the source. Close must follow.
func NewLookupUsers(cfg LookupConfig) *LookupUsers {
	u := &LookupUsers{
		cfg:     cfg,
		cache:   newAnswerCache[lookedUp](&HTTPConfig{CacheSize: cfg.CacheSize, AllowTTL: cfg.AllowTTL, DenyTTL: cfg.DenyTTL}),
		breaker: breaker{after: cfg.BreakAfter, pause: cfg.BreakFor},
		calls:   make(chan struct{}, cfg.MaxCalls), // full: the next wait, at most MaxWaiting
		flights: map[string]*lookupFlight{},
	}
	u.cfg.Log = cfg.Log.With("source", cfg.Name)
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// Name is what the configuration and the log call it.
func (u *LookupUsers) Name() string { return u.cfg.Name }

// Close gives up the questions that are under way and closes the store. Checks
// afterwards count as given up.
func (u *LookupUsers) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel()
	u.under.Wait()
	if err := u.cfg.Lookup.Close(); err != nil {
		return fmt.Errorf("%s: %w", u.cfg.Name, err)
	}
	return nil
}

// Check judges a password.
func (u *LookupUsers) Check(ctx context.Context, c Credentials) Answer {
	if !c.HasUser || !c.HasPassword {
		return Answer{}
	}
	e, err := u.find(ctx, c.User)
	if err != nil {
		return u.without(err)
	}
	if !e.known {
		return Answer{}
	}
	hash := e.hash
	if hash == "" { // who has a verifier alone
		hash = u.decoy()
	}
	ok, err := u.cfg.Passwords.Check(ctx, c, hash)
	if err != nil {
		return DeniedBy(fmt.Errorf("%s: %w", u.cfg.Name, err))
	}
	return u.judge(&e, &c, ok && e.hash != "")
}

func (u *LookupUsers) judge(e *lookedUp, c *Credentials, right bool) Answer {
	switch {
	case !right:
		return Denied(CodeBadCredentials, u.cfg.Name+": wrong password")
	case e.disabled: // after the password: who does not know it learns nothing
		return Denied(CodeBadCredentials, u.cfg.Name+": the user is disabled")
	}
	return e.allowed(u.cfg.Name, c)
}

// Recall allows a password that was right lately, of a user who is remembered.
func (u *LookupUsers) Recall(c Credentials) (a Answer, known bool) {
	if !c.HasUser || !c.HasPassword {
		return Answer{}, true
	}
	e, ok := u.cache.get([]byte(c.User), u.cfg.Now())
	hash := e.hash
	if hash == "" {
		hash = u.decoy() // never right
	}
	right := u.cfg.Passwords.Recall(c, hash)
	switch {
	case !ok:
		return Answer{}, false
	case !e.known:
		return Answer{}, true
	case right && e.hash != "":
		return u.judge(&e, &c, true), true
	}
	return Answer{}, false
}

// Spend takes the time of a wrong password.
func (u *LookupUsers) Spend(ctx context.Context, c Credentials) error {
	if !c.HasUser || !c.HasPassword {
		return nil
	}
	if e, ok := u.cache.get([]byte(c.User), u.cfg.Now()); ok && e.known {
		return nil
	}
	if _, err := u.cfg.Passwords.Check(ctx, c, u.decoy()); err != nil {
		return fmt.Errorf("%s: %w", u.cfg.Name, err)
	}
	return nil
}

// decoy is a hash that no password has. What the store's hashes cost is not known
// before they are read, so it costs what new ones do.
func (u *LookupUsers) decoy() string { return lookupDecoy() }

var lookupDecoy = sync.OnceValue(func() string { return newCost().decoy() })

// ScramUser returns what SCRAM needs of a user.
func (u *LookupUsers) ScramUser(ctx context.Context, user string) (ScramUser, error) {
	var shares scramShares
	s := ScramUser{Source: u.cfg.Name, Verifier: shares.decoy(u.cfg.Secret, user)}
	e, err := u.find(ctx, user)
	if err != nil {
		return s, fmt.Errorf("%s: %w", u.cfg.Name, err)
	}
	if !e.known || e.disabled {
		return s, nil
	}
	s.Known, s.Identity, s.ClientIDs = true, e.identity(user), e.clients
	if e.scram == "" {
		return s, nil
	}
	v, err := ParseVerifier(e.scram) // it was parsed before
	if err != nil {
		return s, fmt.Errorf("%s: %w", u.cfg.Name, err)
	}
	s.HasVerifier, s.Verifier = true, v
	return s, nil
}

// without is the answer when there is none.
func (u *LookupUsers) without(err error) Answer {
	if errors.Is(err, errBusy) {
		return Denied(CodeBusy, u.cfg.Name+": "+err.Error())
	}
	return Denied(CodeUnavailable, u.cfg.Name+": "+err.Error())
}

// find looks a user up, the same one once at a time however many ask.
func (u *LookupUsers) find(ctx context.Context, user string) (lookedUp, error) {
	if e, ok := u.cache.get([]byte(user), u.cfg.Now()); ok {
		return e, nil
	}
	for {
		f, mine := u.join(user)
		if mine {
			u.fly(ctx, f, user)
			return f.user, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return lookedUp{}, errGaveUp
		}
		// That another gave up need not stop this one.
		if !errors.Is(f.err, errGaveUp) || u.ctx.Err() != nil {
			return f.user, f.err
		}
		if ctx.Err() != nil {
			return lookedUp{}, errGaveUp
		}
	}
}

func (u *LookupUsers) join(user string) (f *lookupFlight, mine bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f := u.flights[user]; f != nil {
		return f, false
	}
	f = &lookupFlight{done: make(chan struct{})}
	u.flights[user] = f
	return f, true
}

func (u *LookupUsers) fly(ctx context.Context, f *lookupFlight, user string) {
	f.err = errors.New("the lookup panicked")
	defer func() {
		if f.err == nil {
			u.cache.put([]byte(user), f.user, f.user.known, u.cfg.Now(), time.Time{})
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.flights, user)
		close(f.done)
	}()
	f.user, f.err = u.ask(ctx, user)
}

// ask asks the store, when its turn comes.
func (u *LookupUsers) ask(ctx context.Context, user string) (e lookedUp, err error) {
	if !u.begin() {
		return e, errGaveUp
	}
	defer u.under.Done()
	call, cancel := context.WithTimeout(ctx, u.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(u.ctx, cancel)()
	if err := u.take(call); err != nil {
		return e, u.ended(ctx, err)
	}
	defer func() { <-u.calls }()
	t, ok := u.breaker.enter(u.cfg.Now())
	if !ok {
		return e, errFailing
	}
	r := callUndecided // also when it panics
	defer func() { u.note(u.breaker.leave(u.cfg.Now(), t, r), err) }()
	fields, err := u.cfg.Lookup.Lookup(call, user)
	switch {
	case err == nil:
		r = callAnswered
		return readUser(fields)
	case errors.Is(err, ErrMalformed): // an answer, of this user alone
		r = callAnswered
		return e, err
	case errors.Is(ctx.Err(), context.Canceled) || u.ctx.Err() != nil:
		return e, errGaveUp
	}
	r = callFailed
	return e, err
}

// begin counts a question, unless the source is closed.
func (u *LookupUsers) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.under.Add(1)
	return true
}

func (u *LookupUsers) ended(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) || u.ctx.Err() != nil {
		return errGaveUp
	}
	return err
}

func (u *LookupUsers) take(ctx context.Context) error {
	select {
	case u.calls <- struct{}{}:
		return nil
	default:
	}
	if u.waiting.Add(1) > int64(u.cfg.MaxWaiting) {
		u.waiting.Add(-1)
		return errBusy
	}
	defer u.waiting.Add(-1)
	select {
	case u.calls <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

func (u *LookupUsers) note(c breakerChange, err error) {
	switch c {
	case breakerOpened:
		u.cfg.Log.Error("users cannot be looked up and are not for a while", "error", err, "for", u.cfg.BreakFor)
	case breakerClosed:
		u.cfg.Log.Info("users can be looked up again")
	}
}

// ErrMalformed is that a store has something of a user that cannot be understood.
var ErrMalformed = errors.New("what is stored of the user is malformed")

// readUser understands the fields of a user. Errors do not quote them.
func readUser(fields map[string]string) (e lookedUp, err error) {
	if len(fields) == 0 {
		return e, nil
	}
	e.known = true
	e.hash, e.scram = trimBlanks(fields[FieldPassword]), trimBlanks(fields[FieldScram])
	switch strings.ToLower(trimBlanks(fields[FieldDisabled])) {
	case "1", "true", "yes":
		e.disabled = true
	case "", "0", "false", "no":
	default:
		return lookedUp{}, fmt.Errorf("%w: disabled must be 1 or 0", ErrMalformed)
	}
	if e.hash == "" && e.scram == "" {
		return lookedUp{}, fmt.Errorf("%w: it has neither password nor scram", ErrMalformed)
	}
	if e.hash != "" {
		if _, err := ParseHash(e.hash); err != nil {
			return lookedUp{}, fmt.Errorf("%w: password: %w", ErrMalformed, err)
		}
	}
	if e.scram != "" {
		if _, err := ParseVerifier(e.scram); err != nil {
			return lookedUp{}, fmt.Errorf("%w: scram: %w", ErrMalformed, err)
		}
	}
	if list := fields[FieldGroups]; list != "" {
		e.groups = strings.Split(list, ",")
		for _, g := range e.groups {
			if err := ValidGroup(g); err != nil {
				return lookedUp{}, fmt.Errorf("%w: groups: %w", ErrMalformed, err)
			}
		}
	}
	if list := fields[FieldClientID]; list != "" {
		if e.clients, err = ParseClientIDs(list); err != nil {
			return lookedUp{}, fmt.Errorf("%w: client_id: %w", ErrMalformed, err)
		}
	}
	return e, nil
}
