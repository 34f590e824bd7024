package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/skeinmq/skein/bridge/redis"
)

// Users are users in a Redis, a hash each. Package auth asks it as one of its sources.
type Users struct {
	client *redis.Client
	key    string
	fields []string
	bad    error
}

// NewUsers makes the lookup. In key, %u stands for the user name; fields are those that
// are read of a hash, whatever else is in it. bad is wrapped by errors that are about one
// user's key and no outage. The client is closed with it.
func NewUsers(client *redis.Client, key string, fields []string, bad error) *Users {
	return &Users{client: client, key: key, fields: fields, bad: bad}
}

// Lookup returns the fields of a user that are there; none is that there is no such
// user. It sends one command.
func (u *Users) Lookup(ctx context.Context, user string) (map[string]string, error) {
	values, err := u.client.HMGet(ctx, strings.ReplaceAll(u.key, "%u", user), u.fields...).Result()
	switch {
	case err == nil:
	case redis.IsUnavailable(err):
		return nil, fmt.Errorf("redis: %s: %w", redis.Classify(err), err)
	default: // a key of another type
		return nil, fmt.Errorf("%w: redis: %w", u.bad, err)
	}
	if len(values) != len(u.fields) {
		return nil, errors.New("redis: the answer has another number of fields")
	}
	var found map[string]string
	for i, v := range values {
		s, ok := v.(string)
		if !ok {
			continue // it has no such field
		}
		if found == nil {
			found = make(map[string]string, len(values))
		}
		found[u.fields[i]] = s
	}
	return found, nil
}

// Close closes the connections.
func (u *Users) Close() error {
	if err := u.client.Close(); err != nil {
		return fmt.Errorf("redis: close: %w", err)
	}
	return nil
}
