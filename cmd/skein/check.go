package main

import (
	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what is wrong with a configuration",
		Long: "Check reads the configuration as serve would, from the file, SKEIN_ variables and flags, with the\n" +
			"certificates, users, rules and keys it names, and tells all that is wrong with it. Nothing is started.",
		Args: cobra.NoArgs,
	}
	source := a.sourceFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := config.Load(source())
		if err != nil {
			return err
		}
		if err := broker.CheckAccess(c); err != nil {
			return err
		}
		cmd.Println("the configuration is good")
		return nil
	}
	return cmd
}
