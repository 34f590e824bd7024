package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/skeinmq/skein/broker/load"
)

// benchmark is one call of the command.
type benchmark struct {
	settings settings
	dir      string // removed at the end
	binary   string // of skein
	skein    side
	guarded  side // Skein with users and rules
	other    side
	peers    []peer // clusters; the first is Skein
	versions []string
	stderr   io.Writer
	watched  bool

	clusterVersions []string
}

// newBench makes ready what the chosen rows need.
func newBench(ctx context.Context, s settings, c choice, stderr io.Writer) (*benchmark, error) {
	dir, err := os.MkdirTemp("", "skein-bench")
	if err != nil {
		return nil, err
	}
	b := &benchmark{settings: s, dir: dir, stderr: stderr, watched: isInteractive(stderr)}
	if err := b.prepare(ctx, c); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *benchmark) close() {
	b.note("")
	_ = os.RemoveAll(b.dir) // what is left is in the system's place for it
}

// prepare builds what is measured and gets what it is compared with.
func (b *benchmark) prepare(ctx context.Context, c choice) error {
	// mosquitto gives up its rights before it reads its files.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	binary := b.settings.skein
	if binary == "" {
		b.note("building skein")
		binary = filepath.Join(b.dir, "skein-binary")
		out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/skeinmq/skein/cmd/skein").CombinedOutput()
		if err != nil {
			return fmt.Errorf("building skein: %w\n%s", err, out)
		}
	}
	b.binary = binary
	b.versions = append(b.versions, firstLine(ctx, binary, "version"))
	var err error
	if len(c.rows) > 0 {
		err = b.prepareSingle(ctx, binary)
	}
	if err == nil && len(c.cluster) > 0 {
		err = b.prepareCluster(ctx)
	}
	return err
}

// prepareSingle writes what one node is configured with, and finds the other broker.
func (b *benchmark) prepareSingle(ctx context.Context, binary string) error {
	cert, key, err := writeCertificate(b.dir)
	if err != nil {
		return err
	}
	b.skein = skeinSide(b.dir, binary, cert, key, "")
	access, err := writeAccess(b.dir)
	if err != nil {
		return fmt.Errorf("writing users and rules: %w", err)
	}
	b.guarded = skeinSide(b.dir, binary, cert, key, access)
	if b.settings.broker != "" {
		r, err := parseRunning(b.settings.broker)
		b.other = runningSide(r)
		return err
	}
	path, err := exec.LookPath(b.settings.mosquitto)
	if err != nil {
		return fmt.Errorf("there is no mosquitto to compare with (-mosquitto, -broker): %w", err)
	}
	b.other = mosquittoSide(b.dir, path, cert, key)
	b.versions = append(b.versions, firstLine(ctx, path, "-h"))
	return nil
}

// measure runs the rows and prints the table; its error is what was missed.
func (b *benchmark) measure(ctx context.Context, rows []row, stdout io.Writer) error {
	t := &table{tally: tally{w: stdout}, other: b.other.name}
	t.begin(machine(), b.versions, b.settings)
	for i := range rows {
		if b.settings.broker != "" && rows[i].scheme != "tcp" {
			continue // it was told one address
		}
		rep, own, err := b.measureRow(ctx, &rows[i])
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", rows[i].name, err), t.end())
		}
		b.note("")
		if ctx.Err() != nil {
			return errors.Join(errors.New("interrupted"), t.end())
		}
		t.row(&rows[i], &rep, own)
	}
	return t.end()
}

// measureRow runs one row at both sides in turn.
func (b *benchmark) measureRow(ctx context.Context, r *row) (load.Report, stored, error) {
	if r.own != nil {
		return r.own(ctx, b)
	}
	one := b.skein
	if r.access {
		one = b.guarded
	}
	sides := map[string]*rowSide{b.skein.name: {side: one, storm: r.storm}}
	first, label, set := r.options(b.settings, b.skein.name, r.set), b.other.name, r.set
	other := b.other
	if r.against != nil {
		label, set, other = r.otherLabel(), r.against, b.skein
		if r.storm > 0 {
			other = b.guarded
		}
	}
	sides[label] = &rowSide{side: other}
	second := r.options(b.settings, label, set)
	n := 0
	runner := func(ctx context.Context, o load.Options) (load.Result, error) {
		n++
		b.note("%s: run %d of %d, %s", r.name, (n+1)/2, b.settings.runs, o.Label)
		return sides[o.Label].run(ctx, o, r)
	}
	rep, err := load.Repeat(ctx, runner, first, &second, b.settings.runs, func(load.Result) {})
	for _, s := range sides {
		err = errors.Join(err, s.stop())
	}
	return rep, stored{}, err
}

// rowSide is a broker that runs while a row is measured.
type rowSide struct {
	side     side
	storm    int       // wrong passwords a second
	endpoint *endpoint // nil while it does not run
}

func (s *rowSide) run(ctx context.Context, o load.Options, r *row) (load.Result, error) {
	if s.endpoint == nil {
		e, err := s.side.start(ctx)
		if err != nil {
			return load.Result{}, err
		}
		s.endpoint = e
	}
	o.Addresses, o.PIDs = []string{s.endpoint.addresses[r.scheme]}, s.endpoint.pids
	var stormed *storm
	if s.storm > 0 {
		stormed = startStorm(ctx, strings.TrimPrefix(s.endpoint.addresses["tcp"], "tcp://"), s.storm)
	}
	res, err := runDriver(ctx, o)
	if stormed != nil {
		err = errors.Join(err, stormed.stop())
	}
	if r.fresh {
		err = errors.Join(err, s.stop())
	}
	return res, err
}

func (s *rowSide) stop() error {
	if s.endpoint == nil {
		return nil
	}
	e := s.endpoint
	s.endpoint = nil
	return e.stop()
}

// firstLine is what a program says of itself. mosquitto -h ends with an error.
func firstLine(ctx context.Context, name, arg string) string {
	out, _ := exec.CommandContext(ctx, name, arg).CombinedOutput() // an empty line says it
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
