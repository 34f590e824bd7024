package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/config"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is what the commands get from the process; tests give their own.
type app struct {
	env     []string
	stdin   io.Reader // nil is that of the process
	stdout  io.Writer
	stderr  io.Writer
	signals func() (<-chan os.Signal, func())

	began bool // a command's own work has begun, so the command line was right
}

// run executes a command line, tells what went wrong, and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		a.printErr("skein: %s\n", line)
	}
	if !a.began {
		a.printErr("Run '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitCode(err)
}

// exitCode is the code of a command that failed at its work.
func exitCode(err error) int {
	var problems *config.Problems
	var own interface{ ExitCode() int }
	switch {
	case errors.As(err, &problems):
		return exitUsage
	case errors.As(err, &own):
		return own.ExitCode()
	}
	return exitFailed
}

func (a *app) printErr(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, format, args...) // there is nowhere left to tell
}

func (a *app) rootCommand() *cobra.Command {
	root := a.serveCommand()
	root.Use = "skein"
	root.Short = "A fast MQTT broker"
	root.Long = "Skein is an MQTT broker. Without a command it serves, on this host alone unless told otherwise."
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.AddCommand(a.serveCommand(), a.checkCommand(), a.healthCommand(), a.versionCommand(), passwdCommand(), a.aclCommand(), a.ctlCommand(), a.storeCommand(), benchCommand())
	a.markBegin(root)
	return root
}

// markBegin makes every command note that its own work begins. What fails before
// is the command line.
func (a *app) markBegin(cmd *cobra.Command) {
	if f := cmd.RunE; f != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.began = true
			return f(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		a.markBegin(sub)
	}
}
