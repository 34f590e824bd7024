package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testKeys are made once: RSA keys take long.
type testKeys struct {
	rsa, rsa2      *rsa.PrivateKey
	p256, p384, p5 *ecdsa.PrivateKey
	ed             ed25519.PrivateKey
}

var theKeys = sync.OnceValue(func() *testKeys {
	k := &testKeys{}
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.rsa2, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p5, _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	return k
})

const testSecret = "0123456789abcdef0123456789abcdef"

var b64 = base64.RawURLEncoding.EncodeToString

type fields map[string]any

func jsonOf(v any) []byte {
	if b, ok := v.(string); ok {
		return []byte(b)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// signToken makes a token with a key of any kind. Header and claims are JSON or fields.
func signToken(t testing.TB, header, claims, key any) string {
	t.Helper()
	head := jsonOf(header)
	signed := b64(head) + "." + b64(jsonOf(claims))
	var h struct{ Alg string }
	_ = json.Unmarshal(head, &h) // a header without one is signed as HS256
	return signed + "." + b64(signature(t, h.Alg, []byte(signed), key))
}

func signature(t testing.TB, alg string, signed []byte, key any) (sig []byte) {
	t.Helper()
	hash := crypto.SHA256
	switch {
	case strings.HasSuffix(alg, "384"):
		hash = crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		hash = crypto.SHA512
	}
	var err error
	switch k := key.(type) {
	case nil:
	case string:
		m := hmac.New(hash.New, []byte(k))
		m.Write(signed)
		sig = m.Sum(nil)
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			sig, err = rsa.SignPSS(rand.Reader, k, hash, digest(hash, signed), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(nil, k, hash, digest(hash, signed))
		}
	case *ecdsa.PrivateKey:
		size := (k.Params().BitSize + 7) / 8
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, k, digest(hash, signed))
		if err == nil {
			sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, signed)
	default:
		t.Fatalf("a key of type %T", key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func pemKey(t testing.TB, pub any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return writeTemp(t, pemOf("PUBLIC KEY", der))
}

func newTestJWT(t testing.TB, cfg JWTConfig) *JWT {
	t.Helper()
	j, err := NewJWT(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

func tokenOf(s string) Credentials {
	return Credentials{ClientID: "c1", User: "whoever", HasUser: true, Password: []byte(s), HasPassword: true}
}

func inAnHour() int64 { return time.Now().Add(time.Hour).Unix() }

func TestJWTAlgorithms(t *testing.T) {
	k := theKeys()
	files := []string{pemKey(t, k.rsa.Public()), pemKey(t, k.p256.Public()), pemKey(t, k.p384.Public()), pemKey(t, k.p5.Public()), pemKey(t, k.ed.Public())}
	j := newTestJWT(t, JWTConfig{Secret: testSecret, KeyFiles: files})
	keyOf := map[string]any{"HS": testSecret, "RS": k.rsa, "PS": k.rsa, "ES256": k.p256, "ES384": k.p384, "ES512": k.p5, "Ed": k.ed}
	wrongOf := map[string]any{"HS": testSecret + "x", "RS": k.rsa2, "PS": k.rsa2, "ES256": newTestKey(t), "ES384": k.p256, "ES512": k.p384, "Ed": ed25519.NewKeyFromSeed(make([]byte, 32))}
	for alg := range jwtAlgs {
		kind := alg[:2]
		if kind == "ES" {
			kind = alg
		}
		claims := fields{"sub": "ann", "exp": inAnHour()}
		good := signToken(t, fields{"alg": alg, "typ": "JWT"}, claims, keyOf[kind])
		a := j.Check(t.Context(), tokenOf(good))
		if a.Outcome != Allow || a.Identity.User != "ann" || !a.Identity.HasUser || a.Identity.ExpiresAt != claims["exp"].(int64)*1e9 {
			t.Errorf("%s: %+v", alg, a)
		}
		if a := j.Check(t.Context(), tokenOf(signToken(t, fields{"alg": alg}, claims, wrongOf[kind]))); a.Outcome != Deny || a.Code != CodeBadCredentials {
			t.Errorf("%s with a wrong key: %+v", alg, a)
		}
		dot := strings.LastIndexByte(good, '.')
		for i, bad := range []string{
			good[:dot+1], good[:dot+2] + flip(good[dot+2:dot+3]) + good[dot+3:],
			strings.Replace(good, "."+b64(jsonOf(claims))+".", "."+b64(jsonOf(fields{"sub": "root", "exp": inAnHour()}))+".", 1),
		} {
			if a := j.Check(t.Context(), tokenOf(bad)); a.Outcome != Deny {
				t.Errorf("%s changed in way %d: %+v", alg, i, a)
			}
		}
	}
}

func flip(s string) string {
	if s == "A" {
		return "B"
	}
	return "A"
}

// Tokens and keys of RFC 7515 appendices A.1 to A.4 and RFC 8037 appendix A.4, so that
// this is not only judged by what it was itself told.
func TestJWTVectors(t *testing.T) {
	for _, v := range []struct{ name, jwk, token, signed string }{
		{
			"RFC 7515 A.1", `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`,
			"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "joe",
		},
		{
			"RFC 7515 A.3", `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
			"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", "joe",
		},
		{
			"RFC 8037 A.4", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", "",
		},
	} {
		set, err := parseJWKS([]byte(`{"keys":[`+v.jwk+`]}`), true)
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		tok, err := parseToken([]byte(v.token), defaultTokenBytes)
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if a, ok := tryKeys(set.fitting(tok), tok); !ok {
			t.Errorf("%s: %+v", v.name, a)
		}
		tok.signed[0] ^= 1
		if _, ok := tryKeys(set.fitting(tok), tok); ok {
			t.Errorf("%s: taken when changed", v.name)
		}
		if c, err := parseObject(tok.payload); v.signed != "" && (err != nil || string(c["iss"]) != `"`+v.signed+`"`) {
			t.Errorf("%s: claims %s, %v", v.name, c, err)
		}
	}
}

func TestBadTokens(t *testing.T) {
	k := theKeys()
	pub := pemKey(t, k.rsa.Public())
	pubText, err := readFile(pub, maxKeysBytes)
	if err != nil {
		t.Fatal(err)
	}
	j := newTestJWT(t, JWTConfig{
		Secret: testSecret, KeyFiles: []string{pub, pemKey(t, k.p256.Public())},
		Issuers: []string{"iss1", "iss2"}, Audiences: []string{"mqtt", "broker"}, Leeway: 10 * time.Second, MaxBytes: 2048,
	})
	ok := fields{"sub": "ann", "exp": inAnHour(), "iss": "iss2", "aud": []string{"web", "mqtt"}}
	with := func(changes fields) string {
		c := maps.Clone(ok)
		maps.Copy(c, changes)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		return signToken(t, fields{"alg": "HS256"}, c, testSecret)
	}
	head := func(header any) string { return signToken(t, header, ok, testSecret) }
	good := with(nil)
	parts := strings.Split(good, ".")
	now := time.Now().Unix()
	pssHead := b64([]byte(`{"alg":"PS256"}`)) + "." + parts[1]
	for name, token := range map[string]string{
		"alg none":                       signToken(t, fields{"alg": "none"}, ok, nil),
		"alg none with a signature":      head(fields{"alg": "none"}),
		"alg None":                       signToken(t, fields{"alg": "None"}, ok, nil),
		"alg missing":                    head(fields{"typ": "JWT"}),
		"alg not text":                   head(fields{"alg": 256}),
		"alg null":                       head(`{"alg":null}`),
		"alg unknown":                    head(fields{"alg": "HS1"}),
		"alg in other case":              head(`{"ALG":"HS256"}`),
		"alg twice":                      head(`{"alg":"HS256","alg":"HS256"}`),
		"alg of encryption":              head(fields{"alg": "RSA-OAEP"}),
		"HMAC with the RSA key as text":  signToken(t, fields{"alg": "HS256"}, ok, string(pubText)),
		"HMAC with the RSA key as bytes": signToken(t, fields{"alg": "HS256"}, ok, string(x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey))),
		"alg of another key":             signToken(t, fields{"alg": "ES384"}, ok, k.p384),
		"signed with no key of ours":     signToken(t, fields{"alg": "RS256"}, ok, k.rsa2),
		"RSA signature called PSS":       pssHead + "." + b64(signature(t, "RS256", []byte(pssHead), k.rsa)),
		"its own key":                    head(fields{"alg": "ES384", "jwk": fields{"kty": "EC"}}),
		"critical header":                head(fields{"alg": "HS256", "crit": []string{"exp"}}),
		"b64 false":                      head(fields{"alg": "HS256", "b64": false, "crit": []string{"b64"}}),
		"nested":                         head(fields{"alg": "HS256", "cty": "JWT"}),
		"nested, other spelling":         head(fields{"alg": "HS256", "cty": "application/jwt"}),
		"nested, by type":                head(fields{"alg": "HS256", "cty": "at+JWT"}),
		"cty not text":                   head(fields{"alg": "HS256", "cty": 1}),
		"a token as payload":             signToken(t, fields{"alg": "HS256"}, good, testSecret),
		"kid not text":                   head(fields{"alg": "HS256", "kid": 1}),
		"kid empty":                      head(fields{"alg": "HS256", "kid": ""}),
		"kid long":                       head(fields{"alg": "HS256", "kid": strings.Repeat("x", maxKeyID+1)}),
		"header not an object":           "ey" + b64([]byte(`"x"`)) + "." + parts[1] + "." + parts[2],
		"header with more behind":        head(`{"alg":"HS256"}{}`),
		"header deep":                    head(`{"alg":"HS256","x":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `,"crit":[]}`),
		"huge":                           with(fields{"x": strings.Repeat("x", 4096)}),
		"two parts":                      parts[0] + "." + parts[1],
		"four parts":                     good + ".x",
		"encrypted":                      "eyJhbGciOiJkaXIifQ.a.b.c.d",
		"many dots":                      "ey" + strings.Repeat(".", 1000),
		"no header":                      "ey." + parts[1] + "." + parts[2],
		"no payload":                     parts[0] + ".." + parts[2],
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"bad base64 in header":           "ey!." + parts[1] + "." + parts[2],
		"bad base64 in payload":          parts[0] + ".a+/=." + parts[2],
		"bad base64 in signature":        parts[0] + "." + parts[1] + ".%%%",
		"padding":                        good + "=",
		"line end":                       good + "\n",
		"line end within":                parts[0] + "\r\n." + parts[1] + "." + parts[2],
		"NUL":                            good + "\x00",
		"another spelling of the end":    respell(good),
		"claims not an object":           signToken(t, fields{"alg": "HS256"}, `[]`, testSecret),
		"claims null":                    signToken(t, fields{"alg": "HS256"}, `null`, testSecret),
		"claims empty":                   signToken(t, fields{"alg": "HS256"}, ``, testSecret),
		"claims cut":                     signToken(t, fields{"alg": "HS256"}, `{"sub":"ann"`, testSecret),
		"claims not UTF-8":               signToken(t, fields{"alg": "HS256"}, "{\"sub\":\"a\xff\"}", testSecret),
		"claim twice":                    signToken(t, fields{"alg": "HS256"}, `{"sub":"ann","sub":"bob","exp":9999999999,"iss":"iss1","aud":"mqtt"}`, testSecret),
		"expired":                        with(fields{"exp": now - 11}),
		"expired long ago":               with(fields{"exp": 0}),
		"exp missing":                    with(fields{"exp": nil}),
		"exp text":                       with(fields{"exp": "9999999999"}),
		"exp null":                       signToken(t, fields{"alg": "HS256"}, `{"sub":"ann","exp":null,"iss":"iss1","aud":"mqtt"}`, testSecret),
		"exp negative":                   with(fields{"exp": -1}),
		"exp huge":                       with(fields{"exp": 1e300}),
		"exp beyond int64":               with(fields{"exp": 1e19}),
		"not yet valid":                  with(fields{"nbf": now + 30}),
		"nbf huge":                       with(fields{"nbf": math.MaxFloat64}),
		"nbf text":                       with(fields{"nbf": "x"}),
		"from the future":                with(fields{"iat": now + 30}),
		"iat a list":                     with(fields{"iat": []int{1}}),
		"no issuer":                      with(fields{"iss": nil}),
		"another issuer":                 with(fields{"iss": "iss3"}),
		"issuer a list":                  with(fields{"iss": []string{"iss1"}}),
		"no audience":                    with(fields{"aud": nil}),
		"another audience":               with(fields{"aud": "web"}),
		"audience not text":              with(fields{"aud": []any{1, "x"}}),
		"audience null":                  with(fields{"aud": []any{nil, "mqtt"}}),
		"no user":                        with(fields{"sub": nil}),
		"user empty":                     with(fields{"sub": ""}),
		"user not text":                  with(fields{"sub": 7}),
		"user with NUL":                  with(fields{"sub": "a\x00"}),
	} {
		a := j.Check(t.Context(), tokenOf(token))
		if a.Outcome != Deny || a.Code != CodeBadCredentials || a.Why == "" {
			t.Errorf("%s: %+v", name, a)
		}
		if len(parts[1]) > 0 && (strings.Contains(a.Why, parts[1]) || strings.Contains(a.Why, testSecret) || strings.Contains(a.Why, "ann")) {
			t.Errorf("%s: the reason %q tells of the token", name, a.Why)
		}
	}
	for name, token := range map[string]string{
		"good":                good,
		"just expired":        with(fields{"exp": now - 5}),
		"valid in a moment":   with(fields{"nbf": now + 5, "iat": now + 5}),
		"one audience":        with(fields{"aud": "broker"}),
		"a fraction":          with(fields{"exp": float64(now) + 100.5}),
		"far away":            with(fields{"exp": int64(maxDate)}),
		"kid of no set":       head(fields{"alg": "HS256", "kid": "x"}),
		"a content type":      head(fields{"alg": "HS256", "cty": "json"}),
		"another token's typ": head(fields{"alg": "HS256", "typ": "at+jwt"}),
	} {
		if a := j.Check(t.Context(), tokenOf(token)); a.Outcome != Allow {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for _, password := range []string{"", "secret", "a.b.c", "eyJ", "hey.you.there", ".", head(`[{"alg":"HS256"}]`)} {
		if a := j.Check(t.Context(), tokenOf(password)); a.Outcome != NotMine {
			t.Errorf("password %q: %+v", password, a)
		}
	}
	if a := j.Check(t.Context(), Credentials{Password: []byte(good)}); a.Outcome != NotMine {
		t.Errorf("without password flag: %+v", a)
	}
}

// respell changes the unused bits of the last character, which decode to the same.
func respell(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])^1])
}

func TestTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newTestJWT(t, JWTConfig{Secret: testSecret, Leeway: 10 * time.Second, AllowEndless: true})
		now := time.Now()
		for _, tc := range []struct{ exp, want any }{
			{now.Unix() + 5, now.Unix() + 5}, {now.Unix() - 5, now.Unix() + 5}, {nil, int64(0)}, {int64(maxDate), int64(math.MaxInt64)},
		} {
			claims := fields{"sub": "ann"}
			if tc.exp != nil {
				claims["exp"] = tc.exp
			}
			want := tc.want.(int64)
			if want < math.MaxInt64 {
				want *= 1e9
			}
			a := j.Check(t.Context(), tokenOf(signToken(t, fields{"alg": "HS256"}, claims, testSecret)))
			if a.Outcome != Allow || a.Identity.ExpiresAt != want || a.Identity.Expired(now.UnixNano()) {
				t.Errorf("exp %v: %+v, want the end %d", tc.exp, a, want)
			}
		}
	})
}

func TestClaims(t *testing.T) {
	cfg := JWTConfig{Secret: testSecret, UserClaim: "ctx.user", ClientClaim: "cid", GroupsClaim: "realm.roles", ACLClaim: "acl", AllowEndless: true}
	j := newTestJWT(t, cfg)
	check := func(claims string) Answer {
		return j.Check(t.Context(), tokenOf(signToken(t, fields{"alg": "HS256"}, claims, testSecret)))
	}
	a := check(`{"ctx":{"user":"ann"},"cid":"c1","realm":{"roles":["a","b"]},"acl":[
		{"effect":"deny","action":"publish","topics":["a/secret"]},{"action":"publish","topics":["a/#"]},{"action":"subscribe","topics":["%c/#"]}]}`)
	if a.Outcome != Allow || a.Identity.User != "ann" || !slices.Equal(a.Identity.Groups, []string{"a", "b"}) {
		t.Fatalf("%+v", a)
	}
	rules := a.Identity.Rules.(*Grant).Rules
	who := &Subject{User: "ann", HasUser: true, ClientID: "c1"}
	for topic, want := range map[string]bool{"a/b": true, "a/secret": false, "c1/x": false, "x": false} {
		if v := rules.Judge(&Query{Subject: who, Topic: topic, Action: Publish}); v.Allowed != want {
			t.Errorf("publish %s: %+v", topic, v)
		}
	}
	if v := rules.Judge(&Query{Subject: who, Topic: "c1/+", Action: Subscribe}); !v.Allowed {
		t.Errorf("subscribe: %+v", v)
	}
	a = check(`{"ctx.user":"dot","ctx":{"user":"ann"},"cid":"c1","acl":[]}`)
	if a.Identity.User != "dot" || a.Identity.Groups != nil {
		t.Errorf("a claim whose name has a dot: %+v", a)
	}
	if v := a.Identity.Rules.(*Grant).Rules.Judge(&Query{Subject: who, Topic: "x", Action: Publish}); v.Allowed {
		t.Error("an empty ACL allows")
	}
	if a = check(`{"ctx":{"user":"ann"},"cid":"c1"}`); a.Outcome != Allow || a.Identity.Rules != nil {
		t.Errorf("without ACL: %+v", a)
	}
	for claims, code := range map[string]byte{
		`{"cid":"c1"}`:                                                                               0x86,
		`{"ctx":"ann","cid":"c1"}`:                                                                   0x86,
		`{"ctx":{"user":"ann"}}`:                                                                     0x85,
		`{"ctx":{"user":"ann"},"cid":"c2"}`:                                                          0x85,
		`{"ctx":{"user":"ann"},"cid":["c1"]}`:                                                        0x85,
		`{"ctx":{"user":"ann"},"cid":"c1","realm":{"roles":{}}}`:                                     0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","realm":{"roles":[1]}}`:                                    0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","acl":null}`:                                               0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","acl":{}}`:                                                 0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","acl":[{}]}`:                                               0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","acl":[{"action":"write","topics":["a"]}]}`:                0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","acl":[{"action":"publish","topics":["a#"]}]}`:             0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","acl":[{"action":"publish","topics":["a"],"if":"never"}]}`: 0x86,
		`{"ctx":{"user":"ann"},"cid":"c1","acl":[{"effect":"permit","action":"publish","topics":["a"],"max_qos":0}]}`: 0x86,
	} {
		if a := check(claims); a.Outcome != Deny || a.Code != code {
			t.Errorf("%s: %+v", claims, a)
		}
	}
	cfg = JWTConfig{Secret: testSecret, MatchUser: true, AllowEndless: true}
	j = newTestJWT(t, cfg)
	if a := check(`{"sub":"whoever"}`); a.Outcome != Allow {
		t.Errorf("the same user: %+v", a)
	}
	if a := check(`{"sub":"ann"}`); a.Outcome != Deny || a.Code != 0x86 {
		t.Errorf("another user: %+v", a)
	}
}

func TestBadJWTConfig(t *testing.T) {
	k := theKeys()
	private, err := x509.MarshalPKCS8PrivateKey(k.ed)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1030), E: 3})
	if err != nil {
		t.Fatal(err)
	}
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	file := func(kind string, der []byte) []string { return []string{writeTemp(t, pemOf(kind, der))} }
	for name, cfg := range map[string]JWTConfig{
		"no key":           {},
		"short secret":     {Secret: "hunter2-hunter2"},
		"no such file":     {KeyFiles: []string{"/does/not/exist"}},
		"no such set":      {JWKSFiles: []string{"/does/not/exist"}},
		"no PEM":           {KeyFiles: []string{writeTemp(t, []byte("x"))}},
		"private key":      {KeyFiles: file("PRIVATE KEY", private)},
		"junk":             {KeyFiles: file("PUBLIC KEY", []byte("x"))},
		"junk PKCS 1":      {KeyFiles: file("RSA PUBLIC KEY", []byte("x"))},
		"junk certificate": {KeyFiles: file("CERTIFICATE", []byte("x"))},
		"weak RSA":         {KeyFiles: file("PUBLIC KEY", weak)},
		"P-224":            {KeyFiles: []string{pemKey(t, p224.Public())}},
		"huge file":        {KeyFiles: []string{writeTemp(t, make([]byte, maxKeysBytes+1))}},
		"empty set":        {JWKSFiles: []string{writeTemp(t, []byte(`{"keys":[]}`))}},
		"bad set":          {JWKSFiles: []string{writeTemp(t, []byte(`{}`))}},
		"leeway":           {Secret: testSecret, Leeway: 2 * time.Hour},
		"negative leeway":  {Secret: testSecret, Leeway: -1},
		"size":             {Secret: testSecret, MaxBytes: 1 << 20},
		"plain URL":        {JWKS: JWKSConfig{URL: "http://127.0.0.1/x"}},
		"no URL":           {JWKS: JWKSConfig{URL: "https://"}},
		"URL with secret":  {JWKS: JWKSConfig{URL: "https://u:hunter2@example.org/"}},
		"URL with junk":    {JWKS: JWKSConfig{URL: "https://hunter2 %zz"}},
		"no such CA":       {JWKS: JWKSConfig{URL: "https://127.0.0.1/", TLS: ClientTLS{CAFile: "/does/not/exist"}}},
		"bad CA":           {JWKS: JWKSConfig{URL: "https://127.0.0.1/", TLS: ClientTLS{CAFile: writeTemp(t, []byte("x"))}}},
		"half a pair":      {JWKS: JWKSConfig{URL: "https://127.0.0.1/", TLS: ClientTLS{CertFile: "/does/not/exist"}}},
		"negative time":    {JWKS: JWKSConfig{URL: "https://127.0.0.1/", Refresh: -1}},
	} {
		j, err := NewJWT(cfg)
		if err == nil {
			j.Close()
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
	cert := newTestCA(t, "signer", nil).issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "x"}})
	newTestJWT(t, JWTConfig{KeyFiles: []string{writeTemp(t, pemOf("CERTIFICATE", cert.Raw)), writeTemp(t, pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)))}})
}

func FuzzToken(f *testing.F) {
	k := theKeys()
	j := newTestJWT(f, JWTConfig{Secret: testSecret, KeyFiles: []string{pemKey(f, k.p256.Public())}, ACLClaim: "acl", GroupsClaim: "g.h"})
	good := signToken(f, fields{"alg": "HS256"}, fields{"sub": "ann", "exp": int64(9999999999)}, testSecret)
	f.Add([]byte(good), []byte(`{"alg":"HS256"}`), []byte(`{"sub":"ann","exp":9999999999}`))
	f.Add([]byte("eyJ.a.b"), []byte(`{"alg":"none"}`), []byte(`{"sub":"a","exp":1e300,"acl":[{"action":"all","topics":["+/#"]}]}`))
	f.Add([]byte("ey...."), []byte(`{"alg":"HS256","crit":1}`), []byte(`{"sub":"a","exp":1.5e10,"g":{"h":["x",null]}}`))
	f.Fuzz(func(t *testing.T, raw, header, claims []byte) {
		if a := j.Check(t.Context(), tokenOf(string(raw))); a.Outcome == Allow && string(raw) != good {
			t.Errorf("a token that nobody signed was taken: %q", raw)
		}
		a := j.Check(t.Context(), tokenOf(signToken(t, string(header), string(claims), testSecret)))
		if a.Outcome == Allow && (!a.Identity.HasUser || !validName(a.Identity.User) || a.Identity.ExpiresAt <= 0) {
			t.Errorf("%q %q: %+v", header, claims, a)
		}
		var h struct{ Alg string }
		if json.Unmarshal(header, &h) == nil && !strings.HasPrefix(h.Alg, "HS") && a.Outcome == Allow {
			t.Errorf("%q was taken for HMAC", header)
		}
	})
}

func BenchmarkJWT(b *testing.B) {
	k := theKeys()
	j := newTestJWT(b, JWTConfig{Secret: testSecret, KeyFiles: []string{pemKey(b, k.rsa.Public()), pemKey(b, k.p256.Public()), pemKey(b, k.ed.Public())}})
	for alg, key := range map[string]any{"HS256": testSecret, "RS256": k.rsa, "ES256": k.p256, "EdDSA": k.ed} {
		cr := tokenOf(signToken(b, fields{"alg": alg}, fields{"sub": "ann", "exp": inAnHour()}, key))
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				if j.Check(b.Context(), cr).Outcome != Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}
