package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

// askWithin bounds a question to Redis.
const askWithin = 5 * time.Second

// maxInfo is more than Redis has to say of its commands, in bytes.
const maxInfo = 1 << 20

// commandCalls is how many commands a Redis has carried out, those inside of scripts
// included.
func commandCalls(ctx context.Context, address string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, fmt.Errorf("asking Redis: %w", err)
	}
	defer func() { _ = c.Close() }() // it was asked
	late, _ := ctx.Deadline()
	_ = c.SetDeadline(late) // the exchange says it
	if _, err := io.WriteString(c, "INFO commandstats\r\n"); err != nil {
		return 0, fmt.Errorf("asking Redis: %w", err)
	}
	text, err := readBulk(bufio.NewReader(c))
	if err != nil {
		return 0, fmt.Errorf("asking Redis for its commands: %w", err)
	}
	return sumCalls(text)
}

// readBulk reads a bulk string of the Redis protocol.
func readBulk(r *bufio.Reader) (string, error) {
	head, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	size, ok := strings.CutPrefix(strings.TrimSpace(head), "$")
	n, err := strconv.Atoi(size)
	if !ok || err != nil || n < 0 || n > maxInfo {
		return "", fmt.Errorf("%q is no text", strings.TrimSpace(head))
	}
	text := make([]byte, n)
	_, err = io.ReadFull(r, text)
	return string(text), err
}

// sumCalls adds up the calls of a commandstats section.
func sumCalls(info string) (int64, error) {
	if !strings.HasPrefix(info, "# Commandstats") {
		return 0, errors.New("commands of Redis: it does not tell them")
	}
	var sum int64
	for line := range strings.Lines(info) {
		if !strings.HasPrefix(line, "cmdstat_") {
			continue
		}
		_, stats, _ := strings.Cut(line, ":")
		calls, ok := strings.CutPrefix(strings.Split(strings.TrimSpace(stats), ",")[0], "calls=")
		n, err := strconv.ParseInt(calls, 10, 64)
		if !ok || err != nil {
			return 0, fmt.Errorf("commands of Redis: %q has no calls", strings.TrimSpace(line))
		}
		sum += n
	}
	return sum, nil
}

// redisUse is what the runs of a row cost Redis, in commands; nothing where there is none.
type redisUse struct {
	redis  string
	values []float64 // a run each
}

func (m *redisUse) add(v float64) { m.values = append(m.values, v) }

// perMessage does a run and counts what a message costs, from before the first client
// connects until the last has left.
func (m *redisUse) perMessage(ctx context.Context, do func() (load.Result, error)) (load.Result, error) {
	if m.redis == "" {
		return do()
	}
	from, err := commandCalls(ctx, m.redis)
	if err != nil {
		return load.Result{}, err
	}
	res, err := do()
	if err != nil {
		return res, err
	}
	to, err := commandCalls(ctx, m.redis)
	if err == nil && res.Delivered > 0 {
		m.add(float64(to-from) / float64(res.Delivered))
	}
	return res, err
}

// median is nil when there is none.
func (m *redisUse) median() *float64 {
	v := slices.Sorted(slices.Values(m.values))
	if len(v) == 0 {
		return nil
	}
	return &v[len(v)/2]
}

// restCommands counts the commands of a Redis whose broker's clients rest.
type restCommands struct {
	redis string

	mu    sync.Mutex // guards what is below
	asked int64
	from  atCalls
	to    atCalls
	err   error
}

// atCalls is how many commands there were at a time.
type atCalls struct {
	at    time.Time
	calls int64
}

// progress looks while the driver measures: all are connected then, and have settled.
func (m *restCommands) progress(ctx context.Context, p load.Progress) {
	if p.Phase != "measuring" || m.redis == "" {
		return
	}
	calls, err := commandCalls(ctx, m.redis)
	m.seen(atCalls{time.Now(), calls}, err)
}

func (m *restCommands) seen(now atCalls, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
		m.err = err
	case m.asked == 0:
		m.from, m.asked = now, 1
	default:
		m.to = now
		m.asked++
	}
}

// rate is commands a second, without the questions.
func (m *restCommands) rate() (perSecond float64, known bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked < 2 {
		return 0, false, m.err
	}
	calls := m.to.calls - m.from.calls - (m.asked - 1)
	return float64(calls) / m.to.at.Sub(m.from.at).Seconds(), m.err == nil, m.err
}
