package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/skeinmq/skein/auth"
)

var (
	errNoPassword  = errors.New("standard input has no password")
	errManyLines   = errors.New("standard input has more than the one line of a password")
	errUnequal     = errors.New("the passwords are not the same")
	errInterrupted = errors.New("interrupted")
)

// onlyLine is the one line of in, without its end.
func onlyLine(in io.Reader) (auth.Secret, error) {
	data, err := io.ReadAll(io.LimitReader(in, auth.MaxPassword+3))
	if err != nil {
		return "", fmt.Errorf("reading standard input: %w", err)
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	switch {
	case len(data) == 0:
		return "", errNoPassword
	case bytes.ContainsAny(data, "\r\n"):
		return "", errManyLines
	case len(data) > auth.MaxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", auth.MaxPassword)
	}
	return auth.Secret(data), nil
}

// askTwice asks on a terminal, without echo.
func askTwice(ctx context.Context, terminal *os.File, prompt io.Writer, user string) (auth.Secret, error) {
	in := bufio.NewReader(terminal)
	first, err := ask(ctx, terminal, in, prompt, fmt.Sprintf("Password of %s: ", user))
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errors.New("the password is empty")
	}
	again, err := ask(ctx, terminal, in, prompt, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errUnequal
	}
	return first, nil
}

// ask reads a line without echo. Whatever ends it, also a signal, the terminal is as
// it was. After a signal the goroutine that reads ends with the process.
func ask(ctx context.Context, terminal *os.File, in *bufio.Reader, prompt io.Writer, question string) (auth.Secret, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	show, err := hideInput(terminal)
	if err != nil {
		return "", fmt.Errorf("turning the echo off: %w", err)
	}
	defer show()
	_, _ = io.WriteString(prompt, question)                // who cannot see it can still answer
	defer func() { _, _ = io.WriteString(prompt, "\n") }() // likewise
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1) // so that the goroutine ends when nobody waits for it
	go func() {
		line, err := in.ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return "", fmt.Errorf("reading the password: %w", a.err)
		}
		return auth.Secret(bytes.TrimRight([]byte(a.line), "\r\n")), nil
	case <-ctx.Done():
		return "", errInterrupted
	}
}
