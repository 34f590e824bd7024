package redis

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// answer is an error that a server sent.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{nil, None},
		{goredis.Nil, None},
		{answer("WRONGTYPE Operation against a key holding the wrong kind of value"), Answer},
		{answer("ERR user_script:1: boom script: abc, on @user_script:1."), Answer},
		{answer("BUSYGROUP Consumer Group name already exists"), Answer},
		{answer("CROSSSLOT Keys in request don't hash to the same slot"), Answer},
		{goredis.TxFailedErr, Answer},
		{answer("LOADING Redis is loading the dataset in memory"), Loading},
		{answer("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), MasterDown},
		{answer("CLUSTERDOWN The cluster is down"), ClusterDown},
		{answer("TRYAGAIN Multiple keys request during rehashing of slot"), TryAgain},
		{answer("MOVED 3999 127.0.0.1:6381"), Moved},
		{answer("ASK 3999 127.0.0.1:6381"), Moved},
		{answer("READONLY You can't write against a read only replica."), ReadOnly},
		{answer("NOREPLICAS Not enough good replicas to write."), NoReplicas},
		{answer("OOM command not allowed when used memory > 'maxmemory'."), OutOfMemory},
		{answer("MISCONF Redis is configured to save RDB snapshots"), NoDisk},
		{answer("BUSY Redis is busy running a script."), Busy},
		{answer("NOSCRIPT No matching script. Please use EVAL."), NoScript},
		{answer("NOPERM this user has no permissions to run the 'get' command"), NoPerm},
		{answer("NOAUTH Authentication required."), NoLogin},
		{answer("WRONGPASS invalid username-password pair or user is disabled."), NoLogin},
		{answer("ERR max number of clients reached"), MaxClients},
		{answer("EXECABORT Transaction discarded because of previous errors."), Aborted},
		{io.EOF, Network},
		{io.ErrUnexpectedEOF, Network},
		{net.ErrClosed, Network},
		{syscall.ECONNRESET, Network},
		{&net.OpError{Op: "read", Err: errors.New("x")}, Network},
		{context.Canceled, Network},
		{context.DeadlineExceeded, Network},
		{goredis.ErrClosed, Network},
		{goredis.ErrPoolTimeout, Network},
		{&DialError{Addr: "a", Err: x509.UnknownAuthorityError{}}, Network},
		{errors.New("redis: all sentinels specified in configuration are unreachable"), Network},
		{errHidden, NoLogin},
		{&OptionError{Err: errors.New("x")}, Answer},
		{errors.New("bad record"), Answer},
	} {
		for _, err := range []error{c.err, wrapped(c.err)} {
			if got := Classify(err); got != c.want {
				t.Errorf("Classify(%v) = %v, want %v", err, got, c.want)
			}
			if got, want := IsUnavailable(err), c.want > Answer; got != want {
				t.Errorf("IsUnavailable(%v) = %v", err, got)
			}
		}
	}
	if !Network.MaybeDone() || OutOfMemory.MaybeDone() || !Answer.MaybeDone() {
		t.Error("MaybeDone is wrong")
	}
	for k := None; k <= Aborted; k++ {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: commit: %w", err)
}
