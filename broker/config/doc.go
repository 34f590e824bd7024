// Package config is the configuration of a node: the tree, its defaults, where
// values come from, and what is wrong with them.
//
// The flow is: tree.go (the keys), defaults.go, load.go (files, environment and
// flags, one over the other), yaml.go and env.go (text to values), decode.go
// (values into the tree), check.go (what types cannot say), reload.go.
//
// # Guarantees
//
//   - A value is taken as it is written or not at all: 1 is not true, "5" is not a
//     number, 1.2 is not text, and a number that does not fit is told and never cut.
//     Keys are case-exact, each stands once, an unknown one is an error. The text of
//     variables and flags is parsed by the type of the key it is for.
//   - [Load] reports everything that is wrong at once, each with its path and, where
//     there is one, its file and line or its variable. It returns a whole Config or
//     none.
//   - A loaded Config is not written to any more; it may be read by everybody.
//   - No input makes it panic or use memory out of proportion to its size.
//
// [Config.Check] reads the certificates that the tree names; nothing is bound,
// written or resolved. The package starts no goroutine, keeps no state, and
// imports nothing of the broker. It alone imports koanf.
package config
