package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skeinmq/skein/broker/load"
)

const benchLong = `Drives a broker and says how fast, how late and how correctly it delivered.

The load is a closed loop: no publisher has more than --window messages that were
not delivered yet, so a broker is pushed as far as it goes and no further. It stops
by itself after --warmup and --duration; Ctrl-C ends it early and it says what it
has. Payloads are numbered: what is lost, comes twice or out of order is counted.

Scenarios:
  pairs     N publishers, each with a subscriber of its own
  fanout    1 publisher, N subscribers of its topic
  fanin     N publishers, 1 subscriber of all
  shared    N publishers, --members subscribers in one shared group
  wild      pairs with wildcards, among --subs subscriptions that never match
  idle      N connections that subscribe and then do nothing
  retained  --subs retained messages are published, then read by one subscriber
  offline   N sessions leave, --subs messages go to each, all come back
  sessions  as offline, but all N sessions have the same topic
  reconnect N sessions with a subscription each leave, and all come back at another
            address than before, --window (200) of them at a time
  subscribe N clients subscribe to new filters, --rate (100) a second over all; with
            --rate 0 each as soon as its last was granted

Exit code: 0, 1 when something was lost or a connection failed, 2 for wrong usage.`

const benchExample = `  skein bench -n 10 -q 1
  skein bench -s fanout -n 50 --pid $(pidof skein)
  skein bench -s pairs --addr 127.0.0.1:1883 --compare 127.0.0.1:1884 --runs 5
  skein bench -s idle -n 10000 --addr ssl://broker.example:8883 --cafile ca.pem --json`

// defaultCompareRuns is how often each broker of a comparison runs: a median of fewer
// says little on a machine that does other things too.
const defaultCompareRuns = 3

// benchFlags is what the flags of one call say.
type benchFlags struct {
	load     load.Options
	addr     string
	scenario string
	version  string

	compare      string
	compareLabel string
	comparePIDs  []int
	runs         int
	json         bool
	progress     bool
}

// benchError carries the exit code of a failure: 2 for wrong usage, 1 otherwise.
type benchError struct {
	err  error
	code int
}

func (e *benchError) Error() string { return e.err.Error() }
func (e *benchError) Unwrap() error { return e.err }

// ExitCode is the code the process ends with.
func (e *benchError) ExitCode() int { return e.code }

func wrongUsage(err error) error { return &benchError{err: err, code: 2} }

// benchCommand is `skein bench`.
func benchCommand() *cobra.Command {
	f := &benchFlags{load: load.Defaults()}
	cmd := &cobra.Command{
		Use:     "bench [flags]",
		Short:   "Drive a broker and measure it",
		Long:    benchLong,
		Example: benchExample,
		// Flags are parsed by parseBench, which also takes -size for --size.
		DisableFlagParsing: true,
		SilenceUsage:       true,
	}
	f.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := parseBench(cmd, args); err != nil {
			if errors.Is(err, pflag.ErrHelp) {
				return cmd.Help()
			}
			return wrongUsage(fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
		}
		if help, err := cmd.Flags().GetBool("help"); err == nil && help {
			return cmd.Help()
		}
		return f.run(cmd)
	}
	return cmd
}

func (f *benchFlags) register(fs *pflag.FlagSet) {
	o := &f.load
	fs.StringVar(&f.addr, "addr", o.Addresses[0], "broker `address`, several comma separated are used in turn: HOST:PORT, or tcp://, ssl://, ws://, wss://, unix://")
	fs.StringVarP(&f.scenario, "scenario", "s", string(o.Scenario), "what to do, see above")
	fs.IntVarP(&o.Clients, "clients", "n", o.Clients, "number of clients, N above")
	fs.IntVar(&o.Members, "members", o.Members, "members of the shared group")
	fs.BoolVar(&o.Leave, "leave", o.Leave, "offline, sessions: end when everything is queued, and leave the sessions there")
	fs.BoolVar(&o.Return, "return", o.Return, "offline, sessions: only come back and drain what a run with --leave and the same --prefix left")
	fs.IntVar(&o.Subs, "subs", o.Subs, "wild: standing subscriptions; retained: retained messages; offline, sessions: messages a session")
	fs.IntVarP(&o.QoS, "qos", "q", o.QoS, "QoS of what is published")
	fs.IntVar(&o.SubQoS, "sq", o.SubQoS, "QoS of the subscriptions; -1 is the same as --qos")
	fs.IntVar(&o.Size, "size", o.Size, "payload bytes")
	fs.IntVar(&o.Window, "window", o.Window, "undelivered messages allowed per publisher; reconnect: connects under way")
	fs.IntVar(&o.Rate, "rate", o.Rate, "messages per second over all publishers, 0 is as fast as the window allows; subscribe: filters per second")
	fs.DurationVarP(&o.Duration, "duration", "d", o.Duration, "measured time")
	fs.DurationVar(&o.Warmup, "warmup", o.Warmup, "time before it")
	fs.DurationVar(&o.Settle, "settle", o.Settle, "idle: rest before memory and CPU are looked at")
	fs.DurationVar(&o.Stall, "stall", o.Stall, "give up when nothing arrives for this long")
	fs.IntSliceVar(&o.PIDs, "pid", nil, "broker `pids`, comma separated, for CPU and memory (Linux)")
	fs.BoolVar(&o.Cross, "cross", false, "with several addresses, connect publisher and subscriber of a pair to different ones")
	fs.BoolVar(&o.Persistent, "persistent", false, "subscribers have sessions that outlive their connection; removed at the end")
	fs.StringVar(&f.version, "mqtt", o.Version.String(), "protocol version: 3.1.1 or 5")
	fs.StringVarP(&o.User, "user", "u", "", "user name")
	fs.StringVarP(&o.Password, "password", "p", "", "password")
	fs.StringVar(&o.Prefix, "prefix", "", "prefix of client ids and part of topics (default random)")
	fs.StringVar(&o.Label, "label", "", "name of the broker in the output")
	fs.StringVar(&o.CAFile, "cafile", "", "certificates to trust, PEM (default those of the system)")
	fs.StringVar(&o.CertFile, "cert", "", "certificate of the client, PEM")
	fs.StringVar(&o.KeyFile, "key", "", "its key, PEM")
	fs.BoolVar(&o.Insecure, "insecure", false, "do not verify the broker's certificate")
	fs.StringVar(&f.compare, "compare", "", "second broker `address`, in the same forms: it runs in turn with the first, and ratios are printed")
	fs.StringVar(&f.compareLabel, "compare-label", "", "its name in the output")
	fs.IntSliceVar(&f.comparePIDs, "compare-pid", nil, "its `pids`")
	fs.IntVar(&f.runs, "runs", 0, "runs of each broker, the median counts (default 1, with --compare 3)")
	fs.BoolVar(&f.json, "json", false, "print the results as JSON")
	fs.BoolVar(&f.progress, "progress", false, "a line a second on standard error (default when that is a terminal)")
}

// parseBench parses the flags, those of the parents included. A flag's long name may
// also have one dash: -size 64.
func parseBench(cmd *cobra.Command, args []string) error {
	cmd.DisableFlagParsing = false
	cmd.InitDefaultHelpFlag()
	defer func() { cmd.DisableFlagParsing = true }()
	if err := cmd.ParseFlags(twoDashes(cmd.Flags(), args)); err != nil {
		return err
	}
	if rest := cmd.Flags().Args(); len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	return nil
}

// twoDashes gives long names that are written with one dash their second.
func twoDashes(fs *pflag.FlagSet, args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = arg
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && len(name) > 1 && fs.Lookup(name) != nil {
			out[i] = "-" + arg
		}
	}
	return out
}

// options are the checked options of both brokers; the second is nil without --compare.
func (f *benchFlags) options() (first load.Options, second *load.Options, err error) {
	first = f.load
	first.Addresses = strings.Split(f.addr, ",")
	first.Scenario = load.Scenario(f.scenario)
	if v, bad := load.ParseVersion(f.version); bad == nil {
		first.Version = v
	} else {
		err = fmt.Errorf("--mqtt: %w", bad)
	}
	if err := errors.Join(err, first.Validate()); err != nil {
		return first, nil, err
	}
	if f.compare == "" {
		if len(f.comparePIDs) > 0 || f.compareLabel != "" {
			return first, nil, errors.New("--compare-pid and --compare-label: need --compare")
		}
		return first, nil, nil
	}
	other := first
	other.Addresses, other.PIDs, other.Label = strings.Split(f.compare, ","), f.comparePIDs, f.compareLabel
	if err := other.Validate(); err != nil {
		return first, nil, fmt.Errorf("--compare: %w", err)
	}
	return first, &other, nil
}

// ofScenario gives what was not said the default of a scenario that has its own.
func (f *benchFlags) ofScenario(fs *pflag.FlagSet) {
	switch load.Scenario(f.scenario) {
	case load.Reconnect:
		if !fs.Changed("window") {
			f.load.Window = load.ReconnectWindow
		}
	case load.Subscribe:
		if !fs.Changed("rate") {
			f.load.Rate = load.SubscribeRate
		}
	}
}

func (f *benchFlags) run(cmd *cobra.Command) error {
	f.ofScenario(cmd.Flags())
	first, second, err := f.options()
	if err != nil {
		return wrongUsage(err)
	}
	runs := f.runs
	switch {
	case cmd.Flags().Changed("runs") && runs < 1:
		return wrongUsage(fmt.Errorf("--runs: %d is not above 0", runs))
	case runs == 0 && second != nil:
		runs = defaultCompareRuns
	case runs == 0:
		runs = 1
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends at once
	if !cmd.Flags().Changed("progress") {
		f.progress = isTerminal(os.Stderr)
	}
	if f.progress {
		say := func(p load.Progress) { cmd.PrintErrln(p) }
		first.Progress = say
		if second != nil {
			second.Progress = say
		}
	}
	rep, err := load.Repeat(ctx, load.Run, first, second, runs, func(load.Result) {})
	if len(rep.Runs) > 0 {
		err = errors.Join(f.print(cmd.OutOrStdout(), &rep), err, rep.Err())
	}
	if err != nil {
		return &benchError{err: err, code: 1}
	}
	return nil
}

func (f *benchFlags) print(w io.Writer, rep *load.Report) error {
	if !f.json {
		return rep.WriteTable(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
