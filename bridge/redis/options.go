package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Options say where a Redis is and how it is spoken to. They print without secrets.
type Options struct {
	URL              string // see [ParseURL]
	User             string // instead of that in the URL, unless empty; so is Password
	Password         string
	SentinelUser     string // of the Sentinels themselves
	SentinelPassword string
	TLS              TLS

	DialTimeout  time.Duration // each at least 1 ms; 0 is 2 s
	ReadTimeout  time.Duration // of an answer, unless the context ends before
	WriteTimeout time.Duration
	PoolSize     int // connections to each server; 0 is 10 for each core. One more caller waits at most ReadTimeout for one.

	Name    string       // by which CLIENT LIST shows the connections; letters, digits, -_.
	Scripts []*Script    // loaded on every server that is connected to
	Log     *slog.Logger // nil is none
}

// TLS is what rediss:// needs beyond the system's authorities. Files are PEM.
type TLS struct {
	CA         string // authorities that are trusted instead of the system's
	Cert, Key  string // shown to the server
	ServerName string // instead of the host that is connected to
}

// Format prints where the Redis is, and no more, for every verb.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.where()) } // fmt keeps the error itself

// LogValue is where the Redis is.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.where()) }

func (o Options) where() string {
	t, err := ParseURL(o.URL)
	if err != nil {
		return "[a Redis URL that cannot be read]"
	}
	return t.String()
}

const defaultTimeout = 2 * time.Second

// OptionError is an option that cannot be: no other attempt mends it.
type OptionError struct{ Err error }

// Error says what must be.
func (e *OptionError) Error() string { return "redis options: " + e.Err.Error() }

// Unwrap is the cause, such as a file that cannot be read.
func (e *OptionError) Unwrap() error { return e.Err }

// settled is options that have been checked and completed.
type settled struct {
	opt    Options
	target Target
	tls    *tls.Config // nil is none
}

func (o Options) settle() (*settled, error) {
	t, err := ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL %w", err)
	}
	if o.User != "" {
		t.User = o.User
	}
	if o.Password != "" {
		t.Password = o.Password
	}
	if t.User != "" && t.Password == "" {
		return nil, errors.New("a user without a password cannot log in")
	}
	for _, d := range []*time.Duration{&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout} {
		if *d == 0 {
			*d = defaultTimeout
		}
		if *d < time.Millisecond {
			return nil, errors.New("timeouts must be at least 1ms")
		}
	}
	if o.PoolSize < 0 || o.PoolSize > 1<<20 {
		return nil, errors.New("the size of the pool must be from 0 to 1048576")
	}
	if strings.ContainsFunc(o.Name, unnameable) {
		return nil, errors.New("the name of connections may have letters, digits and -_. only")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &settled{opt: o, target: t}
	if t.TLS {
		s.tls, err = o.TLS.config()
	} else if o.TLS != (TLS{}) {
		err = errors.New("certificates are set, but the URL does not begin with rediss")
	}
	return s, err
}

// unnameable is what names of connections do not have. The server refuses less, but
// at the first connection.
func unnameable(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r)
}

func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read the authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", t.CA)
		}
	}
	if t.Cert == "" && t.Key == "" {
		return c, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("a certificate and its key go together")
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}
