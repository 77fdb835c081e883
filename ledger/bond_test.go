package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
)

func TestBondWeight(t *testing.T) {
	added := Bond{Amount: 5, Added: 2, Since: 7}
	leaving := Bond{Amount: 5, Added: 2, Since: 7, Until: 8}
	for _, tt := range []struct {
		bond  Bond
		epoch uint32
		want  Amount
	}{{added, 7, 3}, {added, 8, 5}, {leaving, 7, 3}, {leaving, 8, 0}, {leaving, 9, 0}} {
		if got := tt.bond.Weight(tt.epoch); got != tt.want {
			t.Errorf("%+v has weight %d in epoch %d, want %d", tt.bond, got, tt.epoch, tt.want)
		}
	}
	if added.Return() != 0 || leaving.Return() != 9 {
		t.Errorf("a bond given up in epoch 7 is back in epoch %d; one that stays: %d", leaving.Return(), added.Return())
	}
}

// TestAgreement: a monitor's signature is good for one account of one network, and pinned.
func TestAgreement(t *testing.T) {
	op := SignBond(testKey(1), id(2), id(3), 4)
	if !bytes.Equal(op.Monitor[:], testKey(1).Public().(ed25519.PublicKey)) || op.Amount != 4 || !op.Agreed(id(2), id(3)) {
		t.Errorf("%+v is not agreed on", op)
	}
	other := op
	other.Monitor = PeerKey(testKey(2).Public().(ed25519.PublicKey))
	for name, agreed := range map[string]bool{
		"network": op.Agreed(certs.NetworkID(id(9)), id(3)), "account": op.Agreed(id(2), id(9)), "monitor": other.Agreed(id(2), id(3)),
	} {
		if agreed {
			t.Errorf("an agreement holds for another %s", name)
		}
	}
	const want = "dade26080b8b3be9bf360f2dc58ada4c5e1c1864167a48016541b0e05fa18b4689c10eec5aef8fa8d255dbf350505537d54f41a8aa030da917b20db2d5acf30a"
	if got := hex.EncodeToString(op.Agreement[:]); got != want {
		t.Errorf("agreement %s, want %s", got, want)
	}
}

func TestPeerKey(t *testing.T) {
	key := PeerKey(testKey(1).Public().(ed25519.PublicKey))
	b, err := json.Marshal(key)
	var back PeerKey
	if err != nil || string(b) != `"`+key.Peer().String()+`"` || json.Unmarshal(b, &back) != nil || back != key {
		t.Errorf("%s is read back as %s, %v", b, back, err)
	}
	if got, err := PeerKeyOf(key.Peer()); err != nil || got != key {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"", "x", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"} {
		if err := back.UnmarshalText([]byte(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("peer ID %q: %v, want ErrFormat", bad, err)
		}
	}
	if _, err := PeerKeyOf(peer.ID(peerIDHead)); !errors.Is(err, ErrFormat) {
		t.Errorf("a peer ID without its key: %v", err)
	}
}
