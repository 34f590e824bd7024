package hooks

import (
	"fmt"
	"slices"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// event is a number of mochi's: mqtt.OnConnect and so on.
type event = byte

// lastEvent is the highest number that mochi asks hooks about.
const lastEvent = mqtt.StoredSysInfo

// names are the events that mochi has, as its Hook interface spells them.
var names = [lastEvent + 1]string{
	mqtt.OnSysInfoTick:          "OnSysInfoTick",
	mqtt.OnStarted:              "OnStarted",
	mqtt.OnStopped:              "OnStopped",
	mqtt.OnConnectAuthenticate:  "OnConnectAuthenticate",
	mqtt.OnACLCheck:             "OnACLCheck",
	mqtt.OnConnect:              "OnConnect",
	mqtt.OnSessionEstablish:     "OnSessionEstablish",
	mqtt.OnSessionEstablished:   "OnSessionEstablished",
	mqtt.OnDisconnect:           "OnDisconnect",
	mqtt.OnAuthPacket:           "OnAuthPacket",
	mqtt.OnPacketRead:           "OnPacketRead",
	mqtt.OnPacketEncode:         "OnPacketEncode",
	mqtt.OnPacketSent:           "OnPacketSent",
	mqtt.OnPacketProcessed:      "OnPacketProcessed",
	mqtt.OnSubscribe:            "OnSubscribe",
	mqtt.OnSubscribed:           "OnSubscribed",
	mqtt.OnSelectSubscribers:    "OnSelectSubscribers",
	mqtt.OnUnsubscribe:          "OnUnsubscribe",
	mqtt.OnUnsubscribed:         "OnUnsubscribed",
	mqtt.OnPublish:              "OnPublish",
	mqtt.OnPublished:            "OnPublished",
	mqtt.OnPublishDropped:       "OnPublishDropped",
	mqtt.OnRetainMessage:        "OnRetainMessage",
	mqtt.OnRetainPublished:      "OnRetainPublished",
	mqtt.OnQosPublish:           "OnQosPublish",
	mqtt.OnQosComplete:          "OnQosComplete",
	mqtt.OnQosDropped:           "OnQosDropped",
	mqtt.OnPacketIDExhausted:    "OnPacketIDExhausted",
	mqtt.OnWill:                 "OnWill",
	mqtt.OnWillSent:             "OnWillSent",
	mqtt.OnClientExpired:        "OnClientExpired",
	mqtt.OnRetainedExpired:      "OnRetainedExpired",
	mqtt.StoredClients:          "StoredClients",
	mqtt.StoredSubscriptions:    "StoredSubscriptions",
	mqtt.StoredInflightMessages: "StoredInflightMessages",
	mqtt.StoredRetainedMessages: "StoredRetainedMessages",
	mqtt.StoredSysInfo:          "StoredSysInfo",
}

// offered are the events that the chain calls.
var offered = []event{
	mqtt.OnStarted, mqtt.OnStopped,
	mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnAuthPacket, mqtt.OnACLCheck,
	mqtt.OnSessionEstablish, mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnClientExpired,
	mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnUnsubscribe, mqtt.OnUnsubscribed,
	mqtt.OnPublish, mqtt.OnPublished, mqtt.OnPublishDropped, mqtt.OnWill, mqtt.OnWillSent,
}

// Has says which events somebody provides. What nobody provides is not called, and
// the caller need not prepare it.
type Has struct {
	Connect            bool
	Authenticate       bool // an OnConnectAuthenticate; our own Authenticator is always asked
	AuthPacket         bool // an OnAuthPacket
	ACL                bool // anybody who may refuse: an Authorizer other than AllowAll, or an OnACLCheck
	SessionEstablish   bool
	SessionEstablished bool
	Disconnect         bool
	ClientExpired      bool
	Subscribe          bool
	Subscribed         bool
	Unsubscribe        bool
	Unsubscribed       bool
	Publish            bool
	Published          bool
	PublishDropped     bool
	Will               bool
	WillSent           bool
}

// hasOf works out Has from who provides what.
func hasOf(on *[lastEvent + 1][]*hook) Has {
	is := func(e event) bool { return len(on[e]) > 0 }
	return Has{
		Connect: is(mqtt.OnConnect), Authenticate: is(mqtt.OnConnectAuthenticate), AuthPacket: is(mqtt.OnAuthPacket), ACL: is(mqtt.OnACLCheck),
		SessionEstablish: is(mqtt.OnSessionEstablish), SessionEstablished: is(mqtt.OnSessionEstablished),
		Disconnect: is(mqtt.OnDisconnect), ClientExpired: is(mqtt.OnClientExpired),
		Subscribe: is(mqtt.OnSubscribe), Subscribed: is(mqtt.OnSubscribed),
		Unsubscribe: is(mqtt.OnUnsubscribe), Unsubscribed: is(mqtt.OnUnsubscribed),
		Publish: is(mqtt.OnPublish), Published: is(mqtt.OnPublished), PublishDropped: is(mqtt.OnPublishDropped),
		Will: is(mqtt.OnWill), WillSent: is(mqtt.OnWillSent),
	}
}

// enter notes the events that h provides. An event that the chain does not call is
// an error, unless unused events are allowed: a hook that waits for it would be
// silently without its work.
func enter(on *[lastEvent + 1][]*hook, h *hook, allowUnused bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("hook %q: Provides panicked: %v", h.id, r)
		}
	}()
	var unused []string
	for e := mqtt.OnSysInfoTick; e <= lastEvent; e++ {
		if !h.Provides(e) {
			continue
		}
		if slices.Contains(offered, e) {
			on[e] = append(on[e], h)
		} else {
			unused = append(unused, names[e])
		}
	}
	if len(unused) > 0 && !allowUnused {
		return fmt.Errorf("hook %q provides events that are not offered: %s", h.id, strings.Join(unused, ", "))
	}
	return nil
}
