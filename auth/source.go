package auth

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
)

// Source is one source of identity, such as a users file. Sources are asked in
// their configured order until one does not answer [NotMine]; a source that could
// not find out denies. It is asked on the connection's goroutine and must be safe
// for concurrent use.
type Source interface {
	// Name is what the configuration and the log call it.
	Name() string
	Check(ctx context.Context, c Credentials) Answer
}

// Recaller is a [Source] that may know its answer without the cost of Check. While
// logins are backed off only such answers are taken.
type Recaller interface {
	// Recall is Check; known is false when only Check can tell.
	Recall(c Credentials) (a Answer, known bool)
}

// Decoy is a [Source] whose Check costs more for those it knows. Spend costs as
// much as a wrong password, so that the time of a denial does not tell who is known.
// An error is one that a wrong password could have met, such as [ErrBusy]; it must
// then be answered in the same way, see [DeniedBy].
type Decoy interface {
	Spend(ctx context.Context, c Credentials) error
}

// Credentials is what a connection shows of itself. Printing it shows no password.
type Credentials struct {
	ClientID string
	// User is the user name, valid with HasUser.
	User string
	// Password is valid with HasPassword. It must not be kept or logged.
	Password []byte `json:"-"`
	// TLS is the state of the TLS connection, nil without TLS.
	TLS *tls.ConnectionState `json:"-"`
	// Remote is where the client connects from, invalid when it has no address (a Unix
	// socket).
	Remote netip.Addr
	// Listener is the name of the listener that took the connection.
	Listener    string
	HasUser     bool
	HasPassword bool

	backoff *Backoff // nil outside of a Checker
}

// String is the credentials without the password.
func (c Credentials) String() string {
	return fmt.Sprintf("client %q user %q (given: %t) password given: %t from %s at %q",
		c.ClientID, c.User, c.HasUser, c.HasPassword, c.Remote, c.Listener)
}

// Format writes String, whatever the verb: %+v and %#v would show the password.
func (c Credentials) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte(c.String())) // formatting has nowhere to tell
}

// LogValue logs String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Outcome is what a [Source] says.
type Outcome byte

// Outcomes of a Check.
const (
	NotMine Outcome = iota // the next source is to be asked
	Allow
	Deny
)

// String names the outcome for logs.
func (o Outcome) String() string {
	switch o {
	case NotMine:
		return "not mine"
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return "unknown"
}

// Reason codes of a denial (MQTT 5 section 3.2.2.2).
const (
	CodeUnspecified    byte = 0x80
	CodeBadCredentials byte = 0x86 // the user name or password is wrong
	CodeNotAuthorized  byte = 0x87
	CodeUnavailable    byte = 0x88 // what must be asked does not answer
	CodeBusy           byte = 0x89 // too many logins at once
	CodeBanned         byte = 0x8A
	CodeBadMethod      byte = 0x8C // the Authentication Method is not known here
)

// Answer is what a [Source] or [Method] says of a connection.
type Answer struct {
	// Identity is who the connection is, valid with Allow.
	Identity Identity
	// Why names the rule, for the log; never a secret.
	Why     string
	Outcome Outcome
	// Code is the reason code of a denial.
	Code byte

	backedOff bool   // not judged, because of failures before
	bound     bool   // the client id has been found to be the user's
	source    string // that decided, empty for none
}

// Allowed is the answer that a connection is id.
func Allowed(id Identity) Answer { return Answer{Outcome: Allow, Identity: id} }

// Denied is the answer that a connection may not come in.
func Denied(code byte, why string) Answer { return Answer{Outcome: Deny, Code: code, Why: why} }

// Method is a method of enhanced authentication (MQTT 5 section 4.12). It must be
// safe for concurrent use.
type Method interface {
	// Name is the Authentication Method, such as SCRAM-SHA-256.
	Name() string
	// Begin takes the Authentication Data of CONNECT, or of the AUTH that begins a
	// re-authentication; nil is none. For the latter, c has the user as whom the
	// connection is known and no password.
	Begin(ctx context.Context, c Credentials, data []byte) MethodStep
}

// MethodStep is what a [Method] answers to one packet.
type MethodStep struct {
	// Next takes the Authentication Data of the client's next AUTH, needed unless Done.
	Next func(ctx context.Context, data []byte) MethodStep
	// User is who the client says it is, from the first step on; failures are counted
	// against it.
	User string
	// Data is the Authentication Data to send; nil is none.
	Data []byte
	// Answer is how the exchange ended, valid with Done. It is Allow or Deny.
	Answer Answer
	Done   bool
}
