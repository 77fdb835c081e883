package app

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"walrus/ledger"
	"walrus/ledger/machine"
	"walrus/ledger/mempool"
)

// DefaultWaiting bounds what waits for a block to some 8 full blocks of small transactions, in 50 MiB of memory.
func DefaultWaiting() mempool.Limits { return mempool.Limits{Txs: 20_000, Bytes: 32 << 20} }

// rememberedFates is the number of transactions of which a node remembers why they no longer wait: twice as many as
// wait, some 200 bytes each.
const rememberedFates = 2 * 20_000

// fates remembers why transactions wait no longer, of those that are in no block as far as is known. It is safe for
// concurrent use.
type fates struct {
	gone *lru.Cache[ledger.TxID, *ledger.OpError]
}

func newFates() fates {
	gone, _ := lru.New[ledger.TxID, *ledger.OpError](rememberedFates) // an error would mean a size below 1
	return fates{gone}
}

func (f fates) note(left []machine.Left) {
	for i := range left {
		if why := left[i].Err(); why != nil {
			f.gone.Add(left[i].Tx.ID, why)
		}
	}
}

// Offer lets a transaction wait for a block, or refuses it with a *ledger.OpError; any other error means that the state
// cannot be read. relayed says that another node has let it wait. taken is nil if it waits already.
func (a *App) Offer(raw []byte, relayed bool) (taken *machine.Taken, err error) {
	taken, left, err := a.gate.Admit(raw, a.known.tx, relayed)
	a.fates.note(left)
	if taken != nil {
		a.known.learned(taken.ID)
		a.fates.gone.Remove(taken.ID)
	}
	return taken, err
}

// Fate tells why a transaction that waited does so no longer: nil if it waits, if a block has it, or if nothing is
// known of it.
func (a *App) Fate(id ledger.TxID) *ledger.OpError {
	why, _ := a.fates.gone.Peek(id)
	return why
}

// Waiting calls visit with the waiting transactions, first what a block wants most, until it returns false. Those of
// one account come in the order of their nonces. visit must be quick: nothing else comes in meanwhile.
func (a *App) Waiting(visit func(*machine.Taken) bool) { a.gate.Best(visit) }

// Pending counts the transactions that wait.
func (a *App) Pending() int {
	txs, _ := a.gate.Pending()
	return txs
}

// candidates returns waiting transactions for a block of at most maxBytes: more than fit, so that machine.Order can be
// fair. One sender's beyond its share come last, in case that others do not fill the block.
func (a *App) candidates(maxBytes int64) [][]byte {
	var within, beyond [][]byte
	var bytes, more int64
	by := make(map[ledger.Address]int64)
	a.gate.Best(func(t *machine.Taken) bool {
		size := int64(len(t.Raw))
		switch {
		case by[t.Sender] < maxBytes/machine.FairShare:
			within, bytes = append(within, t.Raw), bytes+size
		case more < maxBytes:
			beyond, more = append(beyond, t.Raw), more+size
		}
		by[t.Sender] += size
		return bytes < 2*maxBytes
	})
	return append(within, beyond...)
}
