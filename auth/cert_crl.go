package auth

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// maxCRLFile bounds a file of revocation lists or of their CAs, in bytes: about two
// million revoked certificates.
const maxCRLFile = 64 << 20

// issuer is who signs certificates: a name alone is not enough, as another
// key may bear it.
type issuer struct{ subject, key string }

func issuerOf(ca *x509.Certificate) issuer {
	return issuer{string(ca.RawSubject), string(ca.RawSubjectPublicKeyInfo)}
}

// crl is what one issuer has revoked, by serial number.
type crl struct {
	revoked      map[string]struct{}
	since, until time.Time // until is zero when it does not run out
}

// crls has the newest list of each issuer. Nil judges nothing.
type crls map[issuer]*crl

func readCRLs(files, caFiles []string) (crls, error) {
	if len(files) == 0 {
		return nil, nil
	}
	cas, err := readCAs(caFiles)
	if err != nil {
		return nil, err
	}
	all := make(crls)
	for _, path := range files {
		data, err := readFile(path, maxCRLFile)
		if err != nil {
			return nil, fmt.Errorf("reading a revocation list: %w", err)
		}
		for i, der := range crlBlocks(data) {
			if err := all.add(der, cas); err != nil {
				return nil, fmt.Errorf("revocation list %d of %s: %w", i+1, path, err)
			}
		}
	}
	return all, nil
}

func readCAs(files []string) ([]*x509.Certificate, error) {
	var cas []*x509.Certificate
	for _, path := range files {
		data, err := readFile(path, maxCRLFile)
		if err != nil {
			return nil, fmt.Errorf("reading the certificates that sign revocation lists: %w", err)
		}
		before := len(cas)
		for {
			var block *pem.Block
			if block, data = pem.Decode(data); block == nil {
				break
			}
			if block.Type != "CERTIFICATE" {
				continue
			}
			ca, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate in %s: %w", path, err)
			}
			cas = append(cas, ca)
		}
		if len(cas) == before {
			return nil, fmt.Errorf("%s has no certificate in PEM", path)
		}
	}
	return cas, nil
}

// crlBlocks returns the lists of a file. What is not PEM is taken for DER.
func crlBlocks(data []byte) [][]byte {
	var all [][]byte
	rest := data
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "X509 CRL" {
			all = append(all, block.Bytes)
		}
	}
	if all == nil {
		return [][]byte{data}
	}
	return all
}

// What is wrong with a revocation list.
var (
	errCRLUnsigned = errors.New("no certificate of the ca files signed it")
	errCRLKind     = errors.New("it has a critical extension (a delta, partial or indirect list), which is not supported")
)

// add takes a list, unless there is a newer one of the same issuer.
func (s crls) add(der []byte, cas []*x509.Certificate) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("it is not in PEM or DER: %w", err)
	}
	for _, e := range list.Extensions {
		if e.Critical {
			return errCRLKind // RFC 5280 section 5.2: such a list must not be used
		}
	}
	c := &crl{revoked: make(map[string]struct{}, len(list.RevokedCertificateEntries)), since: list.ThisUpdate, until: list.NextUpdate}
	for i := range list.RevokedCertificateEntries {
		entry := &list.RevokedCertificateEntries[i]
		for _, e := range entry.Extensions {
			if e.Critical {
				return errCRLKind
			}
		}
		c.revoked[string(entry.SerialNumber.Bytes())] = struct{}{}
	}
	signed := false
	for _, ca := range cas {
		if string(ca.RawSubject) != string(list.RawIssuer) || list.CheckSignatureFrom(ca) != nil {
			continue
		}
		signed = true
		if old := s[issuerOf(ca)]; old == nil || c.since.After(old.since) {
			s[issuerOf(ca)] = c
		}
	}
	if !signed {
		return errCRLUnsigned
	}
	return nil
}

// judge returns why no chain is good, empty when one is.
func (s crls) judge(chains [][]*x509.Certificate, now time.Time, lax bool) string {
	if s == nil {
		return ""
	}
	why := "no verified chain"
	for _, chain := range chains {
		if why = s.judgeChain(chain, now, lax); why == "" {
			break
		}
	}
	return why
}

// judgeChain looks at every certificate but the root, which nobody can revoke. Lists
// of the issuers of intermediate certificates need not be there.
func (s crls) judgeChain(chain []*x509.Certificate, now time.Time, lax bool) string {
	if len(chain) < 2 && !lax {
		return "no revocation list of the certificate's issuer"
	}
	for i := range max(len(chain)-1, 0) {
		list := s[issuerOf(chain[i+1])]
		if list == nil {
			if i == 0 && !lax {
				return "no revocation list of the certificate's issuer"
			}
			continue
		}
		if _, revoked := list.revoked[string(chain[i].SerialNumber.Bytes())]; revoked {
			return "the certificate or one of its issuers is revoked"
		}
		if !lax && !list.holds(now) {
			return "the revocation list of the certificate's issuer has run out"
		}
	}
	return ""
}

func (c *crl) holds(now time.Time) bool {
	return !now.Before(c.since) && (c.until.IsZero() || now.Before(c.until))
}
