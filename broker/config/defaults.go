package config

import "time"

const (
	second = Duration(time.Second)
	minute = Duration(time.Minute)
	hour   = Duration(time.Hour)
	day    = 24 * hour
)

// Default returns a new tree with the defaults; config.yaml gives the reason of each.
func Default() *Config {
	c := &Config{
		Listeners: []Listener{
			defaultListener("mqtt", "tcp://127.0.0.1:1883"),
			defaultListener("mqtt6", "tcp://[::1]:1883"),
		},
		Auth:        defaultAuth(),
		HTTP:        defaultHTTPServer(),
		Persistence: PersistenceDisk,
		Data:        "./data",
		Store: Store{
			Sync: SyncAlways, SyncInterval: Duration(100 * time.Millisecond), CommitLinger: Duration(2 * time.Millisecond),
			Cache: 64 * MiB,
		},
		MQTT: MQTT{
			MaximumQoS: 2, RetainAvailable: true, WildcardSubscriptions: true, SubscriptionIdentifiers: true,
			SharedSubscriptions: true, ReasonStrings: true,
			TopicAliasMaximum: 64, TopicAliasMaximumOut: 64, ReceiveMaximum: 1000, MaxPacketSize: MiB,
			NoMatchCode: true, DenyAction: DenyDrop,
		},
		Session: Session{
			Expiry3x: 7 * day, MaxExpiry: Never, MaxInflight: 1000,
			Queue:         Queue{Overflow: DropOldest},
			MaxPersistent: 1_000_000, MaxSubscriptions: 2_000_000, SameUser: true, WillGrace: 10 * second, DedupeWindow: hour,
		},
		Shared: Shared{Strategy: RoundRobin},
		Limits: Limits{
			OutputBuffer: 8 * MiB, InboundBytes: MiB,
			WriteTimeout: minute, PacketTimeout: 30 * second,
			HandshakeTimeout: 10 * second, HandshakeSize: 384 * KiB,
			TopicLevels: 128, TopicLength: 65535,
			Retained: Retained{Messages: 2_000_000, Bytes: GiB},
			Flapping: Flapping{Window: minute, Ban: 5 * minute},
			Memory:   Memory{HighWatermark: 0.85},
		},
		Delayed:         Delayed{Enabled: true, Max: day, Count: 100_000},
		Receipts:        Receipts{Enabled: true, PerMessage: 100, Summaries: 10_000},
		Bridge:          Bridge{Redis: defaultRedis()},
		SysInterval:     10 * second,
		Log:             Log{Level: "info", Format: FormatText},
		ShutdownTimeout: 8 * second,
	}
	for i := range c.Listeners {
		c.Listeners[i].Optional = true
	}
	c.fill()
	return c
}

// defaultListener is a listener of which nothing else is said.
func defaultListener(name, url string) Listener {
	return Listener{
		Name: name, URL: url,
		TLS:              TLS{ClientAuth: ClientAuthNone, MinVersion: "1.2"},
		UnixMode:         0o660,
		HandshakeTimeout: 10 * second,
		KeepAlive:        15 * second,
	}
}
