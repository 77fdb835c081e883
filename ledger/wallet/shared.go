package wallet

import (
	"context"
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

// shared is the file with which the processes of one machine that use one wallet agree who takes which nonce. It says which
// nonce comes next, and is locked for as long as somebody composes a transaction, not until it is in a block. The system
// unlocks it when a process ends. It is a convenience: without it payers get in each other's way and succeed all the same.
type shared struct {
	path string // empty: there is none; constant
}

// turn is the time in which the file is locked; one without a file says nothing and keeps nothing.
type turn struct {
	f    *os.File
	note note // what was in it, or is to be
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
	t := &turn{note: note{network: network, account: account}}
	if s.path == "" {
		return t, context.Cause(ctx)
	}
	for start := time.Now(); time.Since(start) < lockPatience; {
		f, err := lockFile(s.path)
		if err == nil {
			t.f = f
			t.read()
			return t, nil
		}
		if !errors.Is(err, errHeld) { // on a read-only disk, or one that has no locks
			return t, context.Cause(ctx)
		}
		if sleep(ctx, 1+rand.N(lockPause)) != nil {
			return nil, context.Cause(ctx)
		}
	}
	return t, nil
}

// read takes from the file what it says of this account, if it was written a moment ago.
func (t *turn) read() {
	raw, err := io.ReadAll(io.LimitReader(t.f, maxNote))
	if err != nil {
		return
	}
	var network, account string
	var next uint64
	var at int64
	if _, err := fmt.Sscanf(string(raw), "%s %s %d %d\n", &network, &account, &next, &at); err != nil {
		return // another process ended while it wrote
	}
	age := time.Since(time.Unix(0, at))
	if network == t.note.network.String() && account == t.note.account.String() && age > -noteAge && age < noteAge {
		t.note.next = next
	}
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
	if t.f == nil {
		return
	}
	t.note.next, t.note.at = next, time.Now().UnixNano()
	text := []byte(t.note.String())
	// What cannot be written is no note: the next process goes by the ledger.
	if err := t.f.Truncate(0); err == nil {
		_, _ = t.f.WriteAt(text, 0)
	}
}

// end lets the next process have its turn.
func (t *turn) end() {
	if t.f != nil {
		_ = t.f.Close()
	}
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
