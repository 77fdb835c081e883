package machine

import (
	"fmt"
	"sync/atomic"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// block holds a block while it is applied: the records it touches and its transactions.
type block struct {
	height     uint64
	network    certs.NetworkID
	committees certs.Committees
	params     ledger.Params
	encoding   shards.Params
	known      Rules
	version    uint32      // of the rules of this block
	strict     bool        // the block is only proposed: see Check
	wasted     atomic.Bool // a transaction turned out to have no effect

	// Constant while transactions run.
	epoch      ledger.EpochInfo
	supply     ledger.Supply
	epochMoved bool
	burned     bool
	events     []ledger.Event

	tables
	allPots claim               // stands for every pot; declared by each transaction that sells storage
	forSale []*cell[ledger.Pot] // of pots, from the current epoch on; nil if not touched; goes with allPots

	certificates *certificates
	born         map[ledger.ObjectID]birth
	runs         []run
}

// tables holds the records that a block touches, by kind.
type tables struct {
	accounts table[ledger.Address, ledger.Account]
	storages table[ledger.ObjectID, ledger.Storage]
	blobs    table[ledger.ObjectID, ledger.Blob]
	infos    table[shards.BlobID, ledger.BlobInfo]
	marks    table[shards.BlobID, ledger.InvalidBlob]
	offers   table[ledger.ObjectID, ledger.Offer]
	pots     table[uint32, ledger.Pot]
	bonds    table[theBonds, ledger.Bonds]
	rules    table[theRules, ledger.Rules]
}

func newBlock(s State, b Block) (*block, error) {
	k := &block{
		height: b.Height, network: s.Network, committees: s.Committees, known: s.Rules, version: 1,
		tables: tables{
			accounts: newTable(s.Values, ledger.KeyAccount, ledger.UnmarshalAccount),
			storages: newTable(s.Values, ledger.KeyStorage, ledger.UnmarshalStorage),
			blobs:    newTable(s.Values, ledger.KeyBlob, ledger.UnmarshalBlob),
			infos:    newTable(s.Values, ledger.KeyBlobInfo, ledger.UnmarshalBlobInfo),
			marks:    newTable(s.Values, ledger.KeyInvalidBlob, ledger.UnmarshalInvalidBlob),
			offers:   newTable(s.Values, ledger.KeyOffer, ledger.UnmarshalOffer),
			pots:     newTable(s.Values, ledger.KeyPot, ledger.UnmarshalPot),
			bonds:    newTable(s.Values, keyBonds, ledger.UnmarshalBonds),
			rules:    newTable(s.Values, keyRules, ledger.UnmarshalRules),
		},
	}
	var err error
	if k.params, err = ledger.ReadParams(s.Values); err != nil {
		return nil, err
	}
	if k.epoch, err = ledger.ReadEpoch(s.Values); err != nil {
		return nil, err
	}
	if k.supply, err = ledger.ReadSupply(s.Values); err != nil {
		return nil, err
	}
	if k.encoding, err = shards.NewParams(int(k.params.Shards)); err != nil {
		return nil, fmt.Errorf("read the parameters of the state: %w", err)
	}
	return k, nil
}

// earn adds the transactions' payments to the current epoch's pot. If each did that itself, all would wait for each
// other.
func (k *block) earn() error {
	var sum ledger.Amount
	var err error
	for i := range k.runs {
		if sum, err = sum.Add(k.runs[i].earned); err != nil {
			return err
		}
	}
	return k.addRewards(sum)
}

// addRewards adds to the current epoch's pot.
func (k *block) addRewards(sum ledger.Amount) error {
	if sum == 0 {
		return nil
	}
	s := k.pots.slot(k.epoch.Epoch)
	if err := k.pots.load(k.epoch.Epoch, s); err != nil {
		return err
	}
	var err error
	v := s.value
	if v.Rewards, err = v.Rewards.Add(sum); err != nil {
		return err
	}
	s.put(v)
	return nil
}
