package broker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/broker/topic"
)

// ExplainAccess says which rule of a configuration decides a question, and how. The
// topic is as a client writes it, with $share/ and the like. A subject without groups
// has those of the users file. Rules that a token or a service brings are not known
// here, nor what an ACL service says.
func ExplainAccess(cfg *config.Config, q auth.Query) (auth.Explanation, error) {
	b := accessBuilder{cfg: cfg, log: slog.New(slog.DiscardHandler), out: &access{}}
	b.out.lasting = b.out.next(&cfg.Auth)
	b.rules()
	if w := q.Subject; len(w.Groups) == 0 && w.HasUser && slices.Contains(cfg.AllSources(), config.SourceUsersFile) {
		users, err := b.usersFile()
		if !b.failed("auth.users_file", err) {
			u, _ := users.ScramUser(context.Background(), w.User) // for its groups, which a bad verifier does not touch
			w.Groups = u.Identity.Groups
		}
	}
	b.out.close()
	if len(b.problems) > 0 {
		return auth.Explanation{}, &config.Problems{List: b.problems}
	}
	if err := behindPrefix(&q); err != nil {
		return auth.Explanation{}, fmt.Errorf("topic %q: %w", q.Topic, err)
	}
	return b.out.rules.Explain(&q), nil
}

// behindPrefix leaves of the topic what rules judge.
func behindPrefix(q *auth.Query) error {
	if q.Action == auth.Subscribe {
		parsed, err := topic.Parse(q.Topic)
		if err == nil {
			q.Topic = string(parsed.Filter)
		}
		return err
	}
	_, name, delayed, err := topic.ParseDelayed(q.Topic)
	if delayed || err != nil {
		q.Topic = name
		return err
	}
	return topic.ValidName(q.Topic)
}
