package bridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

var (
	stepClaim        = step("claim")
	stepClaimKeep    = step("claim_keep")
	stepClaimReady   = step("claim_ready")
	stepClaimMove    = step("claim_move")
	stepClaimEnd     = step("claim_end")
	stepClaimRelease = step("claim_release")
	stepClaimSettle  = step("claim_settle")
	stepClaimAdopt   = step("claim_adopt")
	stepClaimInherit = step("claim_inherit")
)

// Errors of claims.
var (
	errSuperseded = errors.New("bridge: the client connected to another instance meanwhile")
	errNoMailbox  = errors.New("bridge: this instance has no mailbox")
	errHeldHere   = errors.New("bridge: the session's mailbox was taken over by this instance meanwhile")
	errOrphan     = errors.New("bridge: the session's mailbox does not exist")
)

// claimPoll is how often the record of a session is looked at whose owner was asked for
// it. The owner's answer comes sooner, unless it is lost.
const claimPoll = 200 * time.Millisecond

// claims brings sessions here and hands them over. Whose claim a session's record names
// may have it; the newest replaces all older ones, and a claim has no deadline: it ends by
// a step, of whoever claims, of the owner whose client came back, or of the adopter of the
// mailbox that claimed.
type claims struct {
	*link
	records *records
	leases  *leases
	routes  *routes
	mail    *mail
	router  Mover
	merger  Merger
	moved   settling

	stopping context.Context // ends when the instance stops: nobody waits for Redis any more
	stopNow  context.CancelFunc

	mu      sync.Mutex
	waiting map[string]chan struct{} // by token; told when the owner has answered
}

func newClaims(l *link, r *records, h *leases, t *routes, m *mail) *claims {
	c := &claims{link: l, records: r, leases: h, routes: t, mail: m, waiting: make(map[string]chan struct{})}
	c.stopping, c.stopNow = context.WithCancel(l.ctx)
	return c
}

// found is what the first step of a claim finds.
type found struct {
	state   int64
	owner   string
	head    string
	figures string
}

// Kinds of finds.
const (
	foundNone  = 0
	foundOwn   = 1
	foundOther = 2
	foundMine  = 3 // another's, and claimed
)

// claim is the way of one claim.
type claim struct {
	*claims
	id     message.ClientID
	key    string // of the session's head
	box    message.MailboxID
	tag    string // the own mailbox as an owner
	epoch  uint64
	who    *store.Claimant
	expect func(*store.Head)
	token  string
	told   chan struct{}

	member    bool   // the client id is entered in the own mailbox
	entered   uint64 // by this claim, with that number
	expecting bool   // expect was called
}

// Claim makes this process the owner of a client id, wherever its session is.
func (c *claims) Claim(ctx context.Context, who *store.Claimant, expect func(*store.Head)) (_ store.Claim, err error) {
	box := c.leases.mine()
	_, epoch, ok := c.leases.epoch(box)
	if !ok {
		return store.Claim{}, errNoMailbox
	}
	w := &claim{claims: c, id: who.ID, key: c.keys.session(who.ID) + sessionHead, box: box, epoch: epoch, who: who, expect: expect}
	w.tag = place{box: box, epoch: epoch}.tag()
	if w.member, err = c.records.lives(ctx, w.id, w.box); err != nil {
		return store.Claim{}, err
	}
	for {
		cl, done, err := w.try(ctx)
		if err != nil || done {
			return cl, err
		}
	}
}

// try is one look at the record and what comes of it. It reports false when the record is
// to be looked at again.
func (w *claim) try(ctx context.Context) (cl store.Claim, done bool, err error) {
	var end func()
	w.token, w.told, end = w.await()
	defer end()
	f, err := w.enter(ctx)
	if err != nil {
		return cl, false, err
	}
	return w.take(ctx, &f)
}

// args are those of the first step.
func (w *claim) args() []any {
	user := ""
	switch {
	case w.who.AnyUser:
		user = "*"
	case w.who.HasUser:
		user = "u"
	}
	return []any{w.tag, string(w.box), w.token, w.who.User, user}
}

func (w *claim) look(ctx context.Context) (f found, err error) {
	v, err := w.step(ctx, stepClaim, []string{w.key}, w.args()...)
	if err != nil {
		return f, fmt.Errorf("claim session: %w", err)
	}
	return w.found(v)
}

func (w *claim) found(v any) (f found, err error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return f, damaged(w.key, ErrRecord)
	}
	f.state, _ = list[0].(int64)
	text := func(i int) string {
		if i >= len(list) {
			return ""
		}
		s, _ := list[i].(string)
		return s
	}
	f.owner = text(1)
	switch f.state {
	case foundOwn:
		f.figures = text(2)
	case foundOther, foundMine:
		f.head, f.figures = text(2), text(3)
	}
	return f, nil
}

// take goes on by what was found. It reports false when the record is to be looked at
// again.
func (w *claim) take(ctx context.Context, f *found) (cl store.Claim, done bool, err error) {
	switch f.state {
	case foundNone:
		w.records.place(w.id, place{box: w.box, epoch: w.epoch})
		return store.Claim{}, true, nil
	case foundOwn:
		err = w.resident(f, place{box: w.box, epoch: w.epoch})
		return store.Claim{Found: f.figures != ""}, true, err
	}
	owner, ok := parseTag(f.owner)
	if !ok {
		return cl, false, damaged(w.key, ErrRecord)
	}
	if _, epoch, held := w.leases.epoch(owner.box); held && epoch == owner.epoch {
		return w.keep(ctx, f, owner)
	}
	var head store.Session
	if f.head != "" {
		if head, err = parseHead([]byte(f.head)); err != nil {
			return cl, false, damaged(w.key, err)
		}
	}
	switch {
	case f.state == foundMine:
		return w.fetch(ctx, f, owner)
	case !w.who.MayHave(&head):
		return cl, false, store.ErrOtherUser
	case head.Expiry == 0: // it ends with its connection
		return cl, false, w.evict(ctx, f, owner)
	}
	return cl, false, damaged(w.key, ErrRecord)
}

// resident makes sure that a session of this process is known to the records.
func (w *claim) resident(f *found, p place) error {
	if _, ok := w.records.placed(w.id); ok {
		return nil
	}
	if f.figures != "" {
		g, err := parseFigures([]byte(f.figures))
		if err != nil {
			return damaged(w.key, err)
		}
		p.n = g.n
	}
	w.records.place(w.id, p)
	return nil
}

// keep claims a session that lives in an adopted mailbox: it goes on there.
func (w *claim) keep(ctx context.Context, f *found, p place) (cl store.Claim, done bool, err error) {
	if err := w.served(ctx, p.box); err != nil {
		return cl, false, err
	}
	v, err := w.step(ctx, stepClaimKeep, []string{w.key}, f.owner)
	if err != nil || v == int64(0) {
		return cl, false, err
	}
	if err := w.resident(f, p); err != nil {
		return cl, false, err
	}
	w.leave()
	return store.Claim{Found: f.figures != "", Box: p.box}, true, nil
}

// served waits until the sessions of a mailbox that is being taken over are here, or it is
// another's.
func (w *claim) served(ctx context.Context, box message.MailboxID) error {
	t := time.NewTicker(servedPoll)
	defer t.Stop()
	for {
		if _, _, held := w.leases.epoch(box); !held || w.mail.consumer(box) != nil {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for a mailbox to be taken over: %w", context.Cause(ctx))
		}
	}
}

const servedPoll = 10 * time.Millisecond

// parseTag reads an owner tag.
func parseTag(tag string) (place, bool) {
	box, epoch, ok := strings.Cut(tag, " ")
	n, err := strconv.ParseUint(epoch, 10, 64)
	return place{box: message.MailboxID(box), epoch: n}, ok && err == nil && box != ""
}

// evict has a connection closed whose session ends with it, and waits for that.
func (w *claim) evict(ctx context.Context, f *found, owner place) error {
	w.mail.send(owner.box, control{kind: controlClose, id: w.id, token: w.token, from: w.box}.append(nil), ignored{})
	err := w.poll(ctx, owner.box, func(ctx context.Context) (bool, error) {
		s, err := w.fields(ctx, w.key, fieldOwner)
		return field(s, 0) != f.owner, err
	})
	switch {
	case errors.Is(err, errHeldHere):
		return nil
	case errors.Is(err, errOrphan):
		return w.inherit(ctx, f)
	}
	return err
}

// inherit takes a client id whose record names a mailbox that does not exist: nobody hands
// it over. It is looked at again afterwards.
func (w *claim) inherit(ctx context.Context, f *found) error {
	v, err := w.step(ctx, stepClaimInherit, []string{w.key}, f.owner, w.tag)
	if err == nil && v == int64(1) {
		w.log.Warn("a session was found whose mailbox is gone", "client", string(w.id), "owner", f.owner)
	}
	return err
}

// await is a token and what is told when its session's owner has answered.
func (c *claims) await() (token string, told chan struct{}, end func()) {
	var id [12]byte
	_, _ = rand.Read(id[:]) // it never fails
	token = base64.RawURLEncoding.EncodeToString(id[:])
	told = make(chan struct{}, 1)
	c.mu.Lock()
	c.waiting[token] = told
	c.mu.Unlock()
	return token, told, func() {
		c.mu.Lock()
		delete(c.waiting, token)
		c.mu.Unlock()
	}
}

// answer is told by an owner, with the token, through a signal that may be lost.
func (c *claims) answer(_ message.MailboxID, token []byte) {
	c.mu.Lock()
	told := c.waiting[string(token)]
	c.mu.Unlock()
	select {
	case told <- struct{}{}: // nil: nobody waits any more
	default:
	}
}

// poll looks until what is looked for is there: when the owner has answered, and now and
// then. When this instance takes over the mailbox meanwhile, nobody else answers.
func (w *claim) poll(ctx context.Context, box message.MailboxID, look func(context.Context) (bool, error)) error {
	t := time.NewTicker(claimPoll)
	defer t.Stop()
	for {
		late := false
		select {
		case <-w.told:
		case <-t.C:
			late = true
		case <-ctx.Done():
			return fmt.Errorf("wait for the owner of a session: %w", context.Cause(ctx))
		case <-w.ctx.Done():
			return store.ErrClosed
		}
		if _, _, held := w.leases.epoch(box); held {
			return errHeldHere
		}
		there := false
		err := w.retry(ctx, "look at a claim", func(ctx context.Context) (err error) {
			there, err = look(ctx)
			return err
		})
		if err != nil || there {
			return err
		}
		if late {
			if err := w.exists(ctx, box); err != nil {
				return err
			}
		}
	}
}

// exists fails for a mailbox that somebody has deleted.
func (w *claim) exists(ctx context.Context, box message.MailboxID) error {
	there := true
	err := w.retry(ctx, "look for a mailbox", func(ctx context.Context) (err error) {
		there, err = w.client.HExists(ctx, w.keys.leases(), string(box)).Result()
		return err //nolint:wrapcheck // retry says what was attempted
	})
	if err == nil && !there {
		err = errOrphan
	}
	return err
}

// fields reads some of a session's head.
func (c *claims) fields(ctx context.Context, key string, names ...string) ([]any, error) {
	var cmd *goredis.SliceCmd
	err := c.ask(ctx, func(p goredis.Pipeliner) []goredis.Cmder {
		cmd = p.HMGet(ctx, key, names...)
		return []goredis.Cmder{cmd}
	})
	if err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

func field(s []any, i int) string {
	if i >= len(s) {
		return ""
	}
	v, _ := s[i].(string)
	return v
}

// fetch moves a session of another process here.
func (w *claim) fetch(ctx context.Context, f *found, owner place) (cl store.Claim, done bool, err error) {
	l, err := w.move(ctx, f, owner)
	moved := l != nil
	if !moved {
		var sure bool
		if moved, sure = w.giveUp(); !sure {
			return cl, false, store.ErrClosed
		}
	}
	if !moved && errors.Is(err, errHeldHere) {
		return cl, false, nil // look again: it goes on in place
	}
	if !moved && errors.Is(err, errOrphan) && !w.expecting {
		return cl, false, w.inherit(ctx, f)
	}
	if !moved {
		w.leave()
		return cl, false, err
	}
	cl, err = w.arrived(l)
	return cl, true, err
}

// move is what has to happen between a claim and the session's arrival. After an error it
// may have come nevertheless.
func (w *claim) move(ctx context.Context, f *found, owner place) (*loaded, error) {
	head, err := w.prepared(ctx, f, owner)
	if err != nil {
		return nil, err
	}
	w.expecting = true
	w.expect(head)
	since, err := w.routes.change(ctx, w.box, nil, nil, true)
	if err != nil {
		return nil, err
	}
	if err = w.routes.pass(ctx, since); err != nil {
		return nil, err
	}
	w.mail.send(owner.box, control{kind: controlMove, id: w.id, token: w.token, from: w.box, tag: w.tag, since: since}.append(nil), ignored{})
	var l *loaded
	err = w.poll(ctx, owner.box, func(ctx context.Context) (bool, error) {
		if l, err = w.records.loadOf(ctx, w.id, w.tag); err == nil || !errors.Is(err, store.ErrFenced) && !errors.Is(err, store.ErrNotFound) {
			return true, err
		}
		s, err := w.fields(ctx, w.key, fieldToken)
		return field(s, 0) != w.token, err
	})
	if err == nil && l == nil {
		err = errSuperseded
	}
	return l, err
}

// prepared waits until the owner of a session is ready to hand it over, and answers what
// is known of the session then.
func (w *claim) prepared(ctx context.Context, f *found, owner place) (*store.Head, error) {
	w.mail.send(owner.box, control{kind: controlPrepare, id: w.id, token: w.token, from: w.box}.append(nil), ignored{})
	var fields, subs map[string]string
	err := w.poll(ctx, owner.box, func(ctx context.Context) (bool, error) {
		var head, filters *goredis.MapStringStringCmd
		err := w.ask(ctx, func(p goredis.Pipeliner) []goredis.Cmder { // what changes between the two is not ready
			head, filters = p.HGetAll(ctx, w.key), p.HGetAll(ctx, w.keys.session(w.id)+sessionFilters)
			return []goredis.Cmder{head, filters}
		})
		if err != nil {
			return false, err
		}
		fields, subs = head.Val(), filters.Val()
		return fields[fieldReady] == w.token || fields[fieldToken] != w.token || !sameBox(fields[fieldOwner], f.owner), nil
	})
	if err != nil {
		return nil, err
	}
	if fields[fieldReady] != w.token || fields[fieldToken] != w.token {
		return nil, errSuperseded
	}
	h, _, err := parseStored(w.key, fields, subs)
	if err != nil {
		return nil, err
	}
	return &h.Head, nil
}

func sameBox(a, b string) bool {
	x, _, _ := strings.Cut(a, " ")
	y, _, _ := strings.Cut(b, " ")
	return x == y
}

// giveUp ends a claim and reports whether the session has come. It goes on until that is
// known, or the instance stops: then whoever adopts its mailbox finds out.
func (w *claim) giveUp() (moved, sure bool) {
	v, err := w.step(w.stopping, stepClaimEnd, []string{w.key}, w.token, w.tag)
	return err == nil && v == int64(2), err == nil
}

// arrived makes a session that has come this process's. l is nil if it was not read yet.
func (w *claim) arrived(l *loaded) (store.Claim, error) {
	if l == nil {
		err := w.retry(w.stopping, "read a session that has moved", func(ctx context.Context) (err error) {
			l, err = w.records.loadOf(ctx, w.id, w.tag)
			return err
		})
		if err != nil {
			return store.Claim{}, err
		}
	}
	w.records.arrive(w.id, place{box: w.box, epoch: w.epoch, n: l.n}, l)
	w.settle(w.id, w.box, w.tag, l.since)
	return store.Claim{Found: true, Moved: true, Since: l.since, Overlap: l.overlap, Image: &l.Image}, nil
}

// Release gives a client id free that no session came of.
func (c *claims) Release(id message.ClientID) {
	p, ok := c.records.placed(id)
	if !ok {
		return
	}
	c.spawn(func(ctx context.Context) {
		if c.records.idle(ctx, id) != nil {
			return // it ends with the lease
		}
		key := c.keys.session(id) + sessionHead
		if _, err := c.step(ctx, stepClaimRelease, []string{key}, p.tag()); err != nil {
			c.log.Error("client id could not be released", "client", string(id), "error", err)
		}
	})
}

// Known reports whether the records of a session name a QoS 2 message that it was given.
// What this process has handed in before is waited for.
func (c *claims) Known(ctx context.Context, id message.ClientID, m message.ID) (bool, error) {
	if _, resident := c.records.placed(id); resident {
		if err := c.records.idle(ctx, id); err != nil && !errors.Is(err, store.ErrFenced) && !errors.Is(err, store.ErrNotFound) {
			return false, err
		}
	}
	known, err := c.records.known(ctx, id, []message.ID{m})
	if err != nil {
		return false, err
	}
	return known[0], nil
}

// ignored is a callback of what the sender does not wait for.
type ignored struct{}

// Committed implements store.Committed.
func (ignored) Committed(error) {}
