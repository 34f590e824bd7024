// Command bench measures Skein against mosquitto on this machine and says whether it
// is as fast and as small as it promises: the table of the README.
//
// It builds and starts a Skein with its default settings and a mosquitto, on free
// ports of 127.0.0.1 and in a directory that it removes, and runs each row of the
// table at both in turn. The load comes from a process of its own for each run, so that no
// heap of an earlier one is with it. It prints a markdown table, a line when a row is done.
//
// The rows that begin with "cluster: " have a table of their own: three instances of
// Skein with one Redis, and beside them three clustered nats-servers and three aedes
// processes with a Redis, where those can be installed.
//
// Exit codes: 0 every row is as required; 1 one is missed, something was lost, or it
// could not be measured; 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings is what the flags say.
type settings struct {
	runs      int
	duration  time.Duration
	only      *regexp.Regexp
	list      bool
	skein     string
	mosquitto string
	broker    string
	redis     string
	beside    string
}

// choice is the rows that are measured: of one node, and of clusters.
type choice struct {
	rows    []row
	cluster []clusterRow
}

func (c *choice) names() []string {
	var names []string
	for i := range c.rows {
		names = append(names, c.rows[i].name)
	}
	for i := range c.cluster {
		names = append(names, c.cluster[i].name)
	}
	return names
}

var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole command; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var err error
	if len(args) == 1 && args[0] == driverArg {
		err = drive(ctx, stdin, stdout)
	} else {
		err = bench(ctx, args, stdout, stderr)
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "bench: %v\n", err) // there is nowhere left to tell
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func bench(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	c := chosen(s)
	if len(c.names()) == 0 {
		return fmt.Errorf("%w: -only %v is no row", errUsage, s.only)
	}
	if s.list {
		for _, name := range c.names() {
			if _, err := fmt.Fprintln(stdout, name); err != nil {
				return err
			}
		}
		return nil
	}
	b, err := newBench(ctx, s, c, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	if len(c.rows) > 0 {
		err = b.measure(ctx, c.rows, stdout)
	}
	if len(c.cluster) > 0 && ctx.Err() == nil {
		err = errors.Join(err, b.measureCluster(ctx, c.cluster, stdout))
	}
	return err
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&s.runs, "runs", 5, "runs of each broker a row; the median counts")
	fs.DurationVar(&s.duration, "d", 5*time.Second, "measured time of a run")
	only := fs.String("only", "", "only the rows whose name matches this regular `expression`")
	fs.BoolVar(&s.list, "list", false, "print the names of the rows and end")
	fs.StringVar(&s.skein, "skein", "", "a skein `binary` instead of one that is built now")
	fs.StringVar(&s.mosquitto, "mosquitto", "mosquitto", "the mosquitto `binary`")
	fs.StringVar(&s.broker, "broker", "", "`name=address[,pid]` of a broker that is running, to compare with instead of mosquitto; clusters are left out then")
	fs.StringVar(&s.redis, "redis", "redis-server", "the redis-server `binary` of the clusters")
	fs.StringVar(&s.beside, "beside", strings.Join(peerNames(), ","), "what three instances are compared with, comma separated: nats (built with go install), aedes (npm); empty is nothing")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, err
		}
		return s, fmt.Errorf("%w: %w", errUsage, err)
	}
	var err error
	if s.only, err = regexp.Compile(*only); err != nil {
		return s, fmt.Errorf("%w: -only: %w", errUsage, err)
	}
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case s.runs < 1:
		err = fmt.Errorf("-runs: %d is not above 0", s.runs)
	case s.duration <= 0:
		err = fmt.Errorf("-d: %v is not above 0", s.duration)
	case s.broker != "":
		_, err = parseRunning(s.broker)
	default:
		_, err = besides(s.beside)
	}
	if err != nil {
		return s, fmt.Errorf("%w: %w", errUsage, err)
	}
	return s, nil
}

// chosen are the rows that -only names. A broker that was told has one address: it is
// no cluster.
func chosen(s settings) choice {
	c := choice{
		rows:    slices.DeleteFunc(allRows(), func(r row) bool { return !s.only.MatchString(r.name) }),
		cluster: slices.DeleteFunc(clusterRows(), func(r clusterRow) bool { return !s.only.MatchString(r.name) }),
	}
	if s.broker != "" {
		c.cluster = nil
	}
	return c
}

// isInteractive is whether somebody watches.
func isInteractive(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// note tells who watches what is being done, on a line that the next one replaces.
func (b *benchmark) note(format string, args ...any) {
	if b.watched {
		text := fmt.Sprintf(format, args...)
		_, _ = fmt.Fprintf(b.stderr, "\r%79s\r%s", "", text) // nobody needs it
	}
}
