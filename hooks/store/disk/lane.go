package disk

import (
	"cmp"
	"slices"
)

// lane is where a session's queue stands on disk. What is consumed in order costs
// no tombstone: head moves over it, readers begin at head, and now and then one
// range deletion takes away what lies below.
type lane struct {
	head    uint64 // every Seq below is dead
	next    uint64 // every Seq from here on was never written
	trimmed uint64 // below it no keys are left
	shared  uint64 // live entries whose body is shared

	// Not stored: dead ranges above head, in order, apart from each other. After a
	// restart they are forgotten, which only holds head back until the lane is
	// looked through again.
	dead []span
	// stuck counts deletions since head moved, garbage the keys below head.
	stuck, garbage int
	garbageBytes   int64
	dusty          bool // it is in the committer's list of lanes with garbage
}

// span is [from, to).
type span struct{ from, to uint64 }

// maxDead bounds the ranges a lane remembers; what it forgets has tombstones.
const maxDead = 4096

// kill notes that no Seq of [from, to) is alive.
func (l *lane) kill(from, to uint64) {
	from = max(from, l.head)
	if from >= to {
		return
	}
	if n := len(l.dead); n > 0 && l.dead[n-1].to == from { // in order, the common case
		l.dead[n-1].to = to
	} else {
		l.insert(span{from, to})
	}
	l.advance()
}

func (l *lane) insert(s span) {
	i, _ := slices.BinarySearchFunc(l.dead, s.from, func(d span, from uint64) int { return cmp.Compare(d.to, from) })
	j := i
	for ; j < len(l.dead) && l.dead[j].from <= s.to; j++ {
		s.from, s.to = min(s.from, l.dead[j].from), max(s.to, l.dead[j].to)
	}
	l.dead = slices.Replace(l.dead, i, j, s)
	if len(l.dead) > maxDead {
		l.dead = l.dead[:maxDead]
	}
}

func (l *lane) advance() {
	if len(l.dead) == 0 || l.dead[0].from > l.head {
		return
	}
	l.head = max(l.head, l.dead[0].to)
	l.dead = slices.Delete(l.dead, 0, 1)
	if len(l.dead) == 0 {
		l.dead = nil
	}
	l.stuck = 0
}

// revive notes that seq is alive again: it is about to be written anew.
func (l *lane) revive(seq uint64) {
	i, _ := slices.BinarySearchFunc(l.dead, seq, func(d span, seq uint64) int { return cmp.Compare(d.to, seq+1) })
	if i == len(l.dead) || l.dead[i].from > seq {
		return
	}
	s := l.dead[i]
	var parts []span
	if s.from < seq {
		parts = append(parts, span{s.from, seq})
	}
	if seq+1 < s.to {
		parts = append(parts, span{seq + 1, s.to})
	}
	l.dead = slices.Replace(l.dead, i, i+1, parts...)
}

// skip moves head up to a Seq that is known to be the first one alive.
func (l *lane) skip(to uint64) {
	l.stuck = 0
	if to > l.head {
		l.kill(l.head, to)
	}
}
