package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// config reads the files and makes the whole configuration, or fails.
func (o *TLSOptions) config() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("listen: certificate %s, key %s: %w", o.CertFile, o.KeyFile, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	switch o.MinVersion {
	case "", "1.2":
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("listen: TLS version %q: must be 1.2 or 1.3", o.MinVersion)
	}
	if c.CipherSuites, err = ciphers(o.Ciphers); err != nil {
		return nil, err
	}
	switch o.ClientAuth {
	case "", "none":
		return c, nil
	case "optional":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "require":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("listen: client certificates %q: must be none, optional or require", o.ClientAuth)
	}
	// Without a file the system's roots would count: anybody's certificate.
	if o.ClientCAFile == "" {
		return nil, fmt.Errorf("listen: client certificates %q need a file of authorities", o.ClientAuth)
	}
	pem, err := os.ReadFile(o.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("listen: client authorities: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("listen: no certificate in %s", o.ClientCAFile)
	}
	return c, nil
}

func ciphers(names []string) ([]uint16, error) {
	var ids []uint16
	for _, name := range names {
		id, ok := cipherID(name)
		if !ok {
			return nil, fmt.Errorf("listen: cipher %q is unknown, insecure, or one of TLS 1.3, which are fixed", name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func cipherID(name string) (uint16, bool) {
	for _, s := range tls.CipherSuites() {
		if s.Name != name {
			continue
		}
		for _, v := range s.SupportedVersions {
			if v == tls.VersionTLS12 {
				return s.ID, true
			}
		}
	}
	return 0, false
}
