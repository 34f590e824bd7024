package main

import (
	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker/config"
)

// sourceFlags adds the flags that say what the configuration is. The function
// returned tells them, once they are parsed; a flag that was not given says nothing.
func (a *app) sourceFlags(cmd *cobra.Command) func() config.Source {
	f := cmd.Flags()
	file := f.StringP("config", "c", "", "the configuration `FILE` (YAML)")
	listen := f.StringArrayP("listen", "l", nil, "serve at `URL`, once for each: tcp://, ssl://, ws://, wss://HOST:PORT or unix://FILE;\nreplaces the listeners of the file")
	for _, o := range settingFlags {
		f.String(o.name, "", o.usage)
	}
	return func() config.Source {
		s := config.Source{File: *file, Env: a.env, Flags: map[string]string{}, Listen: *listen, Expand: auth.Expand}
		for _, o := range settingFlags {
			if flag := f.Lookup(o.name); flag.Changed {
				s.Flags[o.path] = flag.Value.String()
			}
		}
		return s
	}
}

// settingFlags are the flags that stand for one path of the configuration.
var settingFlags = []struct{ name, path, usage string }{
	{"http", "http.address", "serve health, metrics, the API and the dashboard at `ADDRESS` (HOST:PORT)"},
	{"data", "data", "keep what is kept on disk in `DIR`"},
	{"log-level", "log.level", "log from this `LEVEL` on: debug, info, warn, error"},
	{"redis", "bridge.redis.url", "share the Redis at `URL` with other nodes: redis://, redis+sentinel:// or redis+cluster://;\na password is better in bridge.redis.password, where ps does not show it"},
	{"node", "node.name", "the `NAME` of this instance"},
}
