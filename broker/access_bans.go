package broker

import (
	"fmt"
	"time"

	"github.com/skeinmq/skein/auth"
	v1 "github.com/skeinmq/skein/broker/api/v1"
	"github.com/skeinmq/skein/hooks"
)

// bans are those of the node for its API.
type bans struct{ n *Node }

func (b bans) all() *auth.Bans {
	b.n.mu.Lock()
	defer b.n.mu.Unlock()
	return b.n.access.bans
}

// List implements api.Bans.
func (b bans) List() (list []v1.Ban) {
	for _, o := range b.all().List(time.Now()) {
		ban := v1.Ban{Kind: o.Kind.String(), Value: o.Value, Reason: o.Reason, File: o.FromFile}
		if !o.Until.IsZero() {
			until := o.Until.UTC()
			ban.Until = &until
		}
		list = append(list, ban)
	}
	return list
}

// Add implements api.Bans. Whom it is about is disconnected.
func (b bans) Add(ban v1.Ban) (int, error) {
	kind, err := auth.ParseBanKind(ban.Kind)
	if err != nil {
		return 0, err
	}
	added := auth.Ban{Kind: kind, Value: ban.Value, Reason: ban.Reason}
	if ban.Until != nil {
		added.Until = *ban.Until
	}
	all := b.all()
	if err := all.Add(added, time.Now()); err != nil {
		return 0, fmt.Errorf("ban: %w", err)
	}
	return b.n.router.KickAll(func(h *hooks.Client) bool {
		id := h.Identity()
		who := auth.Who{ClientID: h.ID(), User: id.User, HasUser: id.HasUser, Remote: h.Address()}
		_, banned := all.Match(who, time.Now())
		return banned
	}, hooks.CodeNotAuthorized, "banned"), b.kept().save(all)
}

// Remove implements api.Bans.
func (b bans) Remove(kind, value string) (bool, error) {
	k, err := auth.ParseBanKind(kind)
	if err != nil {
		return false, err
	}
	all := b.all()
	if !all.Remove(k, value) {
		return false, nil
	}
	return true, b.kept().save(all)
}

func (b bans) kept() *banFile {
	b.n.mu.Lock()
	defer b.n.mu.Unlock()
	return b.n.access.kept
}
