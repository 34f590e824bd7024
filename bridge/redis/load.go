package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// Load puts the script on the server, or on all of a Cluster: for who talks to one server
// of a Cluster, where nobody sends the source.
func (s *Script) Load(ctx context.Context, c goredis.Scripter) error {
	if err := c.ScriptLoad(ctx, s.source).Err(); err != nil {
		return fmt.Errorf("redis: load script %s: %w", s.name, err)
	}
	return nil
}

// Fork is a client like this one with connections of its own. Closing it ends reads that
// wait for something: no context does, as go-redis looks at deadlines only.
func (c *Client) Fork() (*Client, error) { return New(c.set.opt) }
