package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal and the side of the one who sits at it.
func terminal(t *testing.T) (user, tty *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here:", err)
	}
	t.Cleanup(func() { _ = user.Close() }) // the test is over
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("there are no terminals here:", err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip("there are no terminals here:", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals here:", err)
	}
	t.Cleanup(func() { _ = tty.Close() }) // likewise
	return user, tty
}

// atTerminal answers each prompt with a line, and returns what the user saw.
func atTerminal(t *testing.T, args []string, answers ...string) (seen string, err error) {
	t.Helper()
	user, tty := terminal(t)
	cmd := passwdCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(tty)
	cmd.SetOut(io.Discard)
	cmd.SetErr(tty)
	cmd.SetArgs(args)
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(t.Context()) }()
	var saw bytes.Buffer
	r := bufio.NewReader(io.TeeReader(user, &saw))
	for _, a := range answers {
		if _, err := r.ReadString(':'); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(user, a+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	err = <-done
	echo, ioctlErr := unix.IoctlGetTermios(int(tty.Fd()), getTermios)
	if ioctlErr != nil || echo.Lflag&unix.ECHO == 0 {
		t.Errorf("the echo is still off, %v", ioctlErr)
	}
	if _, err := io.WriteString(tty, "!"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadString('!'); err != nil {
		t.Fatal(err)
	}
	return saw.String(), err
}

func TestPasswdAsksTwiceWithoutEcho(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	seen, err := atTerminal(t, []string{file, "bob", "--no-scram"}, "hunter2", "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(seen, "hunter2") || !strings.HasPrefix(seen, "Password of bob: ") || !strings.Contains(seen, "Once more: ") {
		t.Errorf("the user saw %q", seen)
	}
	if u, ok := userOf(t, file, "bob"); !ok || !verify(t, u, "hunter2") {
		t.Error("another password was set")
	}
}

func TestPasswdRefusesTwoThatDiffer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	for want, answers := range map[string][]string{"the passwords are not the same": {"hunter2", "hunter3"}, "the password is empty": {""}} {
		if seen, err := atTerminal(t, []string{file, "bob"}, answers...); err == nil || err.Error() != want || strings.Contains(seen, "hunter") {
			t.Errorf("%v, %q", err, seen)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was made")
	}
}
