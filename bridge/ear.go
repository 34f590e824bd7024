package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// probe is what an ear says to itself: a subscription can be deaf while its connection
// looks alive.
const probe = "\x00"

// maxSilent is how many probes in a row may stay unheard.
const maxSilent = 2

var errDeaf = errors.New("bridge: a subscription did not hear its own probe")

// ear listens to one channel, in one goroutine.
type ear struct {
	*link
	channel string
	every   time.Duration // between probes, while nothing else is heard
	on      func(text string)
	deaf    func() // a subscription is given up

	ready chan struct{} // closed when it first listens
}

func (l *link) newEar(channel string, every time.Duration, deaf func(), on func(string)) *ear {
	return &ear{link: l, channel: channel, every: every, on: on, deaf: deaf, ready: make(chan struct{})}
}

// run listens until the context ends, however often it has to subscribe.
func (e *ear) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		heard, err := e.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			n = 0
		}
		switch {
		case errors.Is(err, errDeaf):
			e.deaf()
			e.log.Warn("a subscription was deaf and is made again", "channel", e.channel)
		case isOutage(err):
			e.out.failed("subscribe", err)
		default:
			e.complain("a channel cannot be listened to", err)
		}
		if e.out.pause(ctx, n) != nil {
			return
		}
	}
}

// listen is one subscription, until something is wrong with it.
func (e *ear) listen(ctx context.Context) (heard bool, err error) {
	var sub *goredis.PubSub
	if e.clustered {
		sub = e.client.SSubscribe(ctx, e.channel)
	} else {
		sub = e.client.Subscribe(ctx, e.channel)
	}
	end := context.AfterFunc(ctx, func() { _ = sub.Close() }) // ends a read that waits
	defer func() {
		end()
		_ = sub.Close() // it is of no more use
	}()
	for silent := 0; ; {
		got, err := sub.ReceiveTimeout(ctx, e.every)
		var late net.Error
		switch {
		case err == nil:
		case errors.As(err, &late) && late.Timeout() && heard && ctx.Err() == nil:
			if silent++; silent > maxSilent {
				return heard, errDeaf
			}
			if _, err := e.shout(ctx, e.channel, probe); err != nil {
				return heard, fmt.Errorf("probe a subscription: %w", err)
			}
			continue
		default:
			return heard, fmt.Errorf("listen to a channel: %w", err)
		}
		silent = 0
		switch got := got.(type) {
		case *goredis.Subscription:
			heard = true
			e.begun()
			e.out.answered()
		case *goredis.Message:
			if got.Payload != probe {
				e.on(got.Payload)
			}
		}
	}
}

func (e *ear) begun() {
	select {
	case <-e.ready:
	default:
		close(e.ready)
	}
}
