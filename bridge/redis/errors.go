package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Kind is what an error of a call means.
type Kind uint8

// The kinds. Between Answer and the last, nothing can be said about the data: the
// server was not reached, or refused to work.
const (
	None        Kind = iota // no error, or redis.Nil
	Answer                  // an answer about this command: WRONGTYPE, an error of a script
	Network                 // no answer, or a cut-off one: the command may have been done
	Loading                 // the server reads its data
	MasterDown              // a replica without its primary
	ClusterDown             // slots without a primary
	TryAgain                // keys are on their way to another server
	Moved                   // redirected too often
	ReadOnly                // a replica
	NoReplicas              // fewer than min-replicas-to-write
	OutOfMemory             // maxmemory is reached
	NoDisk                  // MISCONF: the server cannot write its file
	Busy                    // with a script
	NoScript                // see [Script]
	NoPerm                  // the user has not the right
	NoLogin                 // wrong or missing password
	MaxClients              // the server has no connection left
	Aborted                 // a transaction in which a command was refused
)

var kindNames = [...]string{
	"none", "answer", "network", "loading", "master_down", "cluster_down", "try_again", "moved", "read_only",
	"no_replicas", "out_of_memory", "no_disk", "busy", "no_script", "no_permission", "no_login", "max_clients", "aborted",
}

// String is the name of a kind, for logs and metrics.
func (k Kind) String() string { return kindNames[k] }

// Unavailable reports whether the kind is an outage, which another attempt or an
// operator ends, and no answer.
func (k Kind) Unavailable() bool { return k >= Network }

// MaybeDone reports whether a command that ended so may have been done, or a part of a
// script that failed.
func (k Kind) MaybeDone() bool { return k <= Network }

// IsUnavailable is [Classify] and [Kind.Unavailable].
func IsUnavailable(err error) bool { return Classify(err).Unavailable() }

// codes are the first words of refusals.
var codes = []struct {
	prefix string
	kind   Kind
}{
	{"LOADING", Loading},
	{"MASTERDOWN", MasterDown},
	{"CLUSTERDOWN", ClusterDown},
	{"TRYAGAIN", TryAgain},
	{"MOVED", Moved},
	{"ASK", Moved},
	{"READONLY", ReadOnly},
	{"NOREPLICAS", NoReplicas},
	{"OOM", OutOfMemory},
	{"MISCONF", NoDisk},
	{"BUSY", Busy},
	{"NOSCRIPT", NoScript},
	{"NOPERM", NoPerm},
	{"NOAUTH", NoLogin},
	{"WRONGPASS", NoLogin},
	{"max number of clients reached", MaxClients},
	{"EXECABORT", Aborted},
}

// errHidden stands for an answer that quotes a password.
var errHidden = errors.New("failed to authenticate: the answer of the server has the password and is not shown")

// Classify says what an error of a call means, also when it is wrapped. One that comes
// neither from go-redis nor the network nor a context is an Answer.
func Classify(err error) Kind {
	var (
		option *OptionError
		dial   *DialError
		answer goredis.Error
		netw   net.Error
		cert   *tls.CertificateVerificationError
	)
	switch {
	case err == nil:
		return None
	case errors.As(err, &option):
		return Answer
	case errors.As(err, &dial): // before what is in it
		return Network
	case errors.Is(err, goredis.Nil):
		return None
	case errors.As(err, &answer):
		return classifyAnswer(answer.Error())
	case errors.Is(err, errHidden):
		return NoLogin
	case errors.As(err, &netw), errors.As(err, &cert),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, goredis.ErrClosed), errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		return Network
	}
	// go-redis's own: no Sentinel answers, no server of the Cluster does, an answer that
	// cannot be read.
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.HasPrefix(e.Error(), "redis: ") && errors.Unwrap(e) == nil {
			return Network
		}
	}
	return Answer
}

func classifyAnswer(text string) Kind {
	text = strings.TrimPrefix(text, "ERR ")
	for _, c := range codes {
		if rest, ok := strings.CutPrefix(text, c.prefix); ok && (rest == "" || rest[0] == ' ') {
			return c.kind
		}
	}
	return Answer
}
