//go:build !unix

package auth

import (
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func hangUp(t *testing.T, _ *harness.Proc) {
	t.Helper()
	t.Skip("there is no SIGHUP here")
}
