package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

func (s *Server) drainState(w http.ResponseWriter, r *http.Request) error {
	return s.drained(w, r, http.StatusOK, func() {})
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) error {
	return s.drained(w, r, http.StatusAccepted, s.Drainer.Drain)
}

func (s *Server) undrain(w http.ResponseWriter, r *http.Request) error {
	return s.drained(w, r, http.StatusOK, s.Drainer.Undrain)
}

// drained does something about the drain and answers how far it is.
func (s *Server) drained(w http.ResponseWriter, r *http.Request, status int, change func()) error {
	if err := query(r, "node").done(); err != nil {
		return err
	}
	change()
	phase, clients := s.Drainer.DrainPhase()
	answer(w, status, v1.Drain{Node: s.Info.Node, Draining: phase != DrainNone, Phase: phase, Clients: clients})
	return nil
}

// reload reads the configuration again.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if err := query(r, "node").done(); err != nil {
		return err
	}
	if s.Reload == nil {
		return failf(http.StatusNotImplemented, "this node was started without a configuration that could be read again")
	}
	restart, err := s.Reload(r.Context())
	if err != nil {
		return failf(http.StatusUnprocessableEntity, "nothing has changed: %s", err)
	}
	if restart == nil {
		restart = []string{}
	}
	answer(w, http.StatusOK, v1.Reloaded{Restart: restart})
	return nil
}

var errNoLevel = errors.New("this node's log has no level")

func (s *Server) logLevel(w http.ResponseWriter, r *http.Request) error {
	if err := query(r, "node").done(); err != nil {
		return err
	}
	if s.Level == nil {
		return failf(http.StatusNotImplemented, "%s", errNoLevel)
	}
	answer(w, http.StatusOK, v1.LogLevel{Level: strings.ToLower(s.Level.Level().String())})
	return nil
}

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func (s *Server) setLogLevel(w http.ResponseWriter, r *http.Request) error {
	var in v1.LogLevel
	if err := query(r, "node").done(); err != nil {
		return err
	}
	if err := body(r, &in); err != nil {
		return err
	}
	level, ok := levels[in.Level]
	switch {
	case !ok:
		return failf(http.StatusBadRequest, "level must be debug, info, warn or error")
	case s.Level == nil:
		return failf(http.StatusNotImplemented, "%s", errNoLevel)
	}
	s.Level.Set(level)
	s.log.Info("log level changed", "token", tokenOf(r).Name, "level", in.Level)
	return s.logLevel(w, r)
}
