package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

const (
	apiToken    = "0123456789abcdefghij"
	apiRequests = 20              // of each kind
	apiHold     = 2 * time.Minute // at most: it ends when everything was asked
	apiMost     = 100 * time.Millisecond
	apiShare    = 2 // percent of a core, of one who looks
)

// apiPaths are what a dashboard asks for: the figures, a page of clients, a search, the
// slowest subscribers, and Prometheus' scrape.
var apiPaths = []string{
	"/api/v1/stats", "/api/v1/nodes", "/api/v1/clients?limit=100", "/api/v1/clients?limit=1000&after=bench-5", "/api/v1/clients?search=999",
	"/api/v1/clients?sort=queued&limit=20", "/api/v1/refusals", "/metrics",
}

// apiRow is the dashboard of a node with many clients.
func apiRow() row {
	const clients = 15_000
	return row{
		name: fmt.Sprintf("-s idle -n %d, requests of a dashboard", clients), scheme: "tcp",
		own: func(ctx context.Context, b *benchmark) (load.Report, stored, error) {
			return b.lookAt(ctx, clients)
		},
		judge: func(m *measured) []finding { return []finding{m.requestWithin(apiMost), m.watchWithin(apiShare)} },
	}
}

// lookAt measures requests to a broker while clients are connected.
func (b *benchmark) lookAt(ctx context.Context, clients int) (rep load.Report, s stored, err error) {
	dir, err := os.MkdirTemp(b.dir, "api")
	if err != nil {
		return rep, s, err
	}
	free, err := ports("tcp", "http")
	if err != nil {
		return rep, s, err
	}
	file := filepath.Join(dir, "config.yaml")
	conf := fmt.Sprintf("listeners: [{url: 'tcp://%s'}]\nhttp: {address: '%s', tokens: [{name: bench, scope: read, secret: %s}]}\n", free["tcp"], free["http"], apiToken)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return rep, s, err
	}
	e, err := start(ctx, free, b.binary, "serve", "--config", file, "--data", filepath.Join(dir, "data"))
	if err != nil {
		return rep, s, err
	}
	o := load.Defaults()
	o.Scenario, o.Clients, o.Prefix, o.Label, o.Duration = load.Idle, clients, "bench-", b.skein.name, apiHold
	o.Addresses, o.PIDs = []string{e.addresses["tcp"]}, e.pids
	b.note("connecting %d clients", clients)
	driving, cancel := context.WithCancel(ctx)
	driven := make(chan error, 1) // never full: one value is sent
	go func() {
		var err error
		rep.Median, err = runDriver(driving, o)
		driven <- err
	}()
	base := "http://" + free["http"]
	err = connected(ctx, base, clients, driven)
	if err == nil {
		b.note("asking")
		s.request, err = slowest(ctx, base)
	}
	if err == nil {
		b.note("looking on")
		s.watch, err = watched(ctx, base, e.pids[0])
	}
	cancel()
	<-driven //nolint:errcheck // it was told to end, and says so
	return rep, s, errors.Join(err, e.stop())
}

// connected polls until all clients are.
func connected(ctx context.Context, base string, clients int, driven chan error) error {
	beat := time.NewTicker(pollEvery)
	defer beat.Stop()
	for {
		var v struct {
			Connections int `json:"connections"`
		}
		if b, err := request(ctx, base+"/api/v1/stats"); err == nil && json.Unmarshal(b, &v) == nil && v.Connections >= clients {
			return nil
		}
		select {
		case <-beat.C:
		case err := <-driven:
			driven <- err // for who waits for its end
			return errors.Join(errors.New("the clients left before all were connected"), err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// slowest is the longest time of a request.
func slowest(ctx context.Context, base string) (most time.Duration, err error) {
	for range apiRequests {
		for _, path := range apiPaths {
			from := time.Now()
			if _, err := request(ctx, base+path); err != nil {
				return 0, err
			}
			most = max(most, time.Since(from))
		}
	}
	return most, nil
}

func request(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+apiToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, b)
	}
	return b, err
}

func (m *measured) requestWithin(most time.Duration) finding {
	s := m.stored.request
	return finding{figure: "slowest request", skein: s.Round(100 * time.Microsecond).String(), required: "< " + most.String(), ok: s > 0 && s < most}
}
