package config

// Bridge is what this node shares with others.
type Bridge struct {
	Redis Redis `koanf:"redis"`
}

// Redis is where the nodes of a cluster meet.
type Redis struct {
	URL              Secret    `koanf:"url"` // empty is none: a node alone. It may have a password.
	User             string    `koanf:"user"`
	Password         Secret    `koanf:"password"`
	SentinelUser     string    `koanf:"sentinel_user"`
	SentinelPassword Secret    `koanf:"sentinel_password"`
	TLS              ClientTLS `koanf:"tls"`
	Prefix           string    `koanf:"prefix"`
	DialTimeout      Duration  `koanf:"dial_timeout" min:"10ms" max:"1m"`
	ReadTimeout      Duration  `koanf:"read_timeout" min:"10ms" max:"1m"`
	WriteTimeout     Duration  `koanf:"write_timeout" min:"10ms" max:"1m"`
	PoolSize         int       `koanf:"pool_size" max:"100000"` // 0 is 10 for each core
	MinReplicas      int       `koanf:"min_replicas" max:"100"`
	Lease            Duration  `koanf:"lease" min:"1s" max:"1m"`
}

// AuthRedis is a Redis with users.
type AuthRedis struct {
	URL              Secret    `koanf:"url"` // empty is that of Bridge, with all its keys
	User             string    `koanf:"user"`
	Password         Secret    `koanf:"password"`
	SentinelUser     string    `koanf:"sentinel_user"`
	SentinelPassword Secret    `koanf:"sentinel_password"`
	TLS              ClientTLS `koanf:"tls"`
	Key              string    `koanf:"key"`
	Timeout          Duration  `koanf:"timeout" min:"10ms" max:"5m"`
	MaxCalls         int       `koanf:"max_calls" min:"1" max:"10000"`
	MaxWaiting       int       `koanf:"max_waiting" min:"1" max:"1000000"`
	CacheSize        int       `koanf:"cache_size" max:"10000000"` // 0 is none
	AllowTTL         Duration  `koanf:"allow_ttl" max:"24h"`       // of a user who is there; 0 is not at all
	DenyTTL          Duration  `koanf:"deny_ttl" max:"24h"`        // of one who is not
	BreakAfter       int       `koanf:"break_after" min:"1" max:"1000000"`
	BreakFor         Duration  `koanf:"break_for" min:"10ms" max:"1h"`
}

func defaultRedis() Redis {
	return Redis{
		Prefix: "skein:", DialTimeout: 2 * second, ReadTimeout: 2 * second, WriteTimeout: 2 * second, Lease: 3 * second,
	}
}

func defaultAuthRedis() AuthRedis {
	return AuthRedis{
		Key: "skein:user:%u", Timeout: 3 * second, MaxCalls: 64, MaxWaiting: 1024, CacheSize: 10_000,
		AllowTTL: minute, DenyTTL: 10 * second, BreakAfter: 5, BreakFor: 2 * second,
	}
}
