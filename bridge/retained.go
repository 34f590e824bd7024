package bridge

import (
	"context"
)

// retained keeps the retained messages of all instances the same.
type retained struct{ b *Bridge }

func newRetained(b *Bridge) *retained { return &retained{b} }

// start loads the shards, handing every message to in, and follows their logs.
func (r *retained) start(ctx context.Context, in Follower) error { return nil }

// Latest waits until every retained message that was set before the call, anywhere, has
// been handed to the follower.
func (b *Bridge) Latest(ctx context.Context) error { return nil }
