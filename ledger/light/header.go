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

// Header is a block without its transactions. All of it is proven.
type Header struct {
	Height   uint64
	Time     time.Time // when the block before it was agreed on, by the validators' clocks
	Hash     [32]byte
	AppHash  [32]byte // root of the state before this block
	Empty    bool     // it has no transactions
	Proposer peer.ID  // empty if no genesis member has that key
	Name     string   // of the proposer
	Signed   int      // shards of the validators who signed it
	Voting   int      // shards of all validators
}

// Header returns the verified header of the block at a height, with each signature verified.
func (c *Client) Header(ctx context.Context, height uint64) (*Header, error) {
	b, err := c.Block(ctx, height)
	if err != nil {
		return nil, err
	}
	h := &Header{
		Height: uint64(b.Height), Time: b.Time, Hash: [32]byte(b.Hash()),
		Empty: bytes.Equal(b.DataHash, types.Txs(nil).Hash()),
	}
	copy(h.AppHash[:], b.AppHash)
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
