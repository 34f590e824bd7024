package auth

import (
	"context"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	skeinauth "github.com/skeinmq/skein/auth"
	. "github.com/skeinmq/skein/testing/harness"
)

// put writes a user's hash.
func put(t *testing.T, c *goredis.Client, key string, fields ...string) {
	t.Helper()
	if err := c.HSet(context.Background(), key, fields).Err(); err != nil {
		t.Fatal(err)
	}
}

func hashOf(t *testing.T, password string) string {
	t.Helper()
	u, err := skeinauth.NewUser(skeinauth.Secret(password), 0)
	if err != nil {
		t.Fatal(err)
	}
	return u.Hash
}

func redisClient(t *testing.T, r *Redis) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.Close() }) // nothing is under way
	return c
}

// Users in a real Redis: right, wrong, malformed, of another type; beside a users file;
// and what becomes of logins while it is down.
func TestUsersInARedis(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, "--requirepass", "hunter2")
	c := goredis.NewClient(&goredis.Options{Addr: r.Addr, Password: "hunter2"})
	t.Cleanup(func() { _ = c.Close() }) // nothing is under way
	hash := hashOf(t, "builder")
	put(t, c, "u:bob:auth", "password", hash, "groups", "ops,all", "owner", "somebody else's field")
	put(t, c, "u:off:auth", "password", hash, "disabled", "1")
	put(t, c, "u:bound:auth", "password", hash, "client_id", "mine-*")
	put(t, c, "u:bad:auth", "password", "builder")
	if err := c.Set(t.Context(), "u:text:auth", hash, 0).Err(); err != nil {
		t.Fatal(err)
	}
	b := serve(t, plain+`
auth:
  sources: [users_file, redis]
  users_file: DIR/users
  backoff: {pair: {max: 0}, address: {max: 0}, user: {max: 0}}
  redis: {url: 'redis://`+r.Addr+`', password: hunter2, key: 'u:%u:auth', allow_ttl: 0, deny_ttl: 0, timeout: 2s, break_for: 50ms}
  acl: {rules: [{effect: allow, action: all, topics: ['ops/#'], groups: [ops]}]}
`, map[string]string{"users": users(t, [3]string{"ann", "secret", ""})})
	b.Connect(t, as("ann", "secret"))
	bob := b.Connect(t, as("bob", "builder"))
	if code := subscribe(bob, "ops/#"); code != 1 {
		t.Errorf("bob's group does not count: %#x", code)
	}
	if code := subscribe(bob, "other"); code != notAuthorized {
		t.Errorf("bob may all: %#x", code)
	}
	for user, code := range map[string]byte{"off": badCredentials, "bad": unavailable, "text": unavailable, "none": badCredentials, "bound": 0x85} {
		b.refused(as(user, "builder"), code)
	}
	b.refused(as("bob", "wrong"), badCredentials)
	bound := as("bound", "builder")
	bound.ID = "mine-1"
	b.Connect(t, bound)

	r.Kill()
	b.refused(as("bob", "builder"), unavailable)
	b.refused(Connect{Version: V311, User: "bob", Pass: "builder"}, 3)
	b.Connect(t, as("ann", "secret")) // the file is asked first
	if code := subscribe(bob, "ops/+"); code != 1 {
		t.Errorf("bob is no member while Redis is down: %#x", code)
	}
	r.Restart()
	Poll(t, 0, func() bool {
		_, ack := b.TryConnect(t, as("bob", "builder"))
		return ack.Code == 0
	})
}

// The connection of a cluster serves where auth names none, and a remembered user comes
// in while Redis is down.
func TestUsersOfTheClustersRedisAreRemembered(t *testing.T) {
	t.Parallel()
	r := StartRedis(t)
	c := redisClient(t, r)
	put(t, c, "skein:user:bob", "password", hashOf(t, "builder"))
	b := serve(t, plain+"auth: {sources: [redis], redis: {url: 'redis+unix://"+r.Sock+"', allow_ttl: 1h}}\n", nil)
	b.Connect(t, as("bob", "builder"))
	r.Kill()
	b.Connect(t, as("bob", "builder"))
	b.refused(as("bob", "wrong"), badCredentials)
	b.refused(as("ann", "x"), unavailable)
}

// A node starts while Redis is down, denies, and lets in when it is there.
func TestStartWithoutTheRedisOfUsers(t *testing.T) {
	t.Parallel()
	r := StartRedis(t)
	put(t, redisClient(t, r), "skein:user:bob", "password", hashOf(t, "builder"))
	r.Kill()
	b := serve(t, plain+"auth: {sources: [redis], redis: {url: '"+r.URL()+"', break_for: 50ms}, backoff: {pair: {max: 0}, address: {max: 0}, user: {max: 0}}}\n", nil)
	b.refused(as("bob", "builder"), unavailable)
	r.Restart()
	Poll(t, 0, func() bool {
		_, ack := b.TryConnect(t, as("bob", "builder"))
		return ack.Code == 0
	})
}
