package light

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"walrus/ledger"
)

// Bonds are read once per epoch, and a node that makes one up is caught.
func TestBonds(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	bonds := ledger.Bonds{{Monitor: ledger.PeerKey{1}, Account: alice, Amount: ledger.MinBond, Since: 1}}
	reads := 0
	s := &source{Source: w.chain}
	s.read = func(ctx ctxt, at At, keys [][]byte) (*Reading, error) {
		reads++
		return w.Read(ctx, at, keys)
	}
	w.tale.Store(s)
	c := w.asking(t, w.liar)
	if epoch, got, err := c.Bonds(ctx); err != nil || epoch != 1 || got != nil {
		t.Errorf("before the first bond: epoch %d, %+v, %v", epoch, got, err)
	}
	w.set(t, put(ledger.KeyBonds(), bonds.Marshal()))
	if _, got, err := c.Bonds(ctx); err != nil || got != nil || reads != 1 {
		t.Errorf("in the same epoch: %+v, %v, with %d reads", got, err, reads)
	}
	next := ledger.EpochInfo{Epoch: 2, Start: time.Now().UnixNano()}
	w.set(t, put(ledger.KeyEpoch(), next.Marshal()))
	c.bonds.until = time.Now()
	for range 2 {
		if epoch, got, err := c.Bonds(ctx); err != nil || epoch != 2 || !reflect.DeepEqual(got, bonds) || reads != 2 {
			t.Errorf("in the next epoch: epoch %d, %+v, %v, with %d reads", epoch, got, err, reads)
		}
	}
	// By the clock the second epoch is over; the ledger has not ended it.
	c.bonds.until = time.Now()
	late := ledger.EpochInfo{Epoch: 2, Start: time.Now().Add(-2 * w.genesis.EpochDuration).UnixNano()}
	w.set(t, put(ledger.KeyEpoch(), late.Marshal()))
	for range 2 {
		if epoch, got, err := c.Bonds(ctx); err != nil || epoch != 2 || len(got) != 1 {
			t.Errorf("after the scheduled end: epoch %d, %+v, %v", epoch, got, err)
		}
	}
	if reads != 4 {
		t.Errorf("after the scheduled end, each call reads: %d reads", reads)
	}
	made := append(ledger.Bonds{}, bonds...)
	made[0].Amount *= 2
	w.tale.Store(lie(w.chain, func(r *Reading) { r.Items[1].Value = made.Marshal() }))
	if _, got, err := w.asking(t, w.liar).Bonds(ctx); !errors.Is(err, ErrLied) {
		t.Errorf("bonds that a node made up: %+v, %v", got, err)
	}
}
