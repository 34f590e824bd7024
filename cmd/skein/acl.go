package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/auth"
	"github.com/skeinmq/skein/broker"
	"github.com/skeinmq/skein/broker/config"
)

// explainFlags are the flags of acl explain.
type explainFlags struct {
	who     auth.Subject
	user    string
	address string
	topics  [3]string // by action
	qos     int
	retain  bool
}

func (a *app) aclCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "acl", Short: "Look at the rules of a configuration", Args: cobra.NoArgs}
	cmd.AddCommand(a.explainCommand())
	return cmd
}

func (a *app) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Tell which rule decides what a client may do",
		Long: "Explain tells which rule of the configuration decides whether a client may publish, subscribe, or get\n" +
			"a message, and why those before it do not. A user's groups are those of the users file, unless --group is\n" +
			"given. Rules that come with a token or from a service, and the ACL service, are not asked.\n\n" +
			"Exit code: 0 whatever the answer, 2 when the configuration or the command line is wrong.",
		Example: "  skein acl explain -c skein.yaml --user bob --client sensor-7 --publish sensors/7/temperature\n" +
			"  skein acl explain -c skein.yaml --user bob --subscribe 'sensors/#' --qos 1",
		Args: cobra.NoArgs,
	}
	source := a.sourceFlags(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.user, "user", "u", "", "the user `NAME`; without it the client is anonymous")
	flags.StringVar(&f.who.ClientID, "client", "", "the client `ID`")
	flags.StringSliceVarP(&f.who.Groups, "group", "g", nil, "a `GROUP` of the user; may be given more than once")
	flags.StringVar(&f.address, "address", "", "the `ADDRESS` it connects from")
	flags.StringVar(&f.who.Listener, "listener", "", "the `NAME` of the listener")
	flags.StringVar(&f.who.Certificate.CN, "cert-cn", "", "the common `NAME` of its certificate")
	flags.StringVar(&f.who.Certificate.DN, "cert-dn", "", "the whole `SUBJECT` of it")
	flags.StringSliceVar(&f.who.Certificate.SANs, "cert-san", nil, "an alternative `NAME` of it; may be given more than once")
	flags.StringVar(&f.topics[auth.Publish], "publish", "", "may it publish to `TOPIC`?")
	flags.StringVar(&f.topics[auth.Subscribe], "subscribe", "", "may it subscribe to `FILTER`?")
	flags.StringVar(&f.topics[auth.Deliver], "deliver", "", "may it get a message of `TOPIC`?")
	flags.IntVarP(&f.qos, "qos", "q", 0, "the `QOS`: 0, 1 or 2")
	flags.BoolVar(&f.retain, "retain", false, "the publish has the retain flag")
	cmd.MarkFlagsOneRequired("publish", "subscribe", "deliver")
	cmd.MarkFlagsMutuallyExclusive("publish", "subscribe", "deliver")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.who.User, f.who.HasUser = f.user, cmd.Flags().Changed("user")
		return f.run(cmd, source())
	}
	return cmd
}

func (f *explainFlags) run(cmd *cobra.Command, source config.Source) error {
	q := auth.Query{Subject: &f.who, QoS: byte(f.qos), Retain: f.retain}
	if f.qos < 0 || f.qos > 2 {
		return wrongUsage(fmt.Errorf("--qos: must be 0, 1 or 2, is %d", f.qos))
	}
	if f.address != "" {
		addr, err := netip.ParseAddr(f.address)
		if err != nil {
			return wrongUsage(fmt.Errorf("--address: must be an address, is %q", f.address))
		}
		f.who.Address = addr
	}
	for action, topic := range f.topics {
		if topic != "" {
			q.Action, q.Topic = auth.Action(action), topic
		}
	}
	c, err := config.Load(source)
	if err != nil {
		return err
	}
	e, err := broker.ExplainAccess(c, q)
	if err != nil {
		return wrongUsage(err)
	}
	cmd.Print(e.String())
	return nil
}
