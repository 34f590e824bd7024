package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 512 << 20

// Options say which node is asked and as whom.
type Options struct {
	Address string      // URL of the listener, or HOST:PORT
	Token   string      // secret of a token; empty asks without one
	TLS     *tls.Config // of https; nil trusts what the system does
}

// Client asks one node. It is safe for concurrent use. Make it with [New].
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// Error is an answer that refuses.
type Error struct{ v1.Problem }

// Error is the problem in a line.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s", e.Status, e.Title)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Code != 0 {
		s += fmt.Sprintf(" (0x%02X)", e.Code)
	}
	return s
}

// New makes a Client; nothing is asked yet.
func New(o Options) (*Client, error) {
	address := o.Address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of the node: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, fmt.Errorf("address of the node must be HOST:PORT or http(s)://HOST:PORT, is %q", u.Redacted())
	}
	return &Client{
		base: &url.URL{Scheme: u.Scheme, Host: u.Host}, token: o.Token,
		http: &http.Client{
			Transport:     &http.Transport{TLSClientConfig: o.TLS, Proxy: nil},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request makes a request of an operation. path is escaped already.
func (c *Client) request(ctx context.Context, method, path string, q url.Values, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	target := c.base.String() + "/api/v1/" + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r, nil
}

// send sends a request. The answer is a good one; its body must be closed.
func (c *Client) send(r *http.Request) (*http.Response, error) {
	res, err := c.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text repeats the whole URL
			err = u.Err
		}
		return nil, fmt.Errorf("ask %s: %w", c.base.Host, err)
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	return nil, problemOf(res)
}

// problemOf is what an answer that refuses says.
func problemOf(res *http.Response) error {
	e := &Error{Problem: v1.Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "application/problem+json" {
		b, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		var p v1.Problem
		if err == nil && json.Unmarshal(b, &p) == nil && p.Status != 0 {
			e.Problem = p
		}
	}
	return e
}

// call asks an operation and reads the answer into out, if there is one.
func (c *Client) call(ctx context.Context, method, path string, q url.Values, in, out any) error {
	r, err := c.request(ctx, method, path, q, in)
	if err != nil {
		return err
	}
	res, err := c.send(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	if out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s: %w", c.base.Host, err)
	}
	return nil
}

// get is call for a question.
func get[T any](ctx context.Context, c *Client, path string, q url.Values) (out T, err error) {
	err = c.call(ctx, http.MethodGet, path, q, nil, &out)
	return out, err
}

// values makes a query of names and values, without what is empty.
func values(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
