package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"walrus/internal/userfile"
	"walrus/ledger"
	"walrus/pin"
	"walrus/pinapi"
	"walrus/pinnode"
	"walrus/quilt"
	"walrus/shards"
)

// pinAddFlags are the flags of pin add.
type pinAddFlags struct {
	home, name, file, owner string
	quilt                   []string
	meta, attribute         map[string]string
	origin                  []string
	until                   uint32
	wait                    bool
}

func pinAddCommand(a pinApp) *cobra.Command {
	var f pinAddFlags
	c := &cobra.Command{
		Use:   "add [BLOB...]",
		Short: "keep blobs",
		Long: `Ask for copies of blobs. BLOB is a blob ID, the CID of a blob, or the ID of a file in a quilt, which pins the whole quilt.
Every call makes a new request with its own ID, also for a blob that is pinned already; a blob is kept until its last request
is removed. The command returns once the request is on disk. The pin process then fetches the blob, and tries again for as
long as it takes; --wait waits for it.

  walrus pin add BLOB_ID
  walrus pin add BLOB_ID --name holiday.mp4 --meta album=2026 --wait
  walrus pin add --file list.txt                              # one BLOB a line; # begins a comment, - is standard input
  walrus pin add --quilt QUILT_ID                             # and list the files in it
  walrus pin add --owner 0xADDRESS                            # all blobs of an account, as of now; see pin follow
  walrus pin add --owner 0xADDRESS --attribute keep=yes       # of these, the ones with that attribute
  walrus pin add BLOB_ID --until 90                           # removed by itself when epoch 90 begins

--json prints a list of pins: [{"requestId","cid","blobId","name","meta","origins","untilEpoch","created","status","reason",
"rowsHere","rows","percent","sizeBytes","nextTry","lastVerified","announced","servedBytes","files"}]. "files" is there for
--quilt: [{"patchId","identifier","tags"}].`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && f.file == "" && f.owner == "" && len(f.quilt) == 0 {
				return usagef("%s: name blobs, or give --file, --quilt or --owner (see %s --help)", c.CommandPath(), c.CommandPath())
			}
			if len(f.attribute) > 0 && f.owner == "" {
				return usagef("--attribute needs --owner: the ledger lists blobs by their owner only")
			}
			if c.Flags().Changed("until") && f.until == 0 {
				return usagef("--until 0: epochs count from 1; leave --until out to pin for ever")
			}
			for _, o := range f.origin {
				if _, err := multiaddr.NewMultiaddr(o); err != nil {
					return usagef("--origin %q: want a multiaddr, such as /ip4/192.0.2.1/tcp/4031/p2p/PEER_ID", o)
				}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return a.pinAdd(c.Context(), &f, args) },
	}
	flags := c.Flags()
	pinHomeFlag(c, &f.home)
	flags.StringVar(&f.name, "name", "", "`NAME` of the pins, at most 255 characters")
	flags.StringToStringVar(&f.meta, "meta", nil, "`KEY=VALUE` to keep with the pins; may be repeated")
	flags.StringVar(&f.file, "file", "", "`FILE` that lists blobs")
	flags.StringArrayVar(&f.quilt, "quilt", nil, "`QUILT_ID` of a quilt to pin, whose files are listed; may be repeated")
	flags.StringVar(&f.owner, "owner", "", "`ADDRESS` of an account, all of whose blobs to pin")
	flags.StringToStringVar(&f.attribute, "attribute", nil, "only blobs of --owner with the attribute `KEY=VALUE`; may be repeated")
	flags.StringArrayVar(&f.origin, "origin", nil, "`MULTIADDR` of a peer that may have the blobs; may be repeated")
	flags.Uint32Var(&f.until, "until", 0, "remove the pins when `EPOCH` begins (default: never)")
	flags.BoolVar(&f.wait, "wait", false, "wait until the blobs are pinned; a pin that fails ends the wait")
	flags.Lookup("meta").DefValue, flags.Lookup("attribute").DefValue = "", "" // help shows no empty defaults
	return c
}

func (a pinApp) pinAdd(ctx context.Context, f *pinAddFlags, args []string) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	blobs, err := a.blobsToPin(ctx, f, args)
	if err != nil {
		return err
	}
	files, err := a.quiltsToPin(ctx, f.quilt)
	if err != nil {
		return err
	}
	for _, arg := range f.quilt {
		if id, _ := parseBlob(arg); !slices.Contains(blobs, id) {
			blobs = append(blobs, id)
		}
	}
	p, err := a.openPins(ctx, f.home, pinStore{create: true})
	if err != nil {
		return err
	}
	defer p.end(&err)
	if f.wait && p.remote == nil {
		return fmt.Errorf("wait for pins: %w with home %s: start it with walrus pin run", pinapi.ErrNotRunning, p.home)
	}
	list := make([]pin.Request, 0, len(blobs))
	for _, id := range blobs {
		r, err := p.Add(ctx, pin.Request{CID: pin.CID(id), Blob: id, Name: f.name, Meta: f.meta, Origins: f.origin, Until: f.until})
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if f.wait {
		if list, err = a.awaitPins(ctx, p, list); err != nil {
			return err
		}
	} else if p.remote == nil {
		a.warn("no pin process is running with home %s: the blobs are fetched once you start walrus pin run", p.home)
	}
	return a.printAdded(list, files)
}

// printAdded prints requests and the files of those that are quilts.
func (a pinApp) printAdded(list []pin.Request, files map[shards.BlobID][]pinapi.File) error {
	rows := [][]string{{"request", "blob", "status"}}
	pins := pinapi.NewList(list, 0).Pins
	for i := range list {
		rows = append(rows, []string{list[i].ID, list[i].Blob.String(), string(list[i].Status)})
		pins[i].Files = files[list[i].Blob]
		rows = append(rows, fileRows(pins[i].Files)...)
	}
	return a.resultTable(pins, rows)
}

// fileRows shows the files of a quilt below its row.
func fileRows(files []pinapi.File) (rows [][]string) {
	for _, f := range files {
		rows = append(rows, []string{"  file", f.ID.String(), printable(f.Identifier) + tagList(f.Tags)})
	}
	return rows
}

// quiltsToPin reads the indexes of quilts from the network. What is no quilt is an error.
func (a pinApp) quiltsToPin(ctx context.Context, args []string) (files map[shards.BlobID][]pinapi.File, err error) {
	if len(args) == 0 {
		return nil, nil
	}
	var ids []shards.BlobID
	for _, arg := range args {
		id, err := parseBlob(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	ctx, s, err := a.open(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer s.close(&err)
	files = map[shards.BlobID][]pinapi.File{}
	for _, id := range ids {
		q, err := s.OpenQuilt(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("list the files of quilt %s: %w", id, err)
		}
		files[id] = pinapi.NewFiles(id, q.Index().Patches)
	}
	return files, nil
}

// blobsToPin gathers the blobs that are asked for, each once, in the order in which they are named.
func (a pinApp) blobsToPin(ctx context.Context, f *pinAddFlags, args []string) (list []shards.BlobID, err error) {
	if f.file != "" {
		more, err := a.readBlobList(ctx, f.file)
		if err != nil {
			return nil, err
		}
		args = append(args[:len(args):len(args)], more...)
	}
	seen := map[shards.BlobID]bool{}
	add := func(id shards.BlobID) {
		if !seen[id] {
			seen[id], list = true, append(list, id)
		}
	}
	for _, arg := range args {
		id, err := parseBlob(arg)
		if err != nil {
			return nil, err
		}
		if _, err := quilt.ParsePatchID(trimID(arg)); err == nil {
			a.warn("%s is a file of the quilt %s: the whole quilt is pinned", trimID(arg), id)
		}
		add(id)
	}
	if f.owner == "" {
		return list, nil
	}
	owned, err := a.blobsOf(ctx, f.owner, f.attribute)
	if err != nil {
		return nil, err
	}
	for _, id := range owned {
		add(id)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("pin the blobs of %s: %w: the account has no certified blob that fits", f.owner, pin.ErrNotFound)
	}
	return list, nil
}

// maxBlobList bounds a list of blobs, in bytes: some 300,000 CIDs.
const maxBlobList = 20 << 20

// readBlobList reads the lines of a file.
func (a pinApp) readBlobList(ctx context.Context, path string) (list []string, err error) {
	src := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read the list of blobs: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		src = f
	}
	var b strings.Builder
	if n, err := userfile.CopyUntil(ctx, &b, io.LimitReader(src, maxBlobList+1)); err != nil {
		return nil, fmt.Errorf("read the list of blobs: %w", err)
	} else if n > maxBlobList {
		return nil, usagef("the list of blobs is larger than %d bytes: split it", maxBlobList)
	}
	lines := bufio.NewScanner(strings.NewReader(b.String()))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if _, err := parseBlob(text); err != nil {
			return nil, usagef("%s, line %d: %w", path, n, err)
		}
		list = append(list, text)
	}
	return list, lines.Err()
}

// blobsOf lists the certified blobs of an account that have all of the attributes. The ledger proves that the list is
// complete.
func (a pinApp) blobsOf(ctx context.Context, owner string, attributes map[string]string) (list []shards.BlobID, err error) {
	var address ledger.Address
	if err := address.UnmarshalText([]byte(owner)); err != nil {
		return nil, usagef("--owner: %w", err)
	}
	ctx, s, err := a.open(ctx, askTimeout)
	if err != nil {
		return nil, err
	}
	defer s.close(&err)
	all, err := s.node.Chain().Light.Objects(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("list the blobs of %s: %w", owner, err)
	}
	for i := range all.Blobs {
		if b := &all.Blobs[i].Blob; b.Certified > 0 && pinnode.HasAttributes(b.Attributes, attributes) {
			list = append(list, b.BlobID)
		}
	}
	return list, nil
}

// pinPoll: so often the state of pins is asked while a command waits.
const pinPoll = 300 * time.Millisecond

// awaitPins waits until every request is pinned. It fails with the first one that fails; its blob is tried again later
// all the same.
func (a pinApp) awaitPins(ctx context.Context, p *pinsOf, list []pin.Request) ([]pin.Request, error) {
	var bar *pb.ProgressBar
	if a.newBars("") != nil {
		bar = pb.New(100*len(list)).SetTemplateString(`{{string . "prefix"}} {{bar . "[" "=" ">" " " "]"}} {{percent .}}`).
			SetWriter(a.stderr).SetWidth(barWidth(a.stderr)).Set(pb.CleanOnFinish, true).Start()
		defer bar.Finish()
	}
	tick := time.NewTicker(pinPoll)
	defer tick.Stop()
	for {
		done, percent := 0, 0
		for i := range list {
			if list[i].Status != pin.Pinned {
				r, err := p.Request(list[i].ID)
				if err != nil {
					return list, err
				}
				if r.Status == pin.Failed {
					return list, fmt.Errorf("pin %s: %s", r.Blob, r.Reason)
				}
				list[i] = r
			}
			if percent += pinapi.Percent(&list[i]); list[i].Status == pin.Pinned {
				done++
			}
		}
		if bar != nil {
			bar.Set("prefix", fmt.Sprintf("pinned: %d of %s", done, plural(len(list), "blob"))).SetCurrent(int64(percent))
		}
		if done == len(list) {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return list, fmt.Errorf("wait for pins: %w: they are fetched all the same", context.Cause(ctx))
		case <-tick.C:
		}
	}
}
