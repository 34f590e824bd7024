package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve MQTT",
		Long: "Serve runs a broker until it gets SIGTERM or SIGINT, which stop it in order; a second one ends it at\n" +
			"once. SIGHUP reads the configuration and the certificates again.",
		Example: "  skein --config /etc/skein/config.yaml\n" +
			"  skein --listen tcp://127.0.0.1:1883 --listen ws://127.0.0.1:8080/mqtt",
		Args: cobra.NoArgs,
	}
	source := a.sourceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), source()) }
	return cmd
}

// processSignals delivers the signals of the process. When the buffer is full
// further ones are lost; those before them say the same.
func processSignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// node is what a running broker is asked.
type node interface {
	Start(ctx context.Context) error
	Drain(ctx context.Context) error
	Stop(ctx context.Context) error
	Reload(c *config.Config) error
	Failed() <-chan error
}

// server is a node with what moves it: signals, and the end of a context.
type server struct {
	node    node
	make    func(*config.Config) (node, error) // another one, when the node is to start anew
	log     *slog.Logger
	source  config.Source
	now     *config.Config // the last one that was taken
	signals <-chan os.Signal
	notify  notifier
	reloads chan chan<- error // asked for by the node's API; whoever asks waits
	ended   bool              // a signal came while a node stopped that was to start anew
}

var errKilled = errors.New("ended by a second signal before everything was stopped")

func (a *app) serve(ctx context.Context, source config.Source) error {
	c, err := config.Load(source)
	if err != nil {
		return err
	}
	// From here on no signal is lost: one that comes during the start stops the node
	// right after it.
	signals, stop := a.signals()
	defer stop()
	manager, err := newNotifier(a.env)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer manager.close()
	log, level := newLog(a.stderr, c.Log)
	s := &server{log: log, source: source, now: c, signals: signals, reloads: make(chan chan<- error)}
	s.make = func(c *config.Config) (node, error) {
		return broker.New(c, broker.Options{Log: log, Level: level, Version: buildVersion(), Reload: s.askReload})
	}
	if s.node, err = s.make(c); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	s.notify = manager
	return s.run(ctx)
}

// run serves until a signal or the end of ctx, then stops the node.
func (s *server) run(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	s.log.Info("ready", "node", s.now.Node.Name, "version", buildVersion(), "pid", os.Getpid())
	s.told(s.notify.ready())
	for {
		select {
		case <-ctx.Done():
			s.told(s.notify.stopping("context ended"))
			return s.stop("context ended", true)
		case <-s.notify.watchdog():
			s.told(s.notify.alive())
		case sig := <-s.signals:
			if sig != syscall.SIGHUP {
				s.told(s.notify.stopping(sig.String()))
				return s.stop(sig.String(), true)
			}
			s.told(s.notify.reloading())
			_ = s.reload() // it is logged
			s.told(s.notify.ready())
		case answer := <-s.reloads:
			s.told(s.notify.reloading())
			answer <- s.reload()
			s.told(s.notify.ready())
		case why := <-s.node.Failed():
			if err := s.again(ctx, why); err != nil || s.ended {
				return err
			}
		}
	}
}

// again starts a node anew that others have taken over from. Any other failure ends the
// process.
func (s *server) again(ctx context.Context, why error) error {
	s.log.Error("node cannot go on", "error", why)
	if err := s.stop(why.Error(), false); err != nil {
		return err
	}
	if !broker.Rejoin(why) {
		return why
	}
	if s.ended { // a signal came while it stopped
		return nil
	}
	err := s.renew()
	if err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	s.log.Info("started again")
	return nil
}

// renew makes another node.
func (s *server) renew() error {
	n, err := s.make(s.now)
	if err == nil {
		s.node = n
	}
	return err
}

// start starts the node. One that others take over from before it is up, as their store is
// slow or away, is tried again as another one.
func (s *server) start(ctx context.Context) error {
	for {
		err := s.node.Start(context.WithoutCancel(ctx))
		if err == nil || !broker.Rejoin(err) || ctx.Err() != nil {
			return err //nolint:wrapcheck // the caller says what was attempted
		}
		s.log.Warn("node could not join in time and begins anew", "error", err)
		if err := s.renew(); err != nil {
			return err
		}
	}
}

// told logs that the service manager could not be told something. It kills a node that
// says nothing for too long, and then the log says why.
func (s *server) told(err error) {
	if err != nil {
		s.log.Warn("service manager was not told", "error", err)
	}
}

var errStopping = errors.New("the node stops")

// askReload has the loop of run reload, and waits for it. The node's API calls it.
func (s *server) askReload(ctx context.Context) error {
	answer := make(chan error, 1) // never full: one value is sent
	select {
	case s.reloads <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the node in order: with drain it first sends its clients away as
// configured, then it has the configured time. Another signal ends it at once; the
// goroutine that stops it then ends with the process.
func (s *server) stop(why string, drain bool) error {
	s.log.Info("stopping", "reason", why, "drain_delay", s.now.DrainDelay.Std(), "drain_rate", s.now.DrainRate, "timeout", s.now.ShutdownTimeout.Std())
	done := make(chan error, 1) // never full: one value is sent
	go func() {
		if drain {
			_ = s.node.Drain(context.Background()) // it fails only when its context ends
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.now.ShutdownTimeout.Std())
		defer cancel()
		done <- s.node.Stop(ctx)
	}()
	for {
		select {
		case err := <-done:
			return s.stopped(err)
		case sig := <-s.signals:
			switch {
			case sig == syscall.SIGHUP: // there is nothing left to reload
			case drain || s.ended:
				return errKilled
			default: // the first one: the node stops to start anew, and is not to
				s.ended = true
			}
		case answer := <-s.reloads:
			answer <- errStopping
		}
	}
}

// stopped tells how the stop ended. Clients that did not take their last bytes in
// time are no failure of the node.
func (s *server) stopped(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.log.Warn("stopped at the timeout, connections were cut")
	case err != nil:
		return fmt.Errorf("stop: %w", err)
	default:
		s.log.Info("stopped")
	}
	return nil
}

// reload reads the configuration again and puts it into force, or changes nothing.
func (s *server) reload() error {
	next, err := config.Load(s.source)
	if err == nil {
		err = s.node.Reload(next)
	}
	if err == nil {
		s.now = next
		return nil
	}
	var problems *config.Problems
	if !errors.As(err, &problems) {
		s.log.Error("reload refused, nothing changed", "error", err)
		return err
	}
	for _, p := range problems.List {
		s.log.Error("configuration is wrong", "path", p.Path, "problem", p.Message, "where", p.Where)
	}
	s.log.Error("reload refused, nothing changed", "problems", len(problems.List))
	return problems
}
