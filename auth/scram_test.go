package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

var stdBase64 = base64.StdEncoding

// The example of RFC 7677 section 3.
const (
	rfcNonce       = "rOprNGfwEbeRWgbNEkqO"
	rfcServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcFirst       = "n,,n=user,r=" + rfcNonce
	rfcChallenge   = "r=" + rfcNonce + rfcServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcFinal       = "c=biws,r=" + rfcNonce + rfcServerNonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcSignature   = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func rfcVerifier(t testing.TB) string {
	t.Helper()
	salt, err := stdBase64.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVerifier("pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return v.Encode()
}

func testScram(t testing.TB, lines ...string) *Scram {
	t.Helper()
	return NewScram(testUsers(t, append(lines, "user:"+cheap("x")+":groups=g:scram="+rfcVerifier(t), "plain:"+cheap("x"))...))
}

func TestTheExampleOfTheRFC(t *testing.T) {
	s := testScram(t)
	s.nonce = func() string { return rfcServerNonce }
	one := s.Begin(t.Context(), Credentials{}, []byte(rfcFirst))
	if one.Done || string(one.Data) != rfcChallenge || one.User != "user" {
		t.Fatalf("%q, %+v", one.Data, one.Answer)
	}
	two := one.Next(t.Context(), []byte(rfcFinal))
	if !two.Done || two.Answer.Outcome != Allow || string(two.Data) != rfcSignature {
		t.Fatalf("%q, %+v", two.Data, two.Answer)
	}
	if id := two.Answer.Identity; id.User != "user" || !id.HasUser || len(id.Groups) != 1 || id.Groups[0] != "g" {
		t.Errorf("%+v", id)
	}
}

// scramClient is the client's side, as far as a test needs it.
type scramClient struct {
	gs2, user, password, nonce string
	bare                       string
	signature                  []byte
}

func (c *scramClient) first() []byte {
	c.bare = "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(c.user) + ",r=" + c.nonce
	return []byte(c.gs2 + c.bare)
}

func (c *scramClient) final(challenge []byte) ([]byte, error) {
	parts := strings.Split(string(challenge), ",")
	if len(parts) != 3 || !strings.HasPrefix(parts[0], "r="+c.nonce) || len(parts[0]) < len(c.nonce)+18 {
		return nil, fmt.Errorf("challenge %q", challenge)
	}
	salt, err := stdBase64.DecodeString(strings.TrimPrefix(parts[1], "s="))
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(strings.TrimPrefix(parts[2], "i="))
	if err != nil || i < MinScramIterations {
		return nil, fmt.Errorf("challenge %q", challenge)
	}
	salted, err := pbkdf2.Key(sha256.New, c.password, salt, i, sha256.Size)
	if err != nil {
		return nil, err
	}
	mac := func(key []byte, message string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(message))
		return h.Sum(nil)
	}
	without := "c=" + stdBase64.EncodeToString([]byte(c.gs2)) + "," + parts[0]
	message := c.bare + "," + string(challenge) + "," + without
	proof := mac(salted, "Client Key")
	stored := sha256.Sum256(proof)
	for i, b := range mac(stored[:], message) {
		proof[i] ^= b
	}
	c.signature = mac(mac(salted, "Server Key"), message)
	return []byte(without + ",p=" + stdBase64.EncodeToString(proof)), nil
}

// talk runs an exchange to its end and checks the server's signature.
func (c *scramClient) talk(t *testing.T, begin func(data []byte) MethodStep) MethodStep {
	t.Helper()
	step := begin(c.first())
	if step.Done {
		return step
	}
	final, err := c.final(step.Data)
	if err != nil {
		t.Fatal(err)
	}
	step = step.Next(t.Context(), final)
	if step.Answer.Outcome == Allow && string(step.Data) != "v="+stdBase64.EncodeToString(c.signature) {
		t.Errorf("the server's signature is %q", step.Data)
	}
	return step
}

func TestScramLetsInWhoKnowsThePassword(t *testing.T) {
	odd, err := NewVerifier("a\u00adb\u2168 \u00a0c", 5000)
	if err != nil {
		t.Fatal(err)
	}
	s := testScram(t, "o=d,d:"+cheap("x")+":scram="+odd.Encode())
	for name, c := range map[string]struct {
		client scramClient
		c      Credentials
		want   string // empty is in
	}{
		"right":                 {scramClient{gs2: "n,,", user: "user", password: "pencil"}, Credentials{}, ""},
		"no binding known":      {scramClient{gs2: "y,,", user: "user", password: "pencil"}, Credentials{}, ""},
		"acts as itself":        {scramClient{gs2: "n,a=user,", user: "user", password: "pencil"}, Credentials{}, ""},
		"same user in CONNECT":  {scramClient{gs2: "n,,", user: "user", password: "pencil"}, Credentials{User: "user", HasUser: true}, ""},
		"odd name and password": {scramClient{gs2: "n,,", user: "o=d,d", password: "abIX  c"}, Credentials{}, ""},
		"wrong":                 {scramClient{gs2: "n,,", user: "user", password: "pencils"}, Credentials{}, "users: wrong SCRAM proof"},
		"unknown":               {scramClient{gs2: "n,,", user: "nobody", password: "pencil"}, Credentials{}, "SCRAM: no source knows the user"},
		"no verifier":           {scramClient{gs2: "n,,", user: "plain", password: "x"}, Credentials{}, "users: the user has no SCRAM verifier"},
		"acts as another":       {scramClient{gs2: "n,a=al,", user: "user", password: "pencil"}, Credentials{}, "SCRAM: the client asks to act as somebody else"},
		"another in CONNECT":    {scramClient{gs2: "n,,", user: "user", password: "pencil"}, Credentials{User: "al", HasUser: true}, "SCRAM: another user than in CONNECT"},
		"binding":               {scramClient{gs2: "p=tls-unique,,", user: "user", password: "pencil"}, Credentials{}, "SCRAM: the client asks for channel binding"},
	} {
		t.Run(name, func(t *testing.T) {
			c.client.nonce = "fyko+d2lbbFgONRv9qkxdawL"
			step := c.client.talk(t, func(data []byte) MethodStep { return s.Begin(t.Context(), c.c, data) })
			a := step.Answer
			if !step.Done || step.Next != nil || (a.Outcome == Allow) != (c.want == "") || a.Why != c.want {
				t.Fatalf("%+v, want %q", a, c.want)
			}
			if a.Outcome == Deny && (a.Code != CodeNotAuthorized || step.Data != nil) {
				t.Errorf("code %#x, data %q", a.Code, step.Data)
			}
		})
	}
}

func TestMalformedFirstMessagesAreRefused(t *testing.T) {
	s := testScram(t)
	for _, data := range []string{"", "n", "n,,", "n,,n=user", "n,,r=x,n=user", "n,,n=,r=x", "n,,n=user,r=", "n,,n=user,r=\x01", "n,,n=us\x00er,r=x",
		"n,,n=us=er,r=x", "n,,n=us=2der,r=x", "n,,n=\xff,r=x", "n,,n=\u0007,r=x", "x,,n=user,r=x", "n,x,n=user,r=x", "n,,m=ext,n=user,r=x", ",,n=user,r=x", "n,,n=user,r=\u00e4",
		"n,,n=user,r=" + strings.Repeat("x", maxScramNonce+1), "n,,n=" + strings.Repeat("x", maxScramMessage) + ",r=x", "p=,,n=user,r=x"} {
		step := s.Begin(t.Context(), Credentials{}, []byte(data))
		if !step.Done || step.Answer.Outcome != Deny || step.Answer.Code != CodeNotAuthorized || step.Answer.Why == "" {
			t.Errorf("%.40q: %+v", data, step)
		}
	}
}

func TestMalformedFinalMessagesAreRefused(t *testing.T) {
	s := testScram(t)
	s.nonce = func() string { return rfcServerNonce }
	proof := rfcFinal[strings.Index(rfcFinal, ",p="):]
	for data, want := range map[string]error{
		"":                                                    errScramSyntax,
		rfcFinal[:len(rfcFinal)-1]:                            errScramSyntax,
		strings.TrimSuffix(rfcFinal, proof):                   errScramSyntax,
		"c=biws" + proof:                                      errScramSyntax,
		rfcFinal + "\n":                                       errScramSyntax,
		rfcFinal[:len(rfcFinal)-4] + "====":                   errScramSyntax,
		strings.Replace(rfcFinal, "c=", "x=", 1):              errScramSyntax,
		strings.Replace(rfcFinal, "biws", "eSws", 1):          errScramHeader, // y,,
		strings.Replace(rfcFinal, "biws", "", 1):              errScramHeader,
		"c=biws,r=" + rfcNonce + proof:                        errScramNonce,
		"c=biws,r=" + rfcNonce + rfcServerNonce + "x" + proof: errScramNonce,
		rfcFinal + strings.Repeat("x", maxScramMessage):       errScramSyntax,
	} {
		step := s.Begin(t.Context(), Credentials{}, []byte(rfcFirst)).Next(t.Context(), []byte(data))
		if !step.Done || step.Answer.Outcome != Deny || step.Answer.Why != want.Error() {
			t.Errorf("%q: %+v, want %v", data, step.Answer, want)
		}
	}
}

func TestChallengesDoNotTellWhoIsKnown(t *testing.T) {
	s, again := testScram(t), testScram(t)
	challenge := func(s *Scram, user string) (salt, iterations string) {
		t.Helper()
		step := s.Begin(t.Context(), Credentials{}, []byte("n,,n="+user+",r=abc"))
		parts := strings.Split(string(step.Data), ",")
		if step.Done || len(parts) != 3 {
			t.Fatalf("%s: %q, %+v", user, step.Data, step.Answer)
		}
		return parts[1], parts[2]
	}
	salts := map[string]string{}
	for _, user := range []string{"user", "plain", "nobody", "nobody2"} {
		salt, iterations := challenge(s, user)
		if other, used := salts[salt]; used {
			t.Errorf("%s and %s have one salt", user, other)
		}
		salts[salt] = user
		if len(salt) != len("s=W22ZaJ0SNY7soEsUEjb6gQ==") || iterations != "i=4096" {
			t.Errorf("%s: %s, %s", user, salt, iterations)
		}
		if next, _ := challenge(s, user); next != salt {
			t.Errorf("%s: another salt the next time", user)
		}
		if next, _ := challenge(again, user); next != salt {
			t.Errorf("%s: another salt after a restart", user)
		}
	}
}

func TestAMadeUpVerifierLetsNobodyIn(t *testing.T) {
	u := testUsers(t, "plain:"+cheap("x"))
	made, err := u.ScramUser(t.Context(), "plain")
	if err != nil || made.HasVerifier || !made.Known || made.Verifier.Iterations != ScramIterations || len(made.Verifier.Salt) != scramSaltLen {
		t.Errorf("%v, %+v", err, made.Verifier.Iterations)
	}
	// One who knows the secret could make a proof for a verifier made up as his key;
	// being known and having a verifier is asked apart from the proof.
	x := scramExchange{user: made, name: "plain", nonce: "x", gs2: "n,,"}
	step := x.finish(t.Context(), []byte("c=biws,r=x,p="+stdBase64.EncodeToString(make([]byte, sha256.Size))))
	if step.Answer.Outcome != Deny {
		t.Error("let in")
	}
}

// brokenUsers cannot look anybody up.
type brokenUsers struct{}

func (brokenUsers) ScramUser(context.Context, string) (ScramUser, error) {
	return ScramUser{}, errors.New("no connection")
}

func TestScramLooksForUsersInOrder(t *testing.T) {
	c := scramClient{gs2: "n,,", user: "user", password: "pencil", nonce: "abc"}
	begin := func(u ...ScramUsers) func([]byte) MethodStep {
		return func(data []byte) MethodStep { return NewScram(u...).Begin(t.Context(), Credentials{}, data) }
	}
	has := testUsers(t, "user:"+cheap("x")+":scram="+rfcVerifier(t))
	hasNot := testUsers(t, "al:"+cheap("x"))
	without := testUsers(t, "user:"+cheap("x"))
	for name, tc := range map[string]struct {
		users []ScramUsers
		want  string
		code  byte
	}{
		"first":         {[]ScramUsers{has, brokenUsers{}}, "", 0},
		"second":        {[]ScramUsers{hasNot, has}, "", 0},
		"without first": {[]ScramUsers{without, has}, "users: the user has no SCRAM verifier", CodeNotAuthorized},
		"none":          {[]ScramUsers{hasNot}, "SCRAM: no source knows the user", CodeNotAuthorized},
		"broken":        {[]ScramUsers{hasNot, brokenUsers{}}, "SCRAM: looking the user up: no connection", CodeUnspecified},
	} {
		if a := c.talk(t, begin(tc.users...)).Answer; a.Why != tc.want || a.Code != tc.code {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestVerifiersAreParsedAsTheyAreEncoded(t *testing.T) {
	v, err := NewVerifier("pencil", 4097)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseVerifier(v.Encode())
	if err != nil || got.Encode() != v.Encode() || got.Iterations != 4097 {
		t.Errorf("%v, %s", err, got.Encode())
	}
	for _, c := range []struct {
		password   string
		iterations int
	}{{"x", 4095}, {"x", MaxScramIterations + 1}, {"", 4096}, {"\u00ad", 4096}, {"\u0007", 4096}, {"\xff", 4096}, {"\u0627\u0031", 4096}} {
		if _, err := NewVerifier(c.password, c.iterations); err == nil {
			t.Errorf("%q with %d is taken", c.password, c.iterations)
		}
	}
}

func TestSASLprepOfTheRFC(t *testing.T) {
	for in, want := range map[string]string{ // RFC 4013 section 3, and more
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX", "a\u00a0b\u3000c": "a b c",
		"\u0627\u0644": "\u0627\u0644", "e\u0301": "\u00e9", "": "",
	} {
		if got, err := saslprep(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"\u0007", "\u0627\u0031", "\u0627a\u0627", "\ufffd", "\ue000", "\U000e0041", "\u200e", "\ufdd0", "\U0001ffff", "\x7f", "\u0085", "\xc3"} {
		if got, err := saslprep(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func FuzzScram(f *testing.F) {
	s := testScram(f)
	s.nonce = func() string { return rfcServerNonce }
	f.Add(rfcFirst, rfcFinal)
	f.Add("y,a=user,n=user,r=x", "c=eSxhPXVzZXIs,r=x,p=")
	f.Add("n,,n==2C=3D,r=x,ext=1", "c=,r=,p=,p=")
	f.Fuzz(func(t *testing.T, first, final string) {
		step := s.Begin(t.Context(), Credentials{}, []byte(first))
		if !step.Done {
			if step.Next == nil || !strings.HasPrefix(string(step.Data), "r=") {
				t.Fatalf("%+v", step)
			}
			step = step.Next(t.Context(), []byte(final))
		}
		if !step.Done || step.Answer.Outcome == NotMine {
			t.Fatalf("%+v", step)
		}
		if step.Answer.Outcome == Allow && (first != rfcFirst || final != rfcFinal) {
			t.Errorf("let in by %q, %q", first, final)
		}
	})
}

func FuzzSASLprep(f *testing.F) {
	f.Add("a\u0301\u00ad\u2168")
	f.Fuzz(func(t *testing.T, s string) {
		one, err := saslprep(s)
		if err != nil {
			return
		}
		if two, err := saslprep(one); err != nil || two != one {
			t.Errorf("%q becomes %q, then %q, %v", s, one, two, err)
		}
	})
}

// A restart, or another instance with the same file, shows the same.
func TestMadeUpSaltsOutliveTheProcess(t *testing.T) {
	challenge := func(secret []byte, lines ...string) Verifier {
		t.Helper()
		u, err := NewUsers(UsersConfig{Name: "u", List: users(t, lines...), Secret: secret}).ScramUser(t.Context(), "nobody")
		if err != nil {
			t.Fatal(err)
		}
		return u.Verifier
	}
	bob, ann, other := "bob:"+cheap("b")+":scram="+testVerifier, "ann:"+cheap("a"), "bob:"+cheap("x")
	first := challenge(nil, bob)
	for what, same := range map[string]bool{bob: true, bob + "\n" + ann: true, other: false, ann + "\n" + bob: false} {
		if got := bytes.Equal(challenge(nil, what).Salt, first.Salt); got != same {
			t.Errorf("%.20q: the same salt: %v", what, got)
		}
	}
	if !bytes.Equal(challenge([]byte("s"), bob).Salt, challenge([]byte("s"), other).Salt) || bytes.Equal(challenge([]byte("s"), bob).Salt, challenge([]byte("t"), bob).Salt) {
		t.Error("the secret does not decide")
	}
	if bytes.Equal(challenge(nil, "# nobody").Salt, challenge(nil, "# nobody").Salt) {
		t.Error("without a file or a secret anybody can tell what is made up")
	}
}
