package conn

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"io"
	"math"
	"strings"
	"time"

	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/stats"
	"github.com/skeinmq/skein/broker/wire"
	"github.com/skeinmq/skein/hooks"
)

// handshake reads CONNECT, has the connection judged and gives it its session. It
// reports whether CONNACK said yes. code and rule, if not 0, refuse the connection
// once it is known in which version to say so.
func (c *Conn) handshake(code byte, rule string) bool {
	deadline := c.s.time(c.lastRead.add(c.set.HandshakeTimeout))
	_ = c.t.SetReadDeadline(deadline) // a socket that cannot take it fails its read
	defer func() {
		c.gone.Store(nil) // nobody waits for it any more
		if c.ended.Load() == nil {
			_ = c.t.SetReadDeadline(time.Time{}) // the reader sets its own
		}
	}()
	_, body, n, err := c.readPacket(true)
	if err != nil {
		c.firstFailed(err)
		return false
	}
	pk, err := wire.DecodeConnect(body)
	if err != nil {
		c.version = wire.ConnectVersion(body)
		bad, broken := wire.ReasonOf(err)
		return c.reject(bad, broken)
	}
	c.s.batchOne(wire.TypeConnect, n)
	c.took(n)
	c.version = pk.ProtocolVersion
	if code != codeSuccess {
		return c.reject(code, rule)
	}
	ctx := &handshakeContext{c: c, deadline: deadline}
	defer ctx.end()
	return c.connect(ctx, pk, n)
}

// firstFailed ends a connection that sent no CONNECT.
func (c *Conn) firstFailed(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.lost("closed before CONNECT")
	case errors.Is(err, errTooLate):
		c.reject(codeMalformed, "limits.handshake_timeout")
	default:
		if code, rule := wire.ReasonOf(err); rule != "" {
			c.reject(code, rule)
			return
		}
		c.lost("connection lost before CONNECT")
	}
}

// reject answers CONNECT with a reason code, where the version has one for it, and
// ends the connection. It reports false, for its callers' callers.
func (c *Conn) reject(code byte, rule string) bool {
	if c.version != 0 {
		k := wire.Connack{Code: code, ClientMaxPacket: c.maxPacketOut, ServerReference: c.set.reference(code)}
		if c.set.ReasonStrings {
			k.ReasonString = wire.CodeName(code)
		}
		c.out.End(wire.AppendConnack(c.out.Begin(), c.version, &k))
	}
	c.s.stats.Refuse(wire.CodeName(code))
	c.traceDecision(router.DecidedRefused, rule, code)
	id, user := "", ""
	if c.hook != nil {
		id, user = c.hook.ID(), c.hook.Identity().User
	}
	c.s.stats.Refusals.Add(stats.Refusal{
		At: c.s.now().UnixNano(), What: stats.Connects, Rule: rule, Code: code, Client: id, User: user,
		Remote: c.t.RemoteString(), Listener: c.t.Listener(),
	})
	c.s.log.Info("connection refused", "rule", rule, "code", int(code), "remote", c.t.RemoteString(), "listener", c.t.Listener(), "client", id, "user", user)
	c.endBy(&ending{code: code, why: rule})
	return false
}

// connect judges a decoded CONNECT of n bytes.
func (c *Conn) connect(ctx context.Context, pk *wire.Packet, n int) bool {
	props := &pk.Properties
	c.maxPacketOut = props.MaximumPacketSize
	c.problemInfo = !props.RequestProblemInfoFlag || props.RequestProblemInfo == 1
	id := pk.Connect.ClientIdentifier
	assigned := id == ""
	if assigned {
		id = newClientID()
	}
	c.hook = c.s.hooks.NewClient(hooks.Info{
		ID: id, User: string(pk.Connect.Username), HasUser: pk.Connect.UsernameFlag, Remote: c.t.RemoteString(),
		Listener: c.t.Listener(), ListenerKind: c.t.Scheme(), TLS: c.t.TLSState(), Packet: pk, Version: c.version,
	})
	if assigned {
		c.hook.SetID(id)
	}
	c.traceFirst(wire.TypeConnect<<4, nil, n)
	if c.s.door.banned(id, &c.set.Admit, c.s.now()) {
		return c.reject(codeBanned, "limits.flapping")
	}
	if c.s.has.Connect {
		if code, why := c.s.hooks.Connect(c.hook, pk); code != codeSuccess {
			return c.reject(code, why)
		}
	}
	rules := c.s.hooks.Generation()
	answer := c.authenticate(ctx, pk)
	if answer.Code != codeSuccess {
		return c.ended.Load() == nil && c.reject(answer.Code, answer.Why)
	}
	if c.s.door.connects(c.hook.ID(), &c.set.Admit, c.s.now()) {
		return c.reject(codeBanned, "limits.flapping")
	}
	if c.s.door.tooOften(c.user(), &c.set.Admit, c.s.now()) {
		return c.reject(codeConnectionRate, "limits.connect_rate_per_user")
	}
	q := router.ConnectRequest{ID: router.ClientID(c.hook.ID()), Clean: pk.Connect.Clean, Link: c.newLink(pk)}
	who := c.hook.Identity()
	q.User, q.HasUser = who.User, who.HasUser
	if props.SessionExpiryIntervalFlag {
		q.Expiry = props.SessionExpiryInterval
	}
	c.connExpiry = q.Expiry
	if pk.Connect.WillFlag {
		q.Will = willOf(pk, c.hook.ID(), q.User)
		if code := c.s.router.JudgeWill(c.hook, q.Will); code != codeSuccess {
			return c.reject(code, "will refused")
		}
	}
	if !c.establish(ctx, pk, q, answer, assigned) {
		return false
	}
	if c.s.hooks.Generation() != rules { // and whoever changed them did not see this connection perhaps
		c.end(wire.CodeAdministrativeAction, "rules have changed during the handshake")
	}
	return true
}

// authenticate carries on the exchange until it is decided [MQTT-4.12.0-2].
func (c *Conn) authenticate(ctx context.Context, pk *wire.Packet) hooks.Answer {
	answer := c.s.hooks.Authenticate(ctx, c.hook, pk)
	for answer.Code == codeContinue {
		c.out.End(wire.AppendAuth(c.out.Begin(), codeContinue, answer.Method, answer.Data, "", c.maxPacketOut))
		c.s.batchSent(wire.TypeAuth)
		h, body, n, err := c.readPacket(false)
		if err != nil {
			c.firstFailed(err)
			return hooks.Answer{Code: codeUnspecified}
		}
		c.s.batchOne(h>>4, n)
		c.traceFirst(h, body, n)
		if h>>4 == wire.TypeDisconnect {
			c.lost("disconnected during authentication")
			return hooks.Answer{Code: codeUnspecified}
		}
		if h>>4 != wire.TypeAuth { // [MQTT-3.1.2-30]
			return hooks.Answer{Code: codeProtocol, Why: "[MQTT-3.1.2-30] packet other than AUTH during authentication"}
		}
		next, err := wire.Decode(c.version, h, body)
		if err != nil {
			code, rule := wire.ReasonOf(err)
			return hooks.Answer{Code: code, Why: rule}
		}
		c.took(n)
		answer = c.s.hooks.AuthPacket(ctx, c.hook, next)
	}
	return answer
}

// newLink is the connection as the router sees it.
func (c *Conn) newLink(pk *wire.Packet) *router.Link {
	props := &pk.Properties
	window := math.MaxUint16
	if props.ReceiveMaximum > 0 {
		window = int(props.ReceiveMaximum)
	}
	l := &router.Link{
		Out: c.out, Version: c.version, MaxPacket: int(min(props.MaximumPacketSize, math.MaxInt32)),
		Window: min(window, c.set.MaxInflight), Hook: c.hook, End: c.end, Gone: c.isGone,
	}
	if props.TopicAliasMaximum > 0 {
		l.AliasMax = min(props.TopicAliasMaximum, c.set.AliasMaximumOut)
	}
	c.link = l
	return l
}

// establish gets the session, answers CONNACK and makes the connection ready to read.
func (c *Conn) establish(ctx context.Context, pk *wire.Packet, q router.ConnectRequest, answer hooks.Answer, assigned bool) bool {
	if c.s.has.SessionEstablish {
		c.s.hooks.SessionEstablish(c.hook, pk)
	}
	keepAlive, told := c.keepAliveFor(pk)
	err := c.s.router.Connect(ctx, q, func(dst []byte, res router.ConnectResult) []byte {
		k := c.connack(pk, answer)
		k.SessionPresent = res.Present
		k.KeepAlive, k.HasKeepAlive = keepAlive, told
		if res.Expiry != q.Expiry {
			k.SessionExpiry, k.HasSessionExpiry = res.Expiry, true
		}
		if assigned {
			k.AssignedID = string(q.ID)
		}
		c.s.batchSent(wire.TypeConnack)
		was := len(dst)
		if dst = wire.AppendConnack(dst, c.version, &k); len(dst) == was {
			c.endBy(&ending{code: wire.CodePacketTooLarge, why: "CONNACK does not fit into the client's Maximum Packet Size [MQTT-3.1.2-24]"})
		}
		return dst
	})
	if err != nil {
		var refused *router.ConnectError
		if !errors.As(err, &refused) {
			return c.reject(codeUnspecified, err.Error())
		}
		return c.reject(refused.Code, refused.Why)
	}
	c.connected = true
	c.shareRates()
	c.lastRead = c.s.instant()                                   // authentication and the store may have taken their time
	c.keepAlive = time.Duration(keepAlive) * time.Second * 3 / 2 // [MQTT-3.1.2-22]
	c.s.stats.Connect(versionName(c.version))
	if c.s.has.SessionEstablished {
		c.s.hooks.SessionEstablished(c.hook, pk)
	}
	c.s.log.Debug("client connected", "client", c.hook.ID(), "remote", c.t.RemoteString(), "listener", c.t.Listener(), "version", int(c.version))
	return true
}

// connack is what CONNACK says beside the session.
func (c *Conn) connack(pk *wire.Packet, answer hooks.Answer) wire.Connack {
	set := c.set
	k := wire.Connack{
		ReceiveMaximum: uint16(min(set.ReceiveMaximum, math.MaxUint16)), MaximumQoS: set.MaximumQoS,
		RetainAvailable: set.RetainAvailable, Wildcards: set.Wildcards, SubIDs: set.SubIDs, Shared: set.Shared,
		MaxPacket: uint32(min(set.MaxPacket, math.MaxInt32)), AliasMaximum: set.AliasMaximum,
		AuthMethod: answer.Method, AuthData: answer.Data, ClientMaxPacket: c.maxPacketOut,
	}
	if pk.Properties.RequestResponseInfo == 1 { // [MQTT-3.1.2-28]
		k.ResponseInfo = set.ResponseInfo
	}
	return k
}

// keepAliveFor is the keep alive that holds, in seconds, and whether the client must
// be told: MQTT 5 has a word for it [MQTT-3.2.2-21], 3.x keeps its own.
func (c *Conn) keepAliveFor(pk *wire.Packet) (seconds uint16, told bool) {
	own := pk.Connect.Keepalive
	if c.version < 5 {
		return own, false
	}
	if k, ok := c.hook.ServerKeepAlive(); ok {
		return k, true
	}
	switch limit := c.set.MaxKeepAlive; {
	case c.set.ServerKeepAlive > 0:
		return c.set.ServerKeepAlive, true
	case limit > 0 && (own == 0 || own > limit):
		return limit, true
	}
	return own, false
}

func versionName(version byte) string {
	switch version {
	case 3:
		return "3.1"
	case 4:
		return "3.1.1"
	}
	return "5.0"
}

// newClientID makes an identifier for a client that left its own empty
// [MQTT-3.1.3-6], [MQTT-3.1.3-7]: 128 random bits.
func newClientID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "skein-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
