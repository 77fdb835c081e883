package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"walrus/config"
	"walrus/ledger"
)

// bondFlags name the monitor of a bond.
type bondFlags struct {
	home, agreement, monitor string
	amount                   amount
}

func monitorBondCommand(a monitorApp) *cobra.Command {
	var f bondFlags
	c := &cobra.Command{
		Use:   "bond",
		Short: "bind WAL to a monitor, so that its attestations have weight",
		Long: fmt.Sprintf(`Bind WAL of the configured wallet to a monitor outside the committee. Attestations of a monitor without a bond have no weight
in the scores; those of members have weight by their shards, without a bond. All bonded monitors together have at most a
quarter of the weight, each of them at most 2 %%.

A bond holds at least %s. Adding to it is possible. It counts from the next epoch on. walrus monitor unbond gives it up; the
WAL is back in the account two epochs later. Nobody takes it, whatever the monitor attests. A network has %d places: when all
are taken, a larger bond takes the place of the least one, whose WAL returns at once.

The monitor's key must agree, which lies in its home. If the wallet is on another computer than the monitor, run walrus
monitor agree there, and give its output to --agreement here.

--json prints {"monitor","account","amountFrost","addedFrost","sinceEpoch","feeFrost","txId","height"}: the whole bond, and
the part that counts from the next epoch on.`, ledger.MinBond, ledger.MaxBonds),
		Example: "  walrus monitor bond --amount 100 --home /srv/monitor\n  walrus monitor bond --amount 250 --agreement KgHc...",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.amount.Amount == 0 {
				return usagef("how much WAL? give --amount, such as --amount %d", ledger.MinBond/ledger.WAL)
			}
			return a.bond(c.Context(), &f)
		},
	}
	monitorHomeFlag(c, &f.home)
	c.Flags().Var(&f.amount, "amount", "amount to bind")
	c.Flags().StringVar(&f.agreement, "agreement", "", "`TEXT` printed by walrus monitor agree, instead of --home")
	c.MarkFlagsMutuallyExclusive("home", "agreement")
	return c
}

// errNoMonitor: no monitor has run in a home.
var errNoMonitor = errors.New("the folder has no monitor's key")

// readMonitor reads the key of the monitor in a home.
func (a monitorApp) readMonitor(flag string) (ed25519.PrivateKey, error) {
	home, err := a.monitorHome(flag)
	if err != nil {
		return nil, err
	}
	key, err := config.ReadIdentity(home)
	if errors.Is(err, config.ErrNoIdentity) {
		return nil, fmt.Errorf("read the monitor's key in %s: %w: give --home FOLDER, or run the monitor first with walrus monitor run",
			home, errNoMonitor)
	}
	return key, err
}

// agreed makes the operation that bonds the monitor of the flags for an account.
func (a monitorApp) agreed(f *bondFlags, conf *config.Client, account ledger.Address) (op ledger.BondMonitor, err error) {
	genesis, err := config.LoadGenesis(conf.Genesis)
	if err != nil {
		return op, err
	}
	network := genesis.NetworkID()
	if f.agreement == "" {
		key, err := a.readMonitor(f.home)
		if err != nil {
			return op, err
		}
		return ledger.SignBond(key, network, account, f.amount.Amount), nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(f.agreement))
	if err != nil || len(raw) != len(op.Monitor)+len(op.Agreement) {
		return op, usagef("--agreement: %.20q is not the output of walrus monitor agree: copy the whole line", f.agreement)
	}
	copy(op.Agreement[:], raw[copy(op.Monitor[:], raw):])
	op.Amount = f.amount.Amount
	if !op.Agreed(network, account) {
		return op, usagef("--agreement: it is for another account or network: run walrus monitor agree %s with the network's genesis",
			account)
	}
	return op, nil
}

// bondReport is printed by walrus monitor bond --json.
type bondReport struct {
	Monitor ledger.PeerKey `json:"monitor"`
	Account ledger.Address `json:"account"`
	Amount  uint64         `json:"amountFrost"`
	Added   uint64         `json:"addedFrost"`
	Since   uint32         `json:"sinceEpoch"`
	Fee     uint64         `json:"feeFrost"`
	Tx      ledger.TxID    `json:"txId"`
	Height  uint64         `json:"height"`
}

func (a monitorApp) bond(ctx context.Context, f *bondFlags) (err error) {
	conf, err := a.loadClient()
	if err != nil {
		return err
	}
	payer, err := conf.LoadWallet()
	if err != nil {
		return err
	}
	op, err := a.agreed(f, conf, payer.Address())
	if err != nil {
		return err
	}
	ctx, s, err := a.join(ctx, askTimeout, conf, payer)
	if err != nil {
		return err
	}
	defer s.close(&err)
	members, err := s.node.Chain().Light.Committee(ctx)
	if err != nil {
		return err
	}
	if _, ok := members.Member(op.Monitor.Peer()); ok {
		return fmt.Errorf("bond monitor %s: it is a member of the committee: its attestations have weight by its shards, a bond adds none",
			op.Monitor)
	}
	receipt, err := s.node.Chain().Payer.Do(ctx, ledger.Fixed(op))
	if err != nil {
		return fmt.Errorf("bond monitor %s: %w", op.Monitor, err)
	}
	_, b, err := s.bondOf(ctx, op.Monitor, receipt.Height)
	if err != nil {
		return err
	}
	return a.resultTable(bondReport{op.Monitor, b.Account, uint64(b.Amount), uint64(b.Added), b.Since, uint64(receipt.Fee),
		receipt.ID, receipt.Height}, [][]string{
		{"monitor", op.Monitor.String()},
		{"bond", b.Amount.String()},
		{"counts", fmt.Sprintf("%s now, all from epoch %d on", b.Weight(b.Since), b.Since+1)},
		{"fee", receipt.Fee.String()},
		{"transaction", fmt.Sprintf("%s, height %d", receipt.ID, receipt.Height)},
	})
}

// bondOf reads the epoch and a monitor's bond, at a height or later. Without a bond the error wraps ledger.ErrNotFound.
func (s *session) bondOf(ctx context.Context, monitor ledger.PeerKey,
	height uint64) (now ledger.EpochInfo, b ledger.Bond, err error) {
	now, all, err := s.readBonds(ctx, height)
	if all == nil && err != nil {
		return now, b, err
	}
	i, found := all.Find(monitor)
	if !found {
		return now, b, fmt.Errorf("bond of monitor %s: %w", monitor, ledger.ErrNotFound)
	}
	return now, all[i], nil
}

// readBonds reads the epoch and all bonds, at a height or later. Both may come with a *light.Stall.
func (s *session) readBonds(ctx context.Context, height uint64) (now ledger.EpochInfo, all ledger.Bonds, err error) {
	v, stall := s.node.Chain().Light.Get(ctx, height, ledger.KeyEpoch(), ledger.KeyBonds())
	if v == nil {
		return now, nil, fmt.Errorf("read the bonds of monitors: %w", stall)
	}
	if now, err = ledger.ReadEpoch(v); err != nil {
		return now, nil, err
	}
	if all, err = ledger.ReadBonds(v); err != nil {
		return now, nil, err
	}
	return now, all, stall
}

func monitorAgreeCommand(a monitorApp) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "agree ADDRESS",
		Short: "let an account bond this monitor, from another computer",
		Long: `Sign with the monitor's key that the account ADDRESS may own its bond, and print that as one line of text for walrus monitor
bond --agreement. Nobody is asked, and the text is no secret: only that account can use it, to bind its own WAL to this
monitor. The first bond decides who owns it.

--json prints {"monitor","account","agreement"}.`,
		Example: "  walrus monitor agree 0x4c1f... --home /srv/monitor",
		Args:    args(cobra.ExactArgs(1), "the ADDRESS of an account"),
		RunE: func(_ *cobra.Command, args []string) error {
			account, err := ledger.ParseAddress(args[0])
			if err != nil {
				return &usageError{err}
			}
			conf, err := a.loadClient()
			if err != nil {
				return err
			}
			genesis, err := config.LoadGenesis(conf.Genesis)
			if err != nil {
				return err
			}
			key, err := a.readMonitor(home)
			if err != nil {
				return err
			}
			op := ledger.SignBond(key, genesis.NetworkID(), account, 0)
			text := base64.RawURLEncoding.EncodeToString(append(op.Monitor[:], op.Agreement[:]...))
			return a.result(struct {
				Monitor   ledger.PeerKey `json:"monitor"`
				Account   ledger.Address `json:"account"`
				Agreement string         `json:"agreement"`
			}{op.Monitor, account, text}, "%s\n", text)
		},
	}
	monitorHomeFlag(c, &home)
	return c
}

func monitorUnbondCommand(a monitorApp) *cobra.Command {
	var f bondFlags
	c := &cobra.Command{
		Use:   "unbond",
		Short: "give a monitor's bond up, and get the WAL back",
		Long: fmt.Sprintf(`Give the whole bond of a monitor up. It counts to the end of this epoch. At the start of the second epoch after this one, the
ledger itself moves the WAL back into the account that owns the bond: nothing is left to do. Until then the bond holds its
place, and the monitor cannot have another one.

Only the account that owns the bond can give it up: the configured wallet's. The monitor's key is not needed.

--json prints {"monitor","account","amountFrost","untilEpoch","returnEpoch","feeFrost","txId","height"}: the first epoch in which
the bond counts no more, and the one at whose start the WAL is back, %d epochs after this one.`, ledger.BondDelay),
		Example: "  walrus monitor unbond --home /srv/monitor\n  walrus monitor unbond --monitor 12D3KooW...",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE:    func(c *cobra.Command, _ []string) error { return a.unbond(c.Context(), &f) },
	}
	monitorHomeFlag(c, &f.home)
	c.Flags().StringVar(&f.monitor, "monitor", "", "`PEER_ID` of the monitor, instead of --home")
	c.MarkFlagsMutuallyExclusive("home", "monitor")
	return c
}

// named returns the monitor that the flags name.
func (a monitorApp) named(f *bondFlags) (monitor ledger.PeerKey, err error) {
	if f.monitor == "" {
		key, err := a.readMonitor(f.home)
		if err != nil {
			return monitor, err
		}
		return ledger.PeerKey(key[ed25519.SeedSize:]), nil
	}
	id, err := peer.Decode(f.monitor)
	if err == nil {
		monitor, err = ledger.PeerKeyOf(id)
	}
	if err != nil {
		return monitor, usagef("--monitor %.80q: %w: walrus monitor bonds lists the peer IDs of monitors with a bond", f.monitor, err)
	}
	return monitor, nil
}

func (a monitorApp) unbond(ctx context.Context, f *bondFlags) (err error) {
	monitor, err := a.named(f)
	if err != nil {
		return err
	}
	ctx, s, err := a.openPaying(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	receipt, err := s.node.Chain().Payer.Do(ctx, ledger.Fixed(ledger.UnbondMonitor{Monitor: monitor}))
	if err != nil {
		return fmt.Errorf("give the bond of monitor %s up: %w", monitor, err)
	}
	e := receipt.Events[0]
	params, now, err := s.calendar(ctx)
	if err != nil {
		return err
	}
	return a.resultTable(struct {
		Monitor ledger.PeerKey `json:"monitor"`
		Account ledger.Address `json:"account"`
		Amount  uint64         `json:"amountFrost"`
		Until   uint32         `json:"untilEpoch"`
		Return  uint32         `json:"returnEpoch"`
		Fee     uint64         `json:"feeFrost"`
		Tx      ledger.TxID    `json:"txId"`
		Height  uint64         `json:"height"`
	}{monitor, e.From, uint64(e.Amount), e.Epoch + 1, e.End, uint64(receipt.Fee), receipt.ID, receipt.Height}, [][]string{
		{"monitor", monitor.String()},
		{"bond", e.Amount.String()},
		{"counts", fmt.Sprintf("to the end of epoch %d", e.Epoch)},
		{"back", startOf(e.End, now, params.EpochDuration)},
		{"to", e.From.String()},
		{"fee", receipt.Fee.String()},
		{"transaction", fmt.Sprintf("%s, height %d", receipt.ID, receipt.Height)},
	})
}

// calendar reads the parameters and the current epoch.
func (s *session) calendar(ctx context.Context) (p ledger.Params, now ledger.EpochInfo, err error) {
	v, err := s.node.Chain().Light.Get(ctx, 0, ledger.KeyParams(), ledger.KeyEpoch())
	if v == nil {
		return p, now, fmt.Errorf("read the epoch: %w", err)
	}
	if p, err = ledger.ReadParams(v); err != nil {
		return p, now, err
	}
	now, err = ledger.ReadEpoch(v)
	return p, now, err
}

// startOf tells when an epoch begins, as scheduled.
func startOf(epoch uint32, now ledger.EpochInfo, length time.Duration) string {
	at := time.Unix(0, now.Start).Add(time.Duration(int64(epoch)-int64(now.Epoch)) * length)
	return fmt.Sprintf("at the start of epoch %d, %s", epoch, at.UTC().Format(time.DateTime+" MST"))
}

func monitorBondsCommand(a monitorApp) *cobra.Command {
	return &cobra.Command{
		Use:   "bonds",
		Short: "list the bonds of all monitors",
		Long: `List the bonds of all monitors, as proven by the ledger: one answer proves that none is missing. COUNTS is the part that gives
weight in this epoch: additions count from the next epoch on; a bond that was given up counts until this epoch ends.

--json prints {"epoch","bonds":[{"monitor","account","amountFrost","addedFrost","sinceEpoch","untilEpoch","returnEpoch",
"countsFrost"}]}. "untilEpoch" and "returnEpoch" are there after walrus monitor unbond.`,
		Example: "  walrus monitor bonds",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE:    func(c *cobra.Command, _ []string) error { return a.listBonds(c.Context()) },
	}
}

// bondRow is one bond as walrus monitor bonds --json prints it.
type bondRow struct {
	ledger.Bond
	Return uint32        `json:"returnEpoch,omitempty"`
	Counts ledger.Amount `json:"countsFrost"`
}

func (a monitorApp) listBonds(ctx context.Context) (err error) {
	ctx, s, err := a.open(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	now, all, err := s.readBonds(ctx, 0)
	if err = a.warnStalled(err); err != nil {
		return err
	}
	list := make([]bondRow, len(all))
	rows := [][]string{{"MONITOR", "ACCOUNT", "BOND", "COUNTS", "STATE"}}
	for i, b := range all {
		list[i] = bondRow{b, b.Return(), b.Weight(now.Epoch)}
		state := ""
		switch {
		case b.Until != 0:
			state = fmt.Sprintf("back at the start of epoch %d", b.Return())
		case b.Since == now.Epoch:
			state = fmt.Sprintf("%s counts from epoch %d on", b.Added, b.Since+1)
		}
		rows = append(rows, []string{b.Monitor.String(), b.Account.String(), b.Amount.String(), list[i].Counts.String(), state})
	}
	if len(all) == 0 && !a.global.json {
		_, err := fmt.Fprintf(a.stdout, "no monitor has a bond in epoch %d\n", now.Epoch)
		return err
	}
	return a.resultTable(struct {
		Epoch uint32    `json:"epoch"`
		Bonds []bondRow `json:"bonds"`
	}{now.Epoch, list}, rows)
}
