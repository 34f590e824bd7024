package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// testCA signs certificates.
type testCA struct {
	*x509.Certificate
	key crypto.Signer
}

func newTestKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newTestCA(t testing.TB, name string, by *testCA) *testCA {
	t.Helper()
	c := &testCA{key: newTestKey(t)}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1000), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	signer := by
	if by == nil {
		signer = &testCA{tmpl, c.key}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer.Certificate, c.key.Public(), signer.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *testCA) issue(t testing.TB, tmpl x509.Certificate) *x509.Certificate {
	t.Helper()
	leaf, _ := c.issueKey(t, tmpl)
	return leaf
}

func (c *testCA) issueKey(t testing.TB, tmpl x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	if tmpl.SerialNumber == nil {
		tmpl.SerialNumber = big.NewInt(7)
	}
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = time.Now().Add(time.Hour)
	}
	tmpl.NotBefore = time.Now().Add(-time.Hour)
	key := newTestKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, c.Certificate, key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf, key
}

func (c *testCA) crl(t testing.TB, list x509.RevocationList, serials ...int64) []byte {
	t.Helper()
	if list.Number == nil {
		list.Number = big.NewInt(1)
	}
	if list.ThisUpdate.IsZero() {
		list.ThisUpdate = time.Now().Add(-time.Minute)
	}
	if list.NextUpdate.IsZero() {
		list.NextUpdate = time.Now().Add(time.Hour)
	}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, &list, c.Certificate, c.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writeTemp(t testing.TB, data []byte) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func pemOf(kind string, der ...[]byte) []byte {
	var b bytes.Buffer
	for _, d := range der {
		_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: d}) // a buffer takes everything
	}
	return b.Bytes()
}

func stateOf(chain ...*x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: chain[:1], VerifiedChains: [][]*x509.Certificate{chain}}
}

func TestCertNames(t *testing.T) {
	ca := newTestCA(t, "ca", nil)
	uri, _ := url.Parse("spiffe://example.org/device/1")
	full := ca.issue(t, x509.Certificate{
		Subject:  pkix.Name{CommonName: "ann", Organization: []string{"Example, Inc."}, OrganizationalUnit: []string{"sales", "ops"}},
		DNSNames: []string{"a.example.org", "b.example.org"}, EmailAddresses: []string{"ann@example.org"}, URIs: []*url.URL{uri},
	})
	bare := ca.issue(t, x509.Certificate{Subject: pkix.Name{Country: []string{"DE"}}})
	nul := ca.issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "a\x00b"}})
	named := Credentials{User: "b.example.org", HasUser: true}
	for name, tc := range map[string]struct {
		cfg  CertConfig
		cr   Credentials
		leaf *x509.Certificate
		want Outcome
		code byte
		user string
	}{
		"cn":                     {CertConfig{User: CertCN}, Credentials{}, full, Allow, 0, "ann"},
		"cn, CONNECT says other": {CertConfig{User: CertCN}, Credentials{User: "bob", HasUser: true}, full, Allow, 0, "ann"},
		"dn":                     {CertConfig{User: CertDN}, Credentials{}, full, Allow, 0, `CN=ann,OU=ops+OU=sales,O=Example\, Inc.`},
		"email":                  {CertConfig{User: CertEmail}, Credentials{}, full, Allow, 0, "ann@example.org"},
		"uri":                    {CertConfig{User: CertURI}, Credentials{}, full, Allow, 0, "spiffe://example.org/device/1"},
		"dns, the first":         {CertConfig{User: CertDNS}, Credentials{}, full, Allow, 0, "a.example.org"},
		"dns, the one asked for": {CertConfig{User: CertDNS}, named, full, Allow, 0, "b.example.org"},
		"client id":              {CertConfig{ClientID: CertDNS}, Credentials{ClientID: "b.example.org", User: "x", HasUser: true}, full, Allow, 0, ""},
		"wrong client id":        {CertConfig{User: CertCN, ClientID: CertDNS}, Credentials{ClientID: "c.example.org"}, full, Deny, 0x85, ""},
		"no cn":                  {CertConfig{User: CertCN}, Credentials{}, bare, NotMine, 0, ""},
		"no dns":                 {CertConfig{User: CertDNS}, Credentials{}, bare, NotMine, 0, ""},
		"no client id":           {CertConfig{ClientID: CertURI}, Credentials{}, bare, NotMine, 0, ""},
		"NUL in the name":        {CertConfig{User: CertCN}, Credentials{}, nul, Deny, 0x87, ""},
	} {
		c, err := NewCert(tc.cfg)
		if err != nil {
			t.Fatal(err)
		}
		tc.cr.TLS = stateOf(tc.leaf, ca.Certificate)
		a := c.Check(t.Context(), tc.cr)
		if a.Outcome != tc.want || a.Code != tc.code || a.Identity.User != tc.user || a.Identity.HasUser != (tc.user != "") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	c, _ := NewCert(CertConfig{User: CertCN, Groups: true, EndWith: true})
	a := c.Check(t.Context(), Credentials{TLS: stateOf(full, ca.Certificate)})
	if !slices.Equal(a.Identity.Groups, []string{"ops", "sales"}) || a.Identity.ExpiresAt != full.NotAfter.UnixNano() {
		t.Errorf("groups and end: %+v", a.Identity)
	}
	got := CertificateOf(stateOf(full, ca.Certificate))
	if got.CN != "ann" || !strings.HasPrefix(got.DN, "CN=ann,") || len(got.SANs) != 4 {
		t.Errorf("CertificateOf = %+v", got)
	}
}

func TestCertNotVerifiedIsNothing(t *testing.T) {
	leaf := newTestCA(t, "ca", nil).issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "ann"}})
	c, err := NewCert(CertConfig{User: CertCN})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*tls.ConnectionState{
		nil, {}, {PeerCertificates: []*x509.Certificate{leaf}},
		{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{}}},
	} {
		if a := c.Check(t.Context(), Credentials{TLS: s}); a.Outcome != NotMine {
			t.Errorf("%+v: %+v", s, a)
		}
		if got := CertificateOf(s); got.CN != "" || got.SANs != nil {
			t.Errorf("CertificateOf = %+v", got)
		}
	}
}

func TestCertOfHandshake(t *testing.T) {
	ca := newTestCA(t, "ca", nil)
	server, serverKey := ca.issueKey(t, x509.Certificate{DNSNames: []string{"broker"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	client, clientKey := ca.issueKey(t, x509.Certificate{Subject: pkix.Name{CommonName: "ann"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		c := tls.Client(far, &tls.Config{RootCAs: pool, ServerName: "broker", Certificates: []tls.Certificate{{Certificate: [][]byte{client.Raw}, PrivateKey: clientKey}}})
		done <- c.HandshakeContext(context.Background())
	}()
	s := tls.Server(near, &tls.Config{
		ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}}, SessionTicketsDisabled: true,
	})
	if err := s.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	state := s.ConnectionState()
	_, _ = near.Close(), far.Close() // pipes have no error
	c, _ := NewCert(CertConfig{User: CertCN, CRLFiles: []string{writeTemp(t, ca.crl(t, x509.RevocationList{}))}, CAFiles: []string{writeTemp(t, pemOf("CERTIFICATE", ca.Raw))}})
	if a := c.Check(t.Context(), Credentials{TLS: &state}); a.Outcome != Allow || a.Identity.User != "ann" {
		t.Errorf("%+v", a)
	}
}

func TestCRL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := newTestCA(t, "root", nil)
		sub := newTestCA(t, "sub", root)
		impostor := newTestCA(t, "sub", nil) // the same name, another key
		leaf := sub.issue(t, x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ann"}})
		chain := []*x509.Certificate{leaf, sub.Certificate, root.Certificate}
		cas := writeTemp(t, pemOf("CERTIFICATE", root.Raw, sub.Raw, impostor.Raw))
		old := x509.RevocationList{ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(-time.Hour)}
		future := x509.RevocationList{ThisUpdate: time.Now().Add(time.Hour), NextUpdate: time.Now().Add(2 * time.Hour)}
		soon := x509.RevocationList{NextUpdate: time.Now().Add(time.Second)}
		for name, tc := range map[string]struct {
			lists [][]byte
			lax   bool
			want  Outcome
		}{
			"not revoked":                      {[][]byte{sub.crl(t, x509.RevocationList{}, 8, 9)}, false, Allow},
			"revoked":                          {[][]byte{sub.crl(t, x509.RevocationList{}, 8, 7)}, false, Deny},
			"issuer revoked":                   {[][]byte{sub.crl(t, x509.RevocationList{}), root.crl(t, x509.RevocationList{}, 1000)}, false, Deny},
			"issuer not revoked":               {[][]byte{sub.crl(t, x509.RevocationList{}), root.crl(t, x509.RevocationList{}, 7)}, false, Allow},
			"no list of the issuer":            {[][]byte{root.crl(t, x509.RevocationList{})}, false, Deny},
			"no list of the issuer, lax":       {[][]byte{root.crl(t, x509.RevocationList{})}, true, Allow},
			"list of the impostor":             {[][]byte{impostor.crl(t, x509.RevocationList{}, 7), sub.crl(t, x509.RevocationList{})}, false, Allow},
			"list of nobody but the impostor":  {[][]byte{impostor.crl(t, x509.RevocationList{})}, false, Deny},
			"run out":                          {[][]byte{sub.crl(t, old)}, false, Deny},
			"run out, lax":                     {[][]byte{sub.crl(t, old)}, true, Allow},
			"run out, lax, revoked":            {[][]byte{sub.crl(t, old, 7)}, true, Deny},
			"not yet":                          {[][]byte{sub.crl(t, future)}, false, Deny},
			"the newer one counts":             {[][]byte{sub.crl(t, x509.RevocationList{}, 7), sub.crl(t, old)}, false, Deny},
			"the newer one counts, other way":  {[][]byte{sub.crl(t, old, 7), sub.crl(t, x509.RevocationList{})}, false, Allow},
			"holds now, not a second from now": {[][]byte{sub.crl(t, soon)}, false, Allow},
		} {
			for form, files := range map[string][]string{
				"PEM": {writeTemp(t, pemOf("X509 CRL", tc.lists...))},
				"DER": func() (f []string) {
					for _, l := range tc.lists {
						f = append(f, writeTemp(t, l))
					}
					return f
				}(),
			} {
				c, err := NewCert(CertConfig{User: CertCN, CRLFiles: files, CAFiles: []string{cas}, AllowLapsed: tc.lax})
				if err != nil {
					t.Fatalf("%s in %s: %v", name, form, err)
				}
				if a := c.Check(t.Context(), Credentials{TLS: stateOf(chain...)}); a.Outcome != tc.want || a.Outcome == Deny && a.Code != CodeNotAuthorized {
					t.Errorf("%s in %s: %+v", name, form, a)
				}
			}
		}
		c, _ := NewCert(CertConfig{User: CertCN, CRLFiles: []string{writeTemp(t, sub.crl(t, soon))}, CAFiles: []string{cas}})
		<-time.After(2 * time.Second)
		if a := c.Check(t.Context(), Credentials{TLS: stateOf(chain...)}); a.Outcome != Deny {
			t.Errorf("after its end: %+v", a)
		}
		if a := c.Check(t.Context(), Credentials{TLS: stateOf(leaf)}); a.Outcome != Deny {
			t.Errorf("a leaf that is its own chain: %+v", a)
		}
		two := stateOf(leaf, impostor.Certificate) // a chain whose issuer has no list, then one that is good
		two.VerifiedChains = append(two.VerifiedChains, chain)
		c, _ = NewCert(CertConfig{User: CertCN, CRLFiles: []string{writeTemp(t, sub.crl(t, x509.RevocationList{}))}, CAFiles: []string{cas}})
		if a := c.Check(t.Context(), Credentials{TLS: two}); a.Outcome != Allow {
			t.Errorf("two chains: %+v", a)
		}
	})
}

func TestBadCertConfig(t *testing.T) {
	ca, other := newTestCA(t, "ca", nil), newTestCA(t, "ca", nil)
	cas := writeTemp(t, pemOf("CERTIFICATE", ca.Raw))
	good := ca.crl(t, x509.RevocationList{})
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	delta := ca.crl(t, x509.RevocationList{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}})
	indirect := ca.crl(t, x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{{
		SerialNumber: big.NewInt(1), RevocationTime: time.Now(),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}},
	}}})
	with := func(crl []byte) CertConfig {
		return CertConfig{User: CertCN, CRLFiles: []string{writeTemp(t, crl)}, CAFiles: []string{cas}}
	}
	for name, cfg := range map[string]CertConfig{
		"no field":           {},
		"unknown field":      {User: "ou"},
		"unknown client id":  {User: CertCN, ClientID: "x"},
		"no such file":       {User: CertCN, CRLFiles: []string{"/does/not/exist"}},
		"no such CA file":    {User: CertCN, CRLFiles: []string{cas}, CAFiles: []string{"/does/not/exist"}},
		"CA file without CA": {User: CertCN, CRLFiles: []string{cas}, CAFiles: []string{writeTemp(t, []byte("x"))}},
		"CA file with junk":  {User: CertCN, CRLFiles: []string{cas}, CAFiles: []string{writeTemp(t, pemOf("CERTIFICATE", []byte("x")))}},
		"no CA":              {User: CertCN, CRLFiles: []string{writeTemp(t, good)}},
		"another CA's":       with(other.crl(t, x509.RevocationList{})),
		"changed":            with(broken),
		"cut":                with(good[:len(good)/2]),
		"empty":              with(nil),
		"a certificate":      with(pemOf("CERTIFICATE", ca.Raw)),
		"delta":              with(delta),
		"indirect":           with(indirect),
		"second one bad":     with(append(pemOf("X509 CRL", good), pemOf("X509 CRL", broken)...)),
	} {
		if c, err := NewCert(cfg); err == nil {
			t.Errorf("%s: taken: %+v", name, c)
		}
	}
	if _, err := NewCert(with(good)); err != nil {
		t.Error(err)
	}
	if _, err := readFile(filepath.Dir(cas), 1); err == nil {
		t.Error("a directory was read")
	}
}

func TestDistinguishedName(t *testing.T) {
	oid := func(n ...int) asn1.ObjectIdentifier { return n }
	attr := func(id asn1.ObjectIdentifier, v any) pkix.RelativeDistinguishedNameSET {
		return pkix.RelativeDistinguishedNameSET{{Type: id, Value: v}}
	}
	cn, o := oid(2, 5, 4, 3), oid(2, 5, 4, 10)
	for want, name := range map[string]pkix.RDNSequence{
		"":                                      {},
		"CN=ann,O=x,DC=example,DC=org":          {attr(oid(0, 9, 2342, 19200300, 100, 1, 25), "org"), attr(oid(0, 9, 2342, 19200300, 100, 1, 25), "example"), attr(o, "x"), attr(cn, "ann")},
		"CN=b+UID=7":                            {{{Type: oid(0, 9, 2342, 19200300, 100, 1, 1), Value: "7"}, {Type: cn, Value: "b"}}},
		"emailAddress=a@b,C=DE":                 {attr(oid(2, 5, 4, 6), "DE"), attr(oid(1, 2, 840, 113549, 1, 9, 1), "a@b")},
		`CN=\ a\,O\=b\+c\"\\\<\>\;#d\ `:         {attr(cn, ` a,O=b+c"\<>;#d `)},
		`CN=\#1`:                                {attr(cn, "#1")},
		`CN=\ `:                                 {attr(cn, " ")},
		`CN=a\00\0Ab`:                           {attr(cn, "a\x00\nb")},
		"CN=Jörg":                               {attr(cn, "Jörg")},
		"1.2.3.4=#130161":                       {attr(oid(1, 2, 3, 4), "a")},
		`CN=admin\,O\=y,O=x`:                    {attr(o, "x"), attr(cn, "admin,O=y")}, // a value cannot look like two parts
		"serialNumber=1,STREET=s,L=l,OU=u,ST=t": {attr(oid(2, 5, 4, 8), "t"), attr(oid(2, 5, 4, 11), "u"), attr(oid(2, 5, 4, 7), "l"), attr(oid(2, 5, 4, 9), "s"), attr(oid(2, 5, 4, 5), "1")},
	} {
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := distinguishedName(der); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := distinguishedName(append(der, 0)); got != "" {
			t.Errorf("with a byte more: %s", got)
		}
	}
	number, err := asn1.Marshal(pkix.RDNSequence{attr(cn, 5)})
	if err != nil {
		t.Fatal(err)
	}
	if got := distinguishedName(number); got != "2.5.4.3=#020105" {
		t.Errorf("a number: %s", got)
	}
}
