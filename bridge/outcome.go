package bridge

import (
	"errors"
	"fmt"
	"strings"

	"github.com/skeinmq/skein/hooks/store"
)

var errAnswer = errors.New("bridge: a step answered what it does not know")

// outcomes gives the parts of a step what it answered. Its error is an outage that kept
// parts from being written.
func outcomes(encs []*enc, v any) error {
	list, ok := v.([]any)
	if !ok || len(list)%2 != 0 {
		return errAnswer
	}
	var away error
	refused := map[int]error{}
	for i := 0; i < len(list); i += 2 {
		n, ok := list[i].(int64)
		if !ok || n < 1 || n > int64(len(encs)) {
			return errAnswer
		}
		err := refusal(list[i+1], encs[n-1].key)
		if isOutage(err) {
			away = err
		}
		refused[int(n-1)] = err
	}
	for i, e := range encs {
		e.done(refused[i])
	}
	return away
}

// done notes what became of an enc. A part is done when all of its encs are.
func (e *enc) done(err error) {
	p := e.of
	switch {
	case isOutage(err):
		return
	case err != nil && p.err == nil:
		p.err = err
	}
	switch {
	case p.state == stateHalf || p.err != nil:
		p.state = stateDone
	default:
		p.wrote++
		if p.wrote < len(p.first) {
			return
		}
		p.state = stateDone
		if p.after != nil {
			p.state = stateHalf
		}
	}
}

// refusal is what a step says of a part.
func refusal(v any, key string) error {
	switch v := v.(type) {
	case int64:
		if v == 2 {
			return store.ErrNotFound
		}
		return store.ErrFenced
	case string:
		text := strings.TrimPrefix(v, "ERR ")
		if strings.HasPrefix(text, "ACL failure") || strings.Contains(text, "can't run this command") || strings.HasPrefix(text, "NOPERM") {
			return errNoRight
		}
		return damaged(key, fmt.Errorf("%w: %s", ErrRecord, text))
	}
	return errAnswer
}

// errNoRight is an outage, for an operator to end.
var errNoRight error = noRight{}

type noRight struct{}

// Error begins as the answers of Redis do.
func (noRight) Error() string { return "NOPERM the user of Redis may not do what a step does" }

// RedisError makes it an answer for package redis.
func (noRight) RedisError() {}
