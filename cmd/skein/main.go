// Command skein is the MQTT broker and what belongs to it: serving, checking a
// configuration, measuring.
//
// Exit codes: 0 done; 1 it could not be done (a port in use, a listener lost); 2
// the command line or the configuration is wrong, and nothing was started. A node
// that is stopped by SIGTERM or SIGINT ends with 0, by a second one with 1.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	cobra.MousetrapHelpText = "" // on Windows a double click starts a broker
	a := &app{env: os.Environ(), stdout: os.Stdout, stderr: os.Stderr, signals: processSignals}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}
