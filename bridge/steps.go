package bridge

import (
	"embed"

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
