package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/skeinmq/skein/broker/message"
)

var (
	stepHold = step("exclusive_hold")
	stepLet  = step("exclusive_let")
)

// holds keeps who holds an $exclusive filter.
type holds struct {
	*link

	mu      sync.Mutex
	letting map[string][]letting // what is given free, in order; a goroutine for each filter
}

type letting struct {
	id   message.ClientID
	done chan struct{}
}

func newHolds(l *link) *holds { return &holds{link: l, letting: map[string][]letting{}} }

// Hold makes id the holder of filter and reports false if another client is. A holder of
// whom no record is left, as when its process died, is none.
func (h *holds) Hold(ctx context.Context, filter string, id message.ClientID) (bool, error) {
	if err := h.settled(ctx, filter); err != nil {
		return false, err
	}
	key := h.keys.exclusive(filter)
	for {
		v, err := h.step(ctx, stepHold, []string{key}, string(id))
		if err != nil {
			return false, fmt.Errorf("hold an exclusive filter: %w", err)
		}
		holder, other := v.(string)
		if !other {
			return true, nil
		}
		there, err := h.exists(ctx, message.ClientID(holder))
		if err != nil || there {
			return false, err
		}
		if _, err := h.step(ctx, stepLet, []string{key}, holder); err != nil {
			return false, fmt.Errorf("take an exclusive filter over: %w", err)
		}
	}
}

// exists reports whether a client id is in use, anywhere.
func (h *holds) exists(ctx context.Context, id message.ClientID) (there bool, err error) {
	err = h.retry(ctx, "look for a holder", func(ctx context.Context) error {
		there = true
		err := h.client.HGet(ctx, h.keys.session(id)+sessionHead, fieldOwner).Err()
		if errors.Is(err, goredis.Nil) {
			there = false
			return nil
		}
		return err //nolint:wrapcheck // retry says what was attempted
	})
	return there, err
}

// Let gives the filter free if id holds it; a Hold after it waits for that.
func (h *holds) Let(filter string, id message.ClientID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list, running := h.letting[filter]
	h.letting[filter] = append(list, letting{id, make(chan struct{})})
	if !running && !h.spawn(func(ctx context.Context) { h.let(ctx, filter) }) {
		delete(h.letting, filter) // at the end a holder's session tells whether it still is
	}
}

func (h *holds) let(ctx context.Context, filter string) {
	for {
		h.mu.Lock()
		list := h.letting[filter]
		if len(list) == 0 {
			delete(h.letting, filter)
			h.mu.Unlock()
			return
		}
		l := list[0]
		h.mu.Unlock()
		if _, err := h.step(ctx, stepLet, []string{h.keys.exclusive(filter)}, string(l.id)); err != nil && ctx.Err() == nil {
			h.log.Error("exclusive filter could not be given free", "filter", filter, "error", err)
		}
		close(l.done)
		h.mu.Lock()
		h.letting[filter] = h.letting[filter][1:]
		h.mu.Unlock()
	}
}

// settled waits for what is being given free.
func (h *holds) settled(ctx context.Context, filter string) error {
	h.mu.Lock()
	list := h.letting[filter]
	h.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	select {
	case <-list[len(list)-1].done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hold an exclusive filter: %w", context.Cause(ctx))
	}
}
