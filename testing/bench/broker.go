package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Times a broker has.
const (
	startWithin = 15 * time.Second
	stopWithin  = 15 * time.Second
	pollEvery   = 10 * time.Millisecond
)

// endpoint is where a broker that runs can be driven: an address for each scheme.
type endpoint struct {
	addresses map[string]string
	pids      []int
	stop      func() error
}

// side starts one of the brokers that are compared.
type side struct {
	name  string
	start func(ctx context.Context) (*endpoint, error)
}

// ports are free ones of 127.0.0.1 for the schemes, as host:port.
func ports(schemes ...string) (map[string]string, error) {
	free := make(map[string]string)
	for _, s := range schemes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Closed at the end, so that no port is drawn twice.
		defer func() { _ = l.Close() }() // the broker says when it cannot have it
		free[s] = l.Addr().String()
	}
	return free, nil
}

// skeinSide is Skein with its default settings, but for where it listens and keeps its data.
// extra is more of its configuration.
func skeinSide(dir, binary, cert, key, extra string) side {
	return side{name: "skein", start: func(ctx context.Context) (*endpoint, error) {
		free, err := ports("tcp", "ws", "ssl")
		if err != nil {
			return nil, err
		}
		own, err := os.MkdirTemp(dir, "skein")
		if err != nil {
			return nil, err
		}
		conf := fmt.Sprintf("listeners:\n  - url: tcp://%s\n  - url: ws://%s/mqtt\n  - url: ssl://%s\n    tls: {cert: %q, key: %q}\n",
			free["tcp"], free["ws"], free["ssl"], cert, key) + extra
		file := filepath.Join(own, "config.yaml")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			return nil, err
		}
		return start(ctx, free, binary, "serve", "--config", file, "--data", filepath.Join(own, "data"))
	}}
}

// mosquittoConf is mosquitto without its limits and its log.
const mosquittoConf = `max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
persistence false
log_type error
allow_anonymous true
listener %s 127.0.0.1
listener %s 127.0.0.1
protocol websockets
listener %s 127.0.0.1
certfile %s
keyfile %s
`

func mosquittoSide(dir, binary, cert, key string) side {
	return side{name: "mosquitto", start: func(ctx context.Context) (*endpoint, error) {
		free, err := ports("tcp", "ws", "ssl")
		if err != nil {
			return nil, err
		}
		conf := fmt.Sprintf(mosquittoConf, port(free["tcp"]), port(free["ws"]), port(free["ssl"]), cert, key)
		file := filepath.Join(dir, "mosquitto.conf")
		if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
			return nil, err
		}
		// It does not raise its limit of descriptors by itself.
		return start(ctx, free, "sh", "-c", `ulimit -n $(ulimit -Hn); exec "$0" "$@"`, binary, "-c", file)
	}}
}

func port(address string) string {
	_, p, _ := strings.Cut(address, ":")
	return p
}

// runningSide is a broker that somebody else has started.
func runningSide(r running) side {
	return side{name: r.name, start: func(context.Context) (*endpoint, error) {
		return &endpoint{addresses: map[string]string{"tcp": r.address}, pids: r.pids, stop: func() error { return nil }}, nil
	}}
}

// running is a broker that runs already.
type running struct {
	name, address string
	pids          []int
}

func parseRunning(s string) (running, error) {
	name, rest, ok := strings.Cut(s, "=")
	address, pids, _ := strings.Cut(rest, ",")
	if !ok || name == "" || address == "" {
		return running{}, fmt.Errorf("-broker: %q is not name=address[,pid]", s)
	}
	r := running{name: name, address: address}
	for p := range strings.SplitSeq(pids, ",") {
		if p == "" {
			continue
		}
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 {
			return r, fmt.Errorf("-broker: %q is not a process id", p)
		}
		r.pids = append(r.pids, n)
	}
	return r, nil
}

// start runs a broker and waits until all its addresses answer. Its one goroutine ends
// with the process.
func start(ctx context.Context, addresses map[string]string, name string, args ...string) (*endpoint, error) {
	var log tail
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a broker: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // why it ended is in what it said
		close(ended)
	}()
	stop := func() error { return stopProcess(cmd.Process, ended) }
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	urls := make(map[string]string)
	for scheme, address := range addresses {
		if err := answers(ctx, address, ended); err != nil {
			return nil, errors.Join(fmt.Errorf("%s does not answer on %s: %w\n%s", name, address, err, log.String()), stop())
		}
		urls[scheme] = scheme + "://" + address
	}
	if urls["ws"] != "" {
		urls["ws"] += "/mqtt"
	}
	return &endpoint{addresses: urls, pids: []int{cmd.Process.Pid}, stop: stop}, nil
}

// answers polls until somebody accepts connections.
func answers(ctx context.Context, address string, ended <-chan struct{}) error {
	beat := time.NewTicker(pollEvery)
	defer beat.Stop()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-beat.C:
		case <-ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		}
	}
}

// stopProcess asks a process to end, and ends it when it does not.
func stopProcess(p *os.Process, ended <-chan struct{}) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = p.Kill() // there are no signals here
	}
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case <-ended:
		return nil
	case <-late.C:
		_ = p.Kill() // it has ended in between
		<-ended
		return fmt.Errorf("process %d did not end within %v", p.Pid, stopWithin)
	}
}

// tail keeps the end of what a broker says, for the error when it does not start.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf.Len() > tailSize {
		t.buf.Reset()
	}
	return t.buf.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
