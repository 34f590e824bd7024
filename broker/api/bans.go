package api

import (
	"net/http"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

var banKinds = []string{"address", "network", "user", "client"}

// listBans answers who is kept out.
func (s *Server) listBans(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	list := s.Bans.List()
	if list == nil {
		list = []v1.Ban{}
	}
	answer(w, http.StatusOK, v1.Bans{Bans: list})
	return nil
}

// addBan keeps somebody out.
func (s *Server) addBan(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	var b v1.Ban
	if err := body(r, &b); err != nil {
		return err
	}
	switch {
	case !contains(banKinds, b.Kind):
		return failf(http.StatusBadRequest, "kind must be one of %q", banKinds)
	case b.Value == "":
		return failf(http.StatusBadRequest, "value must say whom")
	case b.File:
		return failf(http.StatusBadRequest, "bans of the file are added there")
	case b.Until != nil && !b.Until.After(s.now()):
		return failf(http.StatusBadRequest, "until has passed")
	}
	n, err := s.Bans.Add(b)
	if err != nil {
		return failf(http.StatusBadRequest, "%s", err)
	}
	s.log.Info("ban added", "token", tokenOf(r).Name, "kind", b.Kind, "value", b.Value, "reason", b.Reason, "disconnected", n)
	answer(w, http.StatusOK, v1.BanAdded{Disconnected: n})
	return nil
}

// removeBan lifts a ban.
func (s *Server) removeBan(w http.ResponseWriter, r *http.Request) error {
	p := query(r, "kind", "value")
	kind := p.word("kind", banKinds...)
	if _, ok := p.get("kind"); !ok {
		p.fail("kind must be there")
	}
	if p.text("value") == "" {
		p.fail("value must be there")
	}
	if err := p.done(); err != nil {
		return err
	}
	ok, err := s.Bans.Remove(kind, p.text("value"))
	switch {
	case err != nil:
		return failf(http.StatusBadRequest, "%s", err)
	case !ok:
		return failf(http.StatusNotFound, "there is no such ban that was added here")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
