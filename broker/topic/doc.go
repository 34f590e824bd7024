// Package topic knows topic names and topic filters: which spellings are valid,
// which filter matches which name, and the two indexes a broker looks things up
// in by them. Statement numbers are those of MQTT 5; 3.1.1 has the same rules.
//
// # Names and filters
//
// [Parse] judges a filter as a client spells it, [ValidName] a topic name.
// [Matches] and [Covers] are the plain definitions that the indexes are tested
// against. All of them take time linear in the bytes and no memory.
//
// # Tree
//
// [Tree] holds subscriptions: from (filter, key) to a value. It is safe for
// concurrent use. Its guarantees:
//
//   - A match costs what the filters that match and the branches that lead to
//     them cost. Other subscriptions, however many, cost nothing.
//   - Subscribe and Unsubscribe take time linear in the filter's bytes, a match
//     time linear in the name's bytes for each branch of the tree it follows. None
//     of them recurses, so no number of levels is too deep.
//   - A match does not allocate for names of up to 128 levels.
//   - What is unsubscribed is freed; an empty tree holds its fixed tables only,
//     100 KiB. The filter string of a filter's first subscriber is kept until the
//     last unsubscribes, and until then only while longer filters go on from it.
//   - [Tree.Watch] tells in a few atomic loads whether an earlier match result is
//     still right; see watch.go for why it never misses a change.
//
// The tree is split by the filters' literal beginnings. A match takes the read
// locks of at most four parts, one after another; a writer holds one part's lock
// for one change. A match is no snapshot of all parts: what changes while it runs
// is in the result or not, and the version tells afterwards.
//
// # NameTree
//
// [NameTree] holds names, those of retained messages, in one total order: that of
// the names' bytes. It finds the names that a filter matches in that order, and
// goes on after any name, whether that is still there or not. It is not safe for
// concurrent use: its owner has a lock that keeps more than the names together.
//
// # Bounds
//
// The indexes have no limits of their own; the number of subscriptions and names
// is limited by who adds them, the number of levels too (see [Levels]). A
// subscription costs up to 180 bytes besides its filter, a name 60.
//
// # Goroutines
//
// The package starts none, and imports nothing of the module.
package topic
