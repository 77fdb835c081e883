package node_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// writer stores wrong encodings, as a hostile client does.
type writer struct {
	*p2p.Host
	c *cluster
}

func (c *cluster) writer() *writer {
	c.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(c.t, err)
	h, err := p2p.New(p2p.Config{Network: network, Key: key, Logger: slog.New(slog.DiscardHandler)})
	must(c.t, err)
	c.t.Cleanup(func() { must(c.t, h.Close()) })
	for _, m := range c.members {
		info, err := peer.AddrInfoFromString(m.addr)
		must(c.t, err)
		must(c.t, h.Connect(c.t.Context(), *info))
	}
	return &writer{h, c}
}

// store registers a wrong encoding, gives each node its pairs, and certifies it if a quorum confirms. It returns the
// nodes that refused because they found it wrong.
func (w *writer) store(e *wrongtest.Encoding) (refused []string, certified bool) {
	t := w.c.t
	t.Helper()
	payer := w.c.chain.Payer(w.c.wallet)
	object, err := payer.Register(t.Context(), e.Meta, 5, false)
	must(t, err)
	com := w.c.committee()
	var confs []certs.Confirmation
	for _, m := range com.Members() {
		raw, err := w.upload(e, m)
		if errors.Is(err, p2p.ErrInvalid) {
			refused = append(refused, m.Name)
		}
		if err != nil {
			continue
		}
		conf, err := certs.UnmarshalConfirmation(m.Node, raw)
		must(t, err)
		confs = append(confs, conf)
	}
	cert, _, err := com.Aggregate(e.ID, certs.Persistence{}, confs)
	if errors.Is(err, certs.ErrWeight) {
		return refused, false
	}
	must(t, err)
	err = payer.Run(t.Context(), ledger.CertifyBlob{Object: object, Certificate: cert.Marshal()})
	if op := (*ledger.OpError)(nil); errors.As(err, &op) && op.Code == ledger.CodeInvalidBlob { // marked already
		return refused, false
	}
	must(t, err)
	return refused, true
}

// upload gives one node its pairs and asks for its confirmation.
func (w *writer) upload(e *wrongtest.Encoding, m certs.Member) ([]byte, error) {
	ctx := w.c.t.Context()
	token := w.c.token(w.ID(), e.ID)
	if _, err := w.PutMetadata(ctx, m.Node, e.ID, token, e.Meta.Marshal()); err != nil {
		return nil, err
	}
	for _, shard := range m.Shards {
		pair := e.Params.PairOnShard(e.ID, shard)
		primary, secondary := e.Pair(pair)
		err := w.StorePairs(ctx, m.Node, e.ID, token, []int{pair}, int64(len(primary)+len(secondary)),
			func(out io.Writer) error {
				for t := range e.Meta.Layout(shards.Primary).Strips() {
					for axis, sliver := range [][]byte{primary, secondary} {
						off, size := e.Meta.Layout(shards.Axis(axis)).Strip(t)
						if _, err := out.Write(sliver[off:][:size]); err != nil {
							return err
						}
					}
				}
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return w.Confirm(ctx, m.Node, e.ID, certs.Persistence{})
}

// awaitInvalid waits until the ledger has the blob marked invalid, and returns how long that took. Then every node must
// say so.
func (w *writer) awaitInvalid(e *wrongtest.Encoding) time.Duration {
	t := w.c.t
	t.Helper()
	start := time.Now()
	for !w.marked(e.ID) {
		if time.Since(start) > time.Minute {
			t.Fatalf("%s: it is not marked on the ledger", e.Name)
		}
		<-time.After(20 * time.Millisecond)
	}
	took := time.Since(start)
	for _, m := range w.c.members {
		for {
			_, err := w.BlobStatus(t.Context(), m.id, e.ID)
			if errors.Is(err, p2p.ErrInvalid) {
				break
			}
			if time.Since(start) > time.Minute {
				t.Fatalf("%s: a node still says %v", e.Name, err)
			}
			<-time.After(50 * time.Millisecond)
		}
	}
	return took
}

// marked reports whether the ledger has the blob marked invalid.
func (w *writer) marked(id shards.BlobID) bool {
	w.c.t.Helper()
	info, err := ledger.ReadBlobInfo(w.c.chain.Head(), id)
	must(w.c.t, err)
	return info.Invalid
}

// mustGiveNothing asks every node for everything of the blob.
func (w *writer) mustGiveNothing(e *wrongtest.Encoding) {
	t := w.c.t
	t.Helper()
	com := w.c.committee()
	for _, m := range com.Members() {
		for name, ask := range map[string]func(context.Context) error{
			"metadata": func(ctx context.Context) error {
				_, err := w.Metadata(ctx, m.Node, e.ID, e.Params.MetadataSize())
				return err
			},
			"certificate": func(ctx context.Context) error { _, err := w.Certificate(ctx, m.Node, e.ID); return err },
			"put metadata": func(ctx context.Context) error {
				_, err := w.PutMetadata(ctx, m.Node, e.ID, w.c.token(w.ID(), e.ID), e.Meta.Marshal())
				return err
			},
			"confirmation": func(ctx context.Context) error {
				_, err := w.Confirm(ctx, m.Node, e.ID, certs.Persistence{})
				return err
			},
			"sliver": func(ctx context.Context) error {
				r, err := w.FetchSliver(ctx, m.Node, e.ID, shards.Primary, e.Params.PairOnShard(e.ID, m.Shards[0]), 0, 1)
				if err == nil {
					_ = r.Close()
				}
				return err
			},
			"symbols": func(ctx context.Context) error {
				_, err := w.Symbols(ctx, m.Node, e.ID, shards.Primary, e.Params.PairOnShard(e.ID, m.Shards[0]), []int{0},
					e.Params.SymbolSize(e.Meta.Length), e.Params.ProofSize())
				return err
			},
			"hashes": func(ctx context.Context) error {
				_, err := w.Checks().AllLeaves(ctx, m.Node, e.ID, shards.Primary, e.Params.PairOnShard(e.ID, m.Shards[0]),
					e.Params.Shards())
				return err
			},
		} {
			if err := ask(t.Context()); !errors.Is(err, p2p.ErrInvalid) {
				t.Errorf("%s: %s of %s: %v, want that it is invalid", e.Name, name, m.Name, err)
			}
		}
	}
}

// TestWrongEncodings stores a blob encoded wrongly in every way. Each is found invalid, by all nodes, and no path
// returns anything of it.
func TestWrongEncodings(t *testing.T) {
	c := newCluster(t, 7, 28)
	c.useLoopback()
	defer c.stopAll()
	c.startAll()
	w := c.writer()
	params, err := shards.NewParams(28)
	must(t, err)
	blob := wrongtest.Content(50_000, 1)
	all := wrongtest.Kinds(t, params, blob)
	all = append(all, wrongtest.AtShards(t, params, blob, c.committee().Members()[2].Shards))
	for _, e := range all {
		refused, certified := w.store(e)
		took := w.awaitInvalid(e)
		t.Logf("%s: refused by %v, certified %v, invalid after %v", e.Name, refused, certified, took.Round(time.Millisecond))
		w.mustGiveNothing(e)
	}
}
