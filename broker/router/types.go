package router

import (
	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// What a connection hands to the router, so that it need not know whose types they
// are.
type (
	// ClientID is an MQTT client identifier.
	ClientID = message.ClientID
	// PacketID is an MQTT packet identifier.
	PacketID = message.PacketID
	// Message is a published message.
	Message = message.Message
	// Will is a will message with all its properties.
	Will = store.Will
	// Session is a session's head.
	Session = store.Session
	// Subscription is one subscription as the client asked for it.
	Subscription = store.Subscription
)
