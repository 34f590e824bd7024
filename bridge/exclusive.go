package bridge

import (
	"context"

	"github.com/skeinmq/skein/broker/message"
)

// holds keeps who holds an $exclusive filter.
type holds struct{ b *Bridge }

func newHolds(b *Bridge) *holds { return &holds{b} }

// Hold makes id the holder of filter and reports false if another client is.
func (b *Bridge) Hold(ctx context.Context, filter string, id message.ClientID) (bool, error) {
	return false, nil
}

// Let gives the filter free if id holds it.
func (b *Bridge) Let(filter string, id message.ClientID) {}
