package docker

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/skeinmq/skein/broker/config"
)

// compose is what of the compose format the file may use.
type compose struct {
	Name     string             `yaml:"name"`
	Node     service            `yaml:"x-node"`
	Services map[string]service `yaml:"services"`
	Networks map[string]network `yaml:"networks"`
	Volumes  map[string]struct{}
	Configs  map[string]source `yaml:"configs"`
	Secrets  map[string]source `yaml:"secrets"`
}

type service struct {
	Image      string `yaml:"image"`
	PullPolicy string `yaml:"pull_policy"`
	Build      *struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Hostname    string            `yaml:"hostname"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Configs     []struct {
		Source string `yaml:"source"`
		Target string `yaml:"target"`
	} `yaml:"configs"`
	Secrets     []string      `yaml:"secrets"`
	Networks    []string      `yaml:"networks"`
	Ports       []string      `yaml:"ports"`
	Volumes     []string      `yaml:"volumes"`
	DependsOn   yaml.Node     `yaml:"depends_on"`
	Restart     string        `yaml:"restart"`
	Grace       time.Duration `yaml:"stop_grace_period"`
	ReadOnly    bool          `yaml:"read_only"`
	CapDrop     []string      `yaml:"cap_drop"`
	SecurityOpt []string      `yaml:"security_opt"`
	Ulimits     map[string]struct {
		Soft int `yaml:"soft"`
		Hard int `yaml:"hard"`
	} `yaml:"ulimits"`
	Healthcheck *struct {
		Test        []string      `yaml:"test"`
		Interval    time.Duration `yaml:"interval"`
		Timeout     time.Duration `yaml:"timeout"`
		Retries     int           `yaml:"retries"`
		StartPeriod time.Duration `yaml:"start_period"`
	} `yaml:"healthcheck"`
}

type network struct {
	Internal bool `yaml:"internal"`
	IPAM     struct {
		Config []struct {
			Subnet netip.Prefix `yaml:"subnet"`
		} `yaml:"config"`
	} `yaml:"ipam"`
}

type source struct {
	File string `yaml:"file"`
}

// strict reads YAML into a value that must know every key.
func strict(t *testing.T, text string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	strict(t, file(t, "compose.yaml"), &c)
	return c
}

// dependencies are the services that one waits for, in both ways of saying it.
func (s service) dependencies() (names []string) {
	for i, n := range s.DependsOn.Content {
		if s.DependsOn.Kind == yaml.SequenceNode || i%2 == 0 {
			names = append(names, n.Value)
		}
	}
	return names
}

func keys[V any](m map[string]V) (names []string) {
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

var nodes = []string{"skein1", "skein2", "skein3"}

func TestComposeHasItsServices(t *testing.T) {
	c := readCompose(t)
	want := []string{"grafana", "haproxy", "prometheus", "redis", "skein1", "skein2", "skein3"}
	if got := keys(c.Services); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	for name, s := range c.Services {
		if !strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("%s: the image %q has no version", name, s.Image)
		}
		if s.Restart != "unless-stopped" || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: restart %q, security %v", name, s.Restart, s.SecurityOpt)
		}
		for _, d := range s.dependencies() {
			if _, ok := c.Services[d]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, d)
			}
		}
	}
}

// What is published is for this host alone, but for MQTT and WebSocket of HAProxy, which
// one variable opens.
func TestComposePublishesOnLoopback(t *testing.T) {
	open := []string{"${PUBLISH:-127.0.0.1}:1883:1883", "${PUBLISH:-127.0.0.1}:8080:8080"}
	published := 0
	for name, s := range readCompose(t).Services {
		for _, p := range s.Ports {
			published++
			if name == "haproxy" && slices.Contains(open, p) {
				continue
			}
			if parts := strings.Split(p, ":"); len(parts) != 3 || parts[0] != "127.0.0.1" || parts[1] != parts[2] {
				t.Errorf("%s publishes %s", name, p)
			}
		}
	}
	if published != 6 {
		t.Errorf("%d ports are published, want 6", published)
	}
}

// Everything that is mounted is declared and there, and nothing is declared in vain.
func TestComposeMountsWhatIsThere(t *testing.T) {
	c := readCompose(t)
	secrets := t.TempDir()
	firstRun(t, secrets)
	used := map[string]bool{}
	for name, s := range c.Services {
		for _, m := range s.Configs {
			used["config "+m.Source] = true
			if _, ok := c.Configs[m.Source]; !ok || !filepath.IsAbs(m.Target) {
				t.Errorf("%s mounts the config %s at %q", name, m.Source, m.Target)
			}
		}
		for _, m := range s.Secrets {
			used["secret "+m] = true
			if _, ok := c.Secrets[m]; !ok {
				t.Errorf("%s: no secret %s", name, m)
			}
		}
		for _, v := range s.Volumes {
			volume, target, _ := strings.Cut(v, ":")
			used["volume "+volume] = true
			if _, ok := c.Volumes[volume]; !ok || !filepath.IsAbs(target) {
				t.Errorf("%s: volume %s", name, v)
			}
		}
		for _, n := range s.Networks {
			used["network "+n] = true
		}
	}
	for name, f := range c.Configs {
		if _, err := os.Stat(filepath.Join(dir, f.File)); err != nil || !used["config "+name] {
			t.Errorf("config %s: used %v, %v", name, used["config "+name], err)
		}
	}
	for name, f := range c.Secrets {
		path, inSecrets := strings.CutPrefix(f.File, "secrets/")
		if _, err := os.Stat(filepath.Join(secrets, path)); err != nil || !inSecrets || !used["secret "+name] {
			t.Errorf("secret %s: used %v, %v", name, used["secret "+name], err)
		}
	}
	for _, name := range append(keys(c.Volumes), keys(c.Networks)...) {
		if !used["volume "+name] && !used["network "+name] {
			t.Errorf("%s is declared and not used", name)
		}
	}
}

// Passwords come from files alone.
func TestComposeHasNoPassword(t *testing.T) {
	for name, s := range readCompose(t).Services {
		for k, v := range s.Environment {
			upper := strings.ToUpper(k)
			if (strings.Contains(upper, "PASS") || strings.Contains(upper, "TOKEN") || strings.Contains(upper, "SECRET")) &&
				!strings.HasPrefix(v, "/run/secrets/") {
				t.Errorf("%s: %s is %q", name, k, v)
			}
		}
		for _, arg := range s.Command {
			if strings.Contains(arg, "requirepass") {
				t.Errorf("%s: %s", name, arg)
			}
		}
	}
}

// The nodes are alike, and have what their configuration asks for.
func TestComposeNodes(t *testing.T) {
	c := readCompose(t)
	cfg := nodeConfig(t)
	drain := cfg.DrainDelay.Std() + cfg.ShutdownTimeout.Std()
	for _, name := range nodes {
		s := c.Services[name]
		if s.Hostname != name {
			t.Errorf("%s has the host name %q, by which HAProxy and Prometheus know it", name, s.Hostname)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Image != c.Services[nodes[0]].Image {
			t.Errorf("%s: read only %v, capabilities dropped %v, image %s", name, s.ReadOnly, s.CapDrop, s.Image)
		}
		if s.Grace < drain+10*time.Second {
			t.Errorf("%s is killed after %v, and takes %v and its clients to stop", name, s.Grace, drain)
		}
		if !slices.Equal(s.Command, []string{"--config", "/etc/skein/skein.yaml"}) || s.Configs[0].Target != "/etc/skein/skein.yaml" {
			t.Errorf("%s: command %v, configuration at %s", name, s.Command, s.Configs[0].Target)
		}
		for _, used := range secretsOf(file(t, "skein.yaml")) {
			if !slices.Contains(s.Secrets, used) {
				t.Errorf("%s: the configuration reads the secret %s, which is not mounted", name, used)
			}
		}
		if len(s.Ports) > 0 {
			t.Errorf("%s publishes %v: HAProxy does that", name, s.Ports)
		}
	}
	front := c.Networks["front"].IPAM.Config[0].Subnet.String()
	for _, l := range cfg.Listeners {
		if !l.Proxy.Enabled || len(l.Proxy.Trusted) != 1 || l.Proxy.Trusted[0].String() != front {
			t.Errorf("listener %s trusts %v, HAProxy is in %s", l.Name, l.Proxy.Trusted, front)
		}
	}
	if !c.Networks["store"].Internal || !slices.Equal(c.Services["redis"].Networks, []string{"store"}) {
		t.Error("Redis can be reached by others than the nodes")
	}
}

// secretsOf are the secrets that a configuration reads.
func secretsOf(text string) (names []string) {
	for _, part := range strings.Split(text, "/run/secrets/")[1:] {
		names = append(names, part[:strings.IndexFunc(part, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz_", r) })])
	}
	return names
}

// nodeConfig is docker/skein.yaml as a node reads it, with secrets of the test.
func nodeConfig(t *testing.T) *config.Config {
	t.Helper()
	secrets := t.TempDir()
	firstRun(t, secrets)
	path := put(t, filepath.Join(t.TempDir(), "skein.yaml"), replace(t, file(t, "skein.yaml"), "/run/secrets", secrets))
	c, err := config.Load(config.Source{File: path, Expand: expand})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
