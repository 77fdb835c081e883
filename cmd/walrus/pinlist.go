package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"walrus/pin"
	"walrus/pinapi"
	"walrus/shards"
)

// pinFields are the fields of a pin in JSON, for help texts.
const pinFields = `{"requestId","cid","blobId","name","meta","origins","untilEpoch","created","status","reason","rowsHere",
"rows","percent","sizeBytes","nextTry","lastVerified","announced","servedBytes","files"}`

// pinListFlags are the flags of pin ls.
type pinListFlags struct {
	home, name, match string
	status, cid       []string
	meta              map[string]string
	limit             int
	files             bool
}

func pinListCommand(a pinApp) *cobra.Command {
	var f pinListFlags
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "list the pins, the newest first",
		Long: `List the requests for pins, the newest first, with the state of their blobs: queued, pinning, pinned, or failed. A failed
one is tried again, unless its blob can never be had; the reason is in the last column. --files also lists the files of
those that are pinned quilts, from the copies.

--json prints {"total","pins":[` + pinFields + `]}. "total" counts those that --limit leaves out, too.
With --files, "files" of a quilt is [{"patchId","identifier","tags"}].`,
		Example: "  walrus pin ls\n  walrus pin ls --status failed --status queued\n  walrus pin ls --name holiday --match ipartial --json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE:    func(c *cobra.Command, _ []string) error { return a.pinList(c.Context(), &f) },
	}
	flags := c.Flags()
	pinHomeFlag(c, &f.home)
	flags.StringSliceVar(&f.status, "status", nil, "only pins with `STATUS` queued, pinning, pinned or failed; may be repeated")
	flags.StringSliceVar(&f.cid, "blob", nil, "only pins of `BLOB`, an ID or a CID; may be repeated")
	flags.StringVar(&f.name, "name", "", "only pins with `NAME`")
	flags.StringVar(&f.match, "match", "exact", "`WAY` to compare the name: exact, iexact, partial or ipartial; i ignores case")
	flags.StringToStringVar(&f.meta, "meta", nil, "only pins with `KEY=VALUE`; may be repeated")
	flags.Lookup("meta").DefValue = "" // help shows no empty default
	flags.BoolVar(&f.files, "files", false, "list the files of pinned quilts, too")
	flags.IntVar(&f.limit, "limit", 100, "list at most `N` pins, up to 1000")
	return c
}

// filter checks the flags.
func (f *pinListFlags) filter() (out pin.Filter, err error) {
	out = pin.Filter{Name: f.name, Match: pin.Match(f.match), Meta: f.meta, Limit: f.limit}
	if f.limit < 1 || f.limit > pin.MaxPage {
		return out, usagef("--limit %d: want 1 to %d", f.limit, pin.MaxPage)
	}
	if !slices.Contains(flagWords["match"], f.match) {
		return out, usagef("--match %q: use %s", f.match, strings.Join(flagWords["match"], ", "))
	}
	for _, s := range f.status {
		if !slices.Contains(flagWords["status"], s) {
			return out, usagef("--status %q: use %s", s, strings.Join(flagWords["status"], ", "))
		}
		out.Statuses = append(out.Statuses, pin.Status(s))
	}
	for _, c := range f.cid {
		id, err := parseBlob(c)
		if err != nil {
			return out, err
		}
		out.CIDs = append(out.CIDs, id.String())
	}
	return out, nil
}

func (a pinApp) pinList(ctx context.Context, f *pinListFlags) (err error) {
	filter, err := f.filter()
	if err != nil {
		return err
	}
	ctx, cancel := a.withTimeout(ctx, askTimeout)
	defer cancel()
	p, err := a.openPins(ctx, f.home, pinStore{})
	if err != nil {
		return err
	}
	defer p.end(&err)
	page, total, err := p.List(filter)
	if err != nil {
		return err
	}
	rows := [][]string{{"request", "blob", "name", "status", "here", "size", "verified", "sent", "why"}}
	list := pinapi.NewList(page, total)
	for i := range page {
		rows = append(rows, pinRow(&page[i]))
		if !f.files || page[i].Status != pin.Pinned {
			continue
		}
		files, err := p.Files(ctx, page[i].Blob)
		if err != nil && !isNoQuilt(err) {
			return fmt.Errorf("list the files of %s: %w", page[i].Blob, err)
		}
		list.Pins[i].Files = pinapi.NewFiles(page[i].Blob, files)
		rows = append(rows, fileRows(list.Pins[i].Files)...)
	}
	if total > len(page) && !a.global.json {
		a.warn("%d of %d pins are shown: see more with --limit", len(page), total)
	}
	return a.resultTable(list, rows)
}

// isNoQuilt reports that a blob is no quilt, or not pinned any more.
func isNoQuilt(err error) bool {
	return errors.Is(err, pin.ErrInvalid) || errors.Is(err, pin.ErrNotFound)
}

func pinRow(r *pin.Request) []string {
	size := "?"
	if r.Rows > 0 {
		size = byteSize(r.Size)
	}
	return []string{r.ID, shownBlob(r), r.Name, string(r.Status), fmt.Sprintf("%d %%", pinapi.Percent(r)), size, agoOrNever(r.LastVerified), byteSize(r.Served), r.Reason}
}

// shownBlob returns a blob's ID; for the CID of something else, the CID.
func shownBlob(r *pin.Request) string {
	if r.Blob == (shards.BlobID{}) {
		return r.CID
	}
	return r.Blob.String()
}

// agoOrNever says for people how long ago t was.
func agoOrNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

func pinStatusCommand(a pinApp) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "status [PIN]",
		Short: "show everything about one pin, or the counts of all",
		Long: `Show what is known of a pin: how much of its blob is here, when it was verified and announced, what went wrong, and when the
next try is. Without PIN, show the pin process and the counts of all pins.

--json prints {"running","version","networkId","peerId","addresses","pinningApi","requests","foreign","pinned","queued","fetching",
"failing","refused","diskBytes","diskLimit","servedBytes","servedToday","dailyLimit","announcementsLookedFor",
"announcementsNotFound"}; with PIN a list of pins as walrus pin add does.`,
		Example: "  walrus pin status\n  walrus pin status BLOB_ID",
		Args:    args(cobra.MaximumNArgs(1), "at most one PIN"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.pinShow(c.Context(), home, args[0])
			}
			return a.pinStatus(c.Context(), home)
		},
	}
	pinHomeFlag(c, &home)
	return c
}

func (a pinApp) pinShow(ctx context.Context, home, arg string) (err error) {
	ctx, cancel := a.withTimeout(ctx, askTimeout)
	defer cancel()
	p, err := a.openPins(ctx, home, pinStore{})
	if err != nil {
		return err
	}
	defer p.end(&err)
	list, err := p.find(arg)
	if err != nil {
		return err
	}
	var rows [][]string
	for i := range list {
		if i > 0 {
			rows = append(rows, nil)
		}
		rows = append(rows, pinDetail(&list[i])...)
	}
	return a.resultTable(pinapi.NewList(list, 0).Pins, rows)
}

func pinDetail(r *pin.Request) [][]string {
	rows := [][]string{
		{"request", r.ID}, {"cid", r.CID}, {"blob", shownBlob(r)}, {"name", r.Name}, {"created", r.Created.Local().Format(time.DateTime)},
		{"status", string(r.Status)},
	}
	if r.Rows > 0 {
		rows = append(rows, []string{"here", fmt.Sprintf("%d of %d rows, %d %% of %s", r.Have, r.Rows, pinapi.Percent(r), byteSize(r.Size))})
	}
	if r.Reason != "" {
		rows = append(rows, []string{"why", r.Reason})
	}
	if !r.NextTry.IsZero() {
		rows = append(rows, []string{"next try", r.NextTry.Local().Format(time.DateTime)})
	}
	rows = append(rows, []string{"verified", agoOrNever(r.LastVerified)}, []string{"announced", agoOrNever(r.Announced)}, []string{"sent", byteSize(r.Served)})
	if r.Until > 0 {
		rows = append(rows, []string{"kept until", endEpoch(r.Until)})
	}
	for _, o := range r.Origins {
		rows = append(rows, []string{"origin", o})
	}
	for _, k := range sortedKeys(r.Meta) {
		rows = append(rows, []string{"meta", k + "=" + r.Meta[k]})
	}
	return rows
}

func (a pinApp) pinStatus(ctx context.Context, home string) (err error) {
	ctx, cancel := a.withTimeout(ctx, statusTimeout)
	defer cancel()
	p, err := a.openPins(ctx, home, pinStore{})
	if err != nil {
		return err
	}
	defer p.end(&err)
	s := pinapi.NewStatus(pinapi.Process{}, p.Status())
	if p.remote != nil {
		if s, err = p.remote.About(ctx); err != nil {
			return err
		}
	}
	limit := ""
	if s.Limit > 0 {
		limit = " of " + byteSize(s.Limit)
	}
	rows := [][]string{
		{"home", p.home}, {"process", "not running: start it with walrus pin run"}, {"requests", fmt.Sprint(s.Requests)},
		{"pinned", plural(s.Pinned, "blob")}, {"waiting", fmt.Sprintf("%d queued, %d being fetched, %d failing", s.Queued, s.Fetching, s.Failing)},
		{"refused", fmt.Sprintf("%s, and %s for something else than a blob", plural(s.Refused, "blob"), plural(s.Foreign, "request"))}, {"disk", byteSize(s.Bytes) + limit}, {"sent", fmt.Sprintf("%s since the process started, today %s", byteSize(s.Served), byteSize(s.Today))},
	}
	if s.Running {
		rows[1][1] = "running, version " + s.Version
		rows = append(rows, []string{"peer ID", s.PeerID}, []string{"addresses", strings.Join(s.Addresses, ", ")})
	}
	if s.API != "" {
		rows = append(rows, []string{"pinning API", s.API})
	}
	if s.Missing > 0 {
		rows = append(rows, []string{"findable", fmt.Sprintf("%d of %d announcements looked for were not found, and made again", s.Missing, s.Looked)})
	}
	return a.resultTable(s, rows)
}

func pinRemoveCommand(a pinApp) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "rm PIN...",
		Short: "remove pins",
		Long: `Remove requests. A blob ID or a CID removes all requests for that blob. Once a blob has no request left, its copy is deleted
from your disk. The blob itself lives on in the network as long as its storage is paid, or others pin it.

--json prints the pins that were removed: [` + pinFields + `].`,
		Example: "  walrus pin rm REQUEST_ID\n  walrus pin rm BLOB_ID",
		Args:    args(cobra.MinimumNArgs(1), "PINs"),
		RunE:    func(c *cobra.Command, args []string) error { return a.pinRemove(c.Context(), home, args) },
	}
	pinHomeFlag(c, &home)
	return c
}

func (a pinApp) pinRemove(ctx context.Context, home string, args []string) (err error) {
	ctx, cancel := a.withTimeout(ctx, 0)
	defer cancel()
	p, err := a.openPins(ctx, home, pinStore{})
	if err != nil {
		return err
	}
	defer p.end(&err)
	var gone []pin.Request
	var bad failures
	for _, arg := range args {
		list, err := p.find(arg)
		for i := range list {
			if err == nil {
				err = p.Remove(ctx, list[i].ID)
			}
			if err == nil {
				gone = append(gone, list[i])
			}
		}
		if err != nil {
			bad.add(ctx, a.app, "remove "+trimID(arg), err)
		}
	}
	rows := [][]string{{"removed", "blob", "name"}}
	for i := range gone {
		rows = append(rows, []string{gone[i].ID, shownBlob(&gone[i]), gone[i].Name})
	}
	if len(gone) > 0 {
		if err := a.resultTable(pinapi.NewList(gone, 0).Pins, rows); err != nil {
			return err
		}
	}
	return bad.err()
}
