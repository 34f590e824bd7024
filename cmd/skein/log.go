package main

import (
	"io"
	"log/slog"

	"github.com/skeinmq/skein/broker/config"
)

// newLog returns a log in the form that is configured, and its level, which a
// reload may change.
func newLog(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.Level.Slog())
	o := &slog.HandlerOptions{Level: level}
	if c.Format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, o)), level
	}
	return slog.New(slog.NewTextHandler(w, o)), level
}
