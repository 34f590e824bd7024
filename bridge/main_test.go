package bridge

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// When as many dials failed as the pool has places, go-redis tries by itself once a
	// second, and sees only then that the client was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
