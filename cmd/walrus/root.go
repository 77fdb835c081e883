package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"walrus/config"
	"walrus/ledger/light"
)

// globalFlags are the flags of every command.
type globalFlags struct {
	config    string
	wallet    string
	json      bool
	logLevel  string
	logFormat string
	timeout   time.Duration
	trust     string // a checkpoint
}

const rootLong = `Walrus stores files as blobs, erasure-coded over many storage nodes. A blob stays readable while up to a third of the
network is down or lying.

To try it on this machine:

  walrus devnet up --dir /tmp/devnet                    # seven nodes; wait for the line that begins with "ready"
  export WALRUS_CONFIG=/tmp/devnet/client.yaml          # in another terminal
  walrus store README.md                                # prints the blob ID
  walrus read BLOB_ID -o copy.md
  walrus wallet show
  walrus health
  curl -T README.md http://127.0.0.1:31415/v1/blobs     # the same over HTTP; this address in a browser shows the network

Storing costs WAL. The wallet named in the configuration pays; a devnet comes with a funded wallet. Reading is free.

Data goes to standard output, everything else to standard error. A file named - is standard input or output.
With --json, a failed command prints one object on standard error: {"error","code","hint"}, and "warnings" if there were
any. "code" is the exit code. Logs appear there only if you choose a level, and from commands that serve: as JSON, too.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 too few nodes are up, or the ledger is stalled.`

// otherGroup is the heading of commands outside all groups.
const otherGroup = "Other"

func newRoot(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:     "walrus",
		Short:   "store and read blobs in a Walrus network, and run its nodes",
		Long:    rootLong,
		Version: version,
	})
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("walrus {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.global.config, "config", "",
		"client configuration `FILE` (default: $WALRUS_CONFIG, else ./walrus.yaml, else ~/.config/walrus/walrus.yaml)")
	flags.StringVar(&a.global.wallet, "wallet", "", "`FILE` of the wallet that pays (default: the wallet in the configuration)")
	flags.BoolVar(&a.global.json, "json", false, "print JSON on standard output")
	flags.StringVar(&a.global.logLevel, "log-level", "", "`LEVEL` of logs: debug, info, warn or error (default: $WALRUS_LOG_LEVEL, else the configuration's)")
	flags.StringVar(&a.global.logFormat, "log-format", "", "`FORMAT` of logs: text or json (default: the configuration's)")
	flags.StringVar(&a.global.trust, "trust", "",
		"block to trust, `HEIGHT:HASH`, from somebody you trust (walrus checkpoint prints it)")
	flags.DurationVar(&a.global.timeout, "timeout", 0,
		"give up after `TIME`, such as 90s or 5m; no effect on commands that run until interrupted")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := expandPaths(c.Flags()); err != nil {
			return err
		}
		if a.global.trust != "" {
			if _, err := light.ParseCheckpoint(a.global.trust); err != nil {
				return usagef("--trust: %v", err)
			}
		}
		if a.global.timeout < 0 {
			return usagef("--timeout %s: must not be negative", a.global.timeout)
		}
		if err := (&config.Log{Level: "info", Format: "text"}).Override(a.env, a.global.logLevel, a.global.logFormat); err != nil {
			return &usageError{err}
		}
		return nil
	}
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Blobs", []*cobra.Command{
			storeCommand(a), readCommand(a), blobIDCommand(a), blobStatusCommand(a), listBlobsCommand(a), extendCommand(a), deleteCommand(a),
			shareCommand(a), fundCommand(a), burnCommand(a), offerCommand(a), attributesCommand(a),
		}},
		{"Quilts", []*cobra.Command{storeQuiltCommand(a), readQuiltCommand(a), listPatchesCommand(a)}},
		{"Pins", []*cobra.Command{pinCommand(a)}},
		{"Monitors", []*cobra.Command{monitorCommand(a)}},
		{"Wallet and keys", []*cobra.Command{walletCommand(a), encryptionKeyCommand(a)}},
		{"The network", []*cobra.Command{infoCommand(a), healthCommand(a), checkpointCommand(a), doctorCommand(a)}},
		{"Gateways", gatewayCommands(a)},
		{"Nodes and new networks", []*cobra.Command{nodeCommand(a), genesisCommand(a), devnetCommand(a)}},
		{otherGroup, []*cobra.Command{benchCommand(a), jsonCommand(a), manCommand(a), versionCommand(a)}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.title
		}
		root.AddCommand(g.commands...)
	}
	root.SetHelpCommandGroupID(otherGroup)
	root.SetCompletionCommandGroupID(otherGroup)
	strict(root)
	a.addCompletions(root)
	return root
}

// group makes c a command with subcommands that prints its help when called alone.
func group(c *cobra.Command) *cobra.Command {
	c.Args = subcommand
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// subcommand refuses names that are not subcommands of c.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	near := c.SuggestionsFor(args[0]) // some are other words for it, or begin with it
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if name := config.Nearest(args[0], names); name != "" {
		near = []string{name}
	}
	if len(near) > 0 {
		return usagef("unknown command %q: did you mean %q?", args[0], near[0])
	}
	return usagef("unknown command %q (see %s --help)", args[0], c.CommandPath())
}

// strict makes cobra's own commands refuse unknown names, instead of explaining something else.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Short = "write a script that makes your shell complete walrus commands"
			group(c)
		case "help":
			c.Short = "show the help of a command"
			c.Args = func(_ *cobra.Command, args []string) error {
				of, rest, err := root.Find(args)
				if err != nil {
					return &usageError{err}
				}
				return subcommand(of, rest)
			}
		}
	}
}

// args turns cobra's check of the argument count into a usage error.
func args(check cobra.PositionalArgs, want string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check(c, args) != nil {
			return usagef("%s takes %s (see %s --help)", c.CommandPath(), want, c.CommandPath())
		}
		return nil
	}
}

// withTimeout bounds ctx by --timeout, or else by the command's default; 0 means none.
func (a *terminal) withTimeout(ctx context.Context, own time.Duration) (context.Context, context.CancelFunc) {
	limit := a.global.timeout
	if limit == 0 {
		limit = own
	}
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// logger returns a logger to stderr, configured by l, flags and environment. With --json, log lines are JSON too. If
// nobody has chosen a level, they are kept as warnings, because stderr then holds one object.
func (a *app) logger(l config.Log) (*slog.Logger, error) {
	if a.global.json {
		l.Format = "json"
	}
	if err := l.Override(a.env, a.global.logLevel, a.global.logFormat); err != nil {
		return nil, err
	}
	if a.global.json && l.Level == "" {
		return slog.New(slog.NewTextHandler(&a.warnings, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: untimed})), nil
	}
	return l.Logger(a.stderr), nil
}

// untimed leaves out what a warning does not need.
func untimed(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && (attr.Key == slog.TimeKey || attr.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return attr
}

// loadClient finds and reads the client's configuration.
func (a *app) loadClient() (*config.Client, error) {
	path, err := config.FindClient(a.global.config, a.env)
	if err != nil {
		return nil, err
	}
	conf, err := config.LoadClient(path)
	if err == nil && a.global.wallet != "" {
		conf.Wallet = absolute(a.global.wallet)
	}
	if err == nil && a.global.trust != "" {
		conf.Trust = a.global.trust
	}
	return conf, err
}
