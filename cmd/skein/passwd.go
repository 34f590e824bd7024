package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/auth"
)

// passwdFlags are the flags of the command.
type passwdFlags struct {
	groups  []string
	clients []string
	// setGroups and setClients say that the flags were given.
	setGroups, setClients bool
	iterations            int
	remove                bool
	batch                 bool
	noScram               bool
	keep                  bool
}

func passwdCommand() *cobra.Command {
	var f passwdFlags
	cmd := &cobra.Command{
		Use:   "passwd FILE [USER]",
		Short: "Add, change and delete users of a users file",
		Long: "Passwd adds a user to a users file, or changes the one that is there. It asks for the password on the\n" +
			"terminal, or takes one line from standard input. With --batch it takes users from there, a line of\n" +
			"name:password each. A new file can only be read by its owner. The broker takes the change when it reloads.\n\n" +
			"A user's groups and client ids stay unless --group or --client is given; \"\" takes them away.",
		Example: "  skein passwd users bob\n  skein passwd users bob --group operators < secret\n  skein passwd users --batch < all\n  skein passwd -D users bob",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.batch {
				return cobra.ExactArgs(1)(cmd, args)
			}
			return cobra.ExactArgs(2)(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.remove, "delete", "D", false, "delete the user")
	flags.StringSliceVarP(&f.groups, "group", "g", nil, "`GROUP` of the user; may be given more than once")
	flags.StringSliceVar(&f.clients, "client", nil, "client `ID` of the user, or how its client ids begin and a *; may be given more than once")
	flags.BoolVar(&f.batch, "batch", false, "take lines of name:password from standard input")
	flags.BoolVar(&f.keep, "keep-password", false, "change only the groups and client ids of the user")
	flags.BoolVar(&f.noScram, "no-scram", false, "no verifier for SCRAM-SHA-256 beside the hash")
	flags.IntVar(&f.iterations, "scram-iterations", auth.ScramIterations, "`ITERATIONS` of the verifier, which clients pay for")
	cmd.MarkFlagsMutuallyExclusive("delete", "batch", "keep-password")
	cmd.MarkFlagsMutuallyExclusive("delete", "group")
	cmd.MarkFlagsMutuallyExclusive("delete", "client")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.noScram {
			f.iterations = 0
		}
		f.setGroups, f.setClients = cmd.Flags().Changed("group"), cmd.Flags().Changed("client")
		switch {
		case f.batch:
			return f.runBatch(cmd, args[0])
		case f.remove:
			return deleteUser(cmd, args[0], args[1])
		case f.keep:
			return f.changeGroups(cmd, args[0], args[1])
		}
		return f.setPassword(cmd, args[0], args[1])
	}
	return cmd
}

func deleteUser(cmd *cobra.Command, file, user string) error {
	if err := readable(file, true); err != nil {
		return err
	}
	err := auth.UpdateUsers(file, func(u *auth.UsersFile) error {
		if !u.Delete(user) {
			return fmt.Errorf("there is no user %q in %s", user, file)
		}
		return nil
	})
	if err == nil {
		cmd.Printf("deleted %s\n", user)
	}
	return err
}

func (f *passwdFlags) changeGroups(cmd *cobra.Command, file, user string) error {
	if err := readable(file, true); err != nil {
		return err
	}
	err := auth.UpdateUsers(file, func(u *auth.UsersFile) error {
		old, ok := u.User(user)
		if !ok {
			return fmt.Errorf("there is no user %q in %s", user, file)
		}
		f.change(&old)
		if f.noScram {
			old.Verifier = ""
		}
		return u.Set(user, old)
	})
	if err == nil {
		cmd.Printf("changed %s\n", user)
	}
	return err
}

func (f *passwdFlags) setPassword(cmd *cobra.Command, file, user string) error {
	if err := errors.Join(auth.ValidUser(user), f.validGroups(), readable(file, false)); err != nil {
		return err
	}
	password, err := askPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), user)
	if err != nil {
		return err
	}
	return f.update(cmd, file, []auth.NamedPassword{{Name: user, Password: password}})
}

func (f *passwdFlags) runBatch(cmd *cobra.Command, file string) error {
	if err := errors.Join(f.validGroups(), readable(file, false)); err != nil {
		return err
	}
	data, err := io.ReadAll(cmd.InOrStdin())
	if err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	list, err := auth.ParsePasswords("standard input", data)
	if err != nil {
		return err
	}
	return f.update(cmd, file, list)
}

// update hashes first, so that the file is locked for a moment only.
func (f *passwdFlags) update(cmd *cobra.Command, file string, list []auth.NamedPassword) error {
	users, err := auth.HashUsers(contextOf(cmd), list, f.iterations)
	if err != nil {
		return err
	}
	did := make([]string, len(list))
	err = auth.UpdateUsers(file, func(u *auth.UsersFile) error {
		for i, n := range list {
			old, known := u.User(n.Name)
			did[i] = "added"
			if known {
				did[i] = "changed"
			}
			users[i].Groups, users[i].Clients = old.Groups, old.Clients
			f.change(&users[i])
			if err := u.Set(n.Name, users[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, n := range list {
		cmd.Printf("%s %s\n", did[i], n.Name)
	}
	return nil
}

// change sets what flags were given for.
func (f *passwdFlags) change(u *auth.User) {
	if f.setGroups {
		u.Groups = f.groups
	}
	if f.setClients {
		u.Clients = f.clients
	}
}

func (f *passwdFlags) validGroups() error {
	if len(f.clients) > 0 {
		if _, err := auth.ParseClientIDs(strings.Join(f.clients, ",")); err != nil {
			return err
		}
	}
	for _, g := range f.groups {
		if err := auth.ValidGroup(g); err != nil {
			return err
		}
	}
	return nil
}

// readable tells what is wrong with a users file before anybody is asked for a
// password.
func readable(file string, must bool) error {
	_, err := auth.LoadUsers(file)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil
	}
	return err
}

// contextOf is the command's context, which is nil in a command that nobody gave one.
func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// askPassword asks twice on a terminal; else the password is the one line of in.
func askPassword(ctx context.Context, in io.Reader, prompt io.Writer, user string) (auth.Secret, error) {
	if f, ok := in.(*os.File); ok && hasTerminal(f) {
		return askTwice(ctx, f, prompt, user)
	}
	return onlyLine(in)
}
