//go:build !unix

package conformance

import (
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func descriptors() int { return 0 }

func childBroker(t *testing.T, _ string) (*harness.Broker, func()) {
	t.Helper()
	t.Skip("a broker in a process of its own needs Unix")
	return nil, nil
}
