package main

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/skeinmq/skein/broker/load"
)

// Scenarios that have defaults of their own take them, unless something else is said.
func TestBenchDefaultsOfScenarios(t *testing.T) {
	general := load.Defaults()
	for _, tt := range []struct {
		args         []string
		window, rate int
	}{
		{nil, general.Window, general.Rate},
		{[]string{"-s", "reconnect"}, load.ReconnectWindow, general.Rate},
		{[]string{"-s", "reconnect", "--window", "7"}, 7, general.Rate},
		{[]string{"-s", "subscribe"}, general.Window, load.SubscribeRate},
		{[]string{"-s", "subscribe", "--rate", "0"}, general.Window, 0},
		{[]string{"-s", "pairs"}, general.Window, general.Rate},
	} {
		f := &benchFlags{load: load.Defaults()}
		fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
		f.register(fs)
		if err := fs.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		f.ofScenario(fs)
		o, _, err := f.options()
		if err != nil || o.Window != tt.window || o.Rate != tt.rate {
			t.Errorf("%v: window %d, rate %d, %v", tt.args, o.Window, o.Rate, err)
		}
	}
}
