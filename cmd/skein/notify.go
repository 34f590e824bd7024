package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notifier tells the service manager what becomes of the process, by the protocol of
// sd_notify(3). Without NOTIFY_SOCKET it does nothing. It is used by one goroutine.
type notifier struct {
	conn     net.Conn // nil is nobody to tell
	interval time.Duration
	ticker   *time.Ticker
}

// newNotifier reads what the manager has put into the environment. A socket that cannot
// be reached is an error: the manager would wait for READY and then kill.
func newNotifier(env []string) (notifier, error) {
	var n notifier
	address := lookEnv(env, "NOTIFY_SOCKET")
	if address == "" {
		return n, nil
	}
	if name, abstract := strings.CutPrefix(address, "@"); abstract {
		address = "\x00" + name
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return n, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	n.interval, err = watchdogInterval(env)
	if err != nil {
		_ = conn.Close() // nothing was sent
		return n, err
	}
	n.conn = conn
	return n, nil
}

// watchdogInterval is half of what the manager waits for a sign of life, 0 when it does
// not. WATCHDOG_PID says for whom that is.
func watchdogInterval(env []string) (time.Duration, error) {
	usec := lookEnv(env, "WATCHDOG_USEC")
	if usec == "" {
		return 0, nil
	}
	if pid := lookEnv(env, "WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	const most = int64(365 * 24 * time.Hour / time.Microsecond)
	if err != nil || n < 2 || n > most {
		return 0, fmt.Errorf("WATCHDOG_USEC is %q, not a number of microseconds", usec)
	}
	return time.Duration(n) * time.Microsecond / 2, nil
}

// ready says that the node serves, and starts the clock of the watchdog.
func (n *notifier) ready() error {
	if n.interval > 0 && n.ticker == nil {
		n.ticker = time.NewTicker(n.interval)
	}
	return n.send("READY=1\nSTATUS=serves")
}

// watchdog delivers when a sign of life is due; never, when nobody waits for one.
func (n *notifier) watchdog() <-chan time.Time {
	if n.ticker == nil {
		return nil
	}
	return n.ticker.C
}

// alive is the sign of life.
func (n *notifier) alive() error { return n.send("WATCHDOG=1") }

func (n *notifier) reloading() error { return n.send("RELOADING=1\nSTATUS=reads the configuration") }

func (n *notifier) stopping(why string) error { return n.send("STOPPING=1\nSTATUS=stops: " + why) }

// close lets go of the socket.
func (n *notifier) close() {
	if n.ticker != nil {
		n.ticker.Stop()
	}
	if n.conn != nil {
		_ = n.conn.Close() // the process ends
	}
}

// send is one datagram. The manager's socket may be full for a moment; a write that
// takes long is given up, the next sign of life says the same.
func (n *notifier) send(state string) error {
	if n.conn == nil {
		return nil
	}
	if err := n.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	if _, err := n.conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// lookEnv is the last value of a variable, as processes see it.
func lookEnv(env []string, name string) string {
	value := ""
	for _, e := range env {
		if k, v, ok := strings.Cut(e, "="); ok && k == name {
			value = v
		}
	}
	return value
}
