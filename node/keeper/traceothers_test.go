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
	axis    shards.Axis // of the slivers to rebuild
	targets []int
	given   int      // slivers of which others gave symbols
	givers  []string // ascending
	failed  bool     // how many gave symbols is chance
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

func (o *others) Symbols(_ context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, _ int64, _ int) ([]shards.Symbol, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if last := len(o.steps) - 1; last < 0 || o.steps[last].axis == axis || !slices.Equal(o.steps[last].targets, targets) {
		o.steps = append(o.steps, &askedStep{axis: axis.Other(), targets: targets})
	}
	step := o.steps[len(o.steps)-1]
	b, err := o.blob(to, id)
	if err != nil {
		return nil, err
	}
	sliver := b.sliver(axis, b.meta.Params().PairOfSliver(axis, index))
	symbols, err := b.meta.ExtractSymbols(axis, index, bytes.NewReader(sliver), targets)
	if err != nil {
		return nil, err
	}
	if o.moods[to] == "lies" {
		symbols[0].Data[0] ^= 1
		return symbols, nil
	}
	if step.given++; !slices.Contains(step.givers, string(to)) {
		step.givers = append(step.givers, string(to))
		slices.Sort(step.givers)
	}
	return symbols, nil
}

// journal writes the keeper's log into the trace.
type journal struct {
	slog.Handler
	scene *scene
}

func (j journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (j journal) WithAttrs([]slog.Attr) slog.Handler           { return j }

func (j journal) Handle(_ context.Context, r slog.Record) error {
	line := "log: " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		text := a.Value.String()
		var few *gather.Error
		if err, _ := a.Value.Any().(error); errors.As(err, &few) { // how many have answered is chance
			j.scene.others.steps[len(j.scene.others.steps)-1].failed = true
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
