package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/api/client"
)

// The exit codes of ctl beside those of all commands.
const (
	exitUnreachable = 3 // the node could not be asked
	exitToken       = 4 // it does not take the token
	exitNotFound    = 5 // it does not know what the command is about
)

const (
	defaultHTTP = "127.0.0.1:8083"
	varHTTP     = "SKEIN_HTTP"
	varToken    = "SKEIN_TOKEN"

	completionTime = 2 * time.Second
	completions    = 100
)

// ctl is what all its commands share.
type ctl struct {
	a         *app
	http      string
	tokenFile string
	ca        string
	timeout   time.Duration
	json      bool
}

func (a *app) ctlCommand() *cobra.Command {
	c := &ctl{a: a}
	cmd := &cobra.Command{
		Use:   "ctl",
		Short: "Operate a running node through its HTTP API",
		Long: "Ctl asks the HTTP listener of a node, which answers for all nodes of a cluster: who is connected, what\n" +
			"waits for whom, what is retained. It disconnects, bans, publishes, subscribes, traces, drains, reloads.\n\n" +
			"The node is --http, or " + varHTTP + ", or " + defaultHTTP + ". The token is in the file --token-file, or in " + varToken + ";\n" +
			"never on the command line, which ps shows. Commands that look need a token of scope read, the others write.\n\n" +
			"Exit codes: 0 done; 1 it was refused or went wrong; 2 the command line is wrong; 3 the node could not be\n" +
			"reached; 4 it does not take the token; 5 there is no such client, message, ban or node.",
		Args: cobra.NoArgs,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&c.http, "http", "", "the `ADDRESS` of the node's HTTP listener: HOST:PORT or https://HOST:PORT")
	f.StringVar(&c.tokenFile, "token-file", "", "the `FILE` that has the token")
	f.StringVar(&c.ca, "ca", "", "trust the certificates in `FILE` (PEM) instead of the system's")
	f.DurationVar(&c.timeout, "timeout", 30*time.Second, "wait so `LONG` for an answer")
	f.BoolVar(&c.json, "json", false, "answer in JSON, as the API does")
	cmd.AddCommand(
		c.statusCommand(), c.nodesCommand(), c.clientsCommand(), c.clientCommand(), c.kickCommand(), c.deleteCommand(),
		c.retainedCommand(), c.publishCommand(), c.subscribeCommand(), c.bansCommand(), c.traceCommand(), c.refusalsCommand(),
		c.drainCommand(), c.reloadCommand(), c.logLevelCommand(),
	)
	return cmd
}

// env is a variable of the process.
func (a *app) lookup(name string) string {
	for _, kv := range slices.Backward(a.env) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// connect makes the client of the command line.
func (c *ctl) connect() (*client.Client, error) {
	o := client.Options{Address: c.http}
	if o.Address == "" {
		o.Address = c.a.lookup(varHTTP)
	}
	if o.Address == "" {
		o.Address = defaultHTTP
	}
	var err error
	if o.Token, err = c.token(); err != nil {
		return nil, err
	}
	if c.ca != "" {
		if o.TLS, err = trusted(c.ca); err != nil {
			return nil, wrongUsage(err)
		}
	}
	n, err := client.New(o)
	if err != nil {
		return nil, wrongUsage(err)
	}
	return n, nil
}

func (c *ctl) token() (string, error) {
	if c.tokenFile == "" {
		return c.a.lookup(varToken), nil
	}
	b, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return "", wrongUsage(fmt.Errorf("--token-file: %w", err))
	}
	t := strings.TrimSpace(string(b))
	if t == "" || strings.ContainsAny(t, "\r\n") {
		return "", wrongUsage(fmt.Errorf("--token-file: %s must have one line, the token", c.tokenFile))
	}
	return t, nil
}

// trusted trusts certificates of a file alone.
func trusted(file string) (*tls.Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--ca: %s has no certificate", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// work is a command's own part.
type work func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error

// asks makes a command's RunE of a part that asks the node and is answered in time.
func (c *ctl) asks(w work) func(*cobra.Command, []string) error {
	return c.streams(func(ctx context.Context, n *client.Client, cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		return w(ctx, n, cmd, args)
	})
}

// streams is asks without an end in time; a signal ends it.
func (c *ctl) streams(w work) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		n, err := c.connect()
		if err != nil {
			return err
		}
		defer n.Close()
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		signals, stop := c.a.signals()
		defer stop()
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			select {
			case <-signals:
				cancel()
			case <-ended:
			}
		}()
		return told(w(ctx, n, cmd, args))
	}
}

// ctlError is an error with the exit code that says what kind it is.
type ctlError struct {
	error
	code int
}

// ExitCode is that of the process.
func (e *ctlError) ExitCode() int { return e.code }

// Unwrap is for package errors.
func (e *ctlError) Unwrap() error { return e.error }

// told gives an error of the node its exit code.
func told(err error) error {
	var answer *client.Error
	var ended *client.EndedError
	var own *ctlError
	var usage interface{ ExitCode() int }
	switch {
	case err == nil, errors.As(err, &own), errors.As(err, &usage):
		return err
	case errors.As(err, &ended), errors.Is(err, errRefused), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &answer):
		switch answer.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			if answer.Code == 0 { // with one, it is about a topic
				return &ctlError{err, exitToken}
			}
		case http.StatusNotFound:
			return &ctlError{err, exitNotFound}
		}
		return err
	}
	return &ctlError{err, exitUnreachable}
}

// errRefused is what became of a message, told already.
var errRefused = errors.New("not all of it was done")

// completeClient completes client ids by asking the node.
func (c *ctl) completeClient(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, func(ctx context.Context, n *client.Client) (list []cobra.Completion) {
		page, err := n.Clients(ctx, client.ClientQuery{Search: begun, Page: client.Page{Limit: completions}})
		if err != nil {
			return nil
		}
		for i := range page.Clients {
			if id := page.Clients[i].ID; strings.HasPrefix(id, begun) && !strings.ContainsAny(id, "\t\r\n") {
				list = append(list, id)
			}
		}
		return list
	})
}

// completeNode completes names of nodes.
func (c *ctl) completeNode(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.complete(cmd, func(ctx context.Context, n *client.Client) (list []cobra.Completion) {
		nodes, err := n.Nodes(ctx)
		if err != nil {
			return nil
		}
		for i := range nodes.Nodes {
			if name := nodes.Nodes[i].Name; strings.HasPrefix(name, begun) {
				list = append(list, name)
			}
		}
		return list
	})
}

// complete asks for completions. A node that cannot be asked has none: a shell is no
// place for its error.
func (c *ctl) complete(cmd *cobra.Command, f func(context.Context, *client.Client) []cobra.Completion) ([]cobra.Completion, cobra.ShellCompDirective) {
	n, err := c.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer n.Close()
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	return f(ctx, n), cobra.ShellCompDirectiveNoFileComp
}

// must is for what only a mistake of the program can fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// nodeFlag adds --node.
func (c *ctl) nodeFlag(cmd *cobra.Command, node *string) {
	cmd.Flags().StringVar(node, "node", "", "the `NAME` of the node; without it the one that is asked")
	must(cmd.RegisterFlagCompletionFunc("node", c.completeNode))
}
