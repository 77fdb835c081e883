package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/client"
	"walrus/dht"
	"walrus/p2p"
	"walrus/shards"
)

// liar takes the place of a member, claims to have everything, and answers wrongly.
type liar struct {
	p2p.Backend // nil: an unexpected request panics, which p2p recovers
	meta        *shards.Metadata
	raw         []byte // metadata of the blob
	lie         string
}

type fakeSliver struct {
	*bytes.Reader
}

func (fakeSliver) Close() error { return nil }

func (l liar) OpenSliver(ctx context.Context, _ shards.BlobID, axis shards.Axis, index int) (p2p.SliverReader, error) {
	size := l.meta.Layout(axis).Size()
	wrong := make([]byte, size)
	_, _ = rand.Read(wrong)
	switch l.lie {
	case "truncated":
		return fakeSliver{bytes.NewReader(wrong[:size/2])}, nil
	case "other blob":
		_, pairs, err := shards.Encode(l.meta.Params(), bytes.Repeat([]byte("another"), int(l.meta.Length)/7))
		if err != nil {
			return nil, err
		}
		return fakeSliver{bytes.NewReader(append(pairs[index].Primary, wrong...)[:size])}, nil
	case "silent":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return fakeSliver{bytes.NewReader(wrong)}, nil
}

func (l liar) Symbols(ctx context.Context, r p2p.SymbolRequest, w io.Writer) error {
	if l.lie == "silent" {
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := w.Write(make([]byte, int64(len(r.Slivers)*len(r.Targets))*(r.Length+int64(r.ProofLen)*32)))
	return err
}

func (l liar) Metadata(context.Context, shards.BlobID) ([]byte, error) {
	wrong := bytes.Clone(l.raw)
	wrong[len(wrong)-1] ^= 1
	return wrong, nil
}

func (l liar) NodeStatus(context.Context, peer.ID) (p2p.NodeStatus, error) {
	return p2p.NodeStatus{Version: "1", State: "serving", Epoch: 1, Blobs: 1 << 40}, nil
}

func (l liar) Certificates(context.Context, shards.BlobID, int) ([][]byte, bool, error) {
	return [][]byte{[]byte("not a certificate")}, true, nil
}

func (l liar) PutMetadata(_ context.Context, _ peer.ID, _ shards.BlobID, _ []byte, _ int64, read func() ([]byte, error)) ([]int, error) {
	_, err := read()
	return nil, err
}

// impersonate puts a liar in the place of node i, which has been stopped; the result ends it.
func (c *cluster) impersonate(i int, l liar) (end func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	cfg := p2p.Config{Network: network, Key: c.members[i].key, Role: p2p.StorageNode, Logger: slog.New(slog.DiscardHandler)}
	c.p2p(i, &cfg)
	h, err := p2p.New(cfg)
	must(c.t, err)
	must(c.t, h.Serve(ctx, l))
	table, err := dht.New(h.Libp2p(), dht.Config{Network: network, Server: true, Bootstrap: c.bootstrap(i), Light: c.light})
	must(c.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = table.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
		_ = table.Close()
		_ = h.Close()
	}
}

// TestLiars replaces two of seven nodes by liars of each kind. Reads stay right and name the liars, and a node that
// lost everything repairs itself among them.
func TestLiars(t *testing.T) {
	for _, lie := range []string{"wrong bytes", "truncated", "other blob", "silent"} {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(c *cluster, cl *client.Client) { livesAmongLiars(c, cl, lie) })
		})
	}
}

// livesAmongLiars replaces nodes 1 and 4 by liars, and node 6 by an empty one.
func livesAmongLiars(c *cluster, cl *client.Client, lie string) {
	t := c.t
	data := random(t, 100_000)
	res := c.store(cl, data)
	c.awaitHealthy(cl, time.Minute)

	meta, _, err := shards.Encode(c.committee().Params(), data)
	must(t, err)
	for _, i := range []int{1, 4} {
		c.stop(i)
		defer c.impersonate(i, liar{meta: meta, raw: meta.Marshal(), lie: lie})()
	}
	// a reader still dialling the former member names it for that: another reader follows
	var named map[string]client.BadNode
	for range 10 {
		if named = c.readAmongLiars(res.BlobID, data); caught(named, lie) {
			break
		}
	}
	if !caught(named, lie) {
		t.Errorf("named %v, want node-1 and node-4 for what they did", named)
	}

	c.stop(6)
	must(t, os.RemoveAll(c.members[6].dir))
	c.start(6)
	c.awaitServing(6)
	for end := time.Now().Add(time.Minute); ; {
		st, err := c.nodes[6].Status()
		must(t, err)
		if st.Blobs == 1 && st.Owed == 0 && st.Slivers == 8 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("node among liars does not get well: %+v", st)
		}
		<-time.After(100 * time.Millisecond)
	}
	fresh := c.client(1)
	defer func() { must(t, fresh.Close()) }()
	c.mustRead(fresh.Client(), res.BlobID, data)
}

// readAmongLiars reads the blob with a new client, compares it, and returns the nodes named as bad, by name.
func (c *cluster) readAmongLiars(id shards.BlobID, data []byte) map[string]client.BadNode {
	c.t.Helper()
	cn := c.client(2)
	defer func() { must(c.t, cn.Close()) }()
	named := map[string]client.BadNode{}
	for _, b := range c.mustRead(cn.Client(), id, data).Bad {
		named[b.Name] = b
		if b.Lied && b.Name != "node-1" && b.Name != "node-4" {
			c.t.Errorf("%s, which is honest, is said to have lied", b)
		}
	}
	return named
}

// caught reports whether both liars were named, and those with wrong bytes for that.
func caught(named map[string]client.BadNode, lie string) bool {
	for _, name := range []string{"node-1", "node-4"} {
		b, ok := named[name]
		if !ok || b.Lied != (lie == "wrong bytes" || lie == "other blob") {
			return false
		}
	}
	return true
}

// TestForgedUpload sends a node slivers and metadata that do not match the blob ID: it takes neither.
func TestForgedUpload(t *testing.T) {
	c := newCluster(t, 4, 4)
	c.useLoopback()
	defer c.stopAll()
	c.startAll()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	cfg := p2p.Config{Network: network, Key: key, Logger: slog.New(slog.DiscardHandler)}
	h, err := p2p.New(cfg)
	must(t, err)
	defer func() { must(t, h.Close()) }()
	info, err := peer.AddrInfoFromString(c.members[0].addr)
	must(t, err)
	must(t, h.Connect(t.Context(), *info))

	params := c.committee().Params()
	meta, pairs, err := shards.Encode(params, []byte("the blob"))
	must(t, err)
	id := meta.ID()
	raw := meta.Marshal()
	wrong := bytes.Clone(raw)
	wrong[40] ^= 1
	token := c.token(h.ID(), id)
	_, err = h.PutMetadata(t.Context(), info.ID, id, token, wrong)
	wantErr(t, err, p2p.ErrMismatch)
	_, err = h.PutMetadata(t.Context(), info.ID, id, nil, raw)
	wantErr(t, err, p2p.ErrDenied)
	_, err = h.PutMetadata(t.Context(), info.ID, id, c.token("another peer", id), raw)
	wantErr(t, err, p2p.ErrDenied)
	_, err = c.chain.Payer(c.wallet).Register(t.Context(), meta, 1, false)
	must(t, err)
	held, err := h.PutMetadata(t.Context(), info.ID, id, token, raw)
	must(t, err)
	if len(held) != 0 {
		t.Errorf("an empty node holds pairs %v", held)
	}

	mine := c.committee().Owner(0)
	if mine.Node != info.ID {
		t.Fatal("shard 0 is not of the first member")
	}
	pair := params.PairOnShard(id, 0)
	size := int64(len(pairs[pair].Primary) + len(pairs[pair].Secondary))
	send := func(pair int, size int64, parts ...[]byte) error {
		return h.StorePairs(t.Context(), info.ID, id, token, []int{pair}, size, func(w io.Writer) error {
			for _, p := range parts {
				if _, err := w.Write(p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	forged := bytes.Clone(pairs[pair].Secondary)
	forged[0] ^= 1
	wantErr(t, send(pair, size, pairs[pair].Primary, forged), p2p.ErrMismatch)
	wantErr(t, send(pair, size+2, pairs[pair].Primary, pairs[pair].Secondary, []byte{0, 0}), p2p.ErrBadRequest)
	other := (pair + 1) % params.Shards()
	wantErr(t, send(other, size, pairs[other].Primary, pairs[other].Secondary), p2p.ErrNotOwner)
	_, err = h.Confirm(t.Context(), info.ID, id, certs.Persistence{})
	wantErr(t, err, p2p.ErrNotFound)
	must(t, send(pair, size, pairs[pair].Primary, pairs[pair].Secondary))
	_, err = h.Confirm(t.Context(), info.ID, id, certs.Persistence{})
	must(t, err)
	wantErr(t, h.PutCertificate(t.Context(), info.ID, []byte("junk")), p2p.ErrBadRequest)
	if _, err := h.Certificate(t.Context(), info.ID, id); err == nil {
		t.Error("a blob that nobody certified has a certificate")
	}
}
