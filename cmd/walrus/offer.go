package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/ledger"
	"walrus/shards"
)

func offerCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "offer",
		Short: "give storage and records to others, and accept theirs",
		Long: `Offer your storage and your blobs' records to other accounts, and accept what is offered to you. Nothing comes into an
account that its owner has not accepted.

An offer stands until it is accepted, withdrawn, or its time is over. Meanwhile you keep the object and may use it; when you
do, the offer ends. So the receiver gets what you offered, or nothing.`,
		Example: `  walrus offer make 0x4c1f... 0x29df... --epochs 2     # give, if the receiver wants it
  walrus offer list                                    # what others offer to you
  walrus offer accept 0x4c1f...`,
	})
	c.AddCommand(offerMakeCommand(a), offerListCommand(a), offerAcceptCommand(a), offerWithdrawCommand(a))
	return c
}

const offerJSON = `

--json prints {"id","from","to","untilEpoch","cost","feeFrost","txId"}.`

func offerMakeCommand(a *app) *cobra.Command {
	epochs := epochCount("max")
	c := &cobra.Command{
		Use:   "make OBJECT_ID ADDRESS",
		Short: "offer a record or storage to another account",
		Long: `Offer one of your records or storage resources to the account at ADDRESS. It becomes the owner once it accepts, see
walrus offer accept. A new offer takes the place of an earlier one. walrus list-blobs shows the object IDs of your records,
walrus wallet address the address of an account.` + offerJSON,
		Example: "  walrus offer make 0x4c1f... 0x29df...\n  walrus offer make 0x4c1f... 0x29df... --epochs 2 --json",
		Args:    args(cobra.ExactArgs(2), "an OBJECT_ID and an ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := ledger.ParseAddress(strings.ToLower(args[1]))
			if err != nil {
				return &usageError{err}
			}
			return a.offer(c.Context(), args[0], "offered",
				func(ctx context.Context, o *client.Offers, id ledger.ObjectID) (*client.OfferDone, error) {
					return o.Make(ctx, id, to, epochs.number())
				})
		},
	}
	c.Flags().Var(&epochs, "epochs", "number of epochs for which the offer stands, with the current one, or max: as long as the object lasts")
	return c
}

func offerAcceptCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "accept OBJECT_ID",
		Short: "accept an offered record or storage",
		Long: `Become the owner of a record or a storage resource that is offered to you. You pay the fee of a transaction, nothing
else. Stores then use such storage before they buy, and you can extend or delete such a record.` + offerJSON,
		Example: "  walrus offer accept 0x4c1f...",
		Args:    args(cobra.ExactArgs(1), "one OBJECT_ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.offer(c.Context(), args[0], "accepted",
				func(ctx context.Context, o *client.Offers, id ledger.ObjectID) (*client.OfferDone, error) {
					return o.Accept(ctx, id)
				})
		},
	}
}

func offerWithdrawCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "withdraw OBJECT_ID",
		Short:   "withdraw an offer",
		Long:    "Withdraw an offer that you made. The object stays yours." + offerJSON,
		Example: "  walrus offer withdraw 0x4c1f...",
		Args:    args(cobra.ExactArgs(1), "one OBJECT_ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.offer(c.Context(), args[0], "withdrawn",
				func(ctx context.Context, o *client.Offers, id ledger.ObjectID) (*client.OfferDone, error) {
					return o.Withdraw(ctx, id)
				})
		},
	}
}

// offerReport is the JSON output of commands that make or answer an offer.
type offerReport struct {
	ID ledger.ObjectID `json:"id"`
	ledger.Offer
	Cost ledger.Amount `json:"cost"`
	Fee  ledger.Amount `json:"feeFrost"`
	Tx   ledger.TxID   `json:"txId"`
}

// offer runs an operation on the offer of the object named by arg, and prints the outcome.
func (a *app) offer(ctx context.Context, arg, done string,
	op func(context.Context, *client.Offers, ledger.ObjectID) (*client.OfferDone, error)) (err error) {
	name, err := parseRecord(arg)
	if err != nil {
		return err
	}
	if name.blob != nil {
		return usagef("%s is a blob ID: name the record by its object ID, see walrus list-blobs", arg)
	}
	ctx, s, err := a.openPaying(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	d, err := op(ctx, client.NewOffers(s.Client), name.object)
	if err != nil {
		return err
	}
	r := offerReport{d.Object, d.Offer, d.Cost.Total() - d.Cost.Fee, d.Cost.Fee, d.Receipt.ID}
	return a.resultTable(r, [][]string{
		{d.Object.String()},
		{"  " + done, "from " + d.Offer.From.String()},
		{"", "to " + d.Offer.To.String()},
		{"  stands until", endEpoch(d.Offer.Until)},
		{"  paid", paid(d.Cost)},
	})
}

// offeredReport is one offer in the JSON output of walrus offer list.
type offeredReport struct {
	ID ledger.ObjectID `json:"id"`
	ledger.Offer
	BlobID      *shards.BlobID `json:"blobId,omitempty"` // of a record
	Size        uint64         `json:"size,omitempty"`   // of a record's blob
	StorageSize uint64         `json:"storageSize"`
	StartEpoch  uint32         `json:"startEpoch"`
	EndEpoch    uint32         `json:"endEpoch"`
}

func offerListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list what is offered to you",
		Long: `List the records and storage resources that others offer to the configured wallet's account, the offer that ends first in
front: at most 1024. Each one listed is proven. Anybody can offer you things: look at who it is before you accept.

--json prints [{"id","from","to","untilEpoch","blobId","size","storageSize","startEpoch","endEpoch"}]: "blobId" and "size"
for records only.`,
		Example: "  walrus offer list\n  walrus offer list --json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE:    func(c *cobra.Command, _ []string) error { return a.offerList(c.Context()) },
	}
}

func (a *app) offerList(ctx context.Context) (err error) {
	ctx, s, err := a.openPaying(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	list, err := client.NewOffers(s.Client).List(ctx)
	if err != nil {
		return err
	}
	out, rows := make([]offeredReport, 0, len(list)), [][]string{{"object", "what", "kept until", "stands until", "from"}}
	for i := range list {
		o := &list[i]
		r, what := offeredReport{ID: o.Object, Offer: o.Offer, EndEpoch: o.End()}, "storage"
		if b := o.Blob; b != nil {
			r.BlobID, r.Size, r.StorageSize, r.StartEpoch = &b.BlobID, b.Size, b.Bytes, b.Start
			what = byteSize(b.Size) + " blob " + b.BlobID.String()
		} else {
			r.StorageSize, r.StartEpoch = o.Storage.Bytes, o.Storage.Start
			what = byteSize(o.Storage.Bytes) + " of storage"
		}
		out = append(out, r)
		rows = append(rows, []string{o.Object.String(), what, endEpoch(o.End()), endEpoch(o.Until), o.From.String()})
	}
	return a.resultTable(out, rows)
}
