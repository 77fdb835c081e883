package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"walrus/client"
	"walrus/ledger"
)

func storeCommand(a *app) *cobra.Command {
	var flags storeFlags
	var crypt encryptFlags
	c := &cobra.Command{
		Use:   "store FILES...",
		Short: "store files, each as a blob",
		Long: `Store each of FILES as a blob. - is standard input.

A blob is certified, and safe, once nodes with more than two thirds of all shards have confirmed that their slivers are on
disk, and their certificate is on the ledger. The configured wallet pays, for each MiB of encoded size, a price per epoch
and a price for writing; walrus info shows both. --dry-run shows the cost and stores nothing.

Storing the same bytes again is free while they are certified for long enough. After an interruption, store the file
again: the earlier payment counts, and only the missing slivers are sent.

Several files are stored in parallel, as far as memory allows, and share transactions. Results are printed in the order of
FILES. If a file fails, the others are still stored, and the exit code is the worst of all.

  walrus store photo.jpg
  walrus store --epochs 10 --permanent thesis.pdf
  walrus store --dry-run *.jpg
  tar c docs | walrus store -

Everybody who knows a blob's ID can read the blob. --encrypt encrypts it on this machine before anything is sent, in the
format of age: for the holders of keys (see walrus encryption-key) or with a passphrase. The same file encrypted again is
another blob, and costs again. If you lose the key, you lose the content.

  walrus store --encrypt --recipient age1… --recipient @team.txt plan.pdf
  walrus store --encrypt --recipient "$(cat ~/.ssh/id_ed25519.pub)" plan.pdf
  walrus store --encrypt --passphrase diary.txt

Exit code 4: too few nodes are up, or the ledger is stalled.

--json prints an array with one entry per file:
  {"path", "blobStoreResult": {"newlyCreated": {"blobObject": {"id","registeredEpoch","blobId","size","encodingType",
     "certifiedEpoch","storage": {"id","startEpoch","endEpoch","storageSize"},"deletable"},
     "resourceOperation": {"registerFromScratch": {"encodedLength","epochsAhead"}},"cost","feeFrost","encodedLength"}}
   or {"alreadyCertified": {"blobId","event" or "object","endEpoch","certifiedEpoch"}}
   or {"error": {"blobId","errorMsg"}},
   "shards": {"confirmed","needed","total"}, "nodes": [{"node","name","shards","confirmed","sent","error"}]}
and with --dry-run
  {"path","blobId","unencodedSize","encodedSize","storageCost","feeFrost","operation","endEpoch","encodingType"}.`,
		Args: args(cobra.MinimumNArgs(1), "one or more FILES, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			if i := slices.Index(args, "-"); i >= 0 && slices.Contains(args[i+1:], "-") {
				return usagef("standard input (-) can be stored only once")
			}
			opt, err := flags.options()
			if err != nil {
				return err
			}
			if opt.Encrypt, err = crypt.get(c.Context(), a); err != nil {
				return err
			}
			return a.store(c.Context(), args, opt)
		},
	}
	flags.add(c.Flags())
	crypt.add(c.Flags())
	return c
}

// storeFlags are the flags of all commands that store.
type storeFlags struct {
	opt                  client.StoreOptions
	epochs               epochCount
	deletable, permanent bool
	attributes           []string
	fund                 amount
}

func (s *storeFlags) add(f *pflag.FlagSet) {
	f.Var(&s.epochs, "epochs", "number of epochs to keep the blobs, the current one included, or max (default: the configuration's)")
	f.BoolVar(&s.deletable, "deletable", false, "allow deletion of the blobs before their end (the default)")
	f.BoolVar(&s.permanent, "permanent", false, "nobody can delete the blobs before their end")
	f.BoolVar(&s.opt.Share, "share", false,
		"share the records, so that anybody can fund and extend them; implies --permanent")
	f.Var(&s.fund, "fund", "amount to pay into a shared blob's funds")
	f.StringArrayVar(&s.attributes, "attribute", nil, "set an attribute of the record, as `KEY=VALUE`; may be repeated")
	f.BoolVar(&s.opt.DryRun, "dry-run", false, "show the cost and store nothing")
	f.BoolVar(&s.opt.Force, "force", false, "register and pay for the blob even if it is certified already")
}

// options returns the store options that the flags ask for.
func (s *storeFlags) options() (client.StoreOptions, error) {
	opt := s.opt
	if s.deletable && s.permanent {
		return opt, usagef("--deletable and --permanent contradict each other: choose one")
	}
	if s.fund.Amount > 0 && !opt.Share || opt.Share && s.deletable {
		return opt, usagef("--fund needs --share, and shared blobs cannot be --deletable")
	}
	list, err := parseAttributes(s.attributes)
	if err != nil {
		return opt, err
	}
	opt.Permanent, opt.Attributes, opt.Fund = s.permanent || opt.Share, list, s.fund.Amount
	if s.epochs != "" {
		opt.Epochs = s.epochs.number()
	}
	return opt, nil
}

// epochCount is a flag with a number of epochs, or max.
type epochCount string

func (e *epochCount) Set(text string) error {
	if n, err := strconv.ParseUint(text, 10, 32); text != "max" && (err != nil || n == 0) {
		return errors.New("want a whole number of at least 1, or max")
	}
	*e = epochCount(text)
	return nil
}

// number returns the number for the client.
func (e *epochCount) number() uint32 {
	if *e == "max" {
		return client.MaxEpochs
	}
	n, err := strconv.ParseUint(string(*e), 10, 32)
	if err != nil {
		return 0 // impossible: Set has checked it
	}
	return uint32(n)
}

func (e *epochCount) String() string { return string(*e) }
func (e *epochCount) Type() string   { return "N" }

func (a *app) store(ctx context.Context, paths []string, opt client.StoreOptions) (err error) {
	ctx, s, err := a.openPaying(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close(&err)
	if opt.Epochs == 0 {
		opt.Epochs = s.conf.Epochs
	}
	entries := make([]any, 0, len(paths))
	var failed failures
	printed := false
	err = a.storeFiles(ctx, s, paths, opt, func(path string, res *client.StoreResult, err error) error {
		if err != nil {
			failed.add(ctx, a, "store "+path, err)
		}
		if err == nil && opt.DryRun {
			entries = append(entries, newDryEntry(path, res))
		} else {
			if interrupted(ctx, err) {
				err = errors.New("interrupted")
			}
			entries = append(entries, newStoreEntry(path, res, err))
		}
		if err != nil || a.global.json {
			return nil
		}
		another := printed
		printed = true
		if err := a.printStored(path, res, opt, another); !closedPipe(err) {
			return err
		}
		return nil // nobody reads the output, but the other files are still stored
	})
	if a.global.json {
		if printing := a.printJSON(entries); !closedPipe(printing) {
			err = errors.Join(err, printing)
		}
	}
	if err != nil {
		return err
	}
	return failed.err()
}

// storeFile stores one file. With an error it may return the result so far.
func (a *app) storeFile(ctx context.Context, s *session, path string, opt client.StoreOptions,
	progress client.Progress) (res *client.StoreResult, err error) {
	in, err := a.openInput(ctx, path, s.conf.TempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	opt.Progress = progress
	opt.Approve = func(client.Cost) error { return in.unchanged() } // checked before paying
	res, err = s.Store(ctx, in, in.size, opt)
	return res, blame(err, in.unchanged)
}

// printStored prints how a file was stored and what was paid. another: a blank line separates it from the file before.
func (a *terminal) printStored(path string, r *client.StoreResult, opt client.StoreOptions, another bool) error {
	dry, sealed := opt.DryRun, ""
	if len(opt.Encrypt) > 0 {
		sealed = " encrypted"
	}
	if another {
		if _, err := a.stdout.Write([]byte("\n")); err != nil {
			return err
		}
	}
	rows := [][]string{
		{r.BlobID.String()},
		{"  file", path},
		{"  size", byteSize(r.Size) + sealed + ", " + byteSize(r.EncodedSize) + " encoded, on all nodes together"},
		{"  state", storedState(r, dry)},
		{"  kept until", endEpoch(r.EndEpoch) + ", " + keptHow(r)},
	}
	if dry {
		rows = append(rows, []string{"  would cost", paid(r.Cost)})
		return table(a.stdout, "", rows)
	}
	rows = append(rows, []string{"  paid", paid(r.Cost)})
	if r.Object != (ledger.ObjectID{}) {
		rows = append(rows, []string{"  record", r.Object.String()})
	}
	rows = append(rows, []string{"  took", fmt.Sprintf("%s to encode, %s to upload and certify", seconds(r.Encoding),
		seconds(r.Uploading))})
	if err := table(a.stdout, "", rows); err != nil || len(r.Nodes) == 0 {
		return err
	}
	rows = [][]string{{"node", "shards", "confirmed", "sent", "problem"}}
	for _, n := range r.Nodes {
		why := ""
		if n.Err != nil {
			why = n.Why
		}
		rows = append(rows, []string{n.Name, shardList(n.Shards), yesNo(n.Confirmed), byteSize(n.Sent), why})
	}
	return table(a.stdout, "  ", rows)
}

func storedState(r *client.StoreResult, dry bool) string {
	switch {
	case dry && r.Operation == client.AlreadyCertified:
		return fmt.Sprintf("certified in epoch %d already: nothing would be sent", r.CertifiedEpoch)
	case dry:
		return plannedState(r)
	case r.AlreadyCertified:
		return fmt.Sprintf("already certified in epoch %d: nothing was paid", r.CertifiedEpoch)
	case len(r.Nodes) == 0:
		return fmt.Sprintf("certified in epoch %d, now kept longer", r.CertifiedEpoch)
	}
	return fmt.Sprintf("certified in epoch %d: %d of %d shards confirmed, %d needed", r.CertifiedEpoch, r.Confirmed,
		r.Shards, r.Needed)
}

// plannedState says what a store would do.
func plannedState(r *client.StoreResult) string {
	switch r.Operation {
	case client.ReuseAndExtend:
		return fmt.Sprintf("certified in epoch %d already: your record would be extended by %s, and nothing would be sent",
			r.CertifiedEpoch, plural(r.EpochsExtended, "epoch"))
	case client.ReuseRegistration:
		return "not stored: your registration, which was never certified, would be used; only fees would be paid"
	case client.ReuseAndExtendNonCertified:
		return "not stored: your registration, which was never certified, would be extended by " +
			plural(r.EpochsExtended, "epoch") + " and used"
	case client.ReuseStorage:
		return "not stored: storage that you own would be used; writing and fees would be paid"
	}
	return "not stored: storage would be bought for it"
}

func keptHow(r *client.StoreResult) string {
	switch {
	case r.Shared:
		return "permanent, shared"
	case r.Deletable:
		return "deletable"
	}
	return "permanent"
}
