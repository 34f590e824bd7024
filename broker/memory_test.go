package broker

import (
	"log/slog"
	"testing"
)

func TestMemoryWatch(t *testing.T) {
	w := newMemoryWatch(0, slog.New(slog.DiscardHandler))
	w.limit = 1000
	w.configure(0.5)
	for _, step := range []struct {
		used uint64
		over bool
	}{{100, false}, {501, true}, {900, true}, {500, false}, {501, true}} {
		if w.look(step.used); w.over() != step.over {
			t.Errorf("with %d of 500: %v", step.used, w.over())
		}
	}
	w.configure(0)
	if w.look(999); w.over() {
		t.Error("over a watermark that is off")
	}
	w.start()
	w.stop()
	w.stop()
	if m := readMemory(); m.used == 0 {
		t.Error("the runtime does not tell how much memory it has")
	}
}
