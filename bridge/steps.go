package bridge

import (
	"embed"
	"strings"

	"github.com/skeinmq/skein/bridge/redis"
)

//go:embed lua/*.lua
var lua embed.FS

// scripts is every step, a file each.
var scripts []*redis.Script

func step(name string) *redis.Script {
	s := redis.MustScript(lua, "lua/"+name+".lua")
	scripts = append(scripts, s)
	return s
}

// Scripts is every step that a bridge does, for the client's options.
func Scripts() []*redis.Script { return scripts }

// variant is a step with another first line.
func variant(name, as, from, to string) *redis.Script {
	text, err := lua.ReadFile("lua/" + name + ".lua")
	if err != nil || !strings.HasPrefix(string(text), from) {
		panic("bridge: step " + name + " has no " + from) // a mistake in the source, which every test meets
	}
	s := redis.NewScript(as, to+string(text[len(from):]))
	scripts = append(scripts, s)
	return s
}
