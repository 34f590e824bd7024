package config

// HTTPServer is the listener for health, metrics, the API and the dashboard.
type HTTPServer struct {
	Address string `koanf:"address" restart:"yes"` // HOST:PORT; empty is off
	// Advertise is the URL by which other nodes reach the listener; empty is its address.
	Advertise string   `koanf:"advertise" restart:"yes"`
	TLS       HTTPTLS  `koanf:"tls" restart:"yes"`
	Public    []string `koanf:"public"`  // what needs no token where other hosts can connect
	Hosts     []string `koanf:"hosts"`   // further names of this listener
	Origins   []string `koanf:"origins"` // further pages that may use it
	Tokens    []Token  `koanf:"tokens"`
	MaxBody   Size     `koanf:"max_body" min:"1KiB" max:"256MiB"` // of a request
	Streams   int      `koanf:"streams" min:"1" max:"1000000"`    // subscriptions and traces at a time
}

// HTTPTLS is the certificate of the listener; without one it speaks plain HTTP.
type HTTPTLS struct {
	Cert string `koanf:"cert"` // PEM file
	Key  string `koanf:"key"`  // PEM file
}

// What may be public.
const (
	PublicHealth  = "health"
	PublicMetrics = "metrics"
	PublicPage    = "page"
)

// HTTPName is the name of the HTTP listener where listeners have names: rules, logs.
const HTTPName = "http"

// Token lets somebody use the API.
type Token struct {
	Name   string `koanf:"name"`
	Scope  string `koanf:"scope" oneof:"read|write"`
	Secret Secret `koanf:"secret"` // the token itself, or sha256: and its hash in hexadecimal digits
	User   string `koanf:"user"`   // whom rules know; empty is Name
}

// The scopes of a token.
const (
	ScopeRead  = "read"
	ScopeWrite = "write" // and read
)

// HashedToken is what a secret begins with that is a hash.
const HashedToken = "sha256:"

// Local reports whether other hosts cannot connect, judged by the address alone.
func (h *HTTPServer) Local() bool {
	host, _, ok := splitAddress(h.Address)
	return ok && loopback(host)
}

// Host is the host of the address; empty is all addresses.
func (h *HTTPServer) Host() string {
	host, _, _ := splitAddress(h.Address)
	return host
}

func defaultHTTPServer() HTTPServer {
	return HTTPServer{Public: []string{PublicHealth, PublicPage}, MaxBody: 8 * MiB, Streams: 1000}
}
