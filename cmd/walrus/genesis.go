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
		Short: "make the genesis of a new network, and check it",
		Long: `A network begins with a file, its genesis: who the storage nodes are, which shards each holds, what storing costs, and who
has the WAL. Every node and every client has the same file, to the last value: another genesis is another network. So it is made
once, before the first node starts, and never changed afterwards.

  walrus genesis new --network example-net --shards 100 --treasury treasury.yaml
  walrus genesis add genesis.yaml alpha.yaml beta.yaml gamma.yaml delta.yaml     # the entries that walrus node init prints
  walrus genesis check genesis.yaml

docs/network.md goes from nothing to a network of four machines. For a network on this machine alone, there is walrus devnet.`,
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
		Short: "begin the genesis of a new network",
		Long: `Write a genesis that has no members yet; walrus genesis add adds them. A file that exists is never overwritten.

The number of shards is for all time: 100 do for up to some ten nodes, 1000 is that of the public Walrus network. All WAL belongs to
the treasury, but for what --account gives to others; an account is an address, or a wallet file that has it. Prices, fees, capacity
and how far ahead storage is sold have defaults, which are in the file for you to change.

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
	f.StringVar(&o.treasury, "treasury", "", "`ADDRESS`, or wallet file, of the account that begins with all WAL that others are not given (required)")
	f.StringArrayVar(&o.accounts, "account", nil, "another account that begins with WAL, as `ADDRESS=AMOUNT`; may be repeated")
	f.DurationVar(&o.epoch, "epoch", ledger.DefaultEpochDuration, "length of an epoch, such as 24h")
	f.StringVar(&o.start, "time", "", "`TIME` at which the first epoch begins, such as 2026-01-31T12:00:00Z (default now)")
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
	if a.global.json {
		return a.printJSON(struct {
			Path    string `json:"path"`
			Network string `json:"network"`
			Shards  int    `json:"shards"`
		}{absolute(o.out), g.Network, g.Shards})
	}
	_, err = fmt.Fprintf(a.stdout, "made %s, which has no members yet: add what walrus node init --network %s prints on each machine, with\nwalrus genesis add %s FILES...\n",
		visible(o.out), g.Network, visible(o.out))
	return err
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
		Long: `Add the entries of nodes, files with what walrus node init printed on their machines, to a genesis, and deal the shards out
evenly to all members. Nodes shall have different numbers of shards? Change "shards:" in the file once all are added: whoever has
changed it deals by hand, and add leaves it alone. The file is written anew, so comments in it are lost.

Only before the network starts: every change of the genesis makes another network of it. Give everybody the finished file.

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
	if a.global.json { // one JSON object holds all problems
		var all []string
		for _, p := range problems {
			all = append(all, p.Error())
		}
		return fmt.Errorf("%s: %d problems: %s", what, len(problems), strings.Join(all, "; "))
	}
	for _, p := range problems {
		if _, err := fmt.Fprintln(a.stdout, "- "+visible(oneLine(p.Error()))); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %d problems, as listed", what, len(problems))
}

func genesisCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check [GENESIS]",
		Short: "say what network a genesis makes, or all that is wrong with it",
		Long: `List everything that is wrong with a genesis file, genesis.yaml unless named: fields that are missing or unreadable, keys that
are there twice, proofs that are of another network, shards that nobody holds or several do. Exit code 1 if there is anything.

Otherwise say what the network will be, and its ID, a hash of everything in the file: all nodes and clients must have the same.

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
		r.Problems = append(r.Problems, oneLine(p.Error()))
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
