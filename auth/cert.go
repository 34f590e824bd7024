package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// CertField names what of a client certificate is somebody's name.
type CertField string

// Fields of a certificate. The empty one is none.
const (
	CertCN    CertField = "cn"        // common name of the subject
	CertDN    CertField = "dn"        // the whole subject, as RFC 2253 spells it
	CertDNS   CertField = "san_dns"   // subject alternative names that are host names
	CertEmail CertField = "san_email" // those that are mail addresses
	CertURI   CertField = "san_uri"   // those that are URIs
)

// codeClientID refuses a client identifier that is valid but not this client's.
const codeClientID byte = 0x85

// CertConfig is how client certificates say who somebody is.
type CertConfig struct {
	// Name is that of the source, for logs; empty is "certificate".
	Name string
	// User is the field that is the user name. Of several values it is the one that
	// CONNECT gives as user name, or else the first.
	User CertField
	// ClientID is the field that has the client identifiers that the certificate may
	// connect with. Without it every identifier may.
	ClientID CertField
	// Groups makes the organisational units (OU) groups.
	Groups bool
	// EndWith makes the connection end when the certificate does.
	EndWith bool

	// CRLFiles are revocation lists, each file one in DER or any number in PEM. With
	// one, each client certificate needs a valid list of its issuer.
	CRLFiles []string
	// CAFiles have, in PEM, the certificates whose keys sign the lists: a list that
	// none of them signed is a mistake.
	CAFiles []string
	// AllowLapsed lets certificates pass whose issuer's list has run out or is missing.
	// What an old list revokes stays revoked.
	AllowLapsed bool
}

// Cert is the [Source] that believes client certificates which the TLS listener has
// verified. What CONNECT says of the user is not believed beside one: it chooses
// among names the certificate has. It is immutable: a reload makes a new one.
//
// Without a verified certificate, and for one that has no such field, the answer is
// NotMine; a revoked one is denied.
type Cert struct {
	cfg  CertConfig
	crls crls
}

// NewCert checks the configuration and reads the files.
func NewCert(cfg CertConfig) (*Cert, error) {
	if cfg.Name == "" {
		cfg.Name = "certificate"
	}
	if cfg.User == "" && cfg.ClientID == "" {
		return nil, errors.New("neither user nor client id is taken from the certificate")
	}
	for _, f := range []CertField{cfg.User, cfg.ClientID} {
		switch f {
		case "", CertCN, CertDN, CertDNS, CertEmail, CertURI:
		default:
			return nil, fmt.Errorf("certificate field %s is not cn, dn, san_dns, san_email or san_uri", quote(string(f)))
		}
	}
	crls, err := readCRLs(cfg.CRLFiles, cfg.CAFiles)
	if err != nil {
		return nil, err
	}
	return &Cert{cfg: cfg, crls: crls}, nil
}

// Name is that of the source.
func (c *Cert) Name() string { return c.cfg.Name }

// Check judges the client certificate. It does not block.
func (c *Cert) Check(_ context.Context, cr Credentials) Answer {
	leaf := verified(cr.TLS)
	if leaf == nil {
		return Answer{Outcome: NotMine, Why: "no verified client certificate"}
	}
	now := time.Now()
	if why := c.crls.judge(cr.TLS.VerifiedChains, now, c.cfg.AllowLapsed); why != "" {
		return Denied(CodeNotAuthorized, why)
	}
	id, why := c.identity(leaf, &cr)
	if why != "" {
		return Answer{Outcome: NotMine, Why: why}
	}
	switch {
	case id.HasUser && !validName(id.User):
		return Denied(CodeNotAuthorized, "the certificate's name is no valid user name")
	case id.Expired(now.UnixNano()):
		return Denied(CodeNotAuthorized, "the certificate has expired")
	}
	if c.cfg.ClientID == "" {
		return Allowed(id)
	}
	ids := certNames(leaf, c.cfg.ClientID)
	switch {
	case len(ids) == 0:
		return Answer{Outcome: NotMine, Why: "the certificate has no " + string(c.cfg.ClientID)}
	case !slices.Contains(ids, cr.ClientID):
		return Denied(codeClientID, "the certificate is for another client id")
	}
	return Allowed(id)
}

// identity is who the certificate is; why says that it is nobody.
func (c *Cert) identity(leaf *x509.Certificate, cr *Credentials) (id Identity, why string) {
	if c.cfg.User != "" {
		names := certNames(leaf, c.cfg.User)
		if len(names) == 0 {
			return id, "the certificate has no " + string(c.cfg.User)
		}
		id = Named(names[0], true)
		if cr.HasUser && slices.Contains(names, cr.User) {
			id.User = cr.User
		}
	}
	if c.cfg.Groups {
		id.Groups = slices.DeleteFunc(slices.Clone(leaf.Subject.OrganizationalUnit), func(s string) bool { return s == "" })
	}
	if c.cfg.EndWith {
		id.ExpiresAt = unixNano(leaf.NotAfter)
	}
	return id, ""
}

// verified returns the client certificate that a chain was found for, or nil: what a
// client merely sent proves nothing.
func verified(s *tls.ConnectionState) *x509.Certificate {
	if s == nil || len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 {
		return nil
	}
	return s.VerifiedChains[0][0]
}

// CertificateOf is what rules see of a connection's client certificate: nothing
// unless it was verified.
func CertificateOf(s *tls.ConnectionState) Certificate {
	leaf := verified(s)
	if leaf == nil {
		return Certificate{}
	}
	c := Certificate{CN: leaf.Subject.CommonName, DN: distinguishedName(leaf.RawSubject)}
	for _, f := range []CertField{CertDNS, CertEmail, CertURI} {
		c.SANs = append(c.SANs, certNames(leaf, f)...)
	}
	return c
}

// certNames returns the values of a field that are not empty.
func certNames(leaf *x509.Certificate, f CertField) []string {
	var names []string
	switch f {
	case CertCN:
		names = []string{leaf.Subject.CommonName}
	case CertDN:
		names = []string{distinguishedName(leaf.RawSubject)}
	case CertDNS:
		names = slices.Clone(leaf.DNSNames)
	case CertEmail:
		names = slices.Clone(leaf.EmailAddresses)
	case CertURI:
		for _, u := range leaf.URIs {
			names = append(names, u.String())
		}
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

// validName reports whether a text can be a user name of MQTT [MQTT-1.5.4-1],
// [MQTT-1.5.4-2]. An empty one is nobody's that a certificate or a token names.
func validName(s string) bool {
	return s != "" && len(s) <= 65535 && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}
