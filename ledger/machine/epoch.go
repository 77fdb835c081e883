package machine

import (
	"fmt"

	"walrus/ledger"
)

// maxEpochsPerBlock bounds the epochs that one block ends after the network has stalled. The next blocks end the rest.
const maxEpochsPerBlock = 1000

// maxBlockEvents: no further epoch ends in a block that has this many events. They are one record of a node's log.
const maxBlockEvents = 4096

// settleEpochs ends the epochs that are over at a block's time.
func (k *block) settleEpochs(now int64) error {
	length := int64(k.params.EpochDuration)
	for range maxEpochsPerBlock {
		if now-k.epoch.Start < length || k.epoch.Epoch == 1<<32-1 || len(k.events) >= maxBlockEvents {
			break
		}
		if err := k.settleEpoch(); err != nil {
			return fmt.Errorf("end epoch %d: %w", k.epoch.Epoch, err)
		}
		k.epoch.Start += length
	}
	return nil
}

// settleEpoch pays out the pot of the current epoch and begins the next. A part is burned, the members of the ended
// epoch get the rest in proportion to their shards, and the remainder of the division goes into the next pot. As the
// next epoch begins, bonds return that were given up.
func (k *block) settleEpoch() error {
	ended := k.epoch.Epoch
	committee, err := k.committees.At(ended)
	if err != nil {
		return err
	}
	pot := k.pots.slot(ended)
	if err := k.pots.load(ended, pot); err != nil {
		return err
	}
	total, err := pot.value.Rewards.Add(k.epoch.Leftover)
	if err != nil {
		return err
	}
	pot.drop()
	burned := total.Portion(uint64(k.params.BurnBasis), ledger.BasisPoints)
	if k.supply.Burned, err = k.supply.Burned.Add(burned); err != nil {
		return err
	}
	k.burned = k.burned || burned > 0
	rest := total - burned
	k.epoch.Leftover = rest
	for i := range committee.Members() {
		part := rest.Portion(uint64(committee.Weight(i)), uint64(k.params.Shards))
		if part == 0 {
			continue
		}
		to, err := k.reward(i, part)
		if err != nil {
			return err
		}
		k.epoch.Leftover -= part
		k.events = append(k.events, ledger.Event{Kind: ledger.EventPaidOut, To: to, Amount: part, Epoch: ended})
	}
	k.epoch.Epoch++
	k.epochMoved = true
	k.events = append(k.events, ledger.Event{Kind: ledger.EventEpoch, Epoch: k.epoch.Epoch, Amount: burned})
	return k.returnBonds()
}

// reward pays the i-th member and returns its reward address.
func (k *block) reward(i int, part ledger.Amount) (ledger.Address, error) {
	m, err := ledger.ReadMember(k.accounts.values, uint16(i))
	if err != nil {
		return ledger.Address{}, err
	}
	return m.Reward, k.credit(m.Reward, part)
}

// credit pays an account at the end of an epoch.
func (k *block) credit(to ledger.Address, amount ledger.Amount) error {
	s := k.accounts.slot(to)
	err := k.accounts.load(to, s)
	if err != nil {
		return err
	}
	v := s.value
	if v.Balance, err = v.Balance.Add(amount); err != nil {
		return err
	}
	s.put(v)
	return nil
}
