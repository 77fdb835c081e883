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
	"walrus/internal/pause"
	"walrus/ledger"
)

const (
	// lockPause is the longest pause between attempts to lock the file, which is held for about a millisecond.
	lockPause = 8 * time.Millisecond
	// lockPatience bounds the wait for the lock. A process that holds it longer has been suspended; the payer then does
	// without the file.
	lockPatience = 3 * time.Second
	// noteAge bounds the age of a note. After that, another process may have taken a nonce that it will never use.
	noteAge = 15 * time.Second
	// maxAhead bounds the distance of a noted nonce from the account's: a node holds no more transactions of one
	// account.
	maxAhead = 256
	// maxNote bounds the size of a note, in bytes; it has about 170.
	maxNote = 512
)

// errHeld reports a lock held by another process.
var errHeld = errors.New("locked by another process")

// shared hands out nonces in turn: to the transactions of one process and, through a file, to all processes of one
// machine that use the same wallet. The file has the next nonce. It is locked only while a transaction is composed, not
// until the transaction is in a block; the system unlocks it when a process ends. The file only saves work: without it
// processes disturb each other and still succeed.
type shared struct {
	path string        // empty: no file; constant
	busy chan struct{} // holds an element during a turn
	last note          // owned by the current turn
}

func newShared(path string) *shared { return &shared{path: path, busy: make(chan struct{}, 1)} }

// turn is the exclusive right to take a nonce.
type turn struct {
	s    *shared
	f    *os.File // nil: the file is unavailable
	note note     // as read, or to be written
}

// note is the file's content.
type note struct {
	network certs.NetworkID
	account ledger.Address
	next    uint64
	at      int64 // Unix nanoseconds
}

// String returns the note as written to the file.
func (n note) String() string {
	return fmt.Sprintf("%s %s %d %d\n", n.network, n.account, n.next, n.at)
}

// take waits for a turn. It fails only if ctx ends.
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

// lock waits for the file's lock; nil if it is unavailable.
func (s *shared) lock(ctx context.Context) (*os.File, error) {
	for start := time.Now(); s.path != "" && time.Since(start) < lockPatience; {
		f, err := lockFile(s.path)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errHeld) { // read-only disk, or no support for locks
			break
		}
		if !pause.For(ctx, 1+rand.N(lockPause)) {
			break
		}
	}
	return nil, context.Cause(ctx)
}

// readNote reads a note; an empty one if it is malformed, as when a process was killed while writing it.
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

// nonce returns the nonce to use: the noted one, unless the account's next nonce makes it implausible.
func (t *turn) nonce(account uint64) uint64 {
	if next := t.note.next; next > account && next-account < maxAhead {
		return next
	}
	return account
}

// used records that a nonce has been taken.
func (t *turn) used(nonce uint64) { t.write(nonce + 1) }

func (t *turn) write(next uint64) {
	t.note.next, t.note.at = next, time.Now().UnixNano()
	t.s.last = t.note
	if t.f == nil {
		return
	}
	// If the note cannot be written, the next process uses the account's nonce.
	if err := t.f.Truncate(0); err == nil {
		_, _ = t.f.WriteAt([]byte(t.note.String()), 0)
	}
}

// end lets the next transaction have its turn.
func (t *turn) end() {
	if t.f != nil {
		_ = t.f.Close()
	}
	<-t.s.busy
}

// giveBack frees the nonce of a transaction that will never take effect, even after ctx has ended. If a later nonce
// has been taken already, it stays a gap, which is filled once a transaction is held up by it.
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
