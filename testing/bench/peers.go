package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed aedes.mjs
var aedesScript string

// numbered are names of ports: kind1, kind2 ...
func numbered(kind string) []string {
	names := make([]string, instances)
	for i := range names {
		names[i] = fmt.Sprint(kind, i+1)
	}
	return names
}

// skeinPeer is instances of Skein with its default settings.
func skeinPeer(binary, redis string) peer {
	return peer{name: "skein", start: func(ctx context.Context, c *cluster) error {
		free, err := ports(append(numbered("mqtt"), "redis")...)
		if err != nil {
			return err
		}
		if err := c.addRedis(ctx, redis, free["redis"]); err != nil {
			return err
		}
		for _, name := range numbered("mqtt") {
			conf := fmt.Sprintf("node: {name: %s}\nlisteners: [{url: 'tcp://%s'}]\nbridge: {redis: {url: 'redis://%s'}}\n", name, free[name], free["redis"])
			file := filepath.Join(c.dir, name+".yaml")
			if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
				return err
			}
			if err := c.instance(ctx, free[name], binary, "serve", "--config", file, "--data", filepath.Join(c.dir, name)); err != nil {
				return err
			}
		}
		return nil
	}}
}

// What is compared with, at versions that go together.
const (
	natsModule = "github.com/nats-io/nats-server/v2@v2.15.2"
	npmAedes   = "aedes@1.2.0"
	npmStore   = "aedes-persistence-redis@11.2.2"
	npmEmitter = "mqemitter-redis@7.2.1"

	installWithin = 10 * time.Minute
)

// natsPeer builds nats-server outside this module, so that it is no part of it.
func natsPeer(ctx context.Context, dir string) peer {
	p := peer{name: "nats-server"}
	own := filepath.Join(dir, "nats")
	cmd := []string{"go", "install", natsModule}
	if p.absent = install(ctx, own, cmd, "GOBIN="+own, "GOFLAGS=", "GOWORK=off"); p.absent != nil {
		return p
	}
	binary := filepath.Join(own, "nats-server")
	p.start = func(ctx context.Context, c *cluster) error {
		free, err := ports(append(append(numbered("mqtt"), numbered("nats")...), numbered("route")...)...)
		if err != nil {
			return err
		}
		for i, name := range numbered("mqtt") {
			file := filepath.Join(c.dir, name+".conf")
			if err := os.WriteFile(file, []byte(natsConf(i, c.dir, free)), 0o600); err != nil {
				return err
			}
			if err := c.instance(ctx, free[name], binary, "-c", file); err != nil {
				return err
			}
		}
		return nil
	}
	return p
}

// natsConf is of instance i: JetStream keeps what QoS 1 and sessions need on three of
// them, which is its default, as is everything else.
func natsConf(i int, dir string, free map[string]string) string {
	var routes []string
	for _, r := range numbered("route") {
		routes = append(routes, "nats://"+free[r])
	}
	n := i + 1
	return fmt.Sprintf(`server_name: bench%d
listen: %q
jetstream { store_dir: %q }
mqtt { listen: %q }
cluster { name: bench, listen: %q, routes: [%s] }
`, n, free[fmt.Sprint("nats", n)], filepath.Join(dir, fmt.Sprint("store", n)), free[fmt.Sprint("mqtt", n)], free[fmt.Sprint("route", n)], strings.Join(routes, ", "))
}

// aedesPeer installs aedes with what has it share a Redis.
func aedesPeer(ctx context.Context, dir, redis string) peer {
	p := peer{name: "aedes"}
	own := filepath.Join(dir, "aedes")
	script := filepath.Join(own, "aedes.mjs")
	cmd := []string{"npm", "install", "--prefix", own, "--no-audit", "--no-fund", "--ignore-scripts", npmAedes, npmStore, npmEmitter}
	if p.absent = install(ctx, own, cmd); p.absent == nil {
		p.absent = os.WriteFile(script, []byte(aedesScript), 0o600)
	}
	p.start = func(ctx context.Context, c *cluster) error {
		free, err := ports(append(numbered("mqtt"), "redis")...)
		if err != nil {
			return err
		}
		if err := c.addRedis(ctx, redis, free["redis"]); err != nil {
			return err
		}
		for _, name := range numbered("mqtt") {
			if err := c.instance(ctx, free[name], "node", script, port(free[name]), port(free["redis"])); err != nil {
				return err
			}
		}
		return nil
	}
	return p
}

// install runs a package manager in a directory of its own.
func install(ctx context.Context, dir string, command []string, env ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, installWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command[:2], " "), err, lastLine(string(out)))
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
