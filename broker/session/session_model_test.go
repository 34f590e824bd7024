package session

import (
	"flag"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	seedFlag = flag.Uint64("session.seed", 0, "first seed of the random histories; 0 picks one")
	histFlag = flag.Int("session.histories", 3000, "number of random histories")
)

// dice makes a source of a seed.
type dice struct{ r *rand.Rand }

func (d dice) next(n int) int { return d.r.IntN(n) }

func fromSeed(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 1))} }

// tape makes a source of bytes.
type tape struct{ b []byte }

func (t *tape) next(n int) int {
	if len(t.b) == 0 {
		return 0
	}
	v := int(t.b[0]) % n
	t.b = t.b[1:]
	return v
}

func plain(s *Session) machine { return s }

// history plays one random history, short ones first so that what fails is short.
func history(seed uint64, i int, wrap func(*Session) machine) error {
	return newWorld(fromSeed(seed), wrap).run(20 + i%8*25)
}

func TestRandomHistories(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	for i := range *histFlag {
		if err := history(seed+uint64(i), i, plain); err != nil {
			t.Fatalf("history %d, run again with -session.seed=%d: %v", i, seed, err)
		}
	}
}

func FuzzSession(f *testing.F) {
	for i := range 8 {
		b := make([]byte, 300)
		d := fromSeed(uint64(i))
		for k := range b {
			b[k] = byte(d.next(256))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), 2000)]
		if err := newWorld(&tape{b}, plain).run(len(b) / 3); err != nil {
			t.Fatal(err)
		}
	})
}
