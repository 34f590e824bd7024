package hooks

import (
	"bytes"
	"crypto/tls"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skeinmq/skein/auth"
)

// Info is what is known of a connection when its CONNECT has been read, or of a
// session whose connection is gone.
type Info struct {
	ID           string               // client identifier; may be empty until SetID
	User         string               // user name, valid with HasUser
	Remote       string               // remote address, as logs show it; empty without a connection
	Listener     string               // name of the listener
	ListenerKind string               // tcp, tls, ws, wss, unix
	TLS          *tls.ConnectionState // nil without TLS; let go when the connection is authenticated
	Packet       *packets.Packet      // the CONNECT; nil without a connection
	Version      byte                 // protocol version: 3, 4 or 5
	HasUser      bool
}

// Client is one connection, or a session without one, as ports and hooks see it.
// It is small: what only mochi's hooks need is made when there is such a hook.
type Client struct {
	id       string
	remote   string
	listener string
	kind     string
	chain    *Chain
	identity atomic.Pointer[auth.Identity]
	subject  atomic.Pointer[subject]     // what rules see of it; made when one is first asked
	cert     *auth.Certificate           // set by an Auth before the Client is shared; nil without one
	mochi    atomic.Pointer[mqtt.Client] // see bare
	exchange *exchange                   // belongs to the connection's goroutine; nil when there is nothing to remember
	version  byte
}

var anonymous = &auth.Identity{}

// NewClient makes the Client of a connection. Until it is authenticated its
// identity is what it says it is.
func (c *Chain) NewClient(in Info) *Client {
	h := &Client{id: in.ID, remote: in.Remote, listener: in.Listener, kind: in.ListenerKind, version: in.Version, chain: c}
	h.identity.Store(anonymous)
	if in.HasUser {
		id := auth.Named(in.User, true)
		h.identity.Store(&id)
	}
	if in.TLS != nil {
		h.exchange = &exchange{tls: in.TLS}
	}
	if in.Packet != nil && c.wantsClients {
		h.mochi.Store(h.newBare(in.Packet))
	}
	return h
}

// ID is the client identifier.
func (h *Client) ID() string { return h.id }

// SetID sets the client identifier that the server assigned [MQTT-3.1.3-6]. It must
// be called before the Client is shared with other goroutines.
func (h *Client) SetID(id string) {
	h.id = id
	if cl := h.mochi.Load(); cl != nil {
		cl.ID = id
		cl.Properties.Props.AssignedClientID = id
	}
}

// Identity is who the connection acts as now.
func (h *Client) Identity() auth.Identity { return *h.identity.Load() }

// ExpiresAt is when the identity ends, in Unix nanoseconds; 0 is never.
func (h *Client) ExpiresAt() int64 { return h.identity.Load().ExpiresAt }

// SetIdentity changes who the connection acts as. Its user name must not change
// any more once the Client is shared with other goroutines.
func (h *Client) SetIdentity(id auth.Identity) {
	old := h.identity.Load()
	if id.Same(old) && id.ExpiresAt == old.ExpiresAt && id.Rules == nil && len(id.Groups) == 0 && old.Rules == nil && len(old.Groups) == 0 {
		return // nothing has changed: the common one is shared
	}
	if !id.Same(old) {
		if cl := h.mochi.Load(); cl != nil {
			cl.Properties.Username = userBytes(&id)
		}
	}
	h.identity.Store(&id)
}

// Remote is the remote address; empty for a session without a connection.
func (h *Client) Remote() string { return h.remote }

// Listener is the name of the listener that accepted the connection.
func (h *Client) Listener() string { return h.listener }

// ListenerKind is the transport: tcp, tls, ws, wss or unix.
func (h *Client) ListenerKind() string { return h.kind }

// Version is the protocol version: 3, 4 or 5.
func (h *Client) Version() byte { return h.version }

// ServerKeepAlive is the Server Keep Alive in seconds that a hook's OnConnect set
// ([MQTT-3.1.2-21]), and whether one did.
func (h *Client) ServerKeepAlive() (uint16, bool) {
	cl := h.mochi.Load()
	if cl == nil || !cl.State.ServerKeepalive {
		return 0, false
	}
	return cl.State.Keepalive, true
}

// bare is the client that mochi's hooks are shown: who it is and where it came
// from, without a connection. For a session without a connection it is made when
// the first hook needs it.
func (h *Client) bare() *mqtt.Client {
	if cl := h.mochi.Load(); cl != nil {
		return cl
	}
	cl := h.newBare(nil)
	if !h.mochi.CompareAndSwap(nil, cl) {
		return h.mochi.Load()
	}
	return cl
}

func (h *Client) newBare(pk *packets.Packet) *mqtt.Client {
	cl := h.chain.template.NewClient(nil, h.listener, h.id, false)
	cl.Net.Remote = h.remote
	cl.Properties.ProtocolVersion = h.version
	cl.Properties.Username = userBytes(h.identity.Load())
	if pk == nil {
		return cl
	}
	cl.Properties.Clean = pk.Connect.Clean
	cl.Properties.Props = pk.Properties.Copy(false)
	cl.State.Keepalive = pk.Connect.Keepalive
	if pk.Connect.WillFlag {
		cl.Properties.Will = mqtt.Will{
			Payload: bytes.Clone(pk.Connect.WillPayload), TopicName: pk.Connect.WillTopic, Flag: 1,
			User: pk.Connect.WillProperties.User, WillDelayInterval: pk.Connect.WillProperties.WillDelayInterval,
			Qos: pk.Connect.WillQos, Retain: pk.Connect.WillRetain,
		}
	}
	return cl
}

func userBytes(id *auth.Identity) []byte {
	if !id.HasUser {
		return nil
	}
	return []byte(id.User)
}
