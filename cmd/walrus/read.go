package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/shards"
)

// maxInlineBlob bounds a blob in JSON output, in bytes: it is held in memory more than once.
const maxInlineBlob = 64 << 20

func readCommand(a *app) *cobra.Command {
	var out, consistency string
	c := &cobra.Command{
		Use:   "read BLOB_ID",
		Short: "read a blob",
		Long: `Read a blob and write it to standard output, or to a file with -o.

Every byte is checked against the blob ID before it is written; nodes that are slow, down or lying are worked
around and named on standard error. A file given with -o appears only when it is complete.

  walrus read BLOB_ID > photo.jpg
  walrus read BLOB_ID -o photo.jpg
  walrus read BLOB_ID --consistency strict -o photo.jpg

--consistency strict encodes the whole blob again before anything is written, which also finds a blob that its
writer encoded wrongly, in parts that this read did not need. default checks what was read.

--json prints {"blobId","out","size","fetched","decodedRows","badNodes":[{"node","name","reason","lied"}]};
without -o the blob itself is in it, as base64 in "blob", up to 64 MiB.`,
		Args: args(cobra.ExactArgs(1), "one BLOB_ID"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := parseBlobID(args[0])
			if err != nil {
				return err
			}
			if consistency != "default" && consistency != "strict" {
				return usagef("--consistency %q: use default or strict", consistency)
			}
			if out == "" {
				return usagef("-o: want a file name, or - for standard output")
			}
			return a.read(c.Context(), id, out, consistency == "strict")
		},
	}
	c.Flags().StringVarP(&out, "out", "o", "-", "write to `FILE`; - is standard output")
	c.Flags().StringVar(&consistency, "consistency", "default", "`LEVEL` of checking: default or strict")
	return c
}

func (a *app) read(ctx context.Context, id shards.BlobID, out string, strict bool) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close(&err)
	if out != "-" {
		return a.readToFile(ctx, s, id, out, strict)
	}
	if a.global.json {
		inline := &inlineBlob{}
		res, err := a.readTo(ctx, s, id, inline, strict)
		if err != nil {
			return err
		}
		r := newReadReport(id, "", res)
		r.Blob = inline.bytes
		return a.printJSON(r)
	}
	_, err = a.readTo(ctx, s, id, a.stdout, strict)
	return err
}

func (a *app) readToFile(ctx context.Context, s *session, id shards.BlobID, path string, strict bool) error {
	f, err := createOutput(path)
	if err != nil {
		return err
	}
	defer f.discard()
	res, err := a.readTo(ctx, s, id, f, strict)
	if err != nil {
		return err
	}
	if err := f.keep(); err != nil {
		return err
	}
	if a.global.json {
		return a.printJSON(newReadReport(id, path, res))
	}
	a.warn("read %s into %s", byteSize(res.Size), path)
	return nil
}

// readTo reads blob id to w and names the nodes that did not do their part.
func (a *app) readTo(ctx context.Context, s *session, id shards.BlobID, w io.Writer, strict bool) (*client.ReadResult, error) {
	bars := a.newBars(id.String())
	if w == io.Writer(a.stdout) && isTerminal(a.stdout) {
		bars = nil // the blob itself goes to the screen
	}
	res, err := s.Read(ctx, id, w, client.ReadOptions{Strict: strict, Progress: bars.progress()})
	bars.finish()
	if res != nil && !a.stdout.readerGone {
		a.nameBad(res.Bad)
	}
	return res, err
}

// readReport is the JSON output of read.
type readReport struct {
	BlobID      shards.BlobID    `json:"blobId"`
	Out         string           `json:"out,omitempty"`
	Size        uint64           `json:"size"`
	Fetched     int64            `json:"fetched"`
	DecodedRows int              `json:"decodedRows"`
	BadNodes    []client.BadNode `json:"badNodes"`
	Blob        []byte           `json:"blob,omitempty"`
}

func newReadReport(id shards.BlobID, out string, r *client.ReadResult) readReport {
	return readReport{
		BlobID: id, Out: out, Size: r.Size, Fetched: r.Fetched, DecodedRows: r.Decoded,
		BadNodes: append([]client.BadNode{}, r.Bad...),
	}
}

// inlineBlob collects a blob for JSON.
type inlineBlob struct{ bytes []byte }

func (b *inlineBlob) Write(p []byte) (int, error) {
	if len(b.bytes)+len(p) > maxInlineBlob {
		return 0, errors.New("the blob is too large for JSON: write it to a file with -o FILE")
	}
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}
