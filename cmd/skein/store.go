package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/hooks/store/disk"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look at what is kept on disk, carry it elsewhere, compact it",
		Long: "Store works on the directory of a broker that does not run; one that is in use is refused. It is the\n" +
			"directory that the configuration names (file and SKEIN_ variables), or that of --data.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := cmd.PersistentFlags()
	file := f.StringP("config", "c", "", "the configuration `FILE` (YAML)")
	f.String("data", "", "the directory `DIR`")
	options := func() (disk.Options, error) {
		s := config.Source{File: *file, Env: a.env, Flags: map[string]string{}}
		if flag := f.Lookup("data"); flag.Changed {
			s.Flags["data"] = flag.Value.String()
		}
		c, err := config.Load(s)
		if err != nil {
			return disk.Options{}, err
		}
		log, level := newLog(a.stderr, c.Log)
		level.Set(slog.LevelWarn) // what goes well is told by the command
		return disk.Options{Dir: c.Data, Cache: int64(c.Store.Cache), Log: log}, nil
	}
	cmd.AddCommand(inspectCommand(options), exportCommand(options), importCommand(options), compactCommand(options))
	return cmd
}

// storeOptions answers which store a command is about, once its flags are parsed.
type storeOptions func() (disk.Options, error)

func exportCommand(options storeOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write everything that is stored as lines of JSON",
		Long: "Export writes sessions, subscriptions, queues, retained and delayed messages as lines of JSON, to FILE,\n" +
			"which must not be there, or to standard output. Nothing in the directory is changed. Payloads are in it:\n" +
			"FILE can only be read by its owner. The last line tells a whole export from one that was cut.",
		Example: "  skein store export --data /var/lib/skein backup.jsonl\n  skein store export | gzip > backup.jsonl.gz",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := options()
		if err != nil {
			return err
		}
		return withView(o, func(v *disk.View) error {
			if len(args) == 0 || args[0] == "-" {
				return v.Export(cmd.Context(), cmd.OutOrStdout())
			}
			return exportTo(cmd.Context(), v, args[0])
		})
	}
	return cmd
}

// withView opens the store of o for reading, for as long as f runs.
func withView(o disk.Options, f func(v *disk.View) error) error {
	v, err := disk.OpenReadOnly(o)
	if err != nil {
		return err
	}
	return errors.Join(f(v), v.Close())
}

// exportTo writes a new file, or leaves none.
func exportTo(ctx context.Context, v *disk.View, name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = v.Export(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export to %s: %w", name, errors.Join(err, os.Remove(name)))
	}
	return nil
}

func importCommand(options storeOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Fill an empty directory with what export wrote",
		Long: "Import reads what export wrote, from FILE or standard input, into a directory that has no store. One that\n" +
			"did not end leaves a directory that no broker opens; import again into an empty one.",
		Example: "  skein store import --data ./data backup.jsonl\n  zcat backup.jsonl.gz | skein store import",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := options()
		if err != nil {
			return err
		}
		in := cmd.InOrStdin()
		if len(args) == 1 && args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			defer func() { _ = f.Close() }() // it was only read
			in = f
		}
		return importFrom(cmd, o, in)
	}
	return cmd
}

func importFrom(cmd *cobra.Command, o disk.Options, in io.Reader) error {
	if err := disk.Import(cmd.Context(), o, in); err != nil {
		return err
	}
	z, err := sizes(cmd.Context(), o)
	if err != nil {
		return err
	}
	cmd.Printf("imported into %s: sessions %d, subscriptions %d, queued %d, retained %d, delayed %d\n",
		o.Dir, z.Sessions, z.Subscriptions, z.Queued, z.Retained, z.Delayed)
	return nil
}

func sizes(ctx context.Context, o disk.Options) (z disk.Sizes, err error) {
	err = withView(o, func(v *disk.View) error {
		z, err = v.Sizes(ctx)
		return err
	})
	return z, err
}

func compactCommand(options storeOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Give back the space of what was deleted",
		Long: "Compact rewrites the files of the store. A broker that runs gives space back by itself, little by little;\n" +
			"this does all of it at once, and needs up to as much free space as the store has.",
		Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := options()
		if err != nil {
			return err
		}
		before, err := sizes(cmd.Context(), o) // also: a store is compacted, not made
		if err != nil {
			return err
		}
		if err := disk.Compact(cmd.Context(), o); err != nil {
			return err
		}
		after, err := sizes(cmd.Context(), o)
		if err != nil {
			return err
		}
		cmd.Printf("compacted %s: %s before, %s now\n", o.Dir, byteCount(before.Disk), byteCount(after.Disk))
		return nil
	}
	return cmd
}
