package broker

import (
	"log/slog"
	"math"
	"os"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/broker/conn"
	"github.com/skeinmq/skein/broker/listen"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/session"
)

var overflows = map[config.Overflow]session.Overflow{
	config.DropOldest: session.DropOldest, config.DropNewest: session.DropNewest, config.Disconnect: session.Disconnect,
}

var strategies = map[config.Strategy]router.Strategy{
	config.RoundRobin: router.RoundRobin, config.LeastInflight: router.LeastInflight, config.Sticky: router.Sticky,
	config.HashClient: router.HashClient, config.HashTopic: router.HashTopic, config.Random: router.Random,
}

// routerSettings are the router's part of the configuration.
func (n *Node) routerSettings(c *config.Config) router.Settings {
	m, s := &c.MQTT, &c.Session
	return router.Settings{
		Expiry3x: s.Expiry3x.Seconds(), MaxExpiry: s.MaxExpiry.Seconds(), MaxInflight: s.MaxInflight,
		Queue:     queueLimits(c),
		QueueQoS0: s.QueueQoS0, MaxPersistent: s.MaxPersistent, MaxPerUser: s.MaxPerUser, MaxSubscriptions: s.MaxSubscriptions,
		MaxUserConnections: c.Limits.PerUser, MaxUserSubscriptions: c.Limits.SubscriptionsPerUser, AnyUser: !s.SameUser,
		MaxLevels: c.Limits.TopicLevels, MaxTopicLength: c.Limits.TopicLength,
		MaximumQoS: byte(m.MaximumQoS), RetainAvailable: m.RetainAvailable, Wildcards: m.WildcardSubscriptions,
		SubIDs: m.SubscriptionIdentifiers, Shared: m.SharedSubscriptions, Strategy: strategies[c.Shared.Strategy],
		NoMatchCode: m.NoMatchCode, CheckFormat: m.CheckPayloadFormat, DenyClose: m.DenyAction == config.DenyDisconnect,
		MaxRetained: c.Limits.Retained.Messages, MaxRetainedBytes: int64(c.Limits.Retained.Bytes),
		DelayedEnabled: c.Delayed.Enabled, DelayedMax: c.Delayed.Max.Std(), DelayedCount: c.Delayed.Count,
		Receipts: c.Receipts.Enabled, ReceiptsEach: c.Receipts.PerMessage, ReceiptsOpen: c.Receipts.Summaries,
		ReceiptsClient: c.Receipts.ShowClientID,
		MaxQueued:      c.Limits.Queued.Messages, MaxQueuedBytes: int64(c.Limits.Queued.Bytes),
		WillGrace: s.WillGrace.Std(), Durable: durable(c), OverLimit: n.memory.over,
		Linger: linger(c),
	}
}

// durable reports whether what is stored outlives the process.
func durable(c *config.Config) bool {
	return c.Persistence == config.PersistenceDisk || c.Bridge.Redis.URL.Reveal() != ""
}

// linger is for a store that is slow to write.
func linger(c *config.Config) time.Duration {
	if c.Persistence != config.PersistenceDisk || c.Bridge.Redis.URL.Reveal() != "" {
		return 0
	}
	return c.Store.CommitLinger.Std()
}

// connSettings are the connections' part of the configuration.
func (n *Node) connSettings(c *config.Config) conn.Settings {
	m, l := &c.MQTT, &c.Limits
	limit := l.Connections
	if limit == 0 {
		limit = connectionLimit(n.log)
	}
	return conn.Settings{
		MaxPacket: int(min(m.MaxPacketSize, math.MaxInt32)), ReceiveMaximum: m.ReceiveMaximum,
		AliasMaximum: uint16(m.TopicAliasMaximum), AliasMaximumOut: uint16(m.TopicAliasMaximumOut),
		MaximumQoS: byte(m.MaximumQoS), RetainAvailable: m.RetainAvailable, Wildcards: m.WildcardSubscriptions,
		SubIDs: m.SubscriptionIdentifiers, Shared: m.SharedSubscriptions,
		ServerKeepAlive: uint16(m.ServerKeepAlive.Seconds()), MaxKeepAlive: uint16(m.MaxKeepAlive.Seconds()),
		ResponseInfo: m.ResponseInformation, ServerReference: m.ServerReference, ReasonStrings: m.ReasonStrings,
		MaxInflight: c.Session.MaxInflight, OutputBuffer: int(min(l.OutputBuffer, math.MaxInt32)),
		InboundBytes: int(min(l.InboundBytes, math.MaxInt32)), WriteTimeout: l.WriteTimeout.Std(),
		PacketTimeout: l.PacketTimeout.Std(), HandshakeTimeout: l.HandshakeTimeout.Std(),
		HandshakeSize: int(min(l.HandshakeSize, math.MaxInt32)),
		PublishRate:   l.PublishRate, PublishBytes: int(min(l.PublishBytes, math.MaxInt32)),
		UserRate: l.PublishRatePerUser, AddressRate: l.PublishRatePerAddress,
		Admit: conn.AdmitSettings{
			Connections: limit, PerAddress: l.PerAddress, Rate: l.ConnectRate, Burst: l.ConnectBurst,
			RatePerAddress: l.ConnectRatePerAddress, RatePerUser: l.ConnectRatePerUser, FlapConnects: l.Flapping.Connects,
			FlapWindow: l.Flapping.Window.Std(), FlapBan: l.Flapping.Ban.Std(), OverLimit: n.memory.over,
		},
	}
}

func listenOptions(c *config.Listener, all *config.Config, log *slog.Logger) listen.Options {
	keepAlive := c.KeepAlive.Std()
	if keepAlive == 0 {
		keepAlive = -time.Second // off
	}
	return listen.Options{
		Name: c.Name, URL: c.URL,
		TLS: listen.TLSOptions{
			CertFile: c.TLS.Cert, KeyFile: c.TLS.Key, ClientCAFile: c.TLS.ClientCA, ClientAuth: string(c.TLS.ClientAuth),
			MinVersion: c.TLS.MinVersion, Ciphers: c.TLS.Ciphers,
		},
		Proxy: listen.ProxyOptions{Enabled: c.Proxy.Enabled, Trusted: config.Prefixes(c.Proxy.Trusted)},
		WebSocket: listen.WSOptions{
			Path: c.WebSocket.Path, Origins: c.WebSocket.Origins, TrustedProxies: config.Prefixes(c.WebSocket.TrustedProxies),
			MaxFrame: int(min(c.WebSocket.MaxFrame, math.MaxInt32)),
		},
		UnixMode: os.FileMode(c.UnixMode), HandshakeTimeout: c.HandshakeTimeout.Std(), MaxConnections: c.MaxConnections,
		KeepAlive: keepAlive, Log: log,
	}
}

// capabilities are what hooks of mochi's interface read of the configuration.
func capabilities(c *config.Config) *mqtt.Capabilities {
	caps := mqtt.NewDefaultServerCapabilities()
	flag := func(b bool) byte {
		if b {
			return 1
		}
		return 0
	}
	caps.MaximumSessionExpiryInterval = c.Session.MaxExpiry.Seconds()
	caps.MaximumInflight = uint16(min(c.Session.MaxInflight, math.MaxUint16))
	caps.ReceiveMaximum = uint16(c.MQTT.ReceiveMaximum)
	caps.TopicAliasMaximum = uint16(c.MQTT.TopicAliasMaximum)
	caps.MaximumPacketSize = uint32(min(c.MQTT.MaxPacketSize, math.MaxInt32))
	caps.MaximumQos = byte(c.MQTT.MaximumQoS)
	caps.RetainAvailable = flag(c.MQTT.RetainAvailable)
	caps.WildcardSubAvailable = flag(c.MQTT.WildcardSubscriptions)
	caps.SubIDAvailable = flag(c.MQTT.SubscriptionIdentifiers)
	caps.SharedSubAvailable = flag(c.MQTT.SharedSubscriptions)
	return caps
}
