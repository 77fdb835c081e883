package keeper

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"walrus/p2p"
	"walrus/store"
)

// Status describes the node's duty to its operator, in constant time: from counts that are kept, and the disk space
// measured last. Others must not see its Incidents.
func (k *Keeper) Status() (p2p.NodeStatus, error) {
	stats, err := k.shelf.Stats()
	if err != nil {
		return p2p.NodeStatus{}, wireError(err)
	}
	r, err := k.gauge.room()
	if err != nil {
		return p2p.NodeStatus{}, wireError(err)
	}
	at, err := k.shelf.seats.now()
	if err != nil {
		return p2p.NodeStatus{}, err
	}
	height, text := k.chain.describe()
	known := uint64(max(0, stats.Certificates-k.book.recording.Load())) // read before the debts: see record
	st := p2p.NodeStatus{
		State: k.life.now(), Epoch: at.Epoch(), Shards: at.shards,
		Blobs: known, Slivers: uint64(stats.Slivers), Invalid: k.invalids.count(),
		RepairState: p2p.RepairState{Owed: k.debts.total(), Corrupt: uint64(k.damage.count())},
		Height:      height, Ledger: text[:min(len(text), p2p.MaxStatusText)],
		DiskBytes: uint64(r.Used), DiskLimit: uint64(r.Limit), DiskFree: uint64(r.Free), DiskReserve: uint64(r.Reserve),
		Refuses: refusal(r.Refuses),
	}
	if why := k.admitted.why(); why != "" {
		st.Refuses = why[:min(len(why), p2p.MaxStatusText)]
	}
	if st.Refuses != "" && st.State == Serving {
		st.State = ReadOnly
	}
	now := time.Now()
	if st.RepairLeft = k.repairer.progress.left(now, st.Owed); st.Owed > 0 {
		st.RepairRate = uint64(k.repairer.progress.rate(now) * time.Hour.Seconds())
	}
	st.Incidents = k.Incidents(true)
	return st, nil
}

// Incidents lists damage to the disk, newest first. Only the operator may see the paths of files.
func (k *Keeper) Incidents(paths bool) (list []string) {
	for _, i := range slices.Backward(k.shelf.Incidents()) {
		if len(list) == p2p.MaxIncidents {
			break
		}
		text := i.Time.UTC().Format(time.RFC3339) + " "
		var damaged *store.CorruptError
		switch {
		case paths:
			text += fmt.Sprintf("%s: %v", i.Path, i.Err)
		case errors.As(i.Err, &damaged): // without the cause, which may name files
			text += (&store.CorruptError{Kind: damaged.Kind, Ref: damaged.Ref, Extent: damaged.Extent}).Error()
		default:
			text += "a database was damaged"
		}
		list = append(list, text[:min(len(text), p2p.MaxStatusText)])
	}
	return list
}

// Unready lists the reasons why this node should not be counted on yet.
func (k *Keeper) Unready() (why []string) {
	if state := k.life.now(); state != Serving {
		why = append(why, "is "+state)
	}
	if reason := k.admitted.why(); reason != "" {
		why = append(why, reason)
	}
	if !k.CaughtUp() {
		_, text := k.chain.describe()
		why = append(why, "ledger: "+text)
	}
	return why
}

// CaughtUp reports whether the ledger here has ever been as new as the network's.
func (k *Keeper) CaughtUp() bool { return k.chain.caughtUp() }

// Refuses returns the reason why the node takes no new data; empty if it takes data.
func (k *Keeper) Refuses() string { return refusal(k.shelf.Refuses()) }

// Backlog counts the blobs that lack slivers: those waiting and those being repaired.
func (k *Keeper) Backlog() (waiting, active int) { return k.debts.backlog() }

// Owed returns the number of slivers that should be here and are missing.
func (k *Keeper) Owed() uint64 { return k.debts.total() }

// Repaired returns the number of slivers rebuilt since the start.
func (k *Keeper) Repaired() int64 { return k.repairer.repaired.Load() }
