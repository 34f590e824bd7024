package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// ClientTLS is how a service is trusted and what is shown to it.
type ClientTLS struct {
	// CAFile has the certificates, in PEM, of whom to trust; empty is the system.
	CAFile string
	// CertFile and KeyFile are the client certificate, in PEM; both or none.
	CertFile, KeyFile string
	// ServerName is the name the service's certificate must have; empty is that of the
	// URL.
	ServerName string
}

func (c *ClientTLS) config() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		data, err := readFile(c.CAFile, maxKeysBytes)
		if err != nil {
			return nil, fmt.Errorf("reading the CA file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("CA file %s has no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" || c.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

const (
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 64 << 10
)

// newHTTPClient makes a client that keeps up to conns connections. It does not
// follow redirects: what is sent is for nobody else.
func newHTTPClient(c *ClientTLS, conns int) (*http.Client, error) {
	t, err := c.config()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{}).DialContext,
			TLSClientConfig:        t,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           conns,
			MaxIdleConnsPerHost:    conns,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// serviceURL checks the URL of a service. Plain HTTP is for this machine, unless
// plain is allowed. Errors have nothing of the URL: it may hold a secret.
func serviceURL(s string, plain bool) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("the URL is malformed")
	}
	switch {
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL is not https://host or http://host")
	case u.User != nil:
		return errors.New("the URL has a user: a secret belongs into the headers")
	case u.Scheme == "http" && !plain && !loopback(u.Hostname()):
		return errors.New("the URL is not https, and not on this machine")
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// errTooLarge says that an answer is longer than it may be.
var errTooLarge = errors.New("the answer is too large")

// readBody reads an answer of at most limit bytes.
func readBody(r *http.Response, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, errTooLarge
	}
	return b, nil
}

// withoutURL is an error of a request without the URL, which may hold a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
