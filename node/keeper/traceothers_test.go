package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/gather"
	"walrus/p2p"
	"walrus/shards"
)

// others plays the other members, and the topic of certificates.
type others struct {
	Peers
	Topic
	scene *scene
	moods map[peer.ID]string // of members that are not well
	page  [][]byte           // answer to the next request for certificates

	mu    sync.Mutex   // guards the rest
	steps []*askedStep // of the last repair
}

// askedStep is a step of a repair, as the requests to others show it.
type askedStep struct {
	axis         shards.Axis // of the slivers to rebuild
	targets      []int
	proven       bool     // with proofs
	offset, size int64    // of a symbol
	length       int64    // of the part that is asked for
	given        int      // slivers of which others gave symbols
	givers       []string // ascending
	failed       int      // too few gave symbols for so many slivers
}

func (*others) SetProtected(string, []peer.ID) {}
func (o *others) Joined(context.Context) error { return nil }
func (o *others) Elsewhere() string            { return "" }

func (o *others) Recognize(peer.ID, p2p.Account, time.Time) {}

func (o *others) Connect(_ context.Context, id peer.ID) error {
	if o.moods[id] == "down" {
		return p2p.ErrUnavailable
	}
	return nil
}

func (o *others) Publish(_ context.Context, raw []byte) error {
	cert, err := certs.UnmarshalCertificate(raw)
	if err != nil {
		return err
	}
	state := "NOT recorded before"
	if o.scene.keeper.shelf.certified(cert.Blob) {
		state = "recorded before"
	}
	owed := 0
	if d := o.scene.keeper.debts.owed[cert.Blob]; d != nil {
		owed = d.slivers
	}
	o.scene.say("publish the certificate of %s, %s, with %d slivers counted as owed", cert.Blob, state, owed)
	return nil
}

func (o *others) Certificates(context.Context, peer.ID, shards.BlobID, int) ([][]byte, bool, error) {
	return o.page, false, nil
}

// blob finds a blob, unless the member lacks everything.
func (o *others) blob(who peer.ID, id shards.BlobID) (*traced, error) {
	if o.moods[who] == "everything" { // it lacks that
		return nil, p2p.ErrNotFound
	}
	for _, b := range o.scene.blobs {
		if b.id() == id {
			return b, nil
		}
	}
	return nil, p2p.ErrNotFound
}

func (o *others) Metadata(_ context.Context, to peer.ID, id shards.BlobID, _ int) ([]byte, error) {
	b, err := o.blob(to, id)
	if err != nil {
		return nil, err
	}
	raw := b.meta.Marshal()
	if o.moods[to] == "lies" {
		raw[len(raw)-1] ^= 1
	}
	return raw, nil
}

func (o *others) SymbolParts(_ context.Context, to peer.ID, q p2p.SymbolQuery) (all []shards.Symbol, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked := askedStep{axis: q.Axis.Other(), targets: q.Targets, proven: q.ProofLen > 0, offset: q.Offset,
		length: q.Length, size: q.SymbolSize}
	if last := len(o.steps) - 1; last < 0 || !o.steps[last].same(asked) {
		o.steps = append(o.steps, &asked)
	}
	step := o.steps[len(o.steps)-1]
	b, err := o.blob(to, q.Blob)
	if err != nil {
		return nil, err
	}
	for _, index := range q.Slivers {
		sliver := b.sliver(q.Axis, b.meta.Params().PairOfSliver(q.Axis, index))
		symbols, err := b.meta.ExtractSymbols(q.Axis, index, bytes.NewReader(sliver), q.Targets)
		if err != nil {
			return nil, err
		}
		for i, sym := range symbols {
			symbols[i] = shards.Symbol{Data: sym.Data[min(q.Offset, q.SymbolSize):][:q.Length], Proof: sym.Proof[:q.ProofLen]}
		}
		all = append(all, symbols...)
	}
	if o.moods[to] == "lies" && q.Length > 0 {
		all[0].Data[0] ^= 1
		if q.ProofLen > 0 {
			return all, nil
		}
	}
	if step.given += len(q.Slivers); !slices.Contains(step.givers, string(to)) {
		step.givers = append(step.givers, string(to))
		slices.Sort(step.givers)
	}
	return all, nil
}

// same reports whether two requests belong to the same step.
func (a askedStep) same(b askedStep) bool {
	return a.axis == b.axis && slices.Equal(a.targets, b.targets) && a.proven == b.proven && a.offset == b.offset &&
		a.length == b.length
}

// what names the part of the symbols that is asked for.
func (a askedStep) what() string {
	switch {
	case a.length == 0:
		return "proofs for"
	case a.proven:
		return "symbols with proofs for"
	case a.length < a.size:
		return fmt.Sprintf("bytes %d to %d for", a.offset, a.offset+a.length)
	}
	return "symbols for"
}

// fail notes that a step failed. Whether anybody was asked in it is chance.
func (o *others) fail(few *gather.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if last := len(o.steps) - 1; last >= 0 && o.steps[last].length > 0 && o.steps[last].axis == few.Axis &&
		len(o.steps[last].targets) == few.Targets {
		o.steps = o.steps[:last]
	}
	o.steps = append(o.steps, &askedStep{axis: few.Axis, failed: few.Targets})
}

// journal writes the keeper's log into the trace.
type journal struct {
	slog.Handler
	scene *scene
}

func (j journal) Enabled(context.Context, slog.Level) bool { return true }
func (j journal) WithAttrs([]slog.Attr) slog.Handler       { return j }

func (j journal) Handle(_ context.Context, r slog.Record) error {
	line := "log: " + r.Message
	if r.Level < slog.LevelInfo {
		line = "log, if all is logged: " + r.Message
	}
	r.Attrs(func(a slog.Attr) bool {
		text := a.Value.String()
		var few *gather.Error
		if err, _ := a.Value.Any().(error); errors.As(err, &few) { // how many have answered is chance
			j.scene.others.fail(few)
			text = fmt.Sprintf("fewer than %d %s slivers", few.Need, few.Axis.Other())
			for _, f := range few.Failures {
				text += fmt.Sprintf("; %s: %v", few.Committee.Members()[f.Holder].Name, f.Err)
			}
		}
		line += fmt.Sprintf(", %s %s", a.Key, text)
		return true
	})
	j.scene.say("%s", chosen.ReplaceAllString(line, "of a $1 sliver"))
	return nil
}

// chosen finds slivers in errors that were chosen by chance.
var chosen = regexp.MustCompile(`of (\w+) sliver \d+`)
