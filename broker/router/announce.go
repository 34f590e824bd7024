package router

import (
	"context"

	"github.com/skeinmq/skein/broker/message"
	"github.com/skeinmq/skein/hooks/store"
)

// What a SUBSCRIBE waits for in a cluster.

// join is a subscription that the other instances are to know of.
type join struct {
	key   string
	known bool // it was there before: nobody has to be told, but the first telling may not be done
}

// holdExclusive makes the client the holder of its $exclusive filters over all
// instances. It reports false if that could not be found out.
func (r *Router) holdExclusive(l *Link, subs []*subscription, codes []byte) bool {
	if r.peers == nil {
		return true
	}
	for i, s := range subs {
		if s == nil || !s.parsed.Exclusive {
			continue
		}
		ctx, cancel := l.context()
		ok, err := r.cluster.Hold(ctx, string(s.parsed.Filter), l.client.ID)
		cancel()
		if err != nil {
			return false
		}
		if !ok {
			subs[i], codes[i] = nil, codeQuotaExceeded
		}
	}
	return true
}

// announced waits until every instance routes by the subscriptions. It reports false
// when the connection is to end.
func (r *Router) announced(l *Link, box message.MailboxID, list []join) bool {
	if r.peers == nil || len(list) == 0 {
		return true
	}
	keys := make([]string, len(list))
	var again []string
	for i, j := range list {
		keys[i] = j.key
		if j.known {
			again = append(again, j.key)
		}
	}
	w := make(commitWait, 1)
	r.cluster.Join(box, keys, w)
	if len(again) > 0 {
		r.cluster.Leave(box, again) // they count once
	}
	l.client.mu.Lock()
	l.client.announceOnlineLocked()
	l.client.mu.Unlock()
	select {
	case err := <-w:
		return err == nil
	case <-l.gone():
		return false
	}
}

// upToDate waits until every retained message that was set before is known here, and
// starts the walks then: what is set later comes live.
func (r *Router) upToDate(l *Link, walks []*cursor) bool {
	if r.peers == nil || len(walks) == 0 {
		return true
	}
	ctx, cancel := l.context()
	defer cancel()
	if err := r.cluster.Latest(ctx); err != nil {
		return false
	}
	now := r.now().UnixNano()
	r.retained.mu.RLock()
	defer r.retained.mu.RUnlock()
	for _, cu := range walks {
		cu.version, cu.since = r.retained.version, now
	}
	return true
}

// context ends with the connection.
func (l *Link) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	gone := l.gone()
	if gone == nil {
		return ctx, cancel
	}
	stop := make(chan struct{})
	go func() { // ends with cancel
		select {
		case <-gone:
			cancel()
		case <-stop:
		}
	}()
	return ctx, func() { close(stop); cancel() }
}

// stillOurs asks the store whether a session's records are this process's. It waits for
// the answer until the router closes. Of a node alone they always are.
func (r *Router) stillOurs(c *Client) bool {
	return r.peers == nil || r.answered(r.askOwner(c))
}

// askOwner is the question of stillOurs. A session that nobody else was told of is.
func (r *Router) askOwner(c *Client) commitWait {
	w := make(commitWait, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unclaimed {
		w <- nil
		return w
	}
	r.store.Commit(c.batchLocked([]store.Op{touch}), w)
	return w
}

// answered waits for the answer.
func (r *Router) answered(w commitWait) bool {
	select {
	case err := <-w:
		return err == nil
	case <-r.pager.quit:
		return false
	}
}
