package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/config"
)

// healthFlags are the flags of the command beside those of the configuration.
type healthFlags struct {
	ready   bool
	timeout time.Duration
}

func (a *app) healthCommand() *cobra.Command {
	var f healthFlags
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a node whether it is well",
		Long: "Health asks /healthz, or /readyz with --ready, of the node on this host, and ends with 0 when the answer\n" +
			"is yes, otherwise with 1 and the answer. Where the node listens is http.address of the configuration, or\n" +
			"--http. It is made for health checks of containers, which have no other program.",
		Example: "  skein health --http 127.0.0.1:8083\n  skein health --ready --config /etc/skein/skein.yaml",
		Args:    cobra.NoArgs,
	}
	source := a.sourceFlags(cmd)
	cmd.Flags().BoolVar(&f.ready, "ready", false, "ask whether clients may be sent here")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 3*time.Second, "wait so `LONG` for the answer")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		h, err := httpOf(source())
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
		defer cancel()
		text, err := f.ask(ctx, h)
		if err != nil {
			return err
		}
		cmd.Println(text)
		return nil
	}
	return cmd
}

var errNoHTTP = errors.New("http.address is empty: give the node's with --http or --config")

// httpOf is the listener of the configuration. An address on the command line needs no
// more of it: a file that a running node has not taken yet says nothing about the node.
func httpOf(source config.Source) (config.HTTPServer, error) {
	if address := source.Flags["http.address"]; address != "" && source.File == "" {
		return config.HTTPServer{Address: address}, nil
	}
	c, err := config.Load(source)
	if err != nil {
		return config.HTTPServer{}, err
	}
	if c.HTTP.Address == "" {
		return config.HTTPServer{}, errNoHTTP
	}
	return c.HTTP, nil
}

// ask gets the answer of the node.
func (f healthFlags) ask(ctx context.Context, h config.HTTPServer) (string, error) {
	address, err := dialAddress(h.Address)
	if err != nil {
		return "", err
	}
	scheme, path := "http", "/healthz"
	transport := &http.Transport{DisableKeepAlives: true, Proxy: nil}
	if h.TLS.Cert != "" {
		scheme = "https"
		if transport.TLSClientConfig, err = onlyCertificate(h.TLS.Cert); err != nil {
			return "", err
		}
	}
	if f.ready {
		path = "/readyz"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+path, nil)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", address, err)
	}
	res, err := transport.RoundTrip(req) // no redirect is followed
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", address, err)
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", address, err)
	}
	text := strings.TrimSpace(string(body))
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s of %s is %d: %s", path, address, res.StatusCode, text)
	}
	return text, nil
}

// dialAddress is where a listener's address is reached on this host: every address
// includes the loopback one.
func dialAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("the HTTP address %q: %w", address, err)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		host = "localhost"
	case err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// onlyCertificate trusts the certificate in a file and no other, whatever its name: the
// node is asked by an address of this host.
func onlyCertificate(file string) (*tls.Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the HTTP listener: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("the certificate of the HTTP listener: %s is not PEM", file)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection compares instead
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || subtle.ConstantTimeCompare(s.PeerCertificates[0].Raw, block.Bytes) != 1 {
				return errors.New("the listener shows another certificate than the configuration names")
			}
			return nil
		},
	}, nil
}
