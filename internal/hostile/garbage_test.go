package hostile

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"walrus/client"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// uploadGarbage uploads the pairs of a live blob to every node, Count times: with wrong bytes, or if Right is set once
// more with the right ones. Without rights it has tokens of an account that paid for nothing, or none.
func uploadGarbage(ctx context.Context, a *arena, ready func()) (score, error) {
	params, err := shards.NewParams(a.Shards)
	if err != nil {
		return nil, err
	}
	meta, pairs, err := shards.Encode(params, a.Blob.content())
	if err != nil {
		return nil, err
	}
	list, err := uploaders(ctx, a)
	if err != nil {
		return nil, err
	}
	var t tally
	each(len(a.Nodes)*a.Count, 2*len(a.Nodes), func(i int) {
		n, u := a.Nodes[i%len(a.Nodes)].ID, list[i/len(a.Nodes)%len(list)]
		mine, err := pairsOf(ctx, u.Host, params, a.Blob.ID, n)
		if err != nil || ctx.Err() != nil {
			t.add("unanswered", 1)
			return
		}
		if len(a.Metadata) > 0 {
			if _, err := u.PutMetadata(ctx, n, a.Blob.ID, u.token, a.Metadata); err != nil {
				t.add("metadata refused", 1)
			}
		}
		size := meta.Layout(shards.Primary).Size() + meta.Layout(shards.Secondary).Size()
		t.outcome(u.StorePairs(ctx, n, a.Blob.ID, u.token, mine, size*int64(len(mine)), func(w io.Writer) error {
			sent, err := writePairs(w, meta, pairs, mine, a.Right, uint64(i))
			t.add("bytes", float64(sent))
			return err
		}))
	})
	ready()
	for _, u := range list {
		err = errors.Join(err, u.Close())
	}
	return t.total(), err
}

// uploaderHost is an identity of an attacker, with what it has of a token.
type uploaderHost struct {
	*p2p.Host
	token []byte
}

// uploaders opens a connected host for each right. Without rights it opens one without a token, and one with a token
// of an account that paid for nothing.
func uploaders(ctx context.Context, a *arena) (list []uploaderHost, err error) {
	add := func(h *p2p.Host, token []byte, err error) error {
		if err == nil {
			list = append(list, uploaderHost{h, token})
			err = connectAll(ctx, h, a)
		}
		return err
	}
	for i, r := range a.Rights {
		h, err := newStrangerWith(a, i, r.key())
		if err := add(h, r.Token, err); err != nil {
			return nil, err
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	h, err := newStranger(a, 0)
	if err := add(h, nil, err); err != nil {
		return nil, err
	}
	h, err = newStranger(a, 1)
	if err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	token := ledger.UploadToken{Network: a.NetworkID, Blob: a.Blob.ID, Peer: h.ID(),
		Expiry: uint64(time.Now().Add(time.Minute).Unix())}
	token.Sign(key)
	return list, add(h, token.Marshal(), nil)
}

// writePairs writes pairs in the order of an upload. Wrong ones are right up to their last strip.
func writePairs(w io.Writer, meta *shards.Metadata, all []shards.Pair, pairs []int, right bool,
	seed uint64) (sent int, err error) {
	strips := meta.Layout(shards.Primary).Strips()
	noise := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	for t := range strips {
		for _, pair := range pairs {
			for axis, sliver := range [][]byte{all[pair].Primary, all[pair].Secondary} {
				at, size := meta.Layout(shards.Axis(axis)).Strip(t)
				strip := sliver[at : at+int64(size)]
				if !right && t == strips-1 {
					strip = bytes.Clone(strip)
					_, _ = noise.Read(strip[size-1:])
					strip[0] ^= 1
				}
				n, err := w.Write(strip)
				if sent += n; err != nil {
					return sent, err
				}
			}
		}
	}
	return sent, nil
}

// garbageBlob makes a node's pairs some 5 MiB of 100 shards on seven nodes.
const garbageBlob = 8 << 20

// refereeGarbage judges uploads without a right to. Nothing of them may stay, and the owner can upload.
func refereeGarbage(t *testing.T, r *referee) outcome {
	blob, metadata, _ := r.honest.promised(t, r, r.garbageSize()) // its owner has paid for it and not uploaded it yet
	o := r.refereeUploads(t, &arena{Blob: blob, Metadata: metadata}, 0)
	begin := time.Now()
	_, owner := r.honest.upload(t.Context(), blob, client.StoreOptions{})
	o.after += "; " + result(owner, time.Since(begin))
	o.figure += "; the owner's own upload"
	o.holds = o.holds && owner == nil && o.score["accepted"] == 0 && o.score["bytes"] == 0
	o.why += fmt.Sprintf("; the owner's upload: %v", owner)
	return o
}

// refereePayer judges uploads of wrong bytes by who has a right to upload. The pairs may take twice what is paid for.
func refereePayer(t *testing.T, r *referee) outcome {
	p := r.payer(t, "garbage payer", 1<<40)
	blob, metadata, record := p.promised(t, r, r.garbageSize())
	params := r.params(t)
	most := 2 * float64(params.EncodedSize(uint64(blob.Size))) / float64(len(r.fleet.nodes))
	return r.refereeUploads(t, &arena{Blob: blob, Metadata: metadata, Rights: p.rights(t, r, blob.ID, record, 12)}, most)
}

// refereeAgain judges uploads of what is here already.
func refereeAgain(t *testing.T, r *referee) outcome {
	p := r.payer(t, "payer again", 1<<41)
	blob, stored, err := p.put(t.Context(), r.garbageSize(), client.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := r.refereeUploads(t, &arena{Blob: blob, Right: true, Rights: p.rights(t, r, blob.ID, stored.Object, 2)}, 0)
	o.holds = o.holds && o.score["bytes"] == 0
	return o
}

func (r *referee) garbageSize() int {
	if r.full {
		return garbageBlob
	}
	return 1 << 20
}

// refereeUploads watches the disk of the node that grows most, through uploads and a restart. It may grow by most
// bytes.
func (r *referee) refereeUploads(t *testing.T, a *arena, most float64) outcome {
	noise := float64(diskNoise)
	if a.Count = 30; !r.full {
		a.Count, noise = 16, diskNoise/4
	}
	most += noise
	before := r.disks()
	ph := r.under(t, "garbage", a, 0, nil)
	during := r.grown(before)
	if err := r.fleet.restart(len(r.fleet.nodes)-1, nil); err != nil {
		t.Fatal(err)
	}
	after := r.grown(before)
	grown := max(during, after)
	return outcome{
		phase: ph, figure: "store's growth on the worst node, again after its restart",
		before: "0", during: mib(during), after: mib(after), holds: grown <= most &&
			ph.score["unanswered"] < float64(a.Count),
		why: fmt.Sprintf("grew by %s, at most %s; uploads: %v", mib(grown), mib(most), ph.score),
	}
}

func (r *referee) params(t *testing.T) shards.Params {
	t.Helper()
	params, err := shards.NewParams(r.fleet.net.Shards)
	if err != nil {
		t.Fatal(err)
	}
	return params
}

// diskNoise allows for the honest client's blobs, logs and half-filled files.
const diskNoise = 24 << 20
