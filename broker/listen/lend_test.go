package listen

import (
	"runtime"
	"testing"
)

// However many steps take their time, none waits for a stack.
func TestMoreStepsThanStacks(t *testing.T) {
	const steps = maxLent + 20
	in, leave := make(chan struct{}, steps), make(chan struct{})
	ended := make(chan error, steps)
	for range steps {
		c, peer := pair(t)
		sends(t, peer, []byte("x"))
		go func() {
			ended <- c.Pump(func(func([]byte) (int, error)) bool {
				in <- struct{}{}
				<-leave
				return true
			})
		}()
	}
	for range steps {
		get(t, in)
	}
	close(leave)
	for range steps {
		if err := get(t, ended); err != nil {
			t.Fatal(err)
		}
	}
	stacks.mu.Lock()
	defer stacks.mu.Unlock()
	if stacks.pumps != 0 || stacks.lent != 0 || len(stacks.idle) != 0 {
		t.Fatalf("%d pumps, %d lent, %d idle", stacks.pumps, stacks.lent, len(stacks.idle))
	}
}

// A step that ends its goroutine ends that of Pump.
func TestStepThatExits(t *testing.T) {
	c, peer := pair(t)
	sends(t, peer, []byte("x"))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Pump(func(func([]byte) (int, error)) bool {
			runtime.Goexit()
			return true
		})
		t.Error("Pump returned")
	}()
	closes(t, ended)
	expect(t, c, []byte("x"))
}
