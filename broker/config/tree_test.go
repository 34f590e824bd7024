package config

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "500ms": 500 * time.Millisecond, "10s": 10 * time.Second, "1h30m": 90 * time.Minute, "24h": 24 * time.Hour,
		"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute, "never": math.MaxInt64, "106751d": 106751 * 24 * time.Hour,
	} {
		var d Duration
		if err := d.parse(in); err != nil || d.Std() != want {
			t.Errorf("%q: %v %v", in, d, err)
		}
		var again Duration
		if err := again.parse(d.String()); err != nil || again != d {
			t.Errorf("%q is written %q: %v", in, d, err)
		}
	}
	for _, in := range []string{"", "5", "-1s", "+1s", "1d-1h", "d", "1.5d", "-1d", "1w", "10 s", "s", "99999999999h", "106752d", "106751d24h", "1d1d", "Never"} {
		var d Duration
		if err := d.parse(in); err == nil {
			t.Errorf("%q is %v", in, d)
		}
	}
	for d, want := range map[Duration]uint32{Never: math.MaxUint32, 0: 0, 7 * day: 604800, 60000 * day: math.MaxUint32, -second: 0} {
		if got := d.Seconds(); got != want {
			t.Errorf("%v: %d seconds, want %d", d, got, want)
		}
	}
	for d, want := range map[Duration]string{minute: "1m", hour: "1h", day: "1d", 90 * minute: "1h30m", 10 * second: "10s", hour + second: "1h0m1s", 50 * minute: "50m"} {
		if d.String() != want {
			t.Errorf("%s, want %s", d, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]Size{"0": 0, "5": 5, "512B": 512, "64KiB": 64 << 10, "8MiB": 8 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40, "1025": 1025} {
		var s, again Size
		if err := s.parse(in); err != nil || s != want {
			t.Errorf("%q: %v %v", in, s, err)
		}
		if err := again.parse(s.String()); err != nil || again != s {
			t.Errorf("%q is written %q: %v", in, s, err)
		}
	}
	for _, in := range []string{"", "-1", "1.5MiB", "1 MiB", "MiB", "1MB", "1mib", "8388608TiB", "9223372036854775808", "1KiBB"} {
		var s Size
		if err := s.parse(in); err == nil {
			t.Errorf("%q is %v", in, s)
		}
	}
}

func TestReloadable(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   []string
	}{
		{func(*Config) {}, nil},
		{func(c *Config) {
			c.Limits.Connections, c.Log.Level, c.Session.Queue.Messages, c.MQTT.MaximumQoS = 5, "warn", 1, 1
			c.Auth.Anonymous = true
		}, nil},
		{func(c *Config) { c.Node.Name += "x" }, []string{"node.name"}},
		{func(c *Config) { c.Bridge.Redis.URL, c.Auth.Redis.URL = "x", "x" }, []string{"bridge.redis.url"}},
		{func(c *Config) { c.Data, c.SysInterval = "x", 0 }, []string{"data", "sys_interval"}},
		{func(c *Config) { c.Log.Format, c.Log.Level = FormatJSON, "debug" }, []string{"log.format"}},
		{func(c *Config) { c.Listeners = c.Listeners[:1] }, []string{"listeners"}},
		{func(c *Config) {
			c.Listeners[1].TLS.Cert, c.Listeners[1].MaxConnections = "x", 5
			c.Listeners[1].Proxy.Trusted = make([]Network, 2)
		}, []string{"listeners[1].tls.cert", "listeners[1].proxy.trusted", "listeners[1].max_connections"}},
	} {
		next := Default()
		c.change(next)
		if got := Default().Reloadable(next); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestSuggestions(t *testing.T) {
	keys := fields(reflect.TypeFor[Session]())
	for key, want := range map[string]string{
		"max_inflght": "; did you mean max_inflight?", "MAX_INFLIGHT": "; did you mean max_inflight?", "queues": "; did you mean queue?",
		"x": "", "inflight": "", "will_gräce": "; did you mean will_grace?",
	} {
		if got := suggest(key, keys); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		path, of string
		want     bool
	}{{"a.b", "a", true}, {"a", "a", true}, {"a[0].b", "a", true}, {"ab", "a", false}, {"a", "a.b", false}} {
		if within(c.path, c.of) != c.want {
			t.Errorf("%s within %s", c.path, c.of)
		}
	}
	for path, want := range map[string]string{"a.b[1].c": "a.b[1]", "a.b[1]": "a.b", "a.b": "a", "a": "", "": ""} {
		if got := parent(path); got != want {
			t.Errorf("parent of %q is %q", path, got)
		}
	}
}
