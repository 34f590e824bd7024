package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/skeinmq/skein/broker/api/v1"
)

var banKinds = []string{"address", "network", "user", "client"}

// listBans answers who is kept out.
func (s *Server) listBans(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	list, missing := gather(s, r, slices.Clone(s.Bans.List()), func(p *v1.Bans) []v1.Ban { return p.Bans })
	slices.SortStableFunc(list, func(a, b v1.Ban) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Value, b.Value))
	})
	list = slices.CompactFunc(list, func(a, b v1.Ban) bool { return a.Kind == b.Kind && a.Value == b.Value && a.File == b.File })
	if list == nil {
		list = []v1.Ban{}
	}
	answer(w, http.StatusOK, v1.Bans{Bans: list, Missing: missing})
	return nil
}

// addBan keeps somebody out, of all nodes. One that is away is named: it has to be told
// again.
func (s *Server) addBan(w http.ResponseWriter, r *http.Request) error {
	if err := query(r).done(); err != nil {
		return err
	}
	text, err := s.keepBody(r)
	if err != nil {
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
	out := v1.BanAdded{Disconnected: n}
	for _, p := range s.tellAll(r, text) {
		var there v1.BanAdded
		if p.err != nil || p.status != http.StatusOK || json.Unmarshal(p.body, &there) != nil {
			s.log.Warn("node was not told of a ban", "peer", p.peer, "status", p.status, "error", p.err)
			out.Missing = append(out.Missing, p.peer)
			continue
		}
		out.Disconnected += there.Disconnected
	}
	answer(w, http.StatusOK, out)
	return nil
}

// removeBan lifts a ban, on all nodes. Where one could not be asked, the others have
// lifted it.
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
	if err != nil {
		return failf(http.StatusBadRequest, "%s", err)
	}
	var missing []string
	for _, there := range s.tellAll(r, nil) {
		switch {
		case there.err == nil && there.status == http.StatusNoContent:
			ok = true
		case there.err != nil || there.status != http.StatusNotFound:
			missing = append(missing, there.peer)
		}
	}
	switch {
	case missing != nil:
		return failf(http.StatusBadGateway, "it was not lifted on %s, which could not be asked", strings.Join(missing, ", "))
	case !ok:
		return failf(http.StatusNotFound, "there is no such ban that was added here")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
