//go:build unix

package bridge

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/testing/server"
)

// openBox is a write of no session.
func (r *rig) openBox(t testing.TB) error {
	t.Helper()
	keys := []string{r.link.keys.box("other", boxInbox), r.link.keys.box("other", boxMeta)}
	_, err := r.link.write(context.Background(), stepBoxOpen, keys)
	return err //nolint:wrapcheck // it is compared
}

// A write that a replica does not confirm, because it is stopped, is not done, and nobody is
// told that it is; it counts once the replica goes on.
func TestStoppedReplica(t *testing.T) {
	r := startRedis(t)
	host, port, _ := net.SplitHostPort(r.Addr)
	replica := startRedis(t, "--replicaof", host+" "+port)
	replica.WaitOutput("Finished with success")
	g := newRig(t, "redis://"+r.Addr, newPrefix(), "box")
	g.link.replicas = 1
	server.Poll(t, 0, func() bool { return g.openBox(t) == nil })
	g.must(t, batchOf("s", headOp("s")))

	if err := replica.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := g.openBox(t); !errors.Is(err, errReplicas) || !isOutage(err) {
		t.Errorf("a write without its replica: %v", err)
	}
	done := make(result, 1)
	g.Commit(batchOf("s", entryOp(1, 1)), done)
	server.Poll(t, 0, func() bool { return g.link.out.down.Load() }) // it was tried
	if len(done) > 0 {
		t.Errorf("a commit without its replica is answered: %v", <-done)
	}
	if err := replica.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	page, err := g.Page(context.Background(), "s", 0, 10, 1<<20)
	if err != nil || len(page) != 1 {
		t.Errorf("after the commit there are %d entries, %v", len(page), err)
	}
}

// A server that has lost the scripts is given them again, and the step is done once.
func TestScriptsFlushedBeforeAWrite(t *testing.T) {
	r := startRedis(t)
	g := newRig(t, "redis://"+r.Addr, newPrefix(), "box")
	g.must(t, batchOf("s", headOp("s")))
	for _, replicas := range []int{0, 1} {
		if err := g.client.ScriptFlush(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		g.link.replicas = replicas
		want := error(nil)
		if replicas > 0 { // it is done, and there is no replica
			want = errReplicas
		}
		if err := g.openBox(t); !errors.Is(err, want) {
			t.Errorf("%d replicas: %v", replicas, err)
		}
	}
	g.link.replicas = 0
	if err := g.client.ScriptFlush(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	g.must(t, batchOf("s", entryOp(1, 1)))
}

// On a Cluster a write that waits for replicas goes to the connections of one server, which
// do not send the source: it is loaded, and the step is tried again.
func TestScriptsFlushedOnACluster(t *testing.T) {
	all := server.StartRedisCluster(t, "--appendfsync", "no")
	g := newRig(t, "redis+cluster://"+all[0].Addr, newPrefix(), "box")
	g.link.replicas = 1
	if err := g.openBox(t); !errors.Is(err, errReplicas) {
		t.Fatalf("before: %v", err)
	}
	for _, r := range all {
		if out := server.Start(t, "redis-cli", "-u", "redis://"+r.Addr, "script", "flush"); out.Wait() != 0 {
			t.Fatal(out.Output())
		}
	}
	err := g.openBox(t)
	if redis.Classify(err) != redis.NoScript || !isOutage(err) { // tried again by who wants it done
		t.Errorf("a server without scripts: %v", err)
	}
	if err := g.openBox(t); !errors.Is(err, errReplicas) {
		t.Errorf("afterwards: %v", err)
	}
}
