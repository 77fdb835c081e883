package wallet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"walrus/certs"
	"walrus/ledger"
)

const (
	// lockPause is the longest pause between two looks whether a lock is free. It is held for about a millisecond.
	lockPause = 8 * time.Millisecond
	// lockPatience is how long it is waited for: who holds it longer is stopped, and the payer can do without.
	lockPatience = 3 * time.Second
	// noteAge is for how long a nonce that another process took is believed to be on its way to a block.
	noteAge = 15 * time.Second
	// maxAhead bounds how far ahead of the account it can be: a node holds no more transactions of one.
	maxAhead = 256
	// maxNote is far above the 170 bytes that a note has.
	maxNote = 512
)

// errHeld is returned for a lock that another process has.
var errHeld = errors.New("locked by another process")

// shared is how the transactions of one process, and by a file all processes of one machine that use one wallet, agree who
// takes which nonce. The file says which nonce comes next, and is locked for as long as somebody composes a transaction,
// not until it is in a block. The system unlocks it when a process ends. The file is a convenience: without it processes
// get in each other's way and succeed all the same.
type shared struct {
	path string        // empty: there is no file; constant
	busy chan struct{} // full while a turn lasts
	last note          // owned by the turn
}

func newShared(path string) *shared { return &shared{path: path, busy: make(chan struct{}, 1)} }

// turn is the time in which one of them has it.
type turn struct {
	s    *shared
	f    *os.File // nil: no file can be had
	note note     // what was in it, or is to be
}

// note is what the file says.
type note struct {
	network certs.NetworkID
	account ledger.Address
	next    uint64
	at      int64 // Unix nanoseconds
}

// String is the form in the file.
func (n note) String() string {
	return fmt.Sprintf("%s %s %d %d\n", n.network, n.account, n.next, n.at)
}

// take waits for the turn to take a nonce. It fails only when ctx ends.
func (s *shared) take(ctx context.Context, network certs.NetworkID, account ledger.Address) (*turn, error) {
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	t := &turn{s: s, note: note{network: network, account: account}}
	var err error
	if t.f, err = s.lock(ctx); err != nil {
		<-s.busy
		return nil, err
	}
	said := s.last
	if t.f != nil {
		said = readNote(t.f)
	}
	age := time.Since(time.Unix(0, said.at))
	if said.network == network && said.account == account && age > -noteAge && age < noteAge {
		t.note.next = said.next
	}
	return t, nil
}

// lock waits for the file; nil if it cannot be had.
func (s *shared) lock(ctx context.Context) (*os.File, error) {
	for start := time.Now(); s.path != "" && time.Since(start) < lockPatience; {
		f, err := lockFile(s.path)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errHeld) { // on a read-only disk, or one that has no locks
			break
		}
		if sleep(ctx, 1+rand.N(lockPause)) != nil {
			break
		}
	}
	return nil, context.Cause(ctx)
}

// readNote is what a file says; nothing if that makes no sense, as when another process ended while it wrote.
func readNote(f io.Reader) (n note) {
	raw, err := io.ReadAll(io.LimitReader(f, maxNote))
	if err != nil {
		return note{}
	}
	var network, account string
	if _, err := fmt.Sscanf(string(raw), "%s %s %d %d\n", &network, &account, &n.next, &n.at); err != nil {
		return note{}
	}
	id, err := hex.DecodeString(network)
	if err != nil || len(id) != len(n.network) || n.account.UnmarshalText([]byte(account)) != nil {
		return note{}
	}
	copy(n.network[:], id)
	return n
}

// nonce to use when the account's next is that of the ledger.
func (t *turn) nonce(account uint64) uint64 {
	if next := t.note.next; next > account && next-account < maxAhead {
		return next
	}
	return account
}

// used notes that a nonce is taken.
func (t *turn) used(nonce uint64) { t.write(nonce + 1) }

func (t *turn) write(next uint64) {
	t.note.next, t.note.at = next, time.Now().UnixNano()
	t.s.last = t.note
	if t.f == nil {
		return
	}
	// What cannot be written is no note: the next process goes by the ledger.
	if err := t.f.Truncate(0); err == nil {
		_, _ = t.f.WriteAt([]byte(t.note.String()), 0)
	}
}

// end lets the next one have its turn.
func (t *turn) end() {
	if t.f != nil {
		_ = t.f.Close()
	}
	<-t.s.busy
}

// giveBack lets the next process have the nonce of a transaction that will never have effect, unless one took the nonce
// after it already: then the gap is filled when somebody is held up by it. ctx may have ended.
func (s *shared) giveBack(ctx context.Context, tx *ledger.Tx) {
	t, err := s.take(context.WithoutCancel(ctx), tx.Network, tx.Sender.Address())
	if err != nil {
		return
	}
	defer t.end()
	if t.note.next == tx.Nonce+1 {
		t.write(tx.Nonce)
	}
}
