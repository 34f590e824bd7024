package bridge

import (
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/storetest"
)

func TestContract(t *testing.T) {
	server := startRedis(t)
	prefixOf := map[string]string{}
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store {
		if prefixOf[dir] == "" {
			prefixOf[dir] = newPrefix()
		}
		return whole{newRig(t, server.URL(), prefixOf[dir], message.MailboxID("own"))}
	})
}
