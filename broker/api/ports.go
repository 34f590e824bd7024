package api

import (
	"context"
	"net/http"
	"time"

	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/broker/router"
	"github.com/skeinmq/skein/broker/topic"
)

// Sessions are the sessions of this node, to look at. [router.Router] has them.
type Sessions interface {
	Clients(q router.ClientQuery) ([]*router.ClientInfo, bool)
	Client(id router.ClientID) (router.ClientInfo, bool)
	Subscriptions(id router.ClientID, after string, limit int) (list []router.Subscription, more, ok bool)
	Queue(ctx context.Context, id router.ClientID, n int) (list []router.Held, more, ok bool, err error)
	Inflight(ctx context.Context, id router.ClientID, n int) (list []router.Held, more, ok bool, err error)
}

// Topics are the topics that this node knows.
type Topics interface {
	Subscribers(name string, limit int) ([]router.Subscriber, bool)
	RetainedPage(f topic.Filter, after string, limit int) ([]*router.Message, bool)
	RetainedMessage(name string) *router.Message
	Levels(parent, after string, limit int) ([]router.Level, string)
}

// Operator acts on sessions, and for those without an MQTT connection.
type Operator interface {
	Kick(id router.ClientID, why string) bool
	Remove(ctx context.Context, id router.ClientID, why string) (bool, error)
	NewSender(id router.Identity) *router.Sender
	OpenStream(ctx context.Context, q router.StreamRequest) (*router.Stream, router.StreamStart, error)
}

// Router is all of that.
type Router interface {
	Sessions
	Topics
	Operator
}

// Health says whether clients may be sent to this node. It answers at once.
type Health interface {
	Ready() (ok bool, why string)
}

// Ready is a Health that is always fine.
type Ready struct{}

// Ready implements Health.
func (Ready) Ready() (bool, string) { return true, "" }

// The phases of a drain.
const (
	DrainNone          = "none"
	DrainWaiting       = "waiting" // not ready, for `drain_delay`
	DrainDisconnecting = "disconnecting"
	DrainDone          = "done" // nobody is connected and nobody may connect
)

// Drainer sends all clients away. Drain and Undrain do not wait.
type Drainer interface {
	Drain()
	Undrain()
	DrainPhase() (phase string, clients int)
}

// Bans keep clients out. An error is about what was asked for.
type Bans interface {
	List() []v1.Ban
	// Add answers how many clients were disconnected because of it.
	Add(b v1.Ban) (int, error)
	// Remove reports whether there was such a ban that may be lifted here.
	Remove(kind, value string) (bool, error)
}

// Reload reads the configuration again and puts it into force, or changes nothing. It
// answers the paths that need a restart.
type Reload func(ctx context.Context) ([]string, error)

// Cluster is the other nodes.
type Cluster interface {
	// Peers are their names, sorted, without this node's.
	Peers() []string
	// Ask sends a request, which is one to this listener, to a peer's and answers what
	// it says. The answer's body must be closed.
	Ask(ctx context.Context, peer string, r *http.Request) (*http.Response, error)
	// Mailboxes are those that this node owns.
	Mailboxes() []v1.Mailbox
}

// Alone is the Cluster of a node without others.
type Alone struct{}

// Peers implements Cluster.
func (Alone) Peers() []string { return nil }

// Ask implements Cluster; there is nobody to ask.
func (Alone) Ask(context.Context, string, *http.Request) (*http.Response, error) {
	return nil, errNoPeer
}

// Mailboxes implements Cluster.
func (Alone) Mailboxes() []v1.Mailbox { return nil }

// Info is what does not change about a node.
type Info struct {
	Node    string // its name
	Version string
	Started time.Time
}
