package wire

import "sync"

// Sizes of pooled blocks, in bytes. Every connection with something to write holds
// one, so the first is small: a message to ten thousand subscribers takes ten
// thousand of them at once.
const (
	smallBlock = 4 << 10
	largeBlock = 64 << 10
)

var (
	smallBlocks = sync.Pool{New: func() any { return &block{b: make([]byte, 0, smallBlock)} }}
	largeBlocks = sync.Pool{New: func() any { return &block{b: make([]byte, 0, largeBlock)} }}
)

// block is a part of an output. A backlog is a list of them: one buffer would be
// copied as a whole each time it grows.
type block struct{ b []byte }

func getBlock(large bool) *block {
	pool := &smallBlocks
	if large {
		pool = &largeBlocks
	}
	return pool.Get().(*block)
}

// release gives the block to who needs one next. Sizes between the two and large
// ones that have grown much are left to the collector: one big message must not
// occupy its memory for ever.
func (k *block) release() {
	k.b = k.b[:0]
	switch c := cap(k.b); {
	case c <= 2*smallBlock:
		smallBlocks.Put(k)
	case c >= largeBlock && c <= 2*largeBlock:
		largeBlocks.Put(k)
	}
}

func (k *block) small() bool { return cap(k.b) < largeBlock }

// hasRoom says whether the next append is likely to find room.
func (k *block) hasRoom() bool { return cap(k.b)-len(k.b) >= cap(k.b)/8 }
