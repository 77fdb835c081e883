package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/quilt"
	"walrus/shards"
)

// quiltQuery selects files for read-quilt: some or all of a quilt, or files by patch ID.
type quiltQuery struct {
	id          shards.BlobID
	identifiers []string
	tag         *[2]string // key and value
	patches     []quilt.PatchID
	strict      bool
}

func readQuiltCommand(a *app) *cobra.Command {
	var (
		id, tag, out         string
		consistency          string
		identifiers, patches []string
	)
	c := &cobra.Command{
		Use:   "read-quilt [QUILT_ID [IDENTIFIERS...]]",
		Short: "read files of a quilt",
		Long: `Read all or some files of a quilt into a folder, or one file to standard output.

Only the columns of the wanted files are fetched, not the whole quilt. Every byte is checked against the quilt's ID before
it is written. Nodes that are slow, down or lying are worked around and named on standard error. A file appears only once
it is complete.

Identifiers are paths inside the folder. Some are refused before anything is written: a path that leads out of the folder,
such as ../x, and two paths that need the same name as a file and as a folder, such as x and x/y. Read such a file alone,
to standard output. Links are followed as long as they stay in the folder.

  walrus read-quilt QUILT_ID -o site
  walrus read-quilt QUILT_ID img/logo.png > logo.png
  walrus read-quilt --quilt-id QUILT_ID --identifiers a.txt b.txt --out here
  walrus read-quilt --quilt-id QUILT_ID --tag type image --out here
  walrus read-quilt --quilt-patch-ids PATCH_ID > a.txt

A patch ID, printed by walrus list-patches-in-quilt, names one file. Reading it needs no index of the quilt.

Every column is compared with some of the rows that it crosses, so that a wrong encoding is noticed. --consistency strict
compares it with all data rows: see docs/wrong-encodings.md.

Exit code 3: there is no such quilt or file. Exit code 4: too few nodes are up.

--json prints {"out","retrievedBlobs":[{"identifier","tags","size","path"}],"size","fetched","badNodes"}. Without --out it
includes the files, as base64 in "blob", up to 64 MiB together.`,
		RunE: func(c *cobra.Command, args []string) error {
			q, err := parseQuiltQuery(id, identifiers, c.Flags().Changed("tag"), tag, patches, args)
			if err != nil {
				return err
			}
			if consistency != "default" && consistency != "strict" {
				return usagef("--consistency %q: use default or strict", consistency)
			}
			q.strict = consistency == "strict"
			return a.readQuilt(c.Context(), q, out)
		},
	}
	f := c.Flags()
	f.StringVar(&id, "quilt-id", "", "the `QUILT_ID`, instead of as an argument")
	f.StringArrayVar(&identifiers, "identifiers", nil,
		"read the file with this `IDENTIFIER`; more may follow as arguments")
	f.StringVar(&tag, "tag", "", "read the files with this tag: `KEY` VALUE or KEY=VALUE")
	f.StringArrayVar(&patches, "quilt-patch-ids", nil, "read the file with this `PATCH_ID`; more may follow as arguments")
	f.StringVar(&consistency, "consistency", "default", "`LEVEL` of checking: default or strict")
	f.StringVarP(&out, "out", "o", "-", "write the files to folder `DIR`; - is standard output, for one file")
	return c
}

// parseQuiltQuery parses flags and the arguments that follow them.
func parseQuiltQuery(id string, identifiers []string, tagged bool, tag string, patches,
	args []string) (*quiltQuery, error) {
	q := &quiltQuery{}
	if len(patches) > 0 {
		if id != "" || len(identifiers) > 0 || tagged {
			return nil, usagef("--quilt-patch-ids already names the files: leave out --quilt-id, --identifiers and --tag")
		}
		for _, text := range append(patches, args...) {
			p, err := quilt.ParsePatchID(strings.TrimPrefix(text, idMark))
			if err != nil {
				return nil, &usageError{err}
			}
			q.patches = append(q.patches, p)
		}
		return q, nil
	}
	if id == "" {
		if len(args) == 0 {
			return nil, usagef("walrus read-quilt takes a QUILT_ID, or --quilt-patch-ids (see walrus read-quilt --help)")
		}
		id, args = args[0], args[1:]
	}
	var err error
	if q.id, err = parseBlobID(id); err != nil {
		return nil, err
	}
	if tagged {
		key, value, ok := strings.Cut(tag, "=")
		if len(args) > 0 {
			key, value, args, ok = tag, args[0], args[1:], true
		}
		if !ok || len(args) > 0 || len(identifiers) > 0 {
			return nil, usagef("--tag takes KEY VALUE, and cannot be combined with --identifiers")
		}
		q.tag = &[2]string{key, value}
	}
	q.identifiers = append(identifiers, args...)
	return q, nil
}

func (a *app) readQuilt(ctx context.Context, q *quiltQuery, out string) (err error) {
	if out == "" {
		return usagef("-o: want a folder, or - for standard output")
	}
	ctx, s, err := a.open(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close(&err)
	opened, patches, err := q.find(ctx, s)
	if err != nil {
		return err
	}
	to, err := a.newFileSink(out, patches)
	if err != nil {
		return err
	}
	defer to.close()
	bars := a.newBars("quilt")
	if out == "-" && isTerminal(a.stdout) {
		bars = nil
	}
	var res *client.QuiltRead
	if opened == nil {
		res, err = s.ReadPatches(ctx, q.patches, client.ReadOptions{Progress: bars.progress(), Strict: q.strict}, to.visit)
	} else {
		res, err = opened.Read(ctx, patches, client.ReadOptions{Progress: bars.progress(), Strict: q.strict}, to.visit)
		res.Fetched += opened.Opened().Fetched
		for _, n := range opened.Opened().Bad {
			if !slices.Contains(res.Bad, n) {
				res.Bad = append(res.Bad, n)
			}
		}
	}
	bars.finish()
	if !a.stdout.readerGone {
		a.nameBad(res.Bad)
	}
	if err != nil {
		return err
	}
	if a.global.json {
		return a.printJSON(newQuiltReport(out, to, res))
	}
	if out != "-" {
		a.warn("read %s of %s into %s; %s fetched", plural(len(to.read), "file"), byteSize(res.Size), out,
			byteSize(res.Fetched))
	}
	return nil
}

// find finds the selected files. Patch IDs need no quilt; the result then has only columns.
func (q *quiltQuery) find(ctx context.Context, s *session) (*client.Quilt, []quilt.Patch, error) {
	if len(q.patches) > 0 {
		var patches []quilt.Patch
		for _, id := range q.patches {
			patches = append(patches, id.Patch())
		}
		return nil, patches, nil
	}
	opened, err := s.OpenQuilt(ctx, q.id)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case q.tag != nil:
		patches := opened.Index().Tagged(q.tag[0], q.tag[1])
		if len(patches) == 0 {
			return nil, nil, fmt.Errorf("quilt %s: tag %q with value %q: %w", q.id, q.tag[0], q.tag[1], client.ErrNoFile)
		}
		return opened, patches, nil
	case len(q.identifiers) > 0:
		patches, err := opened.Find(q.identifiers...)
		return opened, patches, err
	}
	return opened, opened.Index().Patches, nil
}

// nameBad prints the nodes that failed.
func (a *terminal) nameBad(nodes []client.BadNode) {
	for _, n := range nodes {
		what := "did not deliver"
		if n.Lied {
			what = "served wrong bytes"
		}
		a.warn("warning: %s (%s) %s: %s", n.Name, n.Node, what, n.Reason)
	}
}

// quiltReport is the JSON output of read-quilt.
type quiltReport struct {
	Out      string           `json:"out,omitempty"`
	Files    []quiltFile      `json:"retrievedBlobs"`
	Size     uint64           `json:"size"`
	Fetched  int64            `json:"fetched"`
	BadNodes []client.BadNode `json:"badNodes"`
}

type quiltFile struct {
	Identifier string            `json:"identifier"`
	Tags       map[string]string `json:"tags"`
	Size       int64             `json:"size"`
	Path       string            `json:"path,omitempty"`
	Blob       *[]byte           `json:"blob,omitempty"`
}

func newQuiltReport(out string, to *fileSink, res *client.QuiltRead) quiltReport {
	if out == "-" {
		out = ""
	}
	return quiltReport{
		Out: out, Files: append([]quiltFile{}, to.read...), Size: res.Size, Fetched: res.Fetched,
		BadNodes: append([]client.BadNode{}, res.Bad...),
	}
}

func notNil(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

func listPatchesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list-patches-in-quilt QUILT_ID",
		Aliases: []string{"resolve-quilt"},
		Short:   "list the files of a quilt",
		Long: `List the files of a quilt: their identifiers, tags, the columns they are in, and their patch IDs.

Only the index is fetched. With a patch ID, walrus read-quilt --quilt-patch-ids reads one file without fetching the index.

  walrus list-patches-in-quilt QUILT_ID
  walrus list-patches-in-quilt QUILT_ID --json

--json prints [{"identifier","patch_id","tags":{"key":"value"}}].`,
		Args: args(cobra.ExactArgs(1), "one QUILT_ID"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := parseBlobID(args[0])
			if err != nil {
				return err
			}
			return a.listPatches(c.Context(), id)
		},
	}
}

func (a *app) listPatches(ctx context.Context, id shards.BlobID) (err error) {
	ctx, s, err := a.open(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close(&err)
	q, err := s.OpenQuilt(ctx, id)
	if err != nil {
		return err
	}
	a.nameBad(q.Opened().Bad)
	type patch struct {
		Identifier string            `json:"identifier"`
		ID         quilt.PatchID     `json:"patch_id"`
		Tags       map[string]string `json:"tags"`
	}
	list, rows := []patch{}, [][]string{{"patch ID", "columns", "file"}}
	for _, p := range q.Index().Patches {
		list = append(list, patch{p.Identifier, p.ID(id), notNil(p.Tags)})
		rows = append(rows, []string{p.ID(id).String(), columnRange(p.Start, p.End),
			printable(p.Identifier) + tagList(p.Tags)})
	}
	return a.resultTable(list, rows)
}
