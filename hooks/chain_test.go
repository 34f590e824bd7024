package hooks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

func TestNobodyProvidesAnything(t *testing.T) {
	for name, c := range map[string]*Chain{
		"no hooks":              chain(t, Options{}),
		"a hook without events": chain(t, Options{}, &fake{id: "idle"}),
	} {
		if c.Has() != (Has{}) {
			t.Errorf("%s: Has = %+v", name, c.Has())
		}
		h := c.client(connectPacket("c1", "bob", ""))
		if h.mochi.Load() != nil {
			t.Errorf("%s: a client for hooks was made", name)
		}
		m := hello()
		q := Request{Action: Publish, Topic: "a/b", QoS: 1}
		allocs := testing.AllocsPerRun(100, func() {
			if d := c.Authorize(h, q); !d.Allowed() || d.PerMessage {
				t.Fatalf("decision %+v", d)
			}
			if got, v := c.Publish(h, m, 5); got != m || v != (Verdict{}) {
				t.Fatalf("publish: %v", v)
			}
			c.Published(h, m, 5)
			c.PublishDropped(h, m)
			c.Generation()
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// TestEveryEvent walks a connection's life; each event must come when it is called,
// with what it is about, and nothing else may.
func TestEveryEvent(t *testing.T) {
	f := &fake{id: "all", events: offered}
	c := chain(t, Options{}, f)
	if !allTrue(c.Has()) {
		t.Errorf("Has = %+v", c.Has())
	}
	connect, sub := connectPacket("c1", "bob", "secret"), subscribePacket("x/#")
	h := c.client(connect)
	m := hello()
	steps := []struct {
		want string
		do   func()
	}{
		{"OnStarted", c.Started},
		{"OnConnect c1 1", func() { c.Connect(h, connect) }},
		{"OnConnectAuthenticate c1 bob secret", func() { c.Authenticate(t.Context(), h, connect) }},
		{"OnSessionEstablish c1 1", func() { c.SessionEstablish(h, connect) }},
		{"OnSessionEstablished c1 1", func() { c.SessionEstablished(h, connect) }},
		{"OnSubscribe c1 x/#", func() { c.Subscribe(h, sub) }},
		{"OnACLCheck c1 x/# false", func() { c.Authorize(h, Request{Action: Subscribe, Topic: "x/#"}) }},
		{"OnSubscribed c1 x/# 01", func() { c.Subscribed(h, sub, []byte{1}) }},
		{"OnACLCheck c1 a/b true", func() { c.Authorize(h, Request{Action: Publish, Topic: "a/b"}) }},
		{"OnPublish c1 a/b hello", func() { c.Publish(h, m, 5) }},
		{"OnPublished c1 a/b hello", func() { c.Published(h, m, 5) }},
		{"OnACLCheck c1 a/b false", func() { c.Authorize(h, Request{Action: Deliver, Topic: "a/b"}) }},
		{"OnPublishDropped c1 a/b hello", func() { c.PublishDropped(h, m) }},
		{"OnUnsubscribe c1 x/#", func() { c.Unsubscribe(h, sub) }},
		{"OnUnsubscribed c1 x/#", func() { c.Unsubscribed(h, sub) }},
		{"OnDisconnect c1 session taken over true", func() { c.Disconnect(h, Ended(0x8E, "session taken over"), true) }},
		{"OnWill c1 a/b hello", func() { _, _ = c.Will(h, m, 5) }},
		{"OnWillSent c1 a/b hello", func() { c.WillSent(h, m) }},
		{"OnClientExpired c1", func() { c.ClientExpired(h) }},
		{"OnStopped", c.Stopped},
		{"Stop", func() { _ = c.Close(t.Context()) }},
	}
	for i, s := range steps {
		s.do()
		calls := f.noted()
		if len(calls) != i+1 || calls[i] != s.want {
			t.Fatalf("after %q the calls are %q", s.want, calls)
		}
	}
}

func allTrue(h Has) bool {
	return h == Has{true, true, true, true, true, true, true, true, true, true, true, true, true, true, true, true, true}
}

// TestOnlyWhatIsProvided: a hook is not called for what it does not provide.
func TestOnlyWhatIsProvided(t *testing.T) {
	f := &fake{id: "one", events: []byte{mqtt.OnPublished}}
	c := chain(t, Options{}, f)
	if c.Has() != (Has{Published: true}) {
		t.Errorf("Has = %+v", c.Has())
	}
	connect := connectPacket("c1", "", "")
	h := c.client(connect)
	c.Started()
	c.Connect(h, connect)
	c.Authenticate(t.Context(), h, connect)
	c.Publish(h, hello(), 5)
	c.Authorize(h, Request{Topic: "a"})
	c.Published(h, hello(), 5)
	c.Disconnect(h, nil, false)
	equal(t, "calls", f.noted(), []string{"OnPublished c1 a/b hello"})
}

func TestUnusedEventsAreRefusedByName(t *testing.T) {
	for e := range names {
		if names[e] == "" || bytes.Contains(offered, []byte{byte(e)}) {
			continue
		}
		f := &fake{id: "storage", events: []byte{mqtt.OnConnect, byte(e)}}
		_, err := New(Options{Hooks: []Loaded{{Hook: f}}})
		if err == nil || !strings.Contains(err.Error(), `"storage"`) || !strings.Contains(err.Error(), names[e]) {
			t.Errorf("%s: error %v", names[e], err)
		}
		equal(t, names[e]+": calls", f.noted(), []string{"Stop"})

		c := chain(t, Options{AllowUnusedEvents: true}, &fake{id: "storage", events: []byte{mqtt.OnConnect, byte(e)}})
		if c.Has() != (Has{Connect: true}) {
			t.Errorf("%s allowed: Has = %+v", names[e], c.Has())
		}
	}
}

// TestEveryEventOfMochiIsNamed fails when mochi gets another event.
func TestEveryEventOfMochiIsNamed(t *testing.T) {
	for e := range names {
		if names[e] == "" && e != int(mqtt.SetOptions) {
			t.Errorf("event %d has no name", e)
		}
	}
}

func TestStartAsMochiDoes(t *testing.T) {
	f := &fake{id: "f", events: []byte{mqtt.OnConnect}}
	var log bytes.Buffer
	caps := mqtt.NewDefaultServerCapabilities()
	c, err := New(Options{
		Log: slog.New(slog.NewTextHandler(&log, nil)), Capabilities: caps, Hooks: []Loaded{{Hook: f, Config: "config"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Init was given", f.seen, []any{"config"})
	if f.Opts == nil || f.Opts.Capabilities != caps {
		t.Error("SetOpts was not given the capabilities")
	}
	f.Log.Info("a line")
	if !strings.Contains(log.String(), "hook=f") {
		t.Errorf("the hook's log does not name it: %q", log.String())
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFailedStartStopsTheOthers(t *testing.T) {
	boom := errors.New("boom")
	for name, bad := range map[string]*fake{
		"error": {id: "bad", init: func() error { return boom }},
		"panic": {id: "bad", init: func() error { panic(boom) }},
	} {
		good, later := &fake{id: "good"}, &fake{id: "later"}
		_, err := New(Options{Hooks: []Loaded{{Hook: good}, {Hook: bad}, {Hook: later}}})
		if err == nil || !strings.Contains(err.Error(), `start hook "bad"`) || !strings.Contains(err.Error(), "boom") {
			t.Errorf("%s: error %v", name, err)
		}
		equal(t, name+": good", good.noted(), []string{"Stop"})
		equal(t, name+": later", len(later.noted())+len(later.seen), 0)
	}
	if _, err := New(Options{Hooks: []Loaded{{}}}); err == nil {
		t.Error("a nil hook was taken")
	}
}

func TestCloseIsLastInFirstOut(t *testing.T) {
	var order []string
	stop := func(id string, err error) *fake {
		return &fake{id: id, stop: func() error { order = append(order, id); return err }}
	}
	boom := errors.New("boom")
	c, err := New(Options{Hooks: []Loaded{{Hook: stop("a", nil)}, {Hook: stop("b", boom)}, {Hook: &fake{id: "p", stop: func() error { panic("in Stop") }}}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second call changes nothing
		err = c.Close(t.Context())
		if !errors.Is(err, boom) || !strings.Contains(err.Error(), `stop hook "p"`) {
			t.Errorf("error %v", err)
		}
	}
	equal(t, "order", order, []string{"b", "a"})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	c, err := New(Options{Hooks: []Loaded{{Hook: &fake{id: "slow", stop: func() error { close(entered); <-release; return nil }}}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if err := c.Close(ctx); err == nil || !strings.Contains(err.Error(), `"slow"`) {
		t.Errorf("error %v", err)
	}
	close(release)
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPanics: the node lives, answers are refusals, and the hook is named.
func TestPanics(t *testing.T) {
	var log lockedBuffer
	bad, good := &fake{id: "bad", events: offered, panics: true}, &fake{id: "good", events: offered}
	c := chain(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, bad, good)
	connect, sub := connectPacket("c1", "bob", "secret"), subscribePacket("x/#")
	h := c.client(connect)
	m := hello()
	c.Started()
	if code, _ := c.Connect(h, connect); code != CodeUnspecified {
		t.Errorf("Connect %x", code)
	}
	if a := c.Authenticate(t.Context(), h, connect); a.Code != CodeBadCredentials {
		t.Errorf("Authenticate %+v", a)
	}
	if d := c.Authorize(h, Request{Topic: "a"}); d.Code != CodeNotAuthorized || d.Rule != "hook bad" {
		t.Errorf("Authorize %+v", d)
	}
	if code := c.Subscribe(h, sub); code != CodeUnspecified {
		t.Errorf("Subscribe %x", code)
	}
	if code := c.Unsubscribe(h, sub); code != CodeUnspecified {
		t.Errorf("Unsubscribe %x", code)
	}
	if got, v := c.Publish(h, m, 5); got != m || v.Fate != Reject || v.Code != CodeUnspecified {
		t.Errorf("Publish %+v", v)
	}
	if _, err := c.Will(h, m, 0); err == nil {
		t.Error("Will: no error")
	}
	c.SessionEstablish(h, connect)
	c.SessionEstablished(h, connect)
	c.Subscribed(h, sub, []byte{1})
	c.Unsubscribed(h, sub)
	c.Published(h, m, 5)
	c.PublishDropped(h, m)
	c.WillSent(h, m)
	c.Disconnect(h, nil, false)
	c.ClientExpired(h)
	c.Stopped()
	equal(t, "calls of the other hook", good.noted(), []string{ // it is told what needs no answer
		"OnStarted", "OnSessionEstablish c1 1", "OnSessionEstablished c1 1", "OnSubscribed c1 x/# 01", "OnUnsubscribed c1 x/#",
		"OnPublished c1 a/b hello", "OnPublishDropped c1 a/b hello", "OnWillSent c1 a/b hello", "OnDisconnect c1 <nil> false", "OnClientExpired c1", "OnStopped",
	})
	lines := strings.Count(log.String(), "\n")
	if s := log.String(); !strings.Contains(s, "hook=bad") || !strings.Contains(s, "event=OnStarted") || !strings.Contains(s, "fake panics") {
		t.Errorf("log: %s", s)
	}
	if lines != 5 { // the 1st, 2nd, 4th, 8th and 16th of 17
		t.Errorf("%d lines of log for %d panics", lines, len(bad.noted()))
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var _ io.Writer = (*lockedBuffer)(nil)

// TestConcurrent runs everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	f := &fake{id: "all", events: offered, publish: func(pk packets.Packet) (packets.Packet, error) {
		pk.Payload = append(pk.Payload[:0], 'x') // in place: it is the hook's own copy
		return pk, nil
	}}
	bad := &fake{id: "bad", events: []byte{mqtt.OnPublished, mqtt.OnPublishDropped}, panics: true}
	c := chain(t, Options{}, f, bad)
	m := hello()
	restored := c.NewClient(Info{ID: "old", User: "u", HasUser: true})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			connect := connectPacket("c1", "bob", "secret")
			h := c.client(connect)
			for range 50 {
				c.Connect(h, connect)
				c.Authenticate(t.Context(), h, connect)
				c.Authorize(restored, Request{Topic: "a"})
				c.Subscribe(h, subscribePacket("a"))
				if got, v := c.Publish(h, m, 5); v.Fate != Pass || string(got.Payload) != "x" {
					t.Errorf("publish %q %+v", got.Payload, v)
				}
				c.Published(h, m, 5)
				c.PublishDropped(restored, m)
				_, _ = c.Will(restored, m, 0)
				c.ClientExpired(restored)
				c.Disconnect(h, nil, false)
			}
		})
	}
	wg.Wait()
	if string(m.Payload) != "hello" {
		t.Errorf("a hook changed a message: %q", m.Payload)
	}
}
