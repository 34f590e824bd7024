package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// NewUser hashes a password for a users file, and makes its SCRAM verifier with so
// many iterations, unless that is 0.
func NewUser(password Secret, iterations int) (User, error) {
	if password == "" {
		return User{}, errors.New("the password is empty")
	}
	hash, err := NewHash([]byte(password.Reveal()))
	if err != nil || iterations == 0 {
		return User{Hash: hash}, err
	}
	v, err := NewVerifier(password.Reveal(), iterations)
	if err != nil {
		return User{}, err
	}
	return User{Hash: hash, Verifier: v.Encode()}, nil
}

// HashUsers is NewUser for many, on all cores. It ends early with ctx.
func HashUsers(ctx context.Context, list []NamedPassword, iterations int) ([]User, error) {
	users := make([]User, len(list))
	g, work := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range list {
		if work.Err() != nil {
			break
		}
		g.Go(func() (err error) {
			if users[i], err = NewUser(list[i].Password, iterations); err != nil {
				return fmt.Errorf("user %q: %w", list[i].Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return users, ctx.Err()
}
