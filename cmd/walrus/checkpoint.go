package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"walrus/clientnode"
	"walrus/config"
	"walrus/ledger"
	"walrus/ledger/light"
)

func checkpointCommand(a *app) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "print a block that others may trust",
		Long: `Print the newest block that this client has verified, as height:hash. With --home, print the newest block of your own
running node.

A client believes blocks that the validators it knows have signed. What it knows is too old after two epochs (a day at
least): validators that left may have lost or sold their keys. Then it needs a checkpoint, from somebody whom its user
trusts: give it with --trust, or as "trust" in client.yaml. Send checkpoints over a channel that nobody can change on the
way, and compare those of several people.

  walrus checkpoint
  walrus checkpoint --home /var/lib/walrus
  walrus info --trust 81920:5f0c...

--json prints {"height","hash","time","epoch"}. "epoch" is missing with --home.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if home != "" {
				return nodeApp{a}.nodeCheckpoint(c.Context(), home)
			}
			return a.checkpoint(c.Context())
		},
	}
	c.Flags().StringVar(&home, "home", "", "home `FOLDER` of your own node, which runs")
	return c
}

// checkpointReport is the JSON output of checkpoint.
type checkpointReport struct {
	Height uint64    `json:"height"`
	Hash   string    `json:"hash"`
	Time   time.Time `json:"time"`
	Epoch  uint32    `json:"epoch,omitempty"`
}

func (a *app) checkpoint(ctx context.Context) (err error) {
	ctx, s, err := a.open(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	l := s.node.Chain().Light
	head, err := l.Head(ctx)
	if err != nil {
		return err
	}
	epoch, err := l.Epoch(ctx)
	if err != nil {
		return err
	}
	return printCheckpoint(&a.terminal, head, epoch)
}

func printCheckpoint(a *terminal, head light.Head, epoch ledger.EpochInfo) error {
	at := light.Checkpoint{Height: head.Height, Hash: head.Hash}
	if !a.global.json {
		a.warn("block %d of %s. Others give it as --trust, or as \"trust\" in client.yaml, if they trust you", head.Height,
			head.Time.UTC().Format(time.DateTime+" UTC"))
	}
	return a.result(checkpointReport{head.Height, fmt.Sprintf("%x", head.Hash), head.Time.UTC(), epoch.Epoch}, "%s\n", at)
}

func (a nodeApp) nodeCheckpoint(ctx context.Context, home string) error {
	ctx, cancel := a.withTimeout(ctx, statusTimeout)
	defer cancel()
	conf, err := config.LoadNode(home)
	if err != nil {
		return err
	}
	genesis, err := config.LoadGenesis(conf.Genesis)
	if err != nil {
		return err
	}
	level := conf.Log
	level.Level = "" // a command's, not a node's
	log, err := a.logger(level)
	if err != nil {
		return err
	}
	addr, err := conf.LocalAddr()
	if err != nil {
		return err
	}
	cfg, err := conf.ComposeQuery(version, log)
	if err != nil {
		return err
	}
	head, err := clientnode.QueryHead(ctx, cfg, genesis, addr)
	if err != nil {
		return fmt.Errorf("ask the node of %s for its newest block: %w: start it with walrus node run --home %s", home, err, home)
	}
	return printCheckpoint(&a.terminal, head, ledger.EpochInfo{})
}
