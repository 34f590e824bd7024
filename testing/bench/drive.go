package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/skeinmq/skein/broker/load"
)

// driverArg makes this program the driver of one run: options as JSON on standard
// input, the result as JSON on standard output.
const driverArg = "drive"

func drive(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var o load.Options
	if err := json.NewDecoder(stdin).Decode(&o); err != nil {
		return fmt.Errorf("reading options: %w", err)
	}
	res, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(res)
}

// runDriver does one run in a process of its own.
func runDriver(ctx context.Context, o load.Options) (load.Result, error) {
	var res load.Result
	self, err := os.Executable()
	if err != nil {
		return res, err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return res, err
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, self, driverArg)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(options), &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = o.Stall + 10*time.Second // a driver that is told to end ends within Stall
	if err := cmd.Run(); err != nil {
		return res, fmt.Errorf("driving %s: %w: %s", o.Label, err, strings.TrimSpace(errs.String()))
	}
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		return res, fmt.Errorf("reading a result: %w", err)
	}
	return res, nil
}
