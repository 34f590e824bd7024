package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in a release.
var version string

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "skein %s (%s, %s/%s)\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// buildVersion is the version with, if it is known, the revision it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "devel")
	}
	return versionOf(version, info)
}

// versionOf prefers what the linker says. Go writes the revision into the version
// by itself, except where it knows no version.
func versionOf(linked string, info *debug.BuildInfo) string {
	v := cmp.Or(linked, info.Main.Version, "(devel)")
	if v != "(devel)" {
		return v
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	v = "devel"
	if r := settings["vcs.revision"]; r != "" {
		v += "-" + r[:min(len(r), 12)]
	}
	if settings["vcs.modified"] == "true" {
		v += "+dirty"
	}
	return v
}
