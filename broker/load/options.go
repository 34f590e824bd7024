package load

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scenario names what a run does.
type Scenario string

// The scenarios. Clients and Subs mean what each says here.
const (
	// Pairs: Clients publishers, each with one subscriber of its own topic.
	Pairs Scenario = "pairs"
	// Fanout: one publisher, Clients subscribers of its topic.
	Fanout Scenario = "fanout"
	// Fanin: Clients publishers with a topic each, one subscriber of all.
	Fanin Scenario = "fanin"
	// Shared: Clients publishers, Members subscribers in one shared group.
	Shared Scenario = "shared"
	// Wild: pairs whose subscribers use wildcards, among Subs standing subscriptions
	// that never match.
	Wild Scenario = "wild"
	// Idle: Clients connections that subscribe and then do nothing.
	Idle Scenario = "idle"
	// Retained: Subs retained messages are published, then read by one subscriber.
	Retained Scenario = "retained"
	// Offline: Clients sessions with a topic each leave, Subs messages are published to
	// each of them, all come back and drain.
	Offline Scenario = "offline"
	// Sessions: as Offline, but all sessions subscribe to one topic, and Subs messages
	// are published to it.
	Sessions Scenario = "sessions"
	// Reconnect: Clients sessions with a subscription each leave, and all come back at
	// another address than before, Window of them at a time.
	Reconnect Scenario = "reconnect"
	// Subscribe: Clients clients subscribe to new filters, Rate a second over all.
	Subscribe Scenario = "subscribe"
)

// Scenarios lists all of them, in the order they are told to users.
func Scenarios() []Scenario {
	return []Scenario{Pairs, Fanout, Fanin, Shared, Wild, Idle, Retained, Offline, Sessions, Reconnect, Subscribe}
}

// Version is the protocol level of CONNECT.
type Version byte

// The versions a run can speak.
const (
	MQTT311 Version = 4
	MQTT5   Version = 5
)

// String is the version as users write it.
func (v Version) String() string {
	switch v {
	case MQTT311:
		return "3.1.1"
	case MQTT5:
		return "5"
	}
	return fmt.Sprintf("level %d", byte(v))
}

// ParseVersion reads "3.1.1" or "5".
func ParseVersion(s string) (Version, error) {
	switch strings.TrimPrefix(strings.ToLower(s), "v") {
	case "3.1.1", "311":
		return MQTT311, nil
	case "5", "5.0":
		return MQTT5, nil
	}
	return 0, fmt.Errorf("%q is not a version: 3.1.1 or 5", s)
}

// Limits of what a run takes. Beyond them it would measure itself.
const (
	maxClients = 1_000_000
	maxPayload = 256 << 20
	maxWindow  = 1 << 24
	maxSubs    = 1 << 28
)

// Options is one run. [Defaults] are the values of a run that says nothing.
type Options struct {
	// Addresses are used in turn, a connection each; see [ParseAddress] for the form.
	Addresses []string
	Scenario  Scenario
	Label     string // printed with the result

	Clients int // see the scenarios
	Members int // of the shared group
	Subs    int // standing subscriptions, retained messages, or messages a session

	QoS    int // of what is published
	SubQoS int // of the subscriptions; -1 is the same as QoS
	Size   int // payload bytes; below [MinVerified] order and duplicates are not seen
	Window int // undelivered messages allowed a publisher; reconnect: connects under way at a time
	// Rate is messages a second over all publishers, and 0 as fast as the window allows;
	// subscribe: subscriptions a second over all clients, and 0 one under way a client.
	Rate int

	Duration time.Duration // measured time
	Warmup   time.Duration // before it
	Settle   time.Duration // idle: rest before memory and CPU are looked at
	Stall    time.Duration // give up when nothing arrives for this long

	PIDs       []int // processes of the broker, for CPU and memory
	Cross      bool  // connect publisher and subscriber of a pair to different addresses
	Persistent bool  // subscribers have sessions that outlive their connection
	Leave      bool  // offline, sessions: end when everything is queued, and leave the sessions there
	Return     bool  // offline, sessions: only the end of a run with Leave and the same Prefix

	Version  Version
	User     string
	Password string
	Prefix   string // of client ids and topics; empty draws one
	CAFile   string // certificates to trust, PEM; empty is the system's
	CertFile string // of the client, PEM
	KeyFile  string
	Insecure bool // do not verify the broker's certificate

	// Progress is called about once a second while the run lasts, from a goroutine of
	// the run, one call at a time. nil reports nothing.
	Progress func(Progress) `json:"-"`
}

// Defaults are the options of a run that says nothing.
func Defaults() Options {
	return Options{
		Addresses: []string{"127.0.0.1:1883"},
		Scenario:  Pairs,
		Clients:   10,
		Members:   3,
		Subs:      10_000,
		SubQoS:    -1,
		Size:      64,
		Window:    500,
		Duration:  5 * time.Second,
		Warmup:    time.Second,
		Settle:    3 * time.Second,
		Stall:     5 * time.Second,
		Version:   MQTT311,
	}
}

// Validate says everything that is wrong with the options, an error each, joined.
// Each begins with the option's long flag name.
func (o *Options) Validate() error {
	v := validator{}
	v.addresses(o)
	v.check(slices.Contains(Scenarios(), o.Scenario), "scenario", "%q is not one: %s", o.Scenario, scenarioList())
	v.within("clients", o.Clients, 1, maxClients)
	v.within("members", o.Members, 1, maxClients)
	v.within("subs", o.Subs, 1, maxSubs)
	v.within("qos", o.QoS, 0, 2)
	v.within("sq", o.SubQoS, -1, 2)
	v.within("size", o.Size, 0, maxPayload)
	v.within("window", o.Window, 1, maxWindow)
	v.within("rate", o.Rate, 0, 1_000_000_000)
	v.check(o.Duration > 0, "duration", "%v is not above 0", o.Duration)
	v.check(o.Warmup >= 0, "warmup", "%v is below 0", o.Warmup)
	v.check(o.Settle >= 0, "settle", "%v is below 0", o.Settle)
	v.check(o.Stall > 0, "stall", "%v is not above 0", o.Stall)
	v.check(o.Version == MQTT311 || o.Version == MQTT5, "mqtt", "%v is not spoken here: 3.1.1 or 5", o.Version)
	v.check(o.Password == "" || o.User != "" || o.Version == MQTT5, "password", "MQTT 3.1.1 has none without --user [MQTT-3.1.2-22]")
	v.check((o.CertFile == "") == (o.KeyFile == ""), "cert", "--cert and --key go together")
	for _, pid := range o.PIDs {
		v.check(pid > 0, "pid", "%d is not a process id", pid)
	}
	away := o.Scenario == Offline || o.Scenario == Sessions
	v.check(!o.Leave || away, "leave", "is for %s and %s", Offline, Sessions)
	v.check(!o.Return || away && !o.Leave && o.Prefix != "", "return", "is for %s and %s, with the --prefix of a run with --leave", Offline, Sessions)
	v.scenario(o)
	return errors.Join(v.errs...)
}

func scenarioList() string {
	var names []string
	for _, s := range Scenarios() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// validator collects what is wrong instead of ending at the first.
type validator struct{ errs []error }

func (v *validator) check(ok bool, flag, format string, args ...any) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf("--%s: "+format, append([]any{flag}, args...)...))
	}
}

func (v *validator) within(flag string, x, low, high int) {
	v.check(x >= low && x <= high, flag, "%d is not between %d and %d", x, low, high)
}

func (v *validator) addresses(o *Options) {
	v.check(len(o.Addresses) > 0, "addr", "there is none")
	for _, s := range o.Addresses {
		_, err := ParseAddress(s)
		v.check(err == nil, "addr", "%v", err)
	}
	v.check(!o.Cross || len(o.Addresses) > 1, "cross", "needs several addresses")
}

// scenario checks what only some scenarios ask for.
func (v *validator) scenario(o *Options) {
	switch o.Scenario {
	case Offline, Sessions:
		v.check(min(o.QoS, int(o.subQoS())) > 0, "qos", "brokers need not keep QoS 0 for a session that is away: 1 or 2 for %s", o.Scenario)
	case Fanin, Shared:
		v.check(o.Size >= MinVerified, "size", "%s tells publishers apart by %d bytes of the payload, %d are too few", o.Scenario, MinVerified, o.Size)
	}
}

// subQoS is what subscribers ask for.
func (o *Options) subQoS() byte {
	if o.SubQoS >= 0 {
		return byte(o.SubQoS)
	}
	return byte(o.QoS)
}
