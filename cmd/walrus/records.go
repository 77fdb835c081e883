package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/client/jsonform"
	"walrus/ledger"
	"walrus/shards"
)

const recordHelp = `BLOB is the record's object ID (0x…, see walrus list-blobs), or the blob ID if you have exactly one live record of it.`

func listBlobsCommand(a *app) *cobra.Command {
	var expired bool
	c := &cobra.Command{
		Use:   "list-blobs",
		Short: "list the blobs that you pay for",
		Long: `List the records of the configured wallet's account, the earliest end first. The ledger proves that the list is
complete.

--json prints [{"id","registeredEpoch","blobId","size","encodingType","certifiedEpoch","storage":{"id","startEpoch",
"endEpoch","storageSize"},"deletable"}].`,
		Example: "  walrus list-blobs\n  walrus list-blobs --include-expired --json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE:    func(c *cobra.Command, _ []string) error { return a.listBlobs(c.Context(), expired) },
	}
	c.Flags().BoolVar(&expired, "include-expired", false, "also list records whose storage has ended")
	return c
}

func (a *app) listBlobs(ctx context.Context, expired bool) (err error) {
	ctx, s, err := a.openPaying(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	list, err := s.ListBlobs(ctx, expired)
	if err != nil {
		return err
	}
	out, rows := make([]jsonform.BlobObject, 0, len(list)), [][]string{{"blob", "size", "kept until", "state", "record"}}
	for i := range list {
		b := &list[i]
		out = append(out, jsonform.NewBlobObject(b.Object, &b.Blob))
		rows = append(rows, []string{b.BlobID.String(), byteSize(b.Size), endEpoch(b.End), recordState(b), b.Object.String()})
	}
	return a.resultTable(out, rows)
}

func recordState(b *client.OwnedBlob) string {
	state := "permanent"
	if b.Deletable {
		state = "deletable"
	}
	switch {
	case b.Expired:
		return state + ", ended"
	case b.Certified == 0:
		return state + ", not certified: store it again to finish"
	}
	return state
}

// recordName names a record: by object ID, or by blob ID if the account has one live record of the blob.
type recordName struct {
	object ledger.ObjectID
	blob   *shards.BlobID // nil: use object
}

func parseRecord(arg string) (name recordName, err error) {
	if strings.HasPrefix(arg, "0x") {
		if err := name.object.UnmarshalText([]byte(arg)); err != nil {
			return name, &usageError{err}
		}
		return name, nil
	}
	blob, err := parseBlobID(arg)
	if err != nil {
		return name, usagef("%q is neither an object ID (0x and 64 hexadecimal digits) nor a blob ID", arg)
	}
	name.blob = &blob
	return name, nil
}

func (s *session) record(ctx context.Context, name recordName) (id ledger.ObjectID, err error) {
	if name.blob == nil {
		return name.object, nil
	}
	return s.OwnRecord(ctx, *name.blob)
}

// change runs an operation on the record named by arg, and prints the outcome.
func (a *app) change(ctx context.Context, arg, done string,
	op func(context.Context, *session, ledger.ObjectID) (*client.Changed, error)) (err error) {
	name, err := parseRecord(arg)
	if err != nil {
		return err
	}
	ctx, s, err := a.openPaying(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	id, err := s.record(ctx, name)
	if err != nil {
		return err
	}
	c, err := op(ctx, s, id)
	if err != nil {
		return err
	}
	return a.printChanged(c, done)
}

// changedReport is the JSON output of commands that change a record.
type changedReport struct {
	ID        ledger.ObjectID  `json:"id"`
	BlobID    shards.BlobID    `json:"blobId"`
	EndEpoch  uint32           `json:"endEpoch"`
	StorageID *ledger.ObjectID `json:"storageId,omitempty"` // left over from a deletion
	Cost      ledger.Amount    `json:"cost"`
	Fee       ledger.Amount    `json:"feeFrost"`
	Deposit   ledger.Amount    `json:"depositFrost"` // comes back when the record goes
	Tx        ledger.TxID      `json:"txId"`
}

func (a *terminal) printChanged(c *client.Changed, done string) error {
	r := changedReport{
		ID: c.Object, BlobID: c.BlobID, EndEpoch: c.EndEpoch, StorageID: objectOrNil(c.Storage),
		Cost: c.Cost.Total() - c.Cost.Fee - c.Cost.Deposit, Fee: c.Cost.Fee, Deposit: c.Cost.Deposit,
		Tx: c.Receipt.ID,
	}
	rows := [][]string{
		{c.BlobID.String()},
		{"  record", c.Object.String()},
		{"  " + done, "ends at " + endEpoch(c.EndEpoch)},
		{"  paid", paid(c.Cost)},
	}
	if c.Storage != (ledger.ObjectID{}) { // deleted: the record has ended
		rows[2][1] = fmt.Sprintf("in epoch %d", c.EndEpoch)
		rows = append(rows, []string{"  left", "storage " + c.Storage.String() + ", which the next store uses"})
	}
	return a.resultTable(r, rows)
}

// paid formats a cost for people.
func paid(c client.Cost) string {
	var parts []string
	for _, p := range []struct {
		what string
		sum  ledger.Amount
	}{{"storage", c.Storage}, {"writing", c.Write}, {"funds", c.Fund}, {"fees", c.Fee}, {"a deposit that comes back", c.Deposit}} {
		if p.sum > 0 {
			parts = append(parts, p.sum.String()+" for "+p.what)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%s: %s", c.Total(), strings.Join(parts, ", "))
}

func extendCommand(a *app) *cobra.Command {
	epochs := epochCount("1")
	var fromFunds bool
	c := &cobra.Command{
		Use:   "extend BLOB --epochs N",
		Short: "keep a blob longer",
		Long: `Extend the storage of a blob by N epochs; max extends it as far ahead as storage is sold. This costs the price per epoch,
see walrus info. Anybody can extend a shared blob, and with --from-funds the blob's own funds pay.

` + recordHelp + `

--json prints {"id","blobId","endEpoch","cost","feeFrost","txId"}.`,
		Example: "  walrus extend BLOB_ID --epochs 5\n  walrus extend 0x4c1f... --epochs max --from-funds",
		Args:    args(cobra.ExactArgs(1), "one BLOB"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.change(c.Context(), args[0], "extended",
				func(ctx context.Context, s *session, id ledger.ObjectID) (*client.Changed, error) {
					return s.Extend(ctx, id, epochs.number(), client.ExtendOptions{FromFunds: fromFunds})
				})
		},
	}
	c.Flags().Var(&epochs, "epochs", "number of epochs to add, or max")
	c.Flags().BoolVar(&fromFunds, "from-funds", false, "pay from the shared blob's funds")
	return c
}

func deleteCommand(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete BLOB",
		Short: "delete a deletable blob before its end",
		Long: `Delete a deletable blob now, and ask first when run on a terminal. The rest of its storage stays yours: the next store
uses it. The nodes drop the blob unless somebody else stores the same content. Others may have copies: do not rely on
deletion to keep a secret.

` + recordHelp + `

--json prints {"id","blobId","endEpoch","storageId","cost","feeFrost","txId"}.`,
		Example: "  walrus delete BLOB_ID\n  walrus delete 0x4c1f... --yes",
		Args:    args(cobra.ExactArgs(1), "one BLOB"),
		RunE: func(c *cobra.Command, args []string) error {
			if !yes {
				if err := a.confirm(c.Context(), "delete "+args[0]); err != nil {
					return err
				}
			}
			return a.change(c.Context(), args[0], "deleted",
				func(ctx context.Context, s *session, id ledger.ObjectID) (*client.Changed, error) {
					return s.Delete(ctx, id)
				})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// confirm asks the user on a terminal. Without a terminal, the command itself counts as consent.
func (a *terminal) confirm(ctx context.Context, what string) error {
	if a.global.json || !isTerminal(a.stderr) || !isTerminal(a.stdin) {
		return nil
	}
	if _, err := fmt.Fprintf(a.stderr, "%s? [y/N] ", visible(what)); err != nil {
		return err
	}
	answer, err := a.readLine(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil || answer != "y" && answer != "yes" {
		return errors.New("not confirmed: nothing was done")
	}
	return nil
}

// readLine reads a line of standard input. When ctx ends, it abandons the read.
func (a *terminal) readLine(ctx context.Context) (string, error) {
	type line struct {
		text string
		err  error
	}
	got := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(a.stdin).ReadString('\n')
		got <- line{text, err}
	}()
	select {
	case l := <-got:
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func shareCommand(a *app) *cobra.Command {
	var sum amount
	c := &cobra.Command{
		Use:   "share BLOB",
		Short: "share a permanent blob's record with everybody",
		Long: `Share the record of a permanent blob. From then on it has no owner, and anybody can fund and extend it. This cannot be
undone. --amount is paid into its funds.

` + recordHelp,
		Example: "  walrus share BLOB_ID --amount 0.5",
		Args:    args(cobra.ExactArgs(1), "one BLOB"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.change(c.Context(), args[0], "shared",
				func(ctx context.Context, s *session, id ledger.ObjectID) (*client.Changed, error) {
					return s.Share(ctx, id, sum.Amount)
				})
		},
	}
	c.Flags().Var(&sum, "amount", "amount to pay into its funds")
	return c
}

func fundCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "fund OBJECT_ID AMOUNT",
		Aliases: []string{"fund-shared-blob"},
		Short:   "add to the funds of a shared blob",
		Long:    "Pay AMOUNT into the funds of a shared blob. Anybody can extend the blob with its funds.",
		Example: "  walrus fund 0x4c1f... 2\n  walrus fund 0x4c1f... 1500FROST",
		Args:    args(cobra.ExactArgs(2), "an OBJECT_ID and an AMOUNT"),
		RunE: func(c *cobra.Command, args []string) error {
			sum, err := parseAmount(args[1])
			if err != nil {
				return err
			}
			return a.change(c.Context(), args[0], "funded",
				func(ctx context.Context, s *session, id ledger.ObjectID) (*client.Changed, error) {
					return s.Fund(ctx, id, sum)
				})
		},
	}
}

func burnCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "burn BLOB",
		Short: "give up a blob's record",
		Long: `Give up a record for ever: nobody can extend or delete it any more. The nodes keep the blob until its end.

` + recordHelp,
		Example: "  walrus burn BLOB_ID",
		Args:    args(cobra.ExactArgs(1), "one BLOB"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.change(c.Context(), args[0], "given up",
				func(ctx context.Context, s *session, id ledger.ObjectID) (*client.Changed, error) {
					return s.Burn(ctx, id)
				})
		},
	}
}

func attributesCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "attributes",
		Short: "show and set the attributes of a blob's record",
		Long: `A record carries attributes: pairs of text, such as a content type or a file name, that everybody can read. A record has
at most 64 attributes, with keys of at most 256 bytes and values of at most 1024 bytes.

` + recordHelp,
		Example: "  walrus attributes show BLOB_ID\n  walrus attributes set BLOB_ID content-type=image/png",
	})
	show := &cobra.Command{
		Use:   "show BLOB",
		Short: "show the attributes",
		Long: "Show the attributes of a record. Give an object ID to see anybody's record.\n\n" + recordHelp + `

--json prints {"attribute":{"metadata":{"KEY":"VALUE"}}}.`,
		Example: "  walrus attributes show BLOB_ID",
		Args:    args(cobra.ExactArgs(1), "one BLOB"),
		RunE:    func(c *cobra.Command, args []string) error { return a.attributesShow(c.Context(), args[0]) },
	}
	set := &cobra.Command{
		Use:   "set BLOB KEY=VALUE...",
		Short: "set attributes",
		Long: "Set attributes of one of your records. Its other attributes do not change.\n\n" + recordHelp + `

--json prints {"id","blobId","endEpoch","cost","feeFrost","txId"}.`,
		Example: "  walrus attributes set BLOB_ID content-type=image/png title='a photo'",
		Args:    args(cobra.MinimumNArgs(2), "a BLOB and at least one KEY=VALUE"),
		RunE: func(c *cobra.Command, args []string) error {
			list, err := parseAttributes(args[1:])
			if err != nil {
				return err
			}
			return a.change(c.Context(), args[0], "changed",
				func(ctx context.Context, s *session, id ledger.ObjectID) (*client.Changed, error) {
					return s.SetAttributes(ctx, id, list, nil)
				})
		},
	}
	remove := &cobra.Command{
		Use:   "remove BLOB KEY...",
		Short: "remove attributes",
		Long: "Remove attributes of one of your records.\n\n" + recordHelp + `

--json prints {"id","blobId","endEpoch","cost","feeFrost","txId"}.`,
		Example: "  walrus attributes remove BLOB_ID title",
		Args:    args(cobra.MinimumNArgs(2), "a BLOB and at least one KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.change(c.Context(), args[0], "changed",
				func(ctx context.Context, s *session, id ledger.ObjectID) (*client.Changed, error) {
					return s.SetAttributes(ctx, id, nil, args[1:])
				})
		},
	}
	c.AddCommand(show, set, remove)
	return c
}

func parseAttributes(pairs []string) ([]ledger.Attribute, error) {
	var list []ledger.Attribute
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("attribute %s: want KEY=VALUE", strconv.Quote(pair))
		}
		list = append(list, ledger.Attribute{Key: key, Value: value})
	}
	return list, nil
}

func (a *app) attributesShow(ctx context.Context, arg string) (err error) {
	name, err := parseRecord(arg)
	if err != nil {
		return err
	}
	// Anybody may read attributes; only finding one's own record of a blob ID needs a wallet.
	open := a.open
	if name.blob != nil {
		open = a.openPaying
	}
	ctx, s, err := open(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	id, err := s.record(ctx, name)
	if err != nil {
		return err
	}
	b, err := s.Record(ctx, id)
	if err != nil {
		return err
	}
	pairs := make(map[string]string, len(b.Attributes))
	var rows [][]string
	for _, x := range b.Attributes {
		pairs[x.Key] = x.Value
		rows = append(rows, []string{printable(x.Key), printable(x.Value)})
	}
	return a.resultTable(map[string]any{"attribute": map[string]any{"metadata": pairs}}, rows)
}

// printable stops foreign text from controlling the terminal.
func printable(text string) string {
	quoted := strconv.Quote(text)
	if quoted == `"`+text+`"` {
		return text
	}
	return quoted
}
