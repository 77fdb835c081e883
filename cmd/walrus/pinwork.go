package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cheggaaa/pb/v3"
	"github.com/spf13/cobra"

	"walrus/compose"
	"walrus/pin"
	"walrus/pinapi"
	"walrus/shards"
)

// trimID removes the mark that protects an ID from being parsed as a flag.
func trimID(arg string) string { return strings.TrimPrefix(arg, idMark) }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// pinnedBlobs returns the blobs that args name, or all pinned ones, each once.
func (p *pinsOf) pinnedBlobs(args []string) (list []shards.BlobID, err error) {
	var requests []pin.Request
	if len(args) == 0 {
		if requests, err = p.all(pin.Filter{Statuses: []pin.Status{pin.Pinned}}); err != nil {
			return nil, err
		}
	}
	for _, arg := range args {
		more, err := p.find(arg)
		if err != nil {
			return nil, err
		}
		requests = append(requests, more...)
	}
	seen := map[shards.BlobID]bool{{}: true}
	for i := range requests {
		if id := requests[i].Blob; !seen[id] {
			seen[id], list = true, append(list, id)
		}
	}
	return list, nil
}

// blobDone reports an operation on one blob, for JSON.
type blobDone struct {
	BlobID shards.BlobID `json:"blobId"`
	OK     bool          `json:"ok"`
	Error  string        `json:"error,omitempty"`
}

// eachBlob runs an operation on blobs, one after the other, with a bar. It goes on after failures. It prints a line for
// each blob.
func (a pinApp) eachBlob(ctx context.Context, what, past string, list []shards.BlobID, op func(shards.BlobID) error) error {
	var bar *pb.ProgressBar
	if a.newBars("") != nil && len(list) > 1 {
		bar = pb.New(len(list)).SetTemplateString(`{{string . "prefix"}} {{bar . "[" "=" ">" " " "]"}} {{counters .}} {{rtime . "%s left"}}`).
			Set("prefix", what).SetWriter(a.stderr).SetWidth(barWidth(a.stderr)).Set(pb.CleanOnFinish, true).Start()
		defer bar.Finish()
	}
	out, rows := make([]blobDone, 0, len(list)), [][]string{}
	var bad failures
	for _, id := range list {
		err := op(id)
		done := blobDone{BlobID: id, OK: err == nil}
		if err != nil {
			done.Error = joined(err)
			bad.add(ctx, a.app, what+" "+id.String(), err)
		} else {
			rows = append(rows, []string{past, id.String()})
		}
		if out = append(out, done); bar != nil {
			bar.Increment()
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := a.resultTable(out, rows); err != nil {
		return err
	}
	return bad.err()
}

func pinVerifyCommand(a pinApp) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "verify [PIN...]",
		Short: "read pinned blobs again and compare them with their IDs",
		Long: `Read copies from disk, encode them again, and compare the results with the blob IDs. The pin process does this by itself, too,
within 14 days for all pins. A damaged part is fetched again; until then the blob is not served. Without PIN, all pinned blobs
are verified, one after the other.

--json prints [{"blobId","ok","error"}]. The exit code is 1 if a copy is damaged.`,
		Example: "  walrus pin verify\n  walrus pin verify BLOB_ID",
		Args:    args(cobra.ArbitraryArgs, "PINs"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onPins(c.Context(), home, args, func(ctx context.Context, p *pinsOf, list []shards.BlobID) error {
				return a.eachBlob(ctx, "verify", "whole", list, func(id shards.BlobID) error { return p.Verify(ctx, id) })
			})
		},
	}
	pinHomeFlag(c, &home)
	return c
}

// onPins opens pins and calls fn with the blobs that args name.
func (a pinApp) onPins(ctx context.Context, home string, args []string, fn func(context.Context, *pinsOf, []shards.BlobID) error) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	p, err := a.openPins(ctx, home, pinStore{})
	if err != nil {
		return err
	}
	defer p.end(&err)
	list, err := p.pinnedBlobs(args)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		a.warn("nothing is pinned yet in %s: see walrus pin ls", p.home)
	}
	return fn(ctx, p, list)
}

func pinExportCommand(a pinApp) *cobra.Command {
	var home, dir string
	c := &cobra.Command{
		Use:   "export --dir FOLDER [PIN...]",
		Short: "copy pinned blobs into a folder",
		Long: `Write pinned blobs into a folder, to carry them to another machine: for each blob ID.blob, its content, and ID.metadata, which
proves the content. walrus pin import reads the folder. Without PIN, all pinned blobs are written. A file that is there
already is replaced.

--json prints [{"blobId","ok","error"}].`,
		Example: "  walrus pin export --dir /media/disk\n  walrus pin export --dir out BLOB_ID",
		Args:    args(cobra.ArbitraryArgs, "PINs"),
		RunE: func(c *cobra.Command, args []string) error {
			if dir == "" {
				return usagef("%s: --dir FOLDER is missing", c.CommandPath())
			}
			return a.onPins(c.Context(), home, args, func(ctx context.Context, p *pinsOf, list []shards.BlobID) error {
				return a.eachBlob(ctx, "export", "written", list, func(id shards.BlobID) error { return p.Export(ctx, id, absolute(dir)) })
			})
		},
	}
	pinHomeFlag(c, &home)
	c.Flags().StringVar(&dir, "dir", "", "`FOLDER` to write into, made if missing (required)")
	return c
}

func pinImportCommand(a pinApp) *cobra.Command {
	var home, limit string
	c := &cobra.Command{
		Use:   "import FOLDER",
		Short: "pin the blobs in a folder that pin export has written",
		Long: `Pin all blobs in a folder that walrus pin export has written. Nothing is fetched: each blob is read, encoded and compared with
its ID. Files that do not fit their ID are refused.

--json prints the pins: [` + pinFields + `].`,
		Example: "  walrus pin import /media/disk",
		Args:    args(cobra.ExactArgs(1), "one FOLDER"),
		RunE: func(c *cobra.Command, args []string) error {
			most, err := sizeFlag("limit", limit)
			if err != nil {
				return err
			}
			return a.pinImport(c.Context(), home, args[0], most)
		},
	}
	pinHomeFlag(c, &home)
	limitFlag(c, &limit)
	c.Flags().Lookup("limit").Usage += "; a pin process that is running has its own"
	return c
}

func (a pinApp) pinImport(ctx context.Context, home, dir string, limit int64) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	if _, err := os.ReadDir(dir); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	p, err := a.openPins(ctx, home, pinStore{create: true, limit: limit})
	if err != nil {
		return err
	}
	defer p.end(&err)
	list, err := p.Import(ctx, absolute(dir))
	if err != nil && len(list) == 0 {
		return err
	}
	if printed := a.printAdded(list, nil); err == nil {
		err = printed
	}
	return err
}

func pinTokenCommand(a pinApp) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "token",
		Short: "make and remove tokens for the pinning API",
		Long: `The IPFS Pinning Service API (walrus pin run --pinning-api) answers only to clients with a token. Make one for each device.
A token is shown once; the file keeps its hash. A removed token ends at once, also in a running process. All tokens see all
pins of the home.`,
		Example: "  walrus pin token add laptop\n  walrus pin token ls\n  walrus pin token rm laptop",
	})
	c.AddCommand(
		a.tokenCommand("add NAME", "make a token and print it", "Make a token with a name. It is printed once and kept nowhere: copy it now.\n\n--json prints {\"name\",\"token\"}.",
			"  walrus pin token add laptop", cobra.ExactArgs(1), "one NAME", func(t *pinapi.Tokens, args []string) error {
				text, err := t.Create(args[0])
				if err != nil {
					return err
				}
				return a.result(struct {
					Name  string `json:"name"`
					Token string `json:"token"`
				}{args[0], text}, "%s\n", text)
			}),
		a.tokenCommand("ls", "list the names of tokens", "List the names of the tokens.\n\n--json prints a list of names.",
			"  walrus pin token ls", cobra.NoArgs, "no arguments", func(t *pinapi.Tokens, _ []string) error {
				names, err := t.Names()
				if err != nil {
					return err
				}
				var rows [][]string
				for _, name := range names {
					rows = append(rows, []string{name})
				}
				return a.resultTable(names, rows)
			}),
		a.tokenCommand("rm NAME...", "remove tokens", "Remove tokens by name. Clients that use them are refused at once.\n\n--json prints {\"removed\":[…]}.",
			"  walrus pin token rm laptop", cobra.MinimumNArgs(1), "NAMEs", func(t *pinapi.Tokens, args []string) error {
				for _, name := range args {
					if err := t.Remove(name); err != nil {
						return err
					}
				}
				return a.result(struct {
					Removed []string `json:"removed"`
				}{args}, "removed %s\n", strings.Join(args, ", "))
			}),
	)
	return c
}

func (a pinApp) tokenCommand(use, short, long, example string, check cobra.PositionalArgs, want string, fn func(*pinapi.Tokens, []string) error) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: args(check, want),
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := a.openTokens(home)
			if err != nil {
				return err
			}
			return fn(t, args)
		},
	}
	pinHomeFlag(c, &home)
	return c
}

// openTokens opens the file of tokens in a home, which is made if it does not exist.
func (a pinApp) openTokens(flag string) (*pinapi.Tokens, error) {
	home, err := a.pinHome(flag)
	if err != nil {
		return nil, err
	}
	return compose.PinTokens(home)
}
