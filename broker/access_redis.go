package broker

import (
	"log/slog"
	"time"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/bridge"
	"github.com/skeinmq/skein/bridge/redis"
	"github.com/skeinmq/skein/broker/config"
)

// redisOptions are how the Redis of a cluster is reached.
func redisOptions(r *config.Redis, log *slog.Logger) redis.Options {
	return redis.Options{
		URL: r.URL.Reveal(), User: r.User, Password: r.Password.Reveal(),
		SentinelUser: r.SentinelUser, SentinelPassword: r.SentinelPassword.Reveal(), TLS: redisTLS(&r.TLS),
		DialTimeout: r.DialTimeout.Std(), ReadTimeout: r.ReadTimeout.Std(), WriteTimeout: r.WriteTimeout.Std(),
		PoolSize: r.PoolSize, Log: log,
	}
}

func redisTLS(t *config.ClientTLS) redis.TLS {
	return redis.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
}

// checkRedis reports what is wrong with the Redis of a cluster as far as that can be
// told without asking it.
func (b *accessBuilder) checkRedis() {
	if b.cfg.Bridge.Redis.URL == "" {
		return
	}
	c, err := redis.New(redisOptions(&b.cfg.Bridge.Redis, b.log))
	if !b.failed("bridge.redis", err) {
		_ = c.Close() // nothing was sent
	}
}

// redisUsers makes the source of users in a Redis, which is not asked yet. Its
// connections are its own: a storm of logins takes none from the cluster.
func (b *accessBuilder) redisUsers() (*auth.LookupUsers, error) {
	a := &b.cfg.Auth.Redis
	o := redisOptions(&b.cfg.Bridge.Redis, b.log)
	if a.URL != "" {
		o = redis.Options{
			URL: a.URL.Reveal(), User: a.User, Password: a.Password.Reveal(),
			SentinelUser: a.SentinelUser, SentinelPassword: a.SentinelPassword.Reveal(), TLS: redisTLS(&a.TLS), Log: b.log,
		}
	}
	o.ReadTimeout, o.WriteTimeout = a.Timeout.Std(), a.Timeout.Std()
	o.PoolSize = a.MaxCalls
	c, err := redis.New(o)
	if err != nil {
		return nil, err
	}
	return auth.NewLookupUsers(auth.LookupConfig{
		Name: config.SourceRedis, Lookup: bridge.NewUsers(c, a.Key, auth.LookupFields, auth.ErrMalformed),
		Passwords: b.passwords(), Secret: b.scramSecret(), Timeout: a.Timeout.Std(),
		MaxCalls: a.MaxCalls, MaxWaiting: a.MaxWaiting, CacheSize: a.CacheSize, AllowTTL: a.AllowTTL.Std(), DenyTTL: a.DenyTTL.Std(),
		BreakAfter: a.BreakAfter, BreakFor: a.BreakFor.Std(), Now: time.Now, Log: b.log,
	}), nil
}
