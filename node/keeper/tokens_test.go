package keeper

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// TestWhoMayUpload sends a node each kind of token for a registered blob: it takes metadata and pairs only for a right
// one.
func TestWhoMayUpload(t *testing.T) {
	o := newOutpost(t, 4, []byte("another blob"))
	h := o.stranger()
	id, pair, body := o.registered(ownerKey, []byte("the blob"))
	make := func(change func(*ledger.UploadToken), key ed25519.PrivateKey) []byte {
		token := &ledger.UploadToken{
			Network: o.cfg.Genesis.NetworkID(), Blob: id, Peer: h.ID(), Object: owned(id),
			Expiry: uint64(time.Now().Add(time.Minute).Unix()),
		}
		change(token)
		token.Sign(key)
		return token.Marshal()
	}
	wrong := map[string][]byte{
		"none":          nil,
		"other network": make(func(t *ledger.UploadToken) { t.Network[0] ^= 1 }, ownerKey),
		"other blob":    make(func(t *ledger.UploadToken) { t.Blob[0] ^= 1 }, ownerKey),
		"other peer":    make(func(t *ledger.UploadToken) { t.Peer = o.host.ID() }, ownerKey),
		"other record":  make(func(t *ledger.UploadToken) { t.Object = owned(o.meta.ID()) }, ownerKey),
		"other account": make(func(*ledger.UploadToken) {}, otherKey),
		"ended": make(func(t *ledger.UploadToken) {
			t.Expiry = uint64(
				time.Now().Add(-clockSkew - time.Minute).Unix())
		}, ownerKey),
		"too long": make(func(t *ledger.UploadToken) {
			t.Expiry = uint64(time.Now().Add(maxTokenTime + clockSkew + time.Minute).Unix())
		}, ownerKey),
		"for ever": make(func(t *ledger.UploadToken) { t.Expiry = 1<<64 - 1 }, ownerKey),
	}
	for name, raw := range wrong {
		if err := o.offer(h, raw, id); !errors.Is(err, p2p.ErrDenied) {
			t.Errorf("%s: metadata: %v", name, err)
		}
	}
	if _, err := o.shelf.Metadata(id); err == nil {
		t.Fatal("metadata is on the disk, and nobody had a valid token")
	}
	for name, raw := range map[string][]byte{
		"its clock behind": make(func(t *ledger.UploadToken) { t.Expiry = uint64(time.Now().Add(-clockSkew / 2).Unix()) },
			ownerKey),
		"right": o.token(ownerKey, h, id),
	} {
		if err := o.offer(h, raw, id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range wrong {
		if _, err := o.send(h, raw, id, pair, body); !errors.Is(err, p2p.ErrDenied) {
			t.Errorf("%s: pairs: %v", name, err)
		}
	}
	if ok, err := o.shelf.HasSliver(store.Ref{Blob: id}); ok || err != nil {
		t.Errorf("a sliver is on the disk, and nobody had a valid token: %v", err)
	}
	if _, err := o.send(h, o.token(ownerKey, h, id), id, pair, body); err != nil {
		t.Error(err)
	}
	if account := o.peers.payer(h.ID()); account != p2p.Account(addressOf(ownerKey)) {
		t.Errorf("recognized for %v", account)
	}
}

// TestUploadBeforeRegistration: an account with WAL may upload ahead of its registration, without knowing the
// record's ID. Nothing is on the disk before the registration. An account without WAL may not.
func TestUploadBeforeRegistration(t *testing.T) {
	o := newOutpost(t, 4, []byte("another blob"))
	h := o.stranger()
	id, pair, body := o.encoded([]byte("the blob"))
	token := &ledger.UploadToken{Network: o.cfg.Genesis.NetworkID(), Blob: id, Peer: h.ID(),
		Expiry: uint64(time.Now().Add(time.Minute).Unix())}
	token.Sign(ownerKey)
	if err := o.offer(h, token.Marshal(), id); !errors.Is(err, p2p.ErrNotRegistered) {
		t.Errorf("without WAL: %v", err)
	}
	account := token.Account.Address()
	o.ledger.set(map[string][]byte{string(ledger.KeyAccount(account)): ledger.Account{Balance: ledger.WAL}.Marshal()})
	must(t, o.offer(h, token.Marshal(), id))
	if _, err := o.shelf.Metadata(id); err == nil {
		t.Error("metadata is on the disk before the registration")
	}
	sent := make(chan error)
	go func() {
		_, err := o.send(h, token.Marshal(), id, pair, body)
		sent <- err
	}()
	<-time.After(100 * time.Millisecond)
	o.ledger.set(ownedBlob(ownerKey, id, 9))
	o.pending.recent.note([]ledger.Event{{Kind: ledger.EventRegistered, Blob: id, From: account, Object: owned(id)}})
	o.pending.wake()
	must(t, <-sent)
	if ok, err := o.shelf.HasSliver(store.Ref{Blob: id}); err != nil || !ok {
		t.Errorf("sliver: %v, %v", ok, err)
	}
}

// TestRecordGivenAway: the account that registered a record lately may upload also after it gave the record away.
func TestRecordGivenAway(t *testing.T) {
	o := newOutpost(t, 4, []byte("another blob"))
	h := o.stranger()
	id, pair, body := o.registered(ownerKey, []byte("the blob"))
	must(t, o.offer(h, o.token(ownerKey, h, id), id))
	o.ledger.set(map[string][]byte{string(ledger.KeyBlob(owned(id))): ledger.Blob{Shared: true, BlobID: id, Start: 1,
		End: 9, Registered: 1}.Marshal()})
	if _, err := o.send(h, o.token(ownerKey, h, id), id, pair, body); !errors.Is(err, p2p.ErrDenied) {
		t.Errorf("of a record that it never registered: %v", err)
	}
	o.pending.recent.note([]ledger.Event{{Kind: ledger.EventRegistered, Blob: id, From: addressOf(ownerKey),
		Object: owned(id)}})
	if _, err := o.send(h, o.token(ownerKey, h, id), id, pair, body); err != nil {
		t.Errorf("of one that it registered: %v", err)
	}
}

// TestRegistrations: the newest are remembered, and their number is bounded.
func TestRegistrations(t *testing.T) {
	r := newRegistrations()
	of := func(i int) ledger.Event {
		return ledger.Event{Kind: ledger.EventRegistered, Blob: shards.BlobID{byte(i), byte(i >> 8)}, From: ledger.Address{1},
			Object: ledger.ObjectID{byte(i), byte(i >> 8), 1}}
	}
	for i := range maxRegistrations + 100 {
		r.note([]ledger.Event{of(i), of(i), {Kind: ledger.EventCertified, Blob: shards.BlobID{255, 255},
			From: ledger.Address{1}, Object: ledger.ObjectID{9}}})
	}
	if len(r.objects) != maxRegistrations || len(r.ring) != maxRegistrations {
		t.Errorf("remembers %d, %d", len(r.objects), len(r.ring))
	}
	for i, known := range map[int]bool{0: false, 99: false, 100: true, maxRegistrations + 99: true, 1<<16 - 1: false} {
		e := of(i)
		if got := r.find(e.Blob, ledger.Address{1}); (got == e.Object) != known {
			t.Errorf("registration %d: %v", i, got)
		}
	}
	if got := r.find(of(200).Blob, ledger.Address{2}); got != (ledger.ObjectID{}) {
		t.Errorf("another's registration: %v", got)
	}
}

// TestSilentPayer: a payer that holds all memory for uploads and says nothing is ended, with a reason, once another
// waits; not before.
func TestSilentPayer(t *testing.T) {
	o := newOutpost(t, 4, []byte("another blob"))
	data := make([]byte, 4<<20)
	o.receiver.uploads.memory = 1 << 20
	silent, honest := o.stranger(), o.stranger()
	id, pair, body := o.register(silent, data)
	other, otherPair, otherBody := o.registered(otherKey, data[1:])
	begun, ended, speak := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() {
		ended <- silent.StorePairs(t.Context(), o.host.ID(), id, o.token(ownerKey, silent, id), []int{pair}, int64(len(body)),
			func(w io.Writer) error {
				close(begun)
				<-speak
				_, err := w.Write(body)
				return err
			})
	}()
	<-begun
	select {
	case err := <-ended:
		t.Fatalf("nobody waits, and it was ended: %v", err)
	case <-time.After(paceWindow + 2*time.Second):
	}
	start := time.Now()
	right := o.token(otherKey, honest, other)
	if err := o.offer(honest, right, other); !errors.Is(err, p2p.ErrBusy) {
		t.Errorf("offered while another holds all memory: %v", err)
	}
	for o.offer(honest, right, other) != nil && time.Since(start) < 30*time.Second {
		<-time.After(100 * time.Millisecond)
	}
	if _, err := o.send(honest, right, other, otherPair, otherBody); err != nil {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	close(speak)
	if err := <-ended; !errors.Is(err, p2p.ErrBusy) || !strings.Contains(err.Error(), "send faster") {
		t.Errorf("the silent one: %v", err)
	}
}

// TestPaceOfUploads: the least rate follows the memory held, counts only the time spent waiting, and only while others
// wait.
func TestPaceOfUploads(t *testing.T) {
	for name, c := range map[string]struct {
		every   time.Duration // between two parts of 64 KiB
		held    int64
		others  bool
		ourself time.Duration // time that we take for each part
		ends    bool
	}{
		"silent, alone":    {time.Hour / 2, 1 << 20, false, 0, false},
		"silent, pressed":  {time.Hour / 2, 1 << 20, true, 0, true},
		"fast, holds much": {time.Second, 1 << 20, true, 0, false},
		"slow, holds much": {2400 * time.Millisecond, 1 << 20, true, 0, true},
		"slow, holds less": {2400 * time.Millisecond, 512 << 10, true, 0, false},
		"slower, a little": {4800 * time.Millisecond, 1 << 10, true, 0, false},
		"fast, slow disk":  {time.Second, 1 << 20, true, time.Minute, false},
		"stops, a little":  {time.Minute, 1 << 10, true, 0, true},
		"slow, alone":      {20 * time.Second, 1 << 20, false, 0, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newUploads(2 << 20)
			in := &steps{every: c.every, left: 20, ended: make(chan error, 1)}
			body := newPacedBody(in, u, c.held)
			done := make(chan struct{})
			go func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(time.Second):
					}
					if c.others {
						u.mu.Lock()
						u.refused = time.Now()
						u.mu.Unlock()
					}
				}
			}()
			var err error
			for b := make([]byte, 64<<10); err == nil; _, err = body.Read(b) {
				time.Sleep(c.ourself)
			}
			close(done)
			if ended := errors.Is(err, p2p.ErrBusy); ended != c.ends || !ended && err != io.EOF {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
		})
	}
}

// steps is a body that comes in parts.
type steps struct {
	every time.Duration
	left  int
	ended chan error
}

func (s *steps) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	select {
	case <-time.After(s.every):
		return len(b), nil
	case err := <-s.ended:
		return 0, err
	}
}

func (s *steps) End(err error) { s.ended <- err }

// TestPendingShares: an account whose blobs fill all places gives way to another's.
func TestPendingShares(t *testing.T) {
	p := newPending()
	rich, poor := ledger.Address{1}, ledger.Address{2}
	for i := range maxPending {
		must(t, p.put(peer.ID(fmt.Sprint(i/maxPendingPerPeer)), rich, shards.BlobID{byte(i), byte(i >> 8)}, nil))
	}
	if err := p.put("new", rich, shards.BlobID{0, 0, 1}, nil); !errors.Is(err, p2p.ErrBusy) {
		t.Errorf("one more of the account that has all: %v", err)
	}
	for i := range maxPendingPerPeer {
		must(t, p.put("other", poor, shards.BlobID{byte(i), 0, 2}, nil))
	}
	if len(p.blobs) != maxPending || p.accounts[poor] != maxPendingPerPeer || p.get(shards.BlobID{3}) != nil &&
		p.blobs[shards.BlobID{3}].account != rich {
		t.Errorf("%d places, %d of the other", len(p.blobs), p.accounts[poor])
	}
	if err := p.put("other", poor, shards.BlobID{0, 0, 3}, nil); !errors.Is(err, p2p.ErrBusy) {
		t.Errorf("more than one peer's part: %v", err)
	}
	for id := range p.blobs {
		p.remove(id)
	}
	if len(p.peers)+len(p.accounts)+p.bytes != 0 {
		t.Errorf("left: %d peers, %d accounts", len(p.peers), len(p.accounts))
	}
}
