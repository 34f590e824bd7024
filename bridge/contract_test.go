package bridge

import (
	"testing"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
	"github.com/skeinmq/skein/hooks/store/storetest"
	"github.com/skeinmq/skein/testing/server"
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

// The same in a Redis Cluster, where a step has the keys of one slot.
func TestContractCluster(t *testing.T) {
	servers := server.StartRedisCluster(t, "--appendfsync", "no")
	prefixOf := map[string]string{}
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store {
		if prefixOf[dir] == "" {
			prefixOf[dir] = newPrefix()
		}
		return whole{newRig(t, "redis+cluster://"+servers[0].Addr, prefixOf[dir], message.MailboxID("own"))}
	})
}
