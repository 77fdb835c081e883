package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/ledger"
	"walrus/pin"
	"walrus/shards"
)

// pinRescueFlags are the flags of pin rescue.
type pinRescueFlags struct {
	home      string
	epochs    epochCount
	within    uint32
	permanent bool
	dryRun    bool
}

func pinRescueCommand(a pinApp) *cobra.Command {
	var f pinRescueFlags
	c := &cobra.Command{
		Use:   "rescue [PIN...]",
		Short: "store pinned blobs again before their storage ends, or after",
		Long: `Store blobs again from your copies, and pay for them with the configured wallet: the blobs whose storage has ended, or ends
within some epochs. Others are left as they are and cost nothing. The blob IDs stay the same. Without PIN, all pinned blobs
are looked at. While a blob is stored, its content needs its room on the disk once more.

--json prints [{"blobId","endEpoch","rescued","newEndEpoch","costFrost","error"}]; "endEpoch" is 0 if storage has ended.`,
		Example: "  walrus pin rescue --dry-run\n  walrus pin rescue --within 2 --epochs 10\n  walrus pin rescue BLOB_ID --epochs max",
		Args:    args(cobra.ArbitraryArgs, "PINs"),
		RunE:    func(c *cobra.Command, args []string) error { return a.pinRescue(c.Context(), &f, args) },
	}
	flags := c.Flags()
	pinHomeFlag(c, &f.home)
	flags.Var(&f.epochs, "epochs", "number of epochs to store the blobs for, the current one included, or max (default: the configuration's)")
	flags.Uint32Var(&f.within, "within", 1, "rescue blobs whose storage ends within `N` epochs; 0: only those whose storage has ended")
	flags.BoolVar(&f.permanent, "permanent", false, "nobody can delete the blobs before their new end")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would be stored and the cost, and store nothing")
	return c
}

// rescued reports on one blob, for JSON.
type rescued struct {
	BlobID  shards.BlobID `json:"blobId"`
	End     uint32        `json:"endEpoch"`
	Rescued bool          `json:"rescued"`
	NewEnd  uint32        `json:"newEndEpoch,omitempty"`
	Cost    string        `json:"costFrost,omitempty"`
	paid    ledger.Amount // Cost
	Error   string        `json:"error,omitempty"`
}

func (a pinApp) pinRescue(ctx context.Context, f *pinRescueFlags, args []string) error {
	return a.onPins(ctx, f.home, args, func(ctx context.Context, p *pinsOf, list []shards.BlobID) (err error) {
		ctx, s, err := a.openPaying(ctx, 0)
		if err != nil {
			return err
		}
		defer s.close(&err)
		opt := client.StoreOptions{Epochs: s.conf.Epochs, Permanent: f.permanent, DryRun: f.dryRun}
		if f.epochs != "" {
			opt.Epochs = f.epochs.number()
		}
		out, rows := make([]rescued, 0, len(list)), [][]string{{"blob", "ended or ends at", "stored until", "cost"}}
		var bad failures
		for _, id := range list {
			r, err := a.rescueOne(ctx, p, s, id, f.within, opt)
			if err != nil {
				r.Error = joined(err)
				bad.add(ctx, a.app, "rescue "+id.String(), err)
			}
			if out = append(out, r); err == nil {
				rows = append(rows, r.row(f.dryRun))
			}
			if ctx.Err() != nil {
				break
			}
		}
		if err := a.resultTable(out, rows); err != nil {
			return err
		}
		return bad.err()
	})
}

func (r *rescued) row(dry bool) []string {
	end := "has ended"
	if r.End > 0 {
		end = endEpoch(r.End)
	}
	switch {
	case r.Rescued:
		return []string{r.BlobID.String(), end, endEpoch(r.NewEnd), r.paid.String()}
	case dry && r.Cost != "" && (r.NewEnd > r.End || r.paid > 0):
		return []string{r.BlobID.String(), end, "would be " + endEpoch(r.NewEnd), "at most " + r.paid.String()}
	}
	return []string{r.BlobID.String(), end, "left as it is", ledger.Amount(0).String()}
}

// rescueOne stores one blob again if its storage ends within some epochs. An invalid blob is not stored.
func (a pinApp) rescueOne(ctx context.Context, p *pinsOf, s *session, id shards.BlobID, within uint32, opt client.StoreOptions) (r rescued, err error) {
	r = rescued{BlobID: id}
	st, err := s.BlobStatus(ctx, id)
	switch {
	case errors.Is(err, client.ErrNotFound):
	case err != nil:
		return r, err
	case st.LedgerErr != nil:
		return r, st.LedgerErr
	case st.Invalid != nil:
		return r, st.Invalid
	case st.CertifiedEnd > st.Epoch:
		if r.End = st.CertifiedEnd; st.CertifiedEnd-st.Epoch > within {
			return r, nil
		}
	}
	dir, err := os.MkdirTemp(p.home, "rescue-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := p.Export(ctx, id, dir); err != nil {
		return r, err
	}
	src, err := os.Open(filepath.Join(dir, id.String()+pin.ContentExt))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	size, err := src.Stat()
	if err != nil {
		return r, err
	}
	bar := a.newBars(id.String())
	defer bar.finish()
	opt.Progress = bar.progress()
	res, err := s.Store(ctx, src, uint64(size.Size()), opt)
	if err != nil {
		return r, err
	}
	if res.BlobID != id {
		return r, fmt.Errorf("the copy encodes to %s: run walrus pin verify", res.BlobID)
	}
	r.paid = res.Cost.Total()
	r.Rescued, r.NewEnd, r.Cost = !opt.DryRun && !res.AlreadyCertified, res.EndEpoch, fmt.Sprint(uint64(r.paid))
	return r, nil
}
