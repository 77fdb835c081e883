package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"walrus/config"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
)

func walletCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "wallet",
		Short: "manage the account that pays: balance, payments, history",
		Long: `A wallet is a file with the secret key of an account. The client's configuration names it (wallet: FILE). The wallet file
is the money: keep a copy in a safe place. Keep it private, too: a file that other users can read is refused (use mode
0600).

Amounts are in WAL, such as 1.5, or in FROST, the smallest unit, such as 1500FROST. 1 WAL = 1000000000 FROST.`,
		Example: "  walrus wallet new\n  walrus wallet show\n  walrus wallet send 0x4c1f... 12.5\n  walrus wallet history",
	})
	c.AddCommand(walletNewCommand(a), walletShowCommand(a), walletSendCommand(a), walletHistoryCommand(a),
		walletBumpCommand(a), walletFaucetCommand(a))
	return c
}

func walletNewCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "new [FILE]",
		Short: "make a new wallet",
		Long: `Make a new, empty account and write its secret key to FILE, by default to the wallet's path in the client's
configuration. An existing file is never overwritten.

  walrus wallet new
  walrus wallet new savings.yaml

--json prints {"address","path"}.`,
		Args: args(cobra.MaximumNArgs(1), "at most one FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			path := ""
			if len(args) > 0 {
				path = absolute(args[0])
			} else {
				conf, err := a.loadClient()
				if err != nil {
					return err
				}
				if path = conf.Wallet; path == "" {
					return usagef("%s names no wallet: give the FILE to make", conf.Path)
				}
			}
			return a.walletNew(path)
		},
	}
}

func (a *terminal) walletNew(path string) error {
	w, err := wallet.New()
	if err != nil {
		return err
	}
	if err := w.Create(path); err != nil {
		return err
	}
	return a.result(struct {
		Address ledger.Address `json:"address"`
		Path    string         `json:"path"`
	}{w.Address(), path}, "%s\nits key is in %s: the file is the money, keep a copy\n", w.Address(), visible(path))
}

func walletShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show [ADDRESS]",
		Short: "show an account's address and balance",
		Long: `Show the account of the configured wallet, or the account ADDRESS, as proven by the ledger.

--json prints {"address","balance","balanceFrost","nonce","blobs","storages"}.`,
		Example: "  walrus wallet show\n  walrus wallet show 0x4c1f...",
		Args:    args(cobra.MaximumNArgs(1), "at most one ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.walletShow(c.Context(), args)
		},
	}
}

func (a *app) walletShow(ctx context.Context, args []string) (err error) {
	conf, of, err := a.loadAccount(args)
	if err != nil {
		return err
	}
	ctx, s, err := a.join(ctx, askTimeout, conf, nil)
	if err != nil {
		return err
	}
	defer s.close(&err)
	account, err := s.node.Chain().Light.Account(ctx, of)
	if err = a.warnStalled(err); err != nil {
		return fmt.Errorf("read account: %w", err)
	}
	return a.resultTable(struct {
		Address      ledger.Address `json:"address"`
		Balance      string         `json:"balance"`
		BalanceFrost uint64         `json:"balanceFrost"`
		Nonce        uint64         `json:"nonce"`
		Blobs        uint32         `json:"blobs"`
		Storages     uint32         `json:"storages"`
	}{of, account.Balance.String(), uint64(account.Balance), account.Nonce, account.Blobs, account.Storages}, [][]string{
		{"address", of.String()},
		{"balance", account.Balance.String()},
		{"transactions", fmt.Sprint(account.Nonce)},
		{"blobs", plural(account.Blobs, "record")},
		{"storage", plural(account.Storages, "unused resource")},
	})
}

// warnStalled turns the error for a stalled ledger into a warning, because its last state was returned. It returns
// other errors.
func (a *terminal) warnStalled(err error) error {
	var stall *light.Stall
	if !errors.As(err, &stall) {
		return err
	}
	a.warn("showing the last known state: %s", stall)
	return nil
}

// amount is a flag or argument with a sum of WAL.
type amount struct{ ledger.Amount }

func (m *amount) Set(text string) (err error) {
	m.Amount, err = ledger.ParseAmount(text)
	return err
}

func (m *amount) Type() string { return "WAL" }

func parseAmount(text string) (ledger.Amount, error) {
	sum, err := ledger.ParseAmount(text)
	if err == nil && sum == 0 {
		err = errors.New("an amount of 0 WAL moves nothing")
	}
	if err != nil {
		return 0, &usageError{err}
	}
	return sum, nil
}

func walletSendCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "send ADDRESS AMOUNT",
		Short: "pay WAL to an account",
		Long: `Pay AMOUNT to the account ADDRESS. The wallet also pays a small fee, see walrus info. A payment is final.

  walrus wallet send 0x4c1f... 12.5
  walrus wallet send 0x4c1f... 1500FROST

--json prints {"to","amountFrost","feeFrost","txId","height"}.`,
		Args: args(cobra.ExactArgs(2), "an ADDRESS and an AMOUNT"),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := ledger.ParseAddress(args[0])
			if err != nil {
				return &usageError{err}
			}
			sum, err := parseAmount(args[1])
			if err != nil {
				return err
			}
			ctx, s, err := a.openPaying(c.Context(), askTimeout)
			if err != nil {
				return err
			}
			return s.pay(ctx, &a.terminal, to, sum)
		},
	}
}

// pay pays sum to an account, prints that, and closes the session.
func (s *session) pay(ctx context.Context, out *terminal, to ledger.Address, sum ledger.Amount) (err error) {
	defer s.close(&err)
	receipt, err := s.node.Chain().Payer.Do(ctx, ledger.Fixed(ledger.Transfer{To: to, Amount: sum}))
	if err != nil {
		return fmt.Errorf("pay %s to %s: %w", sum, to, err)
	}
	return out.resultTable(struct {
		To     ledger.Address `json:"to"`
		Amount uint64         `json:"amountFrost"`
		Fee    uint64         `json:"feeFrost"`
		Tx     ledger.TxID    `json:"txId"`
		Height uint64         `json:"height"`
	}{to, uint64(sum), uint64(receipt.Fee), receipt.ID, receipt.Height}, [][]string{
		{"paid", sum.String()},
		{"to", to.String()},
		{"fee", receipt.Fee.String()},
		{"transaction", fmt.Sprintf("%s, height %d", receipt.ID, receipt.Height)},
	})
}

func walletBumpCommand(a *app) *cobra.Command {
	var most amount
	c := &cobra.Command{
		Use:   "bump [TX]",
		Short: "pay more for a transaction that waits",
		Long: `Send a transaction of this wallet again, with a fee at least a tenth higher, and wait for it. That helps if it was priced
out: the ledger was busy, and nodes asked for more than maxFee in the configuration allows. The operations and the number
of the transaction stay, so it is paid for once, whichever of the two comes into a block.

Without TX, the transaction that all others of the wallet wait for is raised. Only transactions that commands on this
computer have given up can be raised: they are kept beside the wallet file.

  walrus wallet bump
  walrus wallet bump 0x9a40... --max-fee 0.001

--json prints {"txId","height","feeFrost"}.`,
		Args: args(cobra.MaximumNArgs(1), "at most one TX"),
		RunE: func(c *cobra.Command, args []string) error {
			var id ledger.TxID
			if len(args) > 0 {
				if err := id.UnmarshalText([]byte(args[0])); err != nil {
					return &usageError{err}
				}
			}
			ctx, s, err := a.openPaying(c.Context(), askTimeout)
			if err != nil {
				return err
			}
			return s.bump(ctx, &a.terminal, id, most.Amount)
		},
	}
	c.Flags().Var(&most, "max-fee", "highest fee to pay (default: 100 times the least fee)")
	return c
}

// bump raises a transaction's fee, prints what was paid, and closes the session.
func (s *session) bump(ctx context.Context, out *terminal, id ledger.TxID, most ledger.Amount) (err error) {
	defer s.close(&err)
	payer, ok := s.node.Chain().Payer.(*wallet.Payer)
	if !ok {
		return errors.New("raise a transaction: this session's wallet is not a file")
	}
	receipt, err := payer.Bump(ctx, id, most)
	if err != nil {
		return fmt.Errorf("raise a transaction: %w", err)
	}
	return out.resultTable(struct {
		Tx     ledger.TxID `json:"txId"`
		Height uint64      `json:"height"`
		Fee    uint64      `json:"feeFrost"`
	}{receipt.ID, receipt.Height, uint64(receipt.Fee)}, [][]string{
		{"transaction", fmt.Sprintf("%s, height %d", receipt.ID, receipt.Height)},
		{"fee", receipt.Fee.String()},
	})
}

func walletFaucetCommand(a *app) *cobra.Command {
	sum := amount{1000 * ledger.WAL}
	var to string
	c := &cobra.Command{
		Use:   "faucet",
		Short: "get WAL for free, on a devnet",
		Long: `Pay WAL from a devnet's faucet to the configured wallet, or to another account. Public networks have no faucet.

  walrus wallet faucet
  walrus wallet faucet --amount 5 --to 0x4c1f...`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if sum.Amount == 0 {
				return usagef("--amount: an amount of 0 WAL moves nothing")
			}
			return a.walletFaucet(c.Context(), to, sum.Amount)
		},
	}
	c.Flags().Var(&sum, "amount", "amount to pay")
	c.Flags().StringVar(&to, "to", "", "`ADDRESS` to pay to (default: the configured wallet's)")
	return c
}

func (a *app) walletFaucet(ctx context.Context, text string, sum ledger.Amount) error {
	conf, err := a.loadClient()
	if err != nil {
		return err
	}
	faucet, err := conf.LoadFaucet()
	if err != nil {
		return err
	}
	var to ledger.Address
	if text != "" {
		if to, err = ledger.ParseAddress(text); err != nil {
			return &usageError{err}
		}
	} else {
		w, err := conf.LoadWallet()
		if err != nil {
			return err
		}
		to = w.Address()
	}
	ctx, s, err := a.join(ctx, askTimeout, conf, faucet)
	if err != nil {
		return err
	}
	return s.pay(ctx, &a.terminal, to, sum)
}

// loadAccount reads the configuration and the address that the arguments give, or else the configured wallet's.
func (a *app) loadAccount(args []string) (conf *config.Client, of ledger.Address, err error) {
	if len(args) > 0 {
		if of, err = ledger.ParseAddress(args[0]); err != nil {
			return nil, of, &usageError{err}
		}
	}
	if conf, err = a.loadClient(); err != nil || len(args) > 0 {
		return conf, of, err
	}
	w, err := conf.LoadWallet()
	if err != nil {
		return nil, of, err
	}
	return conf, w.Address(), nil
}

func walletHistoryCommand(a *app) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "history [ADDRESS]",
		Short: "show an account's transactions",
		Long: `Show the transactions of the configured wallet, or of ADDRESS, the newest first: sent transactions, and received payments.
Each transaction shown is proven. A node could still leave out received payments.

--json prints [{"time","height","txId","operations","code","log","feeFrost","sentFrost","receivedFrost"}].`,
		Example: "  walrus wallet history --limit 100\n  walrus wallet history 0x4c1f... --json",
		Args:    args(cobra.MaximumNArgs(1), "at most one ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			if limit < 1 {
				return usagef("--limit %d: must be at least 1", limit)
			}
			return a.walletHistory(c.Context(), args, limit)
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "show at most `N` transactions")
	return c
}

// historyPage is the number of transactions requested at once.
const historyPage = 50

func (a *app) walletHistory(ctx context.Context, args []string, limit int) (err error) {
	conf, of, err := a.loadAccount(args)
	if err != nil {
		return err
	}
	ctx, s, err := a.join(ctx, askTimeout, conf, nil)
	if err != nil {
		return err
	}
	defer s.close(&err)
	lines := make([]historyLine, 0, min(limit, historyPage))
	var next light.Cursor
	for len(lines) < limit {
		page, err := s.node.Chain().Light.History(ctx, of, next, min(limit-len(lines), historyPage))
		if page != nil {
			err = a.warnStalled(err)
		}
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		for i := range page.Entries {
			lines = append(lines, newHistoryLine(of, &page.Entries[i]))
		}
		if page.Next == nil {
			if page.Oldest > 0 {
				a.warn("the node that answered no longer has transactions before height %d", page.Oldest)
			}
			break
		}
		next = *page.Next
	}
	rows := [][]string{{"time", "height", "operations", "sent", "received", "fee", "transaction"}}
	for _, l := range lines {
		what := strings.Join(l.Operations, ", ")
		if l.Log != "" {
			what += ": " + l.Log
		}
		rows = append(rows, []string{
			l.Time.Local().Format(time.DateTime), fmt.Sprint(l.Height), what,
			orDash(l.Sent), orDash(l.Received), l.Fee.String(), l.Tx.String()[:12] + "…",
		})
	}
	return a.resultTable(lines, rows)
}

func orDash(sum ledger.Amount) string {
	if sum == 0 {
		return "-"
	}
	return sum.String()
}

// historyLine is one transaction in the output of history.
type historyLine struct {
	Time       time.Time     `json:"time"`
	Height     uint64        `json:"height"`
	Tx         ledger.TxID   `json:"txId"`
	Operations []string      `json:"operations"`
	Code       string        `json:"code"`
	Log        string        `json:"log,omitempty"`
	Fee        ledger.Amount `json:"feeFrost"`
	Sent       ledger.Amount `json:"sentFrost"`     // left the account, without the fee
	Received   ledger.Amount `json:"receivedFrost"` // came into the account
}

func newHistoryLine(of ledger.Address, e *light.Entry) historyLine {
	r := &e.Receipt
	l := historyLine{Time: time.Unix(0, r.Time).UTC(), Height: r.Height, Tx: r.ID, Code: r.Code.String(),
		Log: oneLine(r.Log)}
	for _, op := range e.Tx.Ops {
		l.Operations = append(l.Operations, ledger.OpName(op))
	}
	if own := e.Tx.Sender.Address() == of; own {
		l.Fee, l.Sent = r.Fee, r.Spent-min(r.Spent, r.Fee)
		return l
	}
	for _, event := range r.Events {
		if event.Kind == ledger.EventTransferred && event.To == of {
			l.Received += event.Amount
		}
	}
	return l
}
