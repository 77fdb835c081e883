package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/internal/userfile"
	"walrus/shards"
)

// maxInlineBlob bounds a blob in JSON output, in bytes: it is held in memory several times.
const maxInlineBlob = 64 << 20

func readCommand(a *app) *cobra.Command {
	var (
		r                 readRequest
		consistency, span string
		crypt             decryptFlags
	)
	c := &cobra.Command{
		Use:   "read BLOB_ID",
		Short: "read a blob",
		Long: `Read a blob and write it to standard output, or to a file with -o.

Every byte is checked against the blob ID before it is written. Nodes that are slow, down or lying are worked around and
named on standard error. A file given with -o appears only once it is complete. Links are followed. Devices and pipes, such
as /dev/stdout, are written as the bytes arrive.

  walrus read BLOB_ID > photo.jpg
  walrus read BLOB_ID -o photo.jpg
  walrus read BLOB_ID --consistency strict -o photo.jpg

--range reads a part and fetches little more than that part: bytes START to END (counted from 0, both included), all bytes
from START, or the last LENGTH bytes.

  walrus read BLOB_ID --range 0-99
  walrus read BLOB_ID --range 1000-
  walrus read BLOB_ID --range -100

A blob stored with --encrypt is decrypted on this machine. --range then counts bytes of the decrypted content.

  walrus read BLOB_ID --identity me.key
  walrus read BLOB_ID --identity ~/.ssh/id_ed25519
  walrus read BLOB_ID --decrypt --passphrase --range 0-99

--consistency strict encodes the whole blob again before anything is written. This also finds wrong encodings in parts that
this read does not need. default checks only the bytes read.

What the nodes do not give, because its storage has ended or too few are up, is read from peers that pin it, if there are
any. They are named on standard error.

Exit code 3: there is no such blob. Exit code 4: too few nodes are up.

--json prints {"blobId","out","size","fetched","decodedRows","badNodes":[{"node","name","reason","lied"}]}, with --range also
"offset" and "length". If pinners had to help, "pinned" has the bytes they gave, "pinners" their peer IDs, and "whyPinned" the
reason. Without -o it includes the content, as base64 in "blob", up to 64 MiB.`,
		Args: args(cobra.ExactArgs(1), "one BLOB_ID"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if r.id, err = parseBlobID(args[0]); err != nil {
				return err
			}
			if consistency != "default" && consistency != "strict" {
				return usagef("--consistency %q: use default or strict", consistency)
			}
			if r.out == "" {
				return usagef("-o: want a file name, or - for standard output")
			}
			r.strict = consistency == "strict"
			if c.Flags().Changed("range") {
				r.ranged = true
				if r.span, err = client.ParseByteRange(span); err != nil {
					return usagef("--range: %w", err)
				}
			}
			if r.identities, err = crypt.get(c.Context(), a); err != nil {
				return err
			}
			return a.read(c.Context(), &r)
		},
	}
	f := c.Flags()
	f.StringVarP(&r.out, "out", "o", "-", "write to `FILE`; - is standard output")
	f.StringVar(&consistency, "consistency", "default", "`LEVEL` of checking: default or strict")
	f.StringVar(&span, "range", "", "read only the `BYTES` START-END, START- or -LENGTH")
	crypt.add(f)
	return c
}

// readRequest holds the arguments of read.
type readRequest struct {
	id         shards.BlobID
	out        string // - means standard output
	strict     bool
	ranged     bool             // read span only
	span       client.ByteRange // before the size is known
	off, n     int64            // span once the size is known
	identities []age.Identity   // none: write the blob as stored
}

func (a *app) read(ctx context.Context, r *readRequest) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	var f *userfile.File
	if r.out != "-" { // report an unwritable output before anything is fetched
		if f, err = userfile.Open(ctx, r.out); err != nil {
			return err
		}
		defer f.Discard()
	}
	ctx, s, err := a.open(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close(&err)
	if f != nil {
		return a.readToFile(ctx, s, r, f)
	}
	if a.global.json {
		inline := &inlineBlob{}
		res, err := a.readTo(ctx, s, r, inline)
		if err != nil {
			return err
		}
		report := newReadReport(r, "", res)
		report.Blob = inline.bytes
		return a.printJSON(report)
	}
	_, err = a.readTo(ctx, s, r, a.stdout)
	return err
}

func (a *app) readToFile(ctx context.Context, s *session, r *readRequest, f *userfile.File) error {
	res, err := a.readTo(ctx, s, r, f)
	if err != nil {
		return err
	}
	if err := f.Keep(); err != nil {
		return err
	}
	if a.global.json {
		return a.printJSON(newReadReport(r, r.out, res))
	}
	read := byteSize(res.Size)
	if r.ranged {
		read = byteSize(r.n)
	}
	a.warn("read %s into %s", read, r.out)
	return nil
}

// readTo reads to w and names the nodes that failed.
func (a *app) readTo(ctx context.Context, s *session, r *readRequest, w io.Writer) (*client.ReadResult, error) {
	bars := a.newBars(r.id.String())
	if w == io.Writer(a.stdout) && isTerminal(a.stdout) {
		bars = nil // the blob itself goes to the terminal
	}
	begin := &beginning{w: w}
	res, err := r.copy(ctx, s, begin, client.ReadOptions{Strict: r.strict, Progress: bars.progress()})
	bars.finish()
	if res != nil && !a.stdout.readerGone {
		a.nameBad(res.Bad)
		if len(res.Pinners) > 0 {
			a.warn("%s came from %s who pin the blob, because the storage nodes did not give it: %v", byteSize(res.Pinned), plural(len(res.Pinners), "peer"), res.WhyPinned)
		}
	}
	if err == nil && len(r.identities) == 0 && client.LooksEncrypted(begin.bytes) && !a.stdout.readerGone {
		a.warn("this blob is encrypted with age and was not decrypted: give --identity FILE or --passphrase")
	}
	return res, err
}

// copy writes the whole blob or the range, as stored or decrypted.
func (r *readRequest) copy(ctx context.Context, s *session, w io.Writer,
	opt client.ReadOptions) (*client.ReadResult, error) {
	b, err := s.Open(ctx, r.id)
	if err != nil {
		return nil, err
	}
	if len(r.identities) > 0 && !r.ranged {
		return b.CopyDecrypted(ctx, w, r.identities, opt)
	}
	content := interface {
		Size() uint64
		CopyRange(ctx context.Context, w io.Writer, off, n int64, opt client.ReadOptions) (*client.ReadResult, error)
	}(b)
	if len(r.identities) > 0 {
		if content, err = b.Decrypted(ctx, r.identities); err != nil {
			return nil, err
		}
	}
	r.off, r.n = 0, int64(content.Size())
	if r.ranged {
		if r.off, r.n, err = r.span.Within(content.Size()); err != nil {
			return nil, fmt.Errorf("read %s: %w", r.id, err)
		}
	}
	return content.CopyRange(ctx, w, r.off, r.n, opt)
}

// beginning remembers the first bytes written.
type beginning struct {
	w     io.Writer
	bytes []byte
}

func (b *beginning) Write(p []byte) (int, error) {
	if room := 32 - len(b.bytes); room > 0 {
		b.bytes = append(b.bytes, p[:min(room, len(p))]...)
	}
	return b.w.Write(p)
}

// readReport is the JSON output of read.
type readReport struct {
	BlobID      shards.BlobID    `json:"blobId"`
	Out         string           `json:"out,omitempty"`
	Size        uint64           `json:"size"`
	Offset      *int64           `json:"offset,omitempty"`
	Length      *int64           `json:"length,omitempty"`
	Fetched     int64            `json:"fetched"`
	DecodedRows int              `json:"decodedRows"`
	BadNodes    []client.BadNode `json:"badNodes"`
	Pinned      int64            `json:"pinned,omitempty"`  // of fetched: bytes from peers that pin the blob
	Pinners     []peer.ID        `json:"pinners,omitempty"` // these peers
	WhyPinned   string           `json:"whyPinned,omitempty"`
	Blob        []byte           `json:"blob,omitempty"`
}

func newReadReport(r *readRequest, out string, res *client.ReadResult) readReport {
	report := readReport{
		BlobID: r.id, Out: out, Size: res.Size, Fetched: res.Fetched, DecodedRows: res.Decoded,
		BadNodes: append([]client.BadNode{}, res.Bad...), Pinned: res.Pinned, Pinners: res.Pinners,
	}
	if res.WhyPinned != nil {
		report.WhyPinned = res.WhyPinned.Error()
	}
	if r.ranged {
		report.Offset, report.Length = &r.off, &r.n
	}
	return report
}

// inlineBlob collects a blob for JSON output.
type inlineBlob struct{ bytes []byte }

func (b *inlineBlob) Write(p []byte) (int, error) {
	if len(b.bytes)+len(p) > maxInlineBlob {
		return 0, errors.New("the blob is too large for JSON: write it to a file with -o FILE")
	}
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}
