package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	maxLimit   = 1000
	maxPayload = 1 << 20 // bytes of a payload in a list
	maxWait    = 60 * time.Second
	maxQuery   = 64 << 10 // bytes
)

// params reads the query of a request; the first mistake is kept.
type params struct {
	q   url.Values
	err *problem
}

// query reads a request's query. Names that are not among known are a mistake: a
// condition that was misspelled must not answer everything.
func query(r *http.Request, known ...string) *params {
	p := &params{}
	if len(r.URL.RawQuery) > maxQuery {
		p.err = failf(http.StatusRequestURITooLong, "the query is longer than %d bytes", maxQuery)
		return p
	}
	var err error
	if p.q, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		p.fail("the query is not a query: %s", err)
	}
	for name, values := range p.q {
		switch {
		case !contains(known, name) && name != "scope":
			p.fail("there is no parameter %q", name)
		case len(values) > 1 && name != "filter":
			p.fail("%s stands twice", name)
		}
		for _, v := range values {
			if !utf8.ValidString(v) {
				p.fail("%s is not UTF-8", name)
			}
		}
	}
	if v, ok := p.get("scope"); ok && v != "cluster" && v != "node" {
		p.fail("scope must be cluster or node")
	}
	return p
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func (p *params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = failf(http.StatusBadRequest, format, args...)
	}
}

func (p *params) get(name string) (string, bool) {
	v, ok := p.q[name]
	if !ok {
		return "", false
	}
	return v[0], true
}

// text is a parameter as it stands; empty without one.
func (p *params) text(name string) string { return p.q.Get(name) }

// number is a whole number of a range.
func (p *params) number(name string, def, low, high int) int {
	v, ok := p.get(name)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		p.fail("%s must be a number between %d and %d", name, low, high)
		return def
	}
	return n
}

func (p *params) limit() int { return p.number("limit", 100, 1, maxLimit) }

// flag is true or false; nil without one.
func (p *params) flag(name string) *bool {
	v, ok := p.get(name)
	if !ok {
		return nil
	}
	b := v == "true"
	if !b && v != "false" {
		p.fail("%s must be true or false", name)
	}
	return &b
}

// word is one of a few words, of which the first is the default.
func (p *params) word(name string, words ...string) string {
	v, ok := p.get(name)
	if !ok {
		return words[0]
	}
	if !contains(words, v) {
		p.fail("%s must be one of %q", name, words)
	}
	return v
}

// duration is a time such as 500ms, 10s, 1h.
func (p *params) duration(name string, def, low, high time.Duration) time.Duration {
	v, ok := p.get(name)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < low || d > high {
		p.fail("%s must be a time between %s and %s", name, low, high)
		return def
	}
	return d
}

// place is where a page begins that need not be text: an opaque word to clients.
func (p *params) place(name string) string {
	b, err := base64.RawURLEncoding.DecodeString(p.text(name))
	if err != nil {
		p.fail("%s must be the next of the page before", name)
	}
	return string(b)
}

func opaque(place string) string { return base64.RawURLEncoding.EncodeToString([]byte(place)) }

// done answers the first mistake, or nil.
func (p *params) done() error {
	if p.err != nil {
		return p.err
	}
	return nil
}

// body reads a JSON body into v, strictly.
func body(r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return failf(http.StatusUnsupportedMediaType, "the body must be application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			return failf(http.StatusBadRequest, "there is more than one value in the body")
		}
		return nil
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return failf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes (http.max_body)", large.Limit)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return failf(http.StatusBadRequest, "the body ends early")
	}
	return failf(http.StatusBadRequest, "the body is wrong: %s", err)
}
