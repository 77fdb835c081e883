package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"walrus/client"
)

func storeCommand(a *app) *cobra.Command {
	var opt client.StoreOptions
	epochs := epochCount("max")
	c := &cobra.Command{
		Use:   "store FILES...",
		Short: "store files, each as a blob",
		Long: `Store each of FILES as a blob. - is standard input.

A blob is certified, and safe, once nodes with more than two thirds of all shards have confirmed that they keep
their slivers on disk. Storing the same bytes again costs nothing; storing again after an interruption sends only
what is missing. One file that cannot be stored does not stop the others; the exit code is then the worst.

  walrus store photo.jpg
  tar c docs | walrus store -
  walrus store --json *.jpg

--json prints an array with one entry per file:
  {"path", "blobStoreResult": {"newlyCreated": {"blobObject": {"blobId","size","encodingType","certifiedEpoch",
     "storage": {"startEpoch","endEpoch","storageSize"},"deletable"},"encodedLength"}}
   or {"alreadyCertified": {"blobId","endEpoch","certifiedEpoch"}}
   or {"error": {"blobId","errorMsg"}},
   "shards": {"confirmed","needed","total"}, "nodes": [{"node","name","shards","confirmed","sent","error"}]}`,
		Args: args(cobra.MinimumNArgs(1), "one or more FILES, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			if i := slices.Index(args, "-"); i >= 0 && slices.Contains(args[i+1:], "-") {
				return usagef("standard input (-) can be stored only once")
			}
			return a.store(c.Context(), args, opt)
		},
	}
	c.Flags().Var(&epochs, "epochs", "how many epochs to keep the blobs, at least 1, or max;\n"+
		"a network without a ledger keeps them until the end its genesis names, whatever is asked for")
	c.Flags().BoolVar(&opt.Force, "force", false, "offer the blob to every node even if it is certified already")
	return c
}

// epochCount is a flag: a number of epochs, or max.
type epochCount string

func (e *epochCount) Set(text string) error {
	if n, err := strconv.ParseUint(text, 10, 32); text != "max" && (err != nil || n == 0) {
		return errors.New("want a whole number of at least 1, or max")
	}
	*e = epochCount(text)
	return nil
}

func (e *epochCount) String() string { return string(*e) }
func (e *epochCount) Type() string   { return "N" }

func (a *app) store(ctx context.Context, paths []string, opt client.StoreOptions) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close(&err)
	entries := make([]storeEntry, 0, len(paths))
	worst, printed := exitDone, false
	for _, path := range paths {
		res, err := a.storeFile(ctx, s, path, opt)
		if err != nil {
			worst = max(worst, exitCode(err))
			a.warn("store %s: %s", path, a.explain(err))
		}
		entries = append(entries, newStoreEntry(path, res, err))
		if err == nil && !a.global.json {
			if err := a.printStored(path, res, printed); err != nil {
				return err
			}
			printed = true
		}
		if ctx.Err() != nil {
			break
		}
	}
	if a.global.json {
		if err := a.printJSON(entries); err != nil {
			return err
		}
	}
	if worst != exitDone {
		return &toldError{worst}
	}
	return nil
}

// storeFile may return a result with an error: how far it got.
func (a *app) storeFile(ctx context.Context, s *session, path string, opt client.StoreOptions) (res *client.StoreResult, err error) {
	in, err := a.openInput(ctx, path, s.conf.TempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	bars := a.newBars(path)
	defer bars.finish()
	opt.Progress = bars.progress()
	return s.Store(ctx, in.file, in.size, opt)
}

// printStored shows where a file went, apart from the one before it, if any.
func (a *app) printStored(path string, r *client.StoreResult, another bool) error {
	if another {
		if _, err := a.stdout.Write([]byte("\n")); err != nil {
			return err
		}
	}
	state := fmt.Sprintf("certified in epoch %d: %d of %d shards confirmed, %d needed", r.Certificate.Epoch, r.Confirmed, r.Shards, r.Needed)
	if r.AlreadyCertified {
		state = fmt.Sprintf("already certified in epoch %d by %d of %d shards: nothing was sent", r.Certificate.Epoch, r.Confirmed, r.Shards)
	}
	err := table(a.stdout, "", [][]string{
		{r.BlobID.String()},
		{"  file", path},
		{"  size", byteSize(r.Size) + ", " + byteSize(r.EncodedSize) + " encoded on all nodes together"},
		{"  state", state},
		{"  kept until", endEpoch(r.EndEpoch)},
		{"  took", fmt.Sprintf("%s to encode, %s to upload", seconds(r.Encoding), seconds(r.Uploading))},
	})
	if err != nil || r.AlreadyCertified {
		return err
	}
	rows := [][]string{{"node", "shards", "confirmed", "sent", ""}}
	for _, n := range r.Nodes {
		why := ""
		if n.Err != nil {
			why = n.Why
		}
		rows = append(rows, []string{n.Name, shardList(n.Shards), yesNo(n.Confirmed), byteSize(n.Sent), why})
	}
	return table(a.stdout, "  ", rows)
}
