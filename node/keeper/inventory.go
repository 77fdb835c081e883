package keeper

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"walrus/internal/pause"
	"walrus/shards"
	"walrus/store"
)

const (
	// stateInventory is the store's key for how far the inventory has come; see survey.
	stateInventory = "inventory"
	// inventoryPage is the number of blobs checked at once.
	inventoryPage = 256
	// inventoryLook is the pause between looks for damage of a database.
	inventoryLook = time.Minute
	// inventoryRetry is the pause before a pass in doubt that met errors begins again.
	inventoryRetry = 10 * time.Minute
)

// inventory compares all blobs here with the ledger, and counts what they lack. Events keep that right, so a start does
// not need it: a pass runs once in each period, in a tenth of the time. In doubt one begins at once, and takes half of
// the time: when events were pruned before this node saw them or could not be applied, when a database was damaged or
// has lost records, and in a home that has no notes. A restart continues where the last process was.
type inventory struct {
	shelf   *shelf
	chain   chain
	book    *book
	leases  *leases
	life    *life
	witness *witness
	period  time.Duration
	wake    bell // in doubt, or level with the ledger
	log     *slog.Logger

	mu      sync.Mutex      // guards the rest
	at      survey          // how far it has come
	noted   bool            // at is on the disk, as far as doubt goes
	damaged map[string]bool // incidents that were heeded
}

// survey says how far the inventory has come.
type survey struct {
	doubt  bool // of this pass
	again  bool // doubt has come up since the pass began
	done   bool // the pass is over
	unsure bool // certificates may be missing, which only other members have
	began  time.Time
	after  shards.BlobID // all blobs up to this one were checked
}

func (s survey) marshal() []byte {
	flags := byte(0)
	for i, set := range []bool{s.doubt, s.done, s.unsure, s.again} {
		if set {
			flags |= 1 << i
		}
	}
	return append(binary.BigEndian.AppendUint64([]byte{flags}, uint64(s.began.Unix())), s.after[:]...)
}

// unmarshalSurvey reads how far the inventory has come. Without that everything is in doubt.
func unmarshalSurvey(b []byte) survey {
	if len(b) != 1+8+len(shards.BlobID{}) {
		return survey{doubt: true, unsure: true, began: time.Now()}
	}
	s := survey{doubt: b[0]&1 != 0, done: b[0]&2 != 0, unsure: b[0]&4 != 0, again: b[0]&8 != 0}
	s.began = time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0)
	copy(s.after[:], b[9:])
	return s
}

// open reads how far the last process came. It looks for doubt.
func (v *inventory) open() error {
	b, err := v.shelf.State(stateInventory)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	v.mu.Lock()
	v.at, v.noted = unmarshalSurvey(b), len(b) > 0
	v.mu.Unlock()
	if v.damageFound() {
		v.suspect("a database was damaged")
	} else if v.book.kept.shrunk() {
		v.suspect("the store has lost records")
	}
	return nil
}

// damageFound reports damage of a database that was not heeded yet. Damage of one record is dealt with where it is
// found.
func (v *inventory) damageFound() (found bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range v.shelf.Incidents() {
		var record *store.CorruptError
		if key := i.Path + "\n" + i.Err.Error(); !errors.As(i.Err, &record) && !v.damaged[key] {
			v.damaged[key], found = true, true
		}
	}
	return found
}

// suspect makes a pass begin at once, or after one in doubt that is under way: events may not tell all that has
// changed, and certificates may be missing.
func (v *inventory) suspect(why string) {
	v.mu.Lock()
	if v.at.doubt && !v.at.done {
		v.at.again, v.at.unsure, v.noted = true, true, v.noted && v.at.again && v.at.unsure
	} else {
		v.at, v.noted = survey{doubt: true, unsure: true, began: time.Now()}, false
		v.log.Warn("checking all blobs in the background", "because", why)
	}
	v.mu.Unlock()
	v.wake.ring()
	v.book.resync.ring()
	if err := v.note(); ignoreClosed(err) != nil {
		v.log.Error("cannot note that all blobs must be checked; trying again", "err", err)
	}
}

// note writes down how far the inventory has come, if its doubt is not on the disk yet.
func (v *inventory) note() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.noted {
		return nil
	}
	err := v.shelf.PutState(stateInventory, v.at.marshal())
	v.noted = err == nil
	return err
}

// unsure reports that certificates may be missing that only other members have.
func (v *inventory) unsure() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at.unsure
}

// sure notes that the certificates have been compared in full with other members.
func (v *inventory) sure() {
	v.mu.Lock()
	v.at.unsure, v.noted = false, v.noted && !v.at.unsure
	v.mu.Unlock()
	if err := v.note(); ignoreClosed(err) != nil {
		v.log.Warn("cannot note that certificates were compared; after a restart they are compared again", "err", err)
	}
}

// run makes passes until ctx ends.
func (v *inventory) run(ctx context.Context) error {
	select {
	case <-v.life.reached.done:
	case <-ctx.Done():
		return nil
	}
	for ctx.Err() == nil {
		if !v.inDoubt() && v.life.level.isSet() {
			v.life.counted.set()
		}
		if v.await(ctx) {
			v.pass(ctx)
		}
	}
	return nil
}

func (v *inventory) inDoubt() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at.doubt && !v.at.done
}

// await waits until a pass is due. It returns false when it should be called again.
func (v *inventory) await(ctx context.Context) bool {
	v.mu.Lock()
	s := v.at
	v.mu.Unlock()
	if s.doubt && !s.done {
		return true
	}
	settle := min(scrubSettle, v.period/100) // a node that restarts again and again checks nothing
	wait := settle
	if s.done {
		wait = max(settle, time.Until(s.began.Add(v.period)))
	}
	if !pause.Until(ctx, min(wait, inventoryLook), v.wake) {
		return false
	}
	if v.damageFound() {
		v.suspect("a database was damaged")
		return true
	}
	if wait > inventoryLook {
		return false
	}
	if s.done {
		v.mu.Lock()
		v.at, v.noted = survey{began: time.Now()}, false
		v.mu.Unlock()
	}
	return true
}

// pass checks all blobs from where the inventory stands.
func (v *inventory) pass(ctx context.Context) {
	failed := false
	start, blobs := time.Now(), 0
	for {
		v.mu.Lock()
		s := v.at
		v.mu.Unlock()
		began := time.Now()
		ids, last, err := v.page(s.after)
		for _, id := range ids {
			if ctx.Err() != nil {
				return
			}
			err = errors.Join(err, v.check(id))
		}
		if blobs += len(ids); ignoreClosed(err) != nil {
			v.log.Error("cannot check blobs; they will be checked again", "err", err)
			failed = true
		}
		if last || err != nil && len(ids) == 0 {
			break
		}
		s.after = ids[len(ids)-1]
		if !v.moved(s) {
			return // new doubt
		}
		share := int64(scrubShare)
		if s.doubt {
			share = scrubHurry
		}
		if !pause.For(ctx, scrubPause(time.Since(began), 0, share, 0)) {
			return
		}
	}
	if err := v.leases.dropEnded(); ignoreClosed(err) != nil {
		v.log.Error("cannot drop the blobs that ended; it will be tried again", "err", err)
		failed = true
	}
	if blobs > 0 {
		v.log.Info("checked all blobs", "blobs", blobs, "took", time.Since(start).Round(time.Millisecond).String())
	}
	v.finish(ctx, failed)
}

// finish ends a pass. After errors the next one begins soon.
func (v *inventory) finish(ctx context.Context, failed bool) {
	v.mu.Lock()
	s := v.at
	v.mu.Unlock()
	if failed || s.again {
		s.after, s.began = shards.BlobID{}, time.Now()
	} else {
		s.done = true
	}
	v.moved(s)
	if failed {
		pause.For(ctx, inventoryRetry)
	}
}

// moved notes how far the inventory has come, unless doubt has come up meanwhile and ended the pass.
func (v *inventory) moved(to survey) bool {
	v.mu.Lock()
	if v.at.doubt != to.doubt || to.done && v.at.again {
		v.mu.Unlock()
		return false
	}
	to.unsure, to.again = v.at.unsure, v.at.again && to.after != shards.BlobID{}
	v.at, v.noted = to, false
	v.mu.Unlock()
	if err := v.note(); ignoreClosed(err) != nil {
		v.log.Warn("cannot note how far the blobs were checked; after a restart some are checked again", "err", err)
	}
	return true
}

// page lists the next blobs and certificates here, each blob once. last: there are no more.
func (v *inventory) page(after shards.BlobID) (ids []shards.BlobID, last bool, err error) {
	blobs, err := v.shelf.Blobs(after, inventoryPage)
	if err != nil {
		return nil, false, err
	}
	certified, err := v.shelf.Certificates(after, inventoryPage)
	if err != nil {
		return nil, false, err
	}
	ids = append(blobs, certified...)
	slices.SortFunc(ids, func(a, b shards.BlobID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	last = len(blobs) < inventoryPage && len(certified) < inventoryPage
	if !last {
		ids = ids[:min(len(ids), inventoryPage)] // the first of both are among the first of each
	}
	return ids, last, nil
}

// check compares a blob with the ledger, and counts what it lacks.
func (v *inventory) check(id shards.BlobID) error {
	if err := v.leases.compare(id); err != nil {
		return err
	}
	if !v.shelf.certified(id) {
		return nil
	}
	return v.witness.recount(id)
}
