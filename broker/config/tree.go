package config

import "log/slog"

// Config is the tree. The tags say how a key is spelled and what it allows; what
// each key means to a user is written in config.yaml, beside its default.
//
//	koanf   the key
//	min     the smallest value, 0 if there is no tag
//	max     the largest value
//	oneof   the only values, separated by |
//	never   the duration may be "never"
//	whole   the duration is a multiple of this
//	restart yes: a change needs a restart, and of what lies below too; no: it does not
type Config struct {
	Node        Node        `koanf:"node" restart:"yes"`
	Listeners   []Listener  `koanf:"listeners" restart:"yes"`
	Auth        Auth        `koanf:"auth"`
	HTTP        HTTPServer  `koanf:"http"`
	Persistence Persistence `koanf:"persistence" oneof:"disk|none" restart:"yes"`
	Data        string      `koanf:"data" restart:"yes"` // directory; not touched with persistence none
	Store       Store       `koanf:"store" restart:"yes"`
	MQTT        MQTT        `koanf:"mqtt"`
	Session     Session     `koanf:"session"`
	Shared      Shared      `koanf:"shared"`
	Limits      Limits      `koanf:"limits"`
	Delayed     Delayed     `koanf:"delayed"`
	Receipts    Receipts    `koanf:"receipts"`
	Bridge      Bridge      `koanf:"bridge" restart:"yes"`
	SysInterval Duration    `koanf:"sys_interval" max:"1h" restart:"yes"` // 0 is off
	Log         Log         `koanf:"log"`

	DrainDelay      Duration `koanf:"drain_delay" max:"1h"`
	DrainRate       int      `koanf:"drain_rate" max:"1000000"` // clients a second; 0 is all at once
	ShutdownTimeout Duration `koanf:"shutdown_timeout" min:"100ms" max:"1h"`
}

// Node is who this process is.
type Node struct {
	Name string `koanf:"name"` // never empty once loaded: the host's name then
}

// Listener is one address that clients connect to.
type Listener struct {
	Name             string       `koanf:"name"` // unique; never empty once loaded: the URL then
	URL              string       `koanf:"url"`
	Optional         bool         `koanf:"optional"`               // an address that the host does not have is skipped
	Anonymous        bool         `koanf:"anonymous" restart:"no"` // as Auth.Anonymous, here alone
	Auth             ListenerAuth `koanf:"auth" restart:"no"`
	TLS              TLS          `koanf:"tls"`
	Proxy            Proxy        `koanf:"proxy"`
	WebSocket        WebSocket    `koanf:"websocket"`
	UnixMode         Mode         `koanf:"unix_mode"`
	HandshakeTimeout Duration     `koanf:"handshake_timeout" min:"100ms" max:"5m"` // PROXY, TLS and WebSocket together
	MaxConnections   int          `koanf:"max_connections" max:"100000000"`        // 0 is no limit of its own
	KeepAlive        Duration     `koanf:"keep_alive" max:"24h"`                   // TCP's; 0 is off
}

// TLS is the certificates and rules of ssl:// and wss://.
type TLS struct {
	Cert       string     `koanf:"cert"`      // PEM file
	Key        string     `koanf:"key"`       // PEM file
	ClientCA   string     `koanf:"client_ca"` // PEM file
	ClientAuth ClientAuth `koanf:"client_auth" oneof:"none|optional|require"`
	MinVersion string     `koanf:"min_version" oneof:"1.2|1.3"`
	Ciphers    []string   `koanf:"ciphers"` // Go's names, of TLS 1.2; empty is Go's choice
}

// ClientAuth says whether clients present a certificate.
type ClientAuth string

// The values of ClientAuth.
const (
	ClientAuthNone     ClientAuth = "none"
	ClientAuthOptional ClientAuth = "optional" // checked when sent
	ClientAuthRequire  ClientAuth = "require"
)

// Proxy is the PROXY protocol, version 1 or 2.
type Proxy struct {
	Enabled bool      `koanf:"enabled"` // then it is required
	Trusted []Network `koanf:"trusted"` // nobody else may connect
}

// WebSocket is the rules of ws:// and wss://.
type WebSocket struct {
	Path           string    `koanf:"path"`                   // empty is any; one in the URL wins
	Origins        []string  `koanf:"origins"`                // empty is the request's own host
	TrustedProxies []Network `koanf:"trusted_proxies"`        // whose X-Forwarded-For is believed
	MaxFrame       Size      `koanf:"max_frame" max:"256MiB"` // 0 is no limit
}

// Persistence is the kind of store.
type Persistence string

// The kinds of store.
const (
	PersistenceDisk Persistence = "disk" // the embedded store, in the directory Data
	PersistenceNone Persistence = "none" // everything is in memory, and gone with the process
)

// Store is how the embedded store writes.
type Store struct {
	Sync         Sync     `koanf:"sync" oneof:"always|interval"`
	SyncInterval Duration `koanf:"sync_interval" min:"1ms" max:"1m"`
	CommitLinger Duration `koanf:"commit_linger" max:"1s"`
	MinFree      Size     `koanf:"min_free"` // of the file system; 0 is 512 MiB, or 5 % if that is less
	Cache        Size     `koanf:"cache" min:"8MiB"`
}

// Sync says when a commit counts as durable.
type Sync string

// The values of Sync.
const (
	SyncAlways   Sync = "always"   // when the disk has it
	SyncInterval Sync = "interval" // when the system has it; the disk follows
)

// MQTT is what the protocol leaves to a server, most of it told in CONNACK.
type MQTT struct {
	MaximumQoS              int        `koanf:"maximum_qos" max:"2"`
	RetainAvailable         bool       `koanf:"retain_available"`
	WildcardSubscriptions   bool       `koanf:"wildcard_subscriptions"`
	SubscriptionIdentifiers bool       `koanf:"subscription_identifiers"`
	SharedSubscriptions     bool       `koanf:"shared_subscriptions"`
	ServerKeepAlive         Duration   `koanf:"server_keep_alive" max:"65535s" whole:"1s"` // 0 leaves it to the client
	MaxKeepAlive            Duration   `koanf:"max_keep_alive" max:"65535s" whole:"1s"`    // 0 is no limit
	ResponseInformation     string     `koanf:"response_information"`
	ServerReference         string     `koanf:"server_reference"`
	ReasonStrings           bool       `koanf:"reason_strings"`
	TopicAliasMaximum       int        `koanf:"topic_alias_maximum" max:"65535"`     // from clients
	TopicAliasMaximumOut    int        `koanf:"topic_alias_maximum_out" max:"65535"` // to clients, at most
	ReceiveMaximum          int        `koanf:"receive_maximum" min:"1" max:"65535"`
	MaxPacketSize           Size       `koanf:"max_packet_size" min:"1KiB" max:"256MiB"`
	NoMatchCode             bool       `koanf:"no_match_code"` // 0x10 when nobody subscribes
	CheckPayloadFormat      bool       `koanf:"check_payload_format"`
	DenyAction              DenyAction `koanf:"deny_action" oneof:"drop|disconnect"`
}

// DenyAction is what a refused publish of a 3.x client leads to.
type DenyAction string

// The values of DenyAction.
const (
	DenyDrop       DenyAction = "drop" // acknowledged and dropped
	DenyDisconnect DenyAction = "disconnect"
)

// Session is what a client has beyond its connection.
type Session struct {
	Expiry3x         Duration `koanf:"expiry_3x" never:"yes" whole:"1s"`
	MaxExpiry        Duration `koanf:"max_expiry" never:"yes" whole:"1s"`
	MaxInflight      int      `koanf:"max_inflight" min:"1" max:"65535"`
	Queue            Queue    `koanf:"queue"`
	QueueQoS0        bool     `koanf:"queue_qos0"`
	MaxPersistent    int      `koanf:"max_persistent" max:"1000000000"`    // 0 is no limit
	MaxPerUser       int      `koanf:"max_per_user" max:"1000000000"`      // persistent ones of one user; 0 is no limit
	MaxSubscriptions int      `koanf:"max_subscriptions" max:"1000000000"` // of a client; 0 is no limit
	SameUser         bool     `koanf:"same_user"`
	WillGrace        Duration `koanf:"will_grace" max:"1h"`
	DedupeWindow     Duration `koanf:"dedupe_window" min:"1m" max:"168h" whole:"1s"`
}

// Queue bounds what waits for one client.
type Queue struct {
	Messages int      `koanf:"messages" max:"1000000000"` // 0: 1,000,000 on disk, 100,000 in memory
	Bytes    Size     `koanf:"bytes"`                     // 0: 1 GiB on disk, 64 MiB in memory
	Overflow Overflow `koanf:"overflow" oneof:"drop_oldest|drop_newest|disconnect"`
}

// Overflow is the rule of a full queue.
type Overflow string

// The values of Overflow.
const (
	DropOldest Overflow = "drop_oldest"
	DropNewest Overflow = "drop_newest"
	Disconnect Overflow = "disconnect"
)

// Shared is how the members of a shared subscription take turns.
type Shared struct {
	Strategy Strategy `koanf:"strategy" oneof:"round_robin|least_inflight|sticky|hash_client|hash_topic|random"`
}

// Strategy picks a member of a shared subscription.
type Strategy string

// The values of Strategy.
const (
	RoundRobin    Strategy = "round_robin"
	LeastInflight Strategy = "least_inflight"
	Sticky        Strategy = "sticky"
	HashClient    Strategy = "hash_client"
	HashTopic     Strategy = "hash_topic"
	Random        Strategy = "random"
)

// Limits protect the node and its clients from one of them. A rate of 0 is no limit.
type Limits struct {
	Connections           int      `koanf:"connections" max:"100000000"` // 0 is what the descriptor limit allows
	PerAddress            int      `koanf:"per_address" max:"100000000"` // connections; 0 is no limit
	ConnectRate           int      `koanf:"connect_rate" max:"1000000"`  // a second
	ConnectBurst          int      `koanf:"connect_burst" max:"1000000"` // 0 is one second of ConnectRate
	ConnectRatePerAddress int      `koanf:"connect_rate_per_address" max:"1000000"`
	ConnectRatePerUser    int      `koanf:"connect_rate_per_user" max:"1000000"`
	PerUser               int      `koanf:"connections_per_user" max:"100000000"`    // 0 is no limit
	SubscriptionsPerUser  int      `koanf:"subscriptions_per_user" max:"1000000000"` // 0 is no limit
	PublishRate           int      `koanf:"publish_rate" max:"1000000000"`           // of a client, a second
	PublishRatePerUser    int      `koanf:"publish_rate_per_user" max:"1000000000"`
	PublishRatePerAddress int      `koanf:"publish_rate_per_address" max:"1000000000"`
	PublishBytes          Size     `koanf:"publish_bytes" max:"1GiB"` // of a client, a second
	OutputBuffer          Size     `koanf:"output_buffer" min:"16KiB" max:"1GiB"`
	InboundBytes          Size     `koanf:"inbound_bytes" min:"16KiB" max:"1GiB"`
	WriteTimeout          Duration `koanf:"write_timeout" min:"100ms" max:"24h"`
	PacketTimeout         Duration `koanf:"packet_timeout" min:"100ms" max:"24h"`
	HandshakeTimeout      Duration `koanf:"handshake_timeout" min:"100ms" max:"5m"`
	HandshakeSize         Size     `koanf:"handshake_size" min:"256B" max:"256MiB"`
	TopicLevels           int      `koanf:"topic_levels" min:"1" max:"65535"`
	TopicLength           int      `koanf:"topic_length" min:"1" max:"65535"` // bytes
	Retained              Retained `koanf:"retained"`
	Queued                Queued   `koanf:"queued"`
	Flapping              Flapping `koanf:"flapping"`
	Memory                Memory   `koanf:"memory"`
}

// Retained bounds the retained messages of a node; 0 is no limit.
type Retained struct {
	Messages int  `koanf:"messages" max:"1000000000"`
	Bytes    Size `koanf:"bytes"`
}

// Queued bounds what waits in all sessions together; 0 is no limit.
type Queued struct {
	Messages int  `koanf:"messages" max:"2000000000"`
	Bytes    Size `koanf:"bytes"`
}

// Flapping keeps a client out that connects again and again.
type Flapping struct {
	Connects int      `koanf:"connects" max:"1000000"` // within Window; 0 is off
	Window   Duration `koanf:"window" min:"1s" max:"24h"`
	Ban      Duration `koanf:"ban" min:"1s"`
}

// Memory is when the node sheds load.
type Memory struct {
	HighWatermark float64 `koanf:"high_watermark" max:"1"` // of the memory limit; 0 is off
}

// Delayed bounds $delayed publishes.
type Delayed struct {
	Enabled bool     `koanf:"enabled"`
	Max     Duration `koanf:"max" min:"1s"`
	Count   int      `koanf:"count" max:"1000000000"`
}

// Receipts are what publishers are told that ask with the property skein-receipt.
type Receipts struct {
	Enabled      bool `koanf:"enabled"`
	PerMessage   int  `koanf:"per_message" max:"1000000"`
	Summaries    int  `koanf:"summaries" max:"100000000"` // 0 is no limit
	ShowClientID bool `koanf:"show_client_id"`
}

// Log is what is written to the standard error.
type Log struct {
	Level  Level  `koanf:"level" oneof:"debug|info|warn|error"`
	Format Format `koanf:"format" oneof:"text|json" restart:"yes"`
}

// Level is the lowest level that is logged.
type Level string

// Slog returns the level for package slog; info if it is none.
func (l Level) Slog() slog.Level {
	switch l {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// Format is the form of a log line.
type Format string

// The values of Format.
const (
	FormatText Format = "text"
	FormatJSON Format = "json"
)
