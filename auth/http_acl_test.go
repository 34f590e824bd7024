package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newTestHTTPACL(t testing.TB, cfg HTTPConfig) *HTTPACL {
	t.Helper()
	cfg.Log = quiet
	h, err := NewHTTPACL(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func aclSubject() *Subject {
	return &Subject{
		User: "ann", HasUser: true, ClientID: "c1", Listener: "tls", Address: netip.MustParseAddr("192.0.2.1"), Groups: []string{"g"},
		Certificate: Certificate{CN: "dev", DN: "CN=dev", SANs: []string{"d.example.org"}},
	}
}

func TestHTTPACLQuestion(t *testing.T) {
	var got map[string]any
	s := authServer(t, func(w http.ResponseWriter, r *http.Request) {
		got = nil
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		says(`{"result":"allow"}`)(w, r)
	})
	h := newTestHTTPACL(t, HTTPConfig{URL: s.URL})
	id := Identity{Rules: &Grant{Attributes: map[string]string{"site": "x"}}}
	v := h.Judge(t.Context(), &Query{Subject: aclSubject(), Topic: "a/b", Action: Publish, QoS: 1, Retain: true}, &id)
	want := map[string]any{
		"client_id": "c1", "username": "ann", "remote": "192.0.2.1", "listener": "tls", "groups": []any{"g"}, "attributes": map[string]any{"site": "x"},
		"certificate": map[string]any{"cn": "dev", "dn": "CN=dev", "sans": []any{"d.example.org"}},
		"action":      "publish", "topic": "a/b", "qos": 1.0, "retain": true,
	}
	if !v.Allowed || !v.PerMessage || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, asked %v", v, got)
	}
	v = h.Judge(t.Context(), &Query{Subject: &Subject{ClientID: "c2"}, Topic: "#", Action: Subscribe, Retain: true}, nil)
	want = map[string]any{"client_id": "c2", "action": "subscribe", "topic": "#", "qos": 0.0, "retain": false}
	if !v.Allowed || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, asked %v", v, got)
	}
	got = nil
	if v := h.Judge(t.Context(), &Query{Subject: aclSubject(), Topic: "a", Action: Deliver}, nil); !v.Allowed || got != nil {
		t.Errorf("a delivery: %+v, asked %v", v, got)
	}
}

func TestHTTPACLMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		s.set(200, []byte(`{"result":"allow"}`), nil)
		h := newTestHTTPACL(t, HTTPConfig{URL: "http://127.0.0.1/"})
		h.client = &http.Client{Transport: s}
		q := Query{Subject: aclSubject(), Topic: "a", Action: Publish}
		if _, known := h.Cached(&q, nil); known || s.times() != 0 {
			t.Error("known before it was asked")
		}
		for range 3 {
			if v := h.Judge(t.Context(), &q, nil); !v.Allowed || s.times() != 1 {
				t.Errorf("%+v after %d", v, s.times())
			}
		}
		s.set(200, []byte(`{"result":"deny"}`), nil)
		n := s.times()
		for i, change := range []func(q *Query, w *Subject, id *Identity){
			func(q *Query, _ *Subject, _ *Identity) { q.Topic = "b" },
			func(q *Query, _ *Subject, _ *Identity) { q.Action = Subscribe },
			func(q *Query, _ *Subject, _ *Identity) { q.QoS = 1 },
			func(q *Query, _ *Subject, _ *Identity) { q.Retain = true },
			func(_ *Query, w *Subject, _ *Identity) { w.ClientID = "c2" },
			func(_ *Query, w *Subject, _ *Identity) { w.ClientID, w.User = "c1a", "nn" },
			func(_ *Query, w *Subject, _ *Identity) { w.HasUser = false },
			func(_ *Query, w *Subject, _ *Identity) { w.Partial = true },
			func(_ *Query, w *Subject, _ *Identity) { w.Listener = "x" },
			func(_ *Query, w *Subject, _ *Identity) { w.Address = netip.Addr{} },
			func(_ *Query, w *Subject, _ *Identity) { w.Address = netip.MustParseAddr("::ffff:192.0.2.1") },
			func(_ *Query, w *Subject, _ *Identity) { w.Groups = []string{"g", "h"} },
			func(_ *Query, w *Subject, _ *Identity) {
				w.Groups, w.Certificate.SANs = nil, []string{"g", "d.example.org"}
			},
			func(_ *Query, w *Subject, _ *Identity) { w.Certificate.CN = "x" },
			func(_ *Query, w *Subject, _ *Identity) { w.Certificate.DN = "x" },
			func(_ *Query, _ *Subject, id *Identity) { id.Rules = &Grant{Attributes: map[string]string{"a": "b"}} },
			func(_ *Query, _ *Subject, id *Identity) { id.Rules = &Grant{Attributes: map[string]string{"a": "c"}} },
		} {
			w, q2, id := aclSubject(), q, Identity{}
			q2.Subject = w
			change(&q2, w, &id)
			for range 2 {
				if v := h.Judge(t.Context(), &q2, &id); v.Allowed || s.times() != n+i+1 {
					t.Errorf("change %d: %+v after %d, want %d", i, v, s.times(), n+i+1)
				}
			}
		}
		n = s.times()
		long := q
		long.Topic = strings.Repeat("x", maxACLKey)
		h.Judge(t.Context(), &long, nil)
		h.Judge(t.Context(), &long, nil)
		if s.times() != n+2 {
			t.Error("a long topic is remembered")
		}
		if !h.Judge(t.Context(), &q, nil).Allowed {
			t.Error("forgotten")
		}
		<-time.After(time.Minute)
		if h.Judge(t.Context(), &q, nil).Allowed {
			t.Error("remembered for too long")
		}
	})
}

func TestHTTPACLFailures(t *testing.T) {
	for i, lie := range []string{``, `{}`, `{"result":"ignore"}`, `{"result":true}`, `[]`, `{"result":"allow"} x`} {
		s := authServer(t, says(lie))
		for policy, want := range map[Failure]bool{FailDeny: false, FailAllow: true, FailIgnore: false} {
			h := newTestHTTPACL(t, HTTPConfig{URL: s.URL, OnFailure: policy})
			q := Query{Subject: aclSubject(), Topic: "a", Action: Publish}
			if v := h.Judge(t.Context(), &q, nil); v.Allowed != want || !v.PerMessage || h.Stats().Failures != 1 {
				t.Errorf("lie %d, %s: %+v", i, policy, v)
			}
			if _, known := h.Cached(&q, nil); known {
				t.Errorf("lie %d: remembered", i)
			}
		}
	}
	s := authServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403); _, _ = io.WriteString(w, "no") })
	h := newTestHTTPACL(t, HTTPConfig{URL: s.URL, OnFailure: FailAllow})
	if v := h.Judge(t.Context(), &Query{Subject: aclSubject(), Topic: "a", Action: Publish}, nil); v.Allowed {
		t.Errorf("403: %+v", v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v := h.Judge(ctx, &Query{Subject: aclSubject(), Topic: "a", Action: Publish}, nil); v.Allowed {
		t.Errorf("a client that is gone: %+v", v)
	}
}

func TestHTTPACLCachedDoesNotAllocate(t *testing.T) {
	s := authServer(t, says(`{"result":"allow"}`))
	h := newTestHTTPACL(t, HTTPConfig{URL: s.URL})
	q := Query{Subject: aclSubject(), Topic: "a/b/c", Action: Publish}
	h.Judge(t.Context(), &q, nil)
	if n := testing.AllocsPerRun(1000, func() { h.Judge(t.Context(), &q, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTTLCache(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newTTLCache[int](64)
	for i := range 10_000 {
		c.put(fmt.Append(nil, i), i, now.Add(time.Minute))
		if i%3 == 0 {
			c.put(fmt.Append(nil, i), -i, now.Add(time.Minute))
		}
	}
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		if len(s.items) != s.order.Len() || len(s.items) > c.size {
			t.Errorf("shard %d has %d items in a list of %d", i, len(s.items), s.order.Len())
		}
		n += len(s.items)
	}
	if n > 64 || n < 32 {
		t.Errorf("%d items", n)
	}
	if v, ok := c.get([]byte("9999"), now); !ok || v != -9999 {
		t.Errorf("the last: %d, %v", v, ok)
	}
	if _, ok := c.get([]byte("0"), now); ok {
		t.Error("the first is still there")
	}
	if _, ok := c.get([]byte("9999"), now.Add(time.Minute)); ok {
		t.Error("there when it has run out")
	}
	if _, ok := c.get([]byte("9999"), now); ok {
		t.Error("what has run out was not removed")
	}
	one := newTTLCache[int](1) // one item a shard: what was asked for the longest ago goes
	one.size = 2
	key := func(i int) []byte { return fmt.Append(nil, i) }
	var same [][]byte
	for i := 0; len(same) < 3; i++ {
		if one.shard(key(i)) == &one.shards[0] {
			same = append(same, key(i))
		}
	}
	one.put(same[0], 0, now.Add(1))
	one.put(same[1], 1, now.Add(1))
	one.get(same[0], now)
	one.put(same[2], 2, now.Add(1))
	for i, want := range []bool{true, false, true} {
		if _, ok := one.get(same[i], now); ok != want {
			t.Errorf("item %d: %v", i, ok)
		}
	}
	a := &answerCache[bool]{yes: newTTLCache[bool](8), no: newTTLCache[bool](8), yesTTL: time.Minute, noTTL: time.Minute}
	a.put(key(1), true, true, now, time.Time{})
	a.put(key(1), false, false, now, time.Time{})
	if v, ok := a.get(key(1), now); !ok || v {
		t.Error("a later no does not count")
	}
	a.put(key(1), true, true, now, now)
	if _, ok := a.get(key(1), now); ok {
		t.Error("what had ended was kept")
	}
	none := newTTLCache[int](-1)
	none.put(key(1), 1, now.Add(1))
	if _, ok := none.get(key(1), now); ok {
		t.Error("a cache of none has one")
	}
}

func BenchmarkHTTPACLCached(b *testing.B) {
	s := authServer(b, says(`{"result":"allow"}`))
	h := newTestHTTPACL(b, HTTPConfig{URL: s.URL})
	q, id := Query{Subject: aclSubject(), Topic: "site/1/device/2/state", Action: Publish}, Identity{}
	if !h.Judge(b.Context(), &q, &id).Allowed {
		b.Fatal("denied")
	}
	for b.Loop() {
		h.Judge(b.Context(), &q, &id)
	}
}
