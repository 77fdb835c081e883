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

// waiting holds what waits for a block, and remembers why what waits no longer has left without one. An App has its
// methods. It is safe for concurrent use.
type waiting struct {
	gate  *machine.Gate
	known *known
	gone  *lru.Cache[ledger.TxID, *ledger.OpError]
}

func newWaiting(limits mempool.Limits, k *known) *waiting {
	gone, _ := lru.New[ledger.TxID, *ledger.OpError](rememberedFates) // an error would mean a size below 1
	return &waiting{gate: machine.NewGate(limits), known: k, gone: gone}
}

// update tells of the state after a block, and what it changed.
func (w *waiting) update(s machine.State, height uint64, changes []machine.Change) error {
	left, err := w.gate.Update(s, height, changes)
	w.note(left)
	return err
}

func (w *waiting) note(left []machine.Left) {
	for i := range left {
		if why := left[i].Err(); why != nil {
			w.gone.Add(left[i].Tx.ID, why)
		}
	}
}

// Offer lets a transaction wait for a block, or refuses it with a *ledger.OpError; any other error means that the state
// cannot be read. relayed says that another node has let it wait. taken is nil if it waits already.
func (w *waiting) Offer(raw []byte, relayed bool) (taken *machine.Taken, err error) {
	taken, left, err := w.gate.Admit(raw, w.known.tx, relayed)
	w.note(left)
	if taken != nil {
		w.known.learned(taken.ID)
		w.gone.Remove(taken.ID)
	}
	return taken, err
}

// Fate tells why a transaction that waited does so no longer: nil if it waits, if a block has it, or if nothing is
// known of it.
func (w *waiting) Fate(id ledger.TxID) *ledger.OpError {
	why, _ := w.gone.Peek(id)
	return why
}

// Waiting calls visit with the waiting transactions, first what a block wants most, until it returns false. Those of
// one account come in the order of their nonces. visit must be quick: nothing else comes in meanwhile.
func (w *waiting) Waiting(visit func(*machine.Taken) bool) { w.gate.Best(visit) }

// Pending counts the transactions that wait.
func (w *waiting) Pending() int {
	txs, _ := w.gate.Pending()
	return txs
}

// candidates returns waiting transactions for a block of at most maxBytes and ledger.MaxBlockWork: more than fit, so
// that machine.Order can be fair. One sender's beyond its share come last, in case that others do not fill the block.
func (w *waiting) candidates(maxBytes int64) [][]byte {
	const most = ledger.MaxBlockWork
	type sum struct {
		bytes int64
		work  uint64
	}
	var within, beyond [][]byte
	var all, more sum
	by := make(map[ledger.Address]sum)
	w.gate.Best(func(t *machine.Taken) bool {
		has := by[t.Sender]
		to, of := &within, &all
		if has.bytes >= maxBytes/machine.FairShare || has.work >= most/machine.FairShare {
			to, of = &beyond, &more
		}
		if of.bytes < 2*maxBytes && of.work < 2*most {
			*to = append(*to, t.Raw)
			of.bytes, of.work = of.bytes+int64(len(t.Raw)), of.work+t.Work
		}
		by[t.Sender] = sum{has.bytes + int64(len(t.Raw)), has.work + t.Work}
		return all.bytes < 2*maxBytes && all.work < 2*most
	})
	return append(within, beyond...)
}
