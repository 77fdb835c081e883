package engine

import (
	"fmt"
	"slices"
	"testing"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/crypto/ed25519"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
)

// metas holds the headers of a chain by height.
type metas map[int64]*types.BlockMeta

func (m metas) Height() (top int64) {
	for h := range m {
		top = max(top, h)
	}
	return top
}

func (m metas) LoadBlockMeta(h int64) *types.BlockMeta { return m[h] }

// voters makes a set of one validator.
func voters() *types.ValidatorSet {
	return types.NewValidatorSet([]*types.Validator{types.NewValidator(ed25519.GenPrivKey().PubKey(), 5)})
}

// run makes a chain up to height as consensus stores it, in which the last block of every epoch of every blocks hands
// over. A chain that joined at a height has no blocks before.
func (m metas) run(t *testing.T, states dbm.DB, joined, height, every int64) {
	t.Helper()
	store := sm.NewStore(states, sm.StoreOptions{})
	sets := map[int64]*types.ValidatorSet{} // by epoch
	at := func(h int64) *types.ValidatorSet {
		if e := (h - 1) / every; sets[e] == nil {
			sets[e] = voters()
		}
		return sets[(h-1)/every]
	}
	changed := func(h int64) int64 {
		if joined > 0 {
			return max(joined+2, (h-1)/every*every+1) // as bootstrap records it
		}
		return (h-1)/every*every + 1
	}
	for h := joined; h <= height; h++ {
		st := sm.State{
			ChainID: "c", InitialHeight: 1, LastBlockHeight: h, LastValidators: at(h), Validators: at(h + 1), NextValidators: at(h + 2),
			LastHeightValidatorsChanged: changed(h + 2), ConsensusParams: *types.DefaultConsensusParams(), LastHeightConsensusParamsChanged: 1,
		}
		save := store.Save
		if h == joined {
			save = store.Bootstrap
		}
		if err := save(st); err != nil {
			t.Fatal(err)
		}
		if h > joined || joined == 0 && h > 0 {
			m[h] = &types.BlockMeta{Header: types.Header{Height: h, ValidatorsHash: at(h).Hash(), NextValidatorsHash: at(h + 1).Hash()}}
		}
	}
}

// The heights of hand-overs are found in the records of consensus, from the genesis or from a join on.
func TestHandoverHeights(t *testing.T) {
	for _, tt := range []struct {
		joined, height, every int64
		heads                 []int64
		oldest                int64
	}{
		{0, 9, 100, nil, 1},
		{0, 12, 4, []int64{4, 8, 12}, 1},
		{0, 13, 4, []int64{4, 8, 12}, 1},
		{6, 17, 4, []int64{8, 12, 16}, 7},
		{7, 17, 4, []int64{8, 12, 16}, 8},
		{8, 17, 4, []int64{12, 16}, 9},
		{50, 57, 100, nil, 51},
	} {
		t.Run(fmt.Sprint(tt.joined, tt.height, tt.every), func(t *testing.T) {
			all, states := metas{}, dbm.NewMemDB()
			all.run(t, states, tt.joined, tt.height, tt.every)
			for _, steps := range []int64{1, 3, 100} { // asked after each block, or at the end
				h, grown := new(handovers), metas{}
				for i := tt.joined + 1; i <= tt.height; i++ {
					grown[i] = all[i]
					if i%steps != 0 && i != tt.height {
						continue
					}
					if _, _, err := h.above(chainRecords{grown, states}, 0, 99); err != nil {
						t.Fatal(err)
					}
				}
				heads, oldest, err := h.above(chainRecords{grown, states}, 0, 99)
				if err != nil || !slices.Equal(heads, tt.heads) || oldest != tt.oldest {
					t.Errorf("steps of %d: heads %v from %d, %v; want %v from %d", steps, heads, oldest, err, tt.heads, tt.oldest)
				}
			}
		})
	}
	all, states, h := metas{}, dbm.NewMemDB(), new(handovers)
	all.run(t, states, 0, 40, 4)
	if heads, _, err := h.above(chainRecords{all, states}, 8, 2); err != nil || !slices.Equal(heads, []int64{12, 16}) {
		t.Errorf("a page after 8: %v, %v", heads, err)
	}
}
