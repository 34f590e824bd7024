package wire

import (
	"slices"
	"testing"
	"time"
)

// tapped is a socket that is shown what is appended.
type tapped struct {
	socket
	shown []string // by who appends
}

func (t *tapped) Appended(p []byte) { t.shown = append(t.shown, string(p)) }

func TestTapShowsWhatIsAppendedMeanwhile(t *testing.T) {
	w := &tapped{}
	o := NewOutput(w, 1<<20, time.Minute, func(err error) { t.Error(err) }, func() {})
	o.Append([]byte("before"))
	o.Tap(true)
	o.Append([]byte("one"))
	o.End(append(append(o.Begin(), "two"...), "three"...))
	o.End(o.Begin()) // nothing
	o.Last([]byte("last"))
	o.Append([]byte("never sent"))
	<-o.Flushed()
	o.Tap(false)
	o.Close()
	if want := []string{"one", "twothree", "last"}; !slices.Equal(w.shown, want) {
		t.Errorf("shown %q, want %q", w.shown, want)
	}
	if got := string(w.got); got != "beforeonetwothreelast" {
		t.Errorf("written %q", got)
	}
}
