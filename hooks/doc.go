// Package hooks is where others have a say: first our own ports ([Authenticator],
// [Authorizer]), then any number of hooks made for mochi (mqtt.Hook), asked in the
// order in which they were added. It is the only package that knows mochi's hooks:
// router and conn speak of messages, packets, strings and reason codes, and all
// conversions are here.
//
// # Guarantees
//
//   - What nobody provides costs nothing. Which hook provides which event is worked
//     out once, in [New], after its Init; [Chain.Has] says so.
//   - Access can only be narrowed: a connection is let in, and a request allowed, when
//     our port says yes and every hook that provides the event does too. (mochi asks
//     until the first yes.)
//   - A message that a hook rejects is rejected in every version and at every QoS.
//   - A hook that panics does not take the node down, nor does a port. The panic is
//     logged with the hook, the event and the stack (the 1st, 2nd, 4th, 8th... time).
//     Where an answer was expected it counts as the refusal: of the connection (0x80
//     from OnConnect, 0x86 from OnConnectAuthenticate), of the request, of all filters
//     of a SUBSCRIBE or UNSUBSCRIBE (0x80), of the publish (0x80), of the will (it is
//     not sent). Elsewhere the next hook is asked.
//   - A [message.Message] stays immutable: hooks see copies, which they may keep and
//     write into; what they change comes back as a new message.
//
// [Auth] is both of our ports over package auth; what it decides by is swapped whole.
//
// # Events that are offered
//
// Each when its name says, with a client that has an identity, remote address,
// listener and the properties of CONNECT:
//
//   - OnStarted, OnStopped.
//   - OnConnect: an error that is a packets.Code is the code of CONNACK, if CONNACK can
//     carry it (those of 3.1.1 are translated); any other is 0x80. It may set
//     State.Keepalive and State.ServerKeepalive, see [Client.ServerKeepAlive].
//   - OnConnectAuthenticate: a no is 0x86. The user name in the client is the one that
//     our Authenticator found, the packet is the CONNECT as it came.
//   - OnAuthPacket: gets AUTH packets when our Authenticator knows no Authentication
//     Method, as without users who have one.
//     Connections may then use any Authentication Method. The packet that the last hook
//     returns is sent to the client: 0x00 or 0x18 with its Authentication Data. An
//     error ends the connection. There is no exchange before CONNACK.
//   - OnACLCheck: write is true for a publish (a will too), false for a subscription
//     and for a delivery. Filters come without $share/group/. Its answers
//     are never cached.
//   - OnSessionEstablish, OnSessionEstablished, OnDisconnect, OnClientExpired.
//   - OnSubscribe, OnUnsubscribe: may change filters and their options, not their
//     number: SUBACK answers each that was sent. OnSubscribed, OnUnsubscribed.
//   - OnPublish: may change topic, payload, retain, expiry and the properties that
//     travel on. packets.CodeSuccessIgnore drops the message and acknowledges it. See
//     [Chain.Publish]. OnPublished, OnPublishDropped (with the subscriber).
//   - OnWill, when the will is to be sent, after its delay: an error means that it is
//     not sent. OnWillSent.
//
// # Events that are not offered
//
// A hook that provides one of these is refused by [New], by name, unless
// Options.AllowUnusedEvents is set; it then waits for them in vain.
//
//   - StoredClients, StoredSubscriptions, StoredInflightMessages,
//     StoredRetainedMessages, StoredSysInfo, OnQosPublish, OnQosComplete,
//     OnQosDropped, OnRetainMessage, OnRetainPublished, OnRetainedExpired: storage
//     is package hooks/store, whose commits decide about acknowledgements; these have
//     no way to say that something was stored.
//   - OnSelectSubscribers: matches are cached per connection, there is no set of
//     subscribers per message to choose from.
//   - OnPacketRead, OnPacketEncode, OnPacketSent, OnPacketProcessed: most packets are
//     never a packets.Packet here, and would have to become one only for this.
//   - OnPacketIDExhausted: it does not happen, the window is smaller.
//   - OnSysInfoTick: counters are in package stats.
//
// # The client that hooks are shown
//
// It has no connection: Net.Conn is nil, packets written to it go nowhere, Stop does
// not end it, and changes to it have no effect but the keep alive above. Its
// subscriptions and messages in flight are empty. It is made only when there is a
// hook that wants it.
//
// # Who waits
//
// There is no goroutine between caller and hook, and no deadline: whoever calls a
// method of [Chain] waits until all hooks have answered. OnConnect,
// OnConnectAuthenticate, OnPublish, OnSubscribe and the like hold up the one
// connection they are about, whose goroutine calls them; OnACLCheck of a delivery
// holds up whoever delivers. A caller should hold no lock that another client needs.
//
// The only goroutine is the one that [Chain.Close] starts to stop the hooks. It ends
// with the last of them; when one hangs, Close goes on without it at its deadline.
//
// The package must not import any other of this module but auth and broker/message.
package hooks
