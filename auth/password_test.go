package auth

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cheap is a hash that costs next to nothing.
func cheap(password string) string {
	salt := []byte("salt of " + password + "........")[:12]
	sum := sha512.Sum512(append([]byte(password), salt...))
	b64 := base64.StdEncoding.EncodeToString
	return "$6$" + b64(salt) + "$" + b64(sum[:])
}

const (
	argonPassword = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	bcryptEmpty   = "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkY8jIucDrjc8deX1s0."
	bcryptA       = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"
	mosquitto7    = "$7$101$Jw+8ua8K6xovjMLI$uizfMjXv7PQSHlDUmu6IbOylNDD2Td1UpKh6YcqDKfJiDSSl1p93oiNEWkzh/em3aqI1FcsK5raQJRnbz+Ua1Q=="
	mosquitto6    = "$6$MsW6zpdsBb7TAMDX$2KHEeU61kvFT41WnCQHrbIj3pK1OsSdV2XEc0nPqVDEFcA6ZNTYR+qIZUGA3K1bi08vymyjW8nPq9Uy/LacxOw=="
)

func TestHashesOfOthersAreVerified(t *testing.T) {
	for _, c := range []struct{ name, hash, password string }{
		{"argon2id", argonPassword, "password"},
		{"bcrypt a", bcryptA, "a"},
		{"bcrypt y", strings.Replace(bcryptA, "$2a$", "$2y$", 1), "a"},
		{"bcrypt b", strings.Replace(bcryptA, "$2a$", "$2b$", 1), "a"},
		{"mosquitto 7", mosquitto7, "secret"},
		{"mosquitto 6", mosquitto6, "secret"},
		{"made here for a test", cheap("x"), "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := ParseHash(c.hash)
			if err != nil {
				t.Fatal(err)
			}
			if !h.Verify([]byte(c.password)) {
				t.Error("the right password is refused")
			}
			if h.Verify([]byte(c.password+"x")) || h.Verify(nil) {
				t.Error("a wrong password is taken")
			}
		})
	}
}

func TestNewHashIsVerifiedAndSalted(t *testing.T) {
	one, err := NewHash([]byte("pass\x00word"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewHash([]byte("pass\x00word"))
	if err != nil || one == two {
		t.Errorf("%v, or no salt", err)
	}
	h, err := ParseHash(one)
	if err != nil || !h.Verify([]byte("pass\x00word")) || h.Verify([]byte("pass")) {
		t.Errorf("%v, or the wrong password counts", err)
	}
	if h.cost != newCost() {
		t.Errorf("cost %+v, want %+v", h.cost, newCost())
	}
	if _, err := NewHash(make([]byte, MaxPassword+1)); err == nil {
		t.Error("a password that CONNECT cannot carry is hashed")
	}
}

func TestMalformedAndDearHashesAreRefused(t *testing.T) {
	const salt, sum = "c29tc2FsdHNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + sum }
	for name, hash := range map[string]string{
		"empty":                    "",
		"plain":                    "secret",
		"argon2i":                  strings.Replace(argonPassword, "argon2id", "argon2i", 1),
		"old version":              strings.Replace(argonPassword, "v=19", "v=16", 1),
		"memory of 2 GiB":          argon("m=2097152,t=1,p=1"),
		"too many passes":          argon("m=8,t=4294967295,p=1"),
		"work":                     argon("m=1048576,t=5,p=1"),
		"too many lanes":           argon("m=65536,t=1,p=255"),
		"memory below lanes":       argon("m=8,t=1,p=2"),
		"no passes":                argon("m=65536,t=0,p=1"),
		"sign":                     argon("m=+65536,t=1,p=1"),
		"order":                    argon("t=1,m=65536,p=1"),
		"missing p":                argon("m=65536,t=1"),
		"more parameters":          argon("m=65536,t=1,p=1,x=1"),
		"leading zero":             argon("m=065536,t=1,p=1"),
		"short salt":               "$argon2id$v=19$m=64,t=1,p=1$c29t$" + sum,
		"padded salt":              "$argon2id$v=19$m=64,t=1,p=1$" + salt + "=$" + sum,
		"short sum":                "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$CTFh",
		"no sum":                   "$argon2id$v=19$m=64,t=1,p=1$" + salt,
		"more parts":               argonPassword + "$x",
		"bcrypt of cost 17":        strings.Replace(bcryptA, "$06$", "$17$", 1),
		"bcrypt of cost 3":         strings.Replace(bcryptA, "$06$", "$03$", 1),
		"bcrypt of cost +6":        strings.Replace(bcryptA, "$06$", "$+6$", 1),
		"bcrypt too short":         bcryptEmpty[:len(bcryptEmpty)-2],
		"bcrypt of other letters":  bcryptA[:len(bcryptA)-1] + "!",
		"bcrypt x":                 strings.Replace(bcryptA, "$2a$", "$2x$", 1),
		"iterations":               strings.Replace(mosquitto7, "$101$", "$10000001$", 1),
		"no iterations":            strings.Replace(mosquitto7, "$101$", "$0$", 1),
		"negative iterations":      strings.Replace(mosquitto7, "$101$", "$-1$", 1),
		"iterations beyond 32 bit": strings.Replace(mosquitto7, "$101$", "$4294967397$", 1),
		"mosquitto sum":            mosquitto6[:len(mosquitto6)-8],
		"mosquitto base64":         strings.Replace(mosquitto6, "Msw", "!", 1) + "!",
		"line end in base64":       strings.Replace(mosquitto6, "$MsW", "$\nMsW", 1),
	} {
		if h, err := ParseHash(hash); err == nil {
			t.Errorf("%s: taken as %+v", name, h.cost)
		} else if sum := err.Error(); strings.Contains(sum, "CTFh") || strings.Contains(sum, "secret") {
			t.Errorf("%s: the error tells the hash: %v", name, err)
		}
	}
}

func TestDecoysCostTheSame(t *testing.T) {
	for _, hash := range []string{argonPassword, bcryptA, mosquitto7, mosquitto6} {
		h, err := ParseHash(hash)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseHash(h.decoy())
		if err != nil {
			t.Fatalf("%v: %v", h.scheme, err)
		}
		if d.cost != h.cost {
			t.Errorf("%v: %+v, want %+v", h.scheme, d.cost, h.cost)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{argonPassword, bcryptA, mosquitto7, mosquitto6, "$7$", "$argon2id$v=19$m=,t=,p=$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHash(s)
		if err != nil {
			return
		}
		if h.memory > maxArgonMemory || h.rounds > maxIterations || h.scheme == 0 {
			t.Errorf("%+v", h.cost)
		}
		if _, err := ParseHash(h.decoy()); err != nil {
			t.Errorf("the decoy of %+v: %v", h.cost, err)
		}
	})
}

// printed is everything that a value prints as.
func printed(v any) string {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	return fmt.Sprintf("%v %+v %#v %s %q %x %d %T", v, v, v, v, v, v, v, v) + fmt.Sprint(v) + log.String()
}

// numbers is how bytes are printed that nothing hides.
func numbers(b []byte) string { return strings.Trim(fmt.Sprintf("%v", b), "[]") }

func TestNothingSecretIsPrinted(t *testing.T) {
	c := Credentials{ClientID: "c1", User: "bob", HasUser: true, Password: []byte("hunter2"), HasPassword: true}
	h, err := ParseHash(mosquitto7)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier("hunter2", MinScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []any{c, &c, []Credentials{c}, h, &h, v, &v, struct{ V Verifier }{v}, NamedPassword{"bob", "hunter2"}} {
		s := printed(x)
		for _, secret := range []string{"hunter2", numbers([]byte("hunter2")), fmt.Sprintf("%x", "hunter2"),
			numbers(h.sum), numbers(h.salt), numbers(v.StoredKey), numbers(v.ServerKey), base64.StdEncoding.EncodeToString(v.StoredKey)} {
			if strings.Contains(s, secret) {
				t.Errorf("%T shows a secret: %s", x, s)
			}
		}
	}
	if s := fmt.Sprintf("%+v", c); !strings.Contains(s, "bob") || !strings.Contains(s, "c1") {
		t.Errorf("not who it is: %s", s)
	}
}

func always() bool { return true }

func TestPoolBoundsWhatRunsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(2, 3)
		release := make(chan struct{})
		var running, most, done int
		var mu sync.Mutex
		for range 5 {
			go func() {
				err := p.Do(t.Context(), 1, always, func() {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					<-release
					mu.Lock()
					running--
					done++
					mu.Unlock()
				})
				if err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if p.Load() != 5 || running != 2 {
			t.Errorf("%d run, %d in all; want 2 and 5", running, p.Load())
		}
		if err := p.Do(t.Context(), 1, always, func() { t.Error("it runs") }); !errors.Is(err, ErrBusy) {
			t.Errorf("a sixth: %v", err)
		}
		close(release)
		synctest.Wait()
		if most != 2 || done != 5 || p.Load() != 0 {
			t.Errorf("at most %d at once, %d done, %d left; want 2, 5, 0", most, done, p.Load())
		}
	})
}

func TestPoolLeavesOutWhoIsGoneOrStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, 0)
		release := make(chan struct{})
		go func() { _ = p.Do(t.Context(), 8, always, func() { <-release }) }() // more cores than there are
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		go func() { results <- p.Do(ctx, 1, always, func() { t.Error("the gone one runs") }) }()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("gone: %v", err)
		}
		welcome := true
		go func() {
			results <- p.Do(t.Context(), 1, func() bool { return welcome }, func() { t.Error("the stale one runs") })
		}()
		synctest.Wait()
		welcome = false
		close(release)
		if err := <-results; !errors.Is(err, ErrStale) {
			t.Errorf("stale: %v", err)
		}
		synctest.Wait()
		if p.Load() != 0 {
			t.Errorf("%d left", p.Load())
		}
	})
}

func testPasswords(pool *Pool, ttl time.Duration, size int) (*Passwords, *Counters) {
	n := &Counters{}
	return NewPasswords(PasswordsConfig{Pool: pool, Counters: n, Now: time.Now, TTL: ttl, Size: size}), n
}

func as(user, password string) Credentials {
	return Credentials{User: user, HasUser: true, Password: []byte(password), HasPassword: true}
}

func TestRightPasswordsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, n := testPasswords(NewPool(1, 1), time.Minute, 0)
		stored := cheap("x")
		check := func(what string, c Credentials, stored string, want bool, hashed, recalled int64) {
			t.Helper()
			ok, err := p.Check(t.Context(), c, stored)
			if ok != want || err != nil || n.Hashed.Load() != hashed || n.Recalled.Load() != recalled {
				t.Errorf("%s: %v, %v, %d hashed, %d recalled", what, ok, err, n.Hashed.Load(), n.Recalled.Load())
			}
		}
		if p.Recall(as("bob", "x"), stored) {
			t.Error("recalled before it was seen")
		}
		check("first", as("bob", "x"), stored, true, 1, 0)
		check("again", as("bob", "x"), stored, true, 1, 1)
		check("wrong", as("bob", "y"), stored, false, 2, 1)
		check("wrong again", as("bob", "y"), stored, false, 3, 1)
		check("somebody else with the same", as("al", "x"), stored, true, 4, 1)
		check("a new hash", as("bob", "x"), cheap("y"), false, 5, 1)
		check("moved border", as("bo", "bx"), stored, false, 6, 1)
		<-time.After(time.Minute)
		check("later", as("bob", "x"), stored, true, 7, 1)
	})
}

func TestNothingIsRememberedWithoutTTL(t *testing.T) {
	p, n := testPasswords(NewPool(1, 1), 0, 0)
	for range 2 {
		if ok, err := p.Check(t.Context(), as("bob", "x"), cheap("x")); !ok || err != nil {
			t.Error(ok, err)
		}
	}
	if n.Hashed.Load() != 2 || p.Recall(as("bob", "x"), cheap("x")) {
		t.Errorf("%d hashed", n.Hashed.Load())
	}
}

func TestMemoryOfPasswordsIsBounded(t *testing.T) {
	p, _ := testPasswords(NewPool(1, 1), time.Hour, 10)
	for i := range 100 {
		if ok, err := p.Check(t.Context(), as(fmt.Sprint("u", i), "x"), cheap("x")); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if n := len(p.right.young) + len(p.right.old); n > 10 {
		t.Errorf("%d remembered, want at most 10", n)
	}
	if !p.Recall(as("u99", "x"), cheap("x")) || p.Recall(as("u1", "x"), cheap("x")) {
		t.Error("the newest is forgotten, or the oldest kept")
	}
}

func TestTheSamePasswordIsHashedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1, 0)
		p, n := testPasswords(pool, time.Minute, 0)
		release := make(chan struct{})
		go func() { _ = pool.Do(t.Context(), 1, always, func() { <-release }) }()
		synctest.Wait()
		results := make(chan bool, 50)
		for i := range 50 {
			go func() {
				ok, err := p.Check(t.Context(), as("bob", []string{"x", "y"}[i%2]), cheap("x"))
				if err != nil {
					t.Error(err)
				}
				results <- ok
			}()
		}
		synctest.Wait()
		close(release)
		right := 0
		for range 50 {
			if <-results {
				right++
			}
		}
		if right != 25 || n.Hashed.Load() != 2 {
			t.Errorf("%d right, %d hashed; want 25 and 2", right, n.Hashed.Load())
		}
	})
}

func TestWhoWaitsForAnothersHashOutlivesHim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1, 0)
		p, _ := testPasswords(pool, time.Minute, 0)
		release := make(chan struct{})
		go func() { _ = pool.Do(t.Context(), 1, always, func() { <-release }) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() {
			_, err := p.Check(ctx, as("bob", "x"), cheap("x"))
			errs <- err
		}()
		synctest.Wait()
		second := make(chan bool, 1)
		go func() {
			ok, err := p.Check(t.Context(), as("bob", "x"), cheap("x"))
			second <- ok && err == nil
		}()
		gone, cancelGone := context.WithCancel(t.Context())
		go func() {
			_, err := p.Check(gone, as("bob", "x"), cheap("x"))
			errs <- err
		}()
		synctest.Wait()
		cancelGone()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		if !<-second {
			t.Error("the end of the first one has taken the second with it")
		}
	})
}

func TestMalformedStoredHashIsAnError(t *testing.T) {
	p, _ := testPasswords(NewPool(1, 0), time.Minute, 0)
	ok, err := p.Check(t.Context(), as("bob", "topsecret"), "topsecret")
	if ok || err == nil || strings.Contains(err.Error(), "topsecret") || len(p.flights) != 0 {
		t.Errorf("%v, %v, %d flights", ok, err, len(p.flights))
	}
	if a := DeniedBy(err); a.Outcome != Deny || a.Code != CodeUnavailable {
		t.Errorf("%+v", a)
	}
}

func BenchmarkRecalledPassword(b *testing.B) {
	p, _ := testPasswords(NewPool(0, 0), time.Hour, 0)
	c, stored := as("bob", "secret"), cheap("secret")
	for b.Loop() {
		if ok, err := p.Check(b.Context(), c, stored); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkNewHashVerify(b *testing.B) {
	s, err := NewHash([]byte("secret"))
	if err != nil {
		b.Fatal(err)
	}
	h, err := ParseHash(s)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h.Verify([]byte("secret"))
	}
}
