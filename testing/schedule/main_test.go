package schedule

import (
	"testing"

	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
