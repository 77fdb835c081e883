package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"walrus/config"
	"walrus/ledger"
	"walrus/ledger/wallet"
)

func genesisCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "genesis",
		Short: "make and check the genesis of a new network",
		Long: `The genesis is the file that defines a new network: its storage nodes and their shards, the prices, and the accounts
that hold the WAL. Every node and every client needs the same file: any change makes it the genesis of another network.
So make it once, before the first node starts, and never change it afterwards.

  walrus genesis new --network example-net --shards 100 --treasury treasury.yaml
  walrus genesis add genesis.yaml alpha.yaml beta.yaml gamma.yaml delta.yaml     # the entries that walrus node init prints
  walrus genesis check genesis.yaml

docs/network.md sets up a network of four machines, step by step. For a network on this machine alone, use walrus devnet.`,
	})
	c.AddCommand(genesisNewCommand(a), genesisAddCommand(a), genesisCheckCommand(a))
	return c
}

type genesisNew struct {
	network, treasury, start, out string
	shards                        shardCount
	epoch                         time.Duration
	accounts                      []string
}

func genesisNewCommand(a *app) *cobra.Command {
	var o genesisNew
	c := &cobra.Command{
		Use:   "new --network NAME --shards N --treasury ADDRESS",
		Short: "start the genesis of a new network",
		Long: `Write a genesis without members; add them with walrus genesis add. An existing file is never overwritten.

The number of shards can never change. 100 is enough for about ten nodes; the public Walrus network has 1000. The treasury
holds all WAL that --account does not give to other accounts. An account is an address, or a wallet file. Prices, fees,
capacity and the limit on buying storage ahead have defaults: edit them in the file.

  walrus wallet new treasury.yaml
  walrus genesis new --network example-net --shards 100 --treasury treasury.yaml
  walrus genesis new --network example-net --shards 1000 --epoch 24h --treasury 0x4c1f... --account alice.yaml=1000 -o net.yaml

--json prints {"path","network","shards"}.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.genesisNew(&o) },
	}
	f := c.Flags()
	f.StringVar(&o.network, "network", "", "`NAME` of the network: 1 to 32 of a-z, 0-9 and - (required)")
	f.Var(&o.shards, "shards", "`N`umber of shards, 4 to 49155 (required)")
	f.StringVar(&o.treasury, "treasury", "",
		"`ADDRESS`, or wallet file, of the account that starts with all WAL not given to others (required)")
	f.StringArrayVar(&o.accounts, "account", nil,
		"another account that starts with WAL, as `ADDRESS=AMOUNT`; may be repeated")
	f.DurationVar(&o.epoch, "epoch", ledger.DefaultEpochDuration, "`TIME` that an epoch lasts, such as 24h")
	f.StringVar(&o.start, "time", "", "start of the first epoch, a `TIME` such as 2026-01-31T12:00:00Z (default: now)")
	f.StringVarP(&o.out, "out", "o", "genesis.yaml", "write to `FILE`")
	return c
}

func (a *terminal) genesisNew(o *genesisNew) error {
	g, err := o.draft()
	if err != nil {
		return err
	}
	if err := config.CreateGenesis(o.out, g); err != nil {
		return err
	}
	return a.result(struct {
		Path    string `json:"path"`
		Network string `json:"network"`
		Shards  int    `json:"shards"`
	}{absolute(o.out), g.Network, g.Shards},
		"made %s, which has no members yet\nnext: run walrus node init --network %s on each machine, then add the entries that it prints with\nwalrus genesis add %s FILES...\n",
		visible(o.out), g.Network, visible(o.out))
}

// draft makes the genesis. The error lists everything that is missing.
func (o *genesisNew) draft() (*ledger.Genesis, error) {
	var lacks []string
	for _, need := range []struct {
		there bool
		flag  string
	}{{o.network != "", "--network NAME"}, {o.shards > 0, "--shards N"}, {o.treasury != "", "--treasury ADDRESS"}} {
		if !need.there {
			lacks = append(lacks, need.flag)
		}
	}
	if len(lacks) > 0 {
		return nil, usagef("walrus genesis new: missing: %s", strings.Join(lacks, ", "))
	}
	if err := ledger.CheckNetwork(o.network); err != nil {
		return nil, &usageError{err}
	}
	g := ledger.NewDraft(o.network, int(o.shards))
	g.EpochDuration, g.Time = o.epoch, time.Now().UTC().Truncate(time.Second)
	if o.start != "" {
		start, err := time.Parse(time.RFC3339, o.start)
		if err != nil {
			return nil, usagef("--time %s: write it like 2026-01-31T12:00:00Z", o.start)
		}
		g.Time = start.UTC()
	}
	var err error
	if g.Treasury, err = accountOf(o.treasury); err != nil {
		return nil, fmt.Errorf("--treasury: %w", err)
	}
	for _, text := range o.accounts {
		name, sum, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usagef("--account %q: want ADDRESS=AMOUNT", text)
		}
		account := ledger.GenesisAccount{}
		if account.Amount, err = parseAmount(sum); err != nil {
			return nil, fmt.Errorf("--account: %w", err)
		}
		if account.Address, err = accountOf(name); err != nil {
			return nil, fmt.Errorf("--account: %w", err)
		}
		g.Accounts = append(g.Accounts, account)
	}
	if problems := g.DraftProblems(); len(problems) > 0 {
		return nil, &usageError{problems[0]}
	}
	return g, nil
}

// accountOf reads an address, given as text or as the wallet file with its key.
func accountOf(text string) (ledger.Address, error) {
	if strings.HasPrefix(text, "0x") {
		address, err := ledger.ParseAddress(text)
		if err != nil {
			return address, &usageError{err}
		}
		return address, nil
	}
	w, err := wallet.Load(text)
	if err != nil {
		return ledger.Address{}, err
	}
	return w.Address(), nil
}

func genesisAddCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "add GENESIS ENTRIES...",
		Short: "add storage nodes to a genesis, before the network starts",
		Long: `Add nodes to a genesis and spread the shards evenly over all members. ENTRIES are files with the output of walrus node
init on each machine. To give nodes different numbers of shards, change "shards:" in the file after adding all nodes; a
later add keeps your distribution. The file is rewritten, so its comments are lost.

Add nodes only before the network starts: every change makes the file the genesis of another network. Give everybody the
finished file.

  walrus node init --home walrus --network example-net > alpha.yaml      # on each machine
  walrus genesis add genesis.yaml alpha.yaml beta.yaml

--json prints {"path","members":[{"node","name","shards","votes"}]}.`,
		Args: args(cobra.MinimumNArgs(2), "a GENESIS and at least one file with an entry"),
		RunE: func(_ *cobra.Command, args []string) error { return a.genesisAdd(args[0], args[1:]) },
	}
}

func (a *terminal) genesisAdd(path string, entries []string) error {
	g, problems, err := config.AddMembers(path, entries)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return a.tellProblems(fmt.Sprintf("add to %s: nothing was added", path), problems)
	}
	members := newGenesisMembers(g)
	if a.global.json {
		return a.printJSON(struct {
			Path    string          `json:"path"`
			Members []genesisMember `json:"members"`
		}{absolute(path), members})
	}
	return a.printMembers(members)
}

// tellProblems prints several problems and returns an error with their number. A single problem, or all of them with
// --json, becomes the error itself.
func (a *terminal) tellProblems(what string, problems []error) error {
	if a.global.json || len(problems) == 1 {
		list := make([]string, len(problems))
		for i, p := range problems {
			list[i] = p.Error()
		}
		return fmt.Errorf("%s: %s", what, strings.Join(list, "; "))
	}
	for _, p := range problems {
		if _, err := fmt.Fprintln(a.stdout, "- "+visible(joined(p))); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %s, listed above", what, plural(len(problems), "problem"))
}

func genesisCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check [GENESIS]",
		Short: "describe the network of a genesis, or list all its problems",
		Long: `List all problems of a genesis file, genesis.yaml by default: missing or unreadable fields, duplicate keys, proofs for
another network, shards held by no member or by several. If there are any, the exit code is 1.

Otherwise describe the network, and print its ID: a hash of everything in the file. All nodes and clients must have the
same ID.

  walrus genesis check
  walrus genesis check /srv/walrus/genesis.yaml

--json prints {"ok","problems","warnings","network","networkId","ledgerId","time","epochDuration","shards","maxFaultyShards",
"quorumThreshold","mayFail","members":[{"node","name","shards","votes"}]}.`,
		Args: args(cobra.MaximumNArgs(1), "at most one GENESIS"),
		RunE: func(_ *cobra.Command, args []string) error {
			path := "genesis.yaml"
			if len(args) > 0 {
				path = args[0]
			}
			return a.genesisCheck(path)
		},
	}
}

func (a *terminal) genesisCheck(path string) error {
	g, problems, err := config.InspectGenesis(path)
	if err != nil {
		return err
	}
	r := &genesisReport{Problems: []string{}, Warnings: []string{}}
	if len(problems) == 0 {
		if r, err = newGenesisReport(g, time.Now()); err != nil {
			return err
		}
	}
	for _, p := range problems {
		r.Problems = append(r.Problems, joined(p))
	}
	r.OK = len(problems) == 0
	switch {
	case a.global.json:
		err = a.printJSON(r)
	case r.OK:
		err = a.printGenesis(g, r)
	}
	if err == nil && !r.OK {
		err = a.tellProblems("check "+path, problems)
	}
	return err
}
