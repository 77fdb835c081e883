package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/quilt"
)

func storeQuiltCommand(a *app) *cobra.Command {
	var (
		flags        storeFlags
		paths, blobs []string
	)
	c := &cobra.Command{
		Use:     "store-quilt PATHS...",
		Aliases: []string{"write-quilt"},
		Short:   "store many small files together, as one blob",
		Long: `Store files together as one blob, a quilt. Each file can still be read alone.

On a large network even the smallest blob costs about a megabyte of encoded size. In a quilt, hundreds of files share that
cost. They are paid for, extended and deleted together.

PATHS are files and folders. The identifier of a file in a folder is its path in the folder, such as img/logo.png, so
walrus read-quilt -o restores the folder. The identifier of any other file is its name. Empty folders, modes and times are
not kept. Identifiers must not end in white space or contain control characters. A quilt holds one file less than the
network has source columns: 666 files with 1000 shards, 66 with 100.

  walrus store-quilt site/
  walrus store-quilt --epochs 10 a.txt b.txt
  walrus store-quilt --dry-run --paths site/ --paths more/
  walrus store-quilt --blobs '{"path":"a.jpg","identifier":"cover","tags":{"type":"image"}}' '{"path":"b.txt"}'

--json prints {"blobStoreResult": {as in walrus store}, "storedQuiltBlobs": [{"identifier","quiltPatchId","range":[first
column, column after the last]}], "shards", "nodes"}, and with --dry-run {"quiltBlobOutput": {as in walrus store --dry-run},
"quiltIndex": {"v1": {"quiltPatches": [{"startIndex","endIndex","identifier","tags"}]}}}.`,
		RunE: func(c *cobra.Command, args []string) error {
			opt, err := flags.options()
			if err != nil {
				return err
			}
			switch {
			case len(blobs) > 0 && len(paths) > 0:
				return usagef("--paths and --blobs: use one of them")
			case len(blobs) > 0:
				blobs = append(blobs, args...)
			default:
				paths = append(paths, args...)
			}
			if len(paths)+len(blobs) == 0 {
				return usagef("%s takes PATHS of files and folders, or --blobs (see %s --help)", c.CommandPath(), c.CommandPath())
			}
			return a.storeQuilt(c.Context(), paths, blobs, opt)
		},
	}
	c.Flags().StringArrayVar(&paths, "paths", nil,
		"file or folder to store, instead of `PATHS` as arguments; may be repeated")
	c.Flags().StringArrayVar(&blobs, "blobs", nil,
		"one file as `JSON`: {\"path\",\"identifier\",\"tags\"}; more may follow as arguments")
	flags.add(c.Flags())
	return c
}

func (a *app) storeQuilt(ctx context.Context, paths, blobs []string, opt client.StoreOptions) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	in, err := a.newQuiltInput(ctx, paths, blobs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	ctx, s, err := a.openPaying(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close(&err)
	if opt.Epochs == 0 {
		opt.Epochs = s.conf.Epochs
	}
	bars := a.newBars("quilt")
	opt.Progress = bars.progress()
	opt.Approve = func(client.Cost) error { return in.unchanged() } // checked before paying
	res, err := s.StoreQuilt(ctx, in.files, opt)
	err = blame(err, in.unchanged)
	bars.finish()
	if a.global.json {
		return a.printQuiltJSON(strings.Join(paths, " "), res, opt.DryRun, err)
	}
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s of %s, in one quilt", plural(len(in.files), "file"), byteSize(in.size()))
	if err := a.printStored(what, res.StoreResult, opt, false); err != nil || opt.DryRun {
		return err
	}
	return printPatches(a.stdout, res)
}

// maxListed bounds the files listed for people; list-patches-in-quilt lists all.
const maxListed = 20

func printPatches(w io.Writer, res *client.QuiltResult) error {
	rows := [][]string{{"file", "columns", "patch ID"}}
	for i, p := range res.Patches {
		if i == maxListed {
			rows = append(rows, []string{fmt.Sprintf("and %d more: walrus list-patches-in-quilt %s",
				len(res.Patches)-i, res.BlobID)})
			break
		}
		rows = append(rows, []string{printable(p.Identifier), columnRange(p.Start, p.End), p.ID.String()})
	}
	return table(w, "  ", rows)
}

func columnRange(start, end int) string {
	if end == start+1 {
		return fmt.Sprint(start)
	}
	return fmt.Sprintf("%d-%d", start, end-1)
}

// quiltEntry is the JSON output of store-quilt.
type quiltEntry struct {
	Result storeResult   `json:"blobStoreResult"`
	Stored []storedPatch `json:"storedQuiltBlobs"`
	Shards *storeShards  `json:"shards,omitempty"`
	Nodes  []storeNode   `json:"nodes,omitempty"`
}

type storedPatch struct {
	Identifier string        `json:"identifier"`
	ID         quilt.PatchID `json:"quiltPatchId"`
	Range      [2]int        `json:"range"`
}

// dryQuilt is the JSON output of store-quilt --dry-run.
type dryQuilt struct {
	Blob  dryEntry     `json:"quiltBlobOutput"`
	Index *quilt.Index `json:"quiltIndex"`
}

// printQuiltJSON prints what was stored, or the failure, which stderr then gets as well.
func (a *terminal) printQuiltJSON(path string, res *client.QuiltResult, dry bool, failed error) error {
	if failed == nil && dry {
		return a.printJSON(dryQuilt{newDryEntry(path, res.StoreResult), res.Index})
	}
	var stored *client.StoreResult
	entry := quiltEntry{Stored: []storedPatch{}}
	if res != nil {
		stored = res.StoreResult
	}
	one := newStoreEntry(path, stored, failed)
	entry.Result, entry.Shards, entry.Nodes = one.Result, one.Shards, one.Nodes
	if failed == nil {
		for _, p := range res.Patches {
			entry.Stored = append(entry.Stored, storedPatch{p.Identifier, p.ID, [2]int{p.Start, p.End}})
		}
	}
	return errors.Join(a.printJSON(entry), failed)
}
