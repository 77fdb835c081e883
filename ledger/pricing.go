package ledger

import "math"

// Units returns the number of priced units in an encoded size: units of UnitSize, rounded up.
func (p *Params) Units(bytes uint64) uint64 {
	units := bytes / UnitSize
	if bytes%UnitSize != 0 {
		units++
	}
	return units
}

// StorageCost returns the price of bytes of encoded size for some epochs. Errors wrap ErrOverflow.
func (p *Params) StorageCost(bytes uint64, epochs uint32) (Amount, error) {
	each, err := p.StoragePrice.Times(p.Units(bytes))
	if err != nil {
		return 0, err
	}
	return each.Times(uint64(epochs))
}

// WriteCost returns the price of registering a blob of bytes of encoded size. Errors wrap ErrOverflow.
func (p *Params) WriteCost(bytes uint64) (Amount, error) { return p.WritePrice.Times(p.Units(bytes)) }

// MinFee returns the least fee of a transaction with operations ops, whose binary form has size bytes; on overflow the
// greatest Amount.
func (p *Params) MinFee(size int, ops []Op) Amount { return p.fee(p.FeeTx, size, p.Work(size, ops)) }

// OpsFee returns what operations with size bytes add to the least fee of a transaction, rounded down.
func (p *Params) OpsFee(size int, ops []Op) Amount { return p.fee(0, size, p.Work(0, ops)-workTx) }

func (p *Params) fee(sum Amount, size int, work uint64) Amount {
	bytes, err := p.FeeByte.Times(uint64(max(size, 0)))
	if err != nil {
		return math.MaxUint64
	}
	units, err := p.FeePerWork.Times(work)
	if err != nil {
		return math.MaxUint64
	}
	for _, part := range []Amount{bytes, units} {
		if sum, err = sum.Add(part); err != nil {
			return math.MaxUint64
		}
	}
	return sum
}
