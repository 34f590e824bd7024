package disk

import (
	"testing"

	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store { return whole{open(t, Options{Dir: dir})} })
}
