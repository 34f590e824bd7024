package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/skeinmq/skein/broker/listen"
)

// Start restores what the store holds, binds all listeners or none, and serves. When
// it fails, everything that was started has been stopped.
func (n *Node) Start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		return errors.New("node was started before")
	}
	n.started, n.stopped = true, make(chan struct{})
	if err := n.startLocked(ctx); err != nil {
		n.stopErr = n.unwind(ctx)
		close(n.stopped)
		return err
	}
	return nil
}

// startLocked is one straight line; each stop is registered beside its start.
func (n *Node) startLocked(ctx context.Context) error {
	n.onStop(n.closeStore)
	n.onStop(n.closeAccess)
	n.onStop(n.hooks.Close)
	started := false
	n.onStop(func(context.Context) error {
		if started { // and nobody is connected any more
			n.hooks.Stopped()
		}
		return nil
	})
	n.onStop(func(context.Context) error { n.router.Close(); return nil })
	if err := n.web.start(n.onStop); err != nil {
		return err
	}
	if n.cluster != nil {
		if err := n.cluster.start(ctx, n.router); err != nil {
			return err
		}
		n.router.Joined()
		if err := n.tell(ctx); err != nil {
			return err
		}
	} else if err := n.router.Restore(ctx); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := n.open(); err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(n.due.Run)
	n.onStop(func(context.Context) error { n.due.Stop(); running.Wait(); return nil })
	n.memory.start()
	n.onStop(func(context.Context) error { n.memory.stop(); return nil })
	if n.cfg.SysInterval > 0 {
		n.router.StartSys(n.version, n.cfg.SysInterval.Std(), saySys(n.access.counters))
	}
	n.onStop(func(ctx context.Context) error { n.server.Stop(ctx.Done()); return nil })
	if n.cluster != nil {
		n.onStop(func(context.Context) error { n.cluster.bridge.Stopping(); return nil })
	}
	n.onStop(n.drain.stop)
	n.web.open(n.onStop)
	var serving sync.WaitGroup
	for _, l := range n.listeners {
		serving.Go(func() { n.serve(l) })
		n.log.Info("listening", "url", l.URL())
	}
	n.onStop(func(context.Context) error {
		err := n.closeListeners()
		serving.Wait()
		return err
	})
	n.hooks.Started()
	started = true
	n.ready.set("")
	n.onStop(func(context.Context) error { n.ready.set(whyStopping); return nil })
	return nil
}

func (n *Node) serve(l *listen.Listener) {
	if err := l.Serve(func(c *listen.Conn) { n.server.Serve(transport{c}) }); err != nil {
		n.ready.lose(l.URL())
		n.log.Error("listener ended", "url", l.URL(), "error", err)
	}
}

func (n *Node) onStop(f func(context.Context) error) { n.stops = append(n.stops, f) }

func (n *Node) unwind(ctx context.Context) error {
	var errs []error
	for len(n.stops) > 0 {
		last := len(n.stops) - 1
		f := n.stops[last]
		n.stops = n.stops[:last]
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

// Stop ends the node: gracefully until ctx ends, at once from then on. It may be
// called again, and waits for the first call.
func (n *Node) Stop(ctx context.Context) error {
	n.mu.Lock()
	if !n.started {
		n.started, n.stopped = true, make(chan struct{})
		n.onStop(n.closeStore)
		n.onStop(n.closeAccess)
		n.onStop(n.hooks.Close)
		n.onStop(func(context.Context) error { n.router.Close(); return nil })
	}
	stops := n.stops
	n.stops = nil
	done := n.stopped
	n.mu.Unlock()
	if len(stops) == 0 {
		<-done
		return n.stopErr
	}
	var errs []error
	for i := len(stops) - 1; i >= 0; i-- {
		errs = append(errs, stops[i](ctx))
	}
	n.stopErr = errors.Join(errs...)
	close(done)
	return n.stopErr
}

// Run starts the node, waits for ctx, drains it and stops it within `shutdown_timeout`.
func (n *Node) Run(ctx context.Context) error {
	if err := n.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	if err := n.Drain(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	n.mu.Lock()
	grace := n.cfg.ShutdownTimeout.Std()
	n.mu.Unlock()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return n.Stop(stop)
}
