package light

import (
	"bytes"
	"context"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// Header is what a block says without its transactions. All of it is proven.
type Header struct {
	Height   uint64
	Time     time.Time // when the block before it was agreed on, by the clocks of the validators
	Hash     [32]byte
	Empty    bool    // it has no transactions
	Proposer peer.ID // empty if the genesis has no member with that key
	Name     string  // of the proposer
	Signed   int     // weight of those who signed it
	Voting   int     // weight of those who may
}

// Header is the verified header of the block at a height, each signature of which is verified.
func (c *Client) Header(ctx context.Context, height uint64) (*Header, error) {
	b, err := c.Block(ctx, height)
	if err != nil {
		return nil, err
	}
	h := &Header{
		Height: uint64(b.Height), Time: b.Time, Hash: [32]byte(b.Hash()),
		Empty: bytes.Equal(b.DataHash, types.Txs(nil).Hash()),
	}
	for i, v := range b.ValidatorSet.Validators {
		h.Voting += int(v.VotingPower)
		if b.Commit.Signatures[i].BlockIDFlag == types.BlockIDFlagCommit {
			h.Signed += int(v.VotingPower)
		}
		key, ok := v.PubKey.(ed25519.PubKey)
		if !ok || !bytes.Equal(v.Address, b.ProposerAddress) {
			continue
		}
		for _, m := range c.cfg.Genesis.Members {
			if m.Consensus == ledger.PublicKey(key) {
				h.Proposer, h.Name = m.Node, m.Name
			}
		}
	}
	return h, nil
}
