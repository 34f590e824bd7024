// Package auth tests who may come in and what they may do, end to end: a node with a
// configuration as somebody writes it, files, services and certificates as they are,
// and real clients. What each source and rule decides is tested in package auth.
package auth

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	skeinauth "github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/testing/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// Reason codes that tests look for.
const (
	badCredentials = 0x86
	notAuthorized  = 0x87
	unavailable    = 0x88
	banned         = 0x8A
	badMethod      = 0x8C
	connectTime    = 0xA0
)

// bed is a node whose configuration is a file.
type bed struct {
	*harness.Broker
	t    *testing.T
	node *broker.Node
	dir  string
}

const plain = "listeners: [{name: tcp, url: 'tcp://127.0.0.1:0'}]\n"

// serve starts a node; DIR in the configuration is a directory of the test. files are
// put there first.
func serve(t *testing.T, yaml string, files map[string]string) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir()}
	for name, text := range files {
		b.write(name, text)
	}
	b.start(yaml)
	return b
}

func (b *bed) start(yaml string) {
	b.t.Helper()
	if !strings.Contains(yaml, "persistence:") {
		yaml += "\npersistence: none\n"
	}
	c, err := b.load(yaml)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.node, err = broker.New(c, broker.Options{}); err != nil {
		b.t.Fatal(err)
	}
	node := b.node
	b.t.Cleanup(func() { stop(b.t, node) })
	if err := b.node.Start(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	b.Broker = &harness.Broker{}
	for _, url := range b.node.Addrs() {
		if strings.HasPrefix(url, "ssl") {
			b.TLS = url
		} else if b.TCP == "" {
			b.TCP = url
		}
	}
}

func stop(t *testing.T, n *broker.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Deadline)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func (b *bed) load(yaml string) (*config.Config, error) {
	b.write("skein.yaml", strings.ReplaceAll(yaml, "DIR", b.dir))
	return config.Load(config.Source{File: b.path("skein.yaml"), Expand: skeinauth.Expand})
}

// reload changes the configuration of the node that runs.
func (b *bed) reload(yaml string) error {
	c, err := b.load(yaml + "\npersistence: none\n")
	if err != nil {
		return err
	}
	return b.node.Reload(c)
}

func (b *bed) mustReload(yaml string) {
	b.t.Helper()
	if err := b.reload(yaml); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bed) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// refused wants a CONNECT to be answered with a reason code.
func (b *bed) refused(o harness.Connect, code byte) {
	b.t.Helper()
	if _, ack := b.TryConnect(b.t, o); ack.Code != code {
		b.t.Fatalf("connect as %q: %v, want %#x", o.User, ack, code)
	}
}

// users is a users file: each is name, password and groups (with + between them).
func users(t *testing.T, list ...[3]string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	named := make([]skeinauth.NamedPassword, len(list))
	for i, u := range list {
		named[i] = skeinauth.NamedPassword{Name: u[0], Password: skeinauth.Secret(u[1])}
	}
	made, err := skeinauth.HashUsers(context.Background(), named, skeinauth.MinScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	err = skeinauth.UpdateUsers(file, func(f *skeinauth.UsersFile) error {
		for i, u := range list {
			if u[2] != "" {
				made[i].Groups = strings.Split(u[2], "+")
			}
			if err := f.Set(u[0], made[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func as(user, pass string) harness.Connect { return harness.Connect{User: user, Pass: pass} }

// subscribe returns the code of a SUBSCRIBE, whatever it is.
func subscribe(c *harness.Client, filter string) byte {
	c.Send(harness.Subscribe(c.Version, c.NextID(), nil, harness.To(filter, 1)))
	return c.Expect(harness.SUBACK).Codes[0]
}
