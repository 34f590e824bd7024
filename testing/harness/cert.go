package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// authority is made once a process: an authority, a certificate for the loopback
// addresses and localhost, and one for a client.
type authority struct {
	pool                 *x509.CertPool
	caPEM                []byte
	server, client       tls.Certificate
	serverPEM, serverKey []byte
	clientPEM, clientKey []byte
	caKey                *ecdsa.PrivateKey
	caCert               *x509.Certificate
	serial               int64
}

var theAuthority = sync.OnceValue(func() *authority {
	a := &authority{pool: x509.NewCertPool()}
	var err error
	if a.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		panic(err) // the system has no randomness
	}
	tmpl := a.template("harness authority")
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.caKey.PublicKey, a.caKey)
	if err != nil {
		panic(err) // a template of ours is wrong
	}
	if a.caCert, err = x509.ParseCertificate(der); err != nil {
		panic(err) // as above
	}
	a.pool.AddCert(a.caCert)
	a.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.server, a.serverPEM, a.serverKey = a.issue("localhost", x509.ExtKeyUsageServerAuth)
	a.client, a.clientPEM, a.clientKey = a.issue("harness client", x509.ExtKeyUsageClientAuth)
	return a
})

func (a *authority) template(name string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func (a *authority) issue(name string, use x509.ExtKeyUsage) (pair tls.Certificate, cert, key []byte) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system has no randomness
	}
	tmpl := a.template(name)
	tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{use}
	tmpl.DNSNames, tmpl.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.caCert, &k.PublicKey, a.caKey)
	if err != nil {
		panic(err) // a template of ours is wrong
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err) // a key of ours is wrong
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
	if pair, err = tls.X509KeyPair(cert, key); err != nil {
		panic(err) // as above
	}
	return pair, cert, key
}

// ClientTLS trusts the harness's authority and shows its client certificate to
// whoever asks.
func ClientTLS() *tls.Config {
	a := theAuthority()
	return &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.client}, MinVersion: tls.VersionTLS12}
}

// Certs are PEM files in a directory of the test.
type Certs struct {
	CA                string
	Server, ServerKey string
	Client, ClientKey string
}

// WriteCerts writes the certificates to files.
func WriteCerts(t testing.TB) Certs {
	t.Helper()
	c, err := writeCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func writeCerts(dir string) (Certs, error) {
	a := theAuthority()
	c := Certs{
		CA: filepath.Join(dir, "ca.pem"), Server: filepath.Join(dir, "server.pem"), ServerKey: filepath.Join(dir, "server.key"),
		Client: filepath.Join(dir, "client.pem"), ClientKey: filepath.Join(dir, "client.key"),
	}
	for _, f := range []struct {
		name string
		b    []byte
	}{{c.CA, a.caPEM}, {c.Server, a.serverPEM}, {c.ServerKey, a.serverKey}, {c.Client, a.clientPEM}, {c.ClientKey, a.clientKey}} {
		if err := os.WriteFile(f.name, f.b, 0o600); err != nil {
			return c, err
		}
	}
	return c, nil
}
