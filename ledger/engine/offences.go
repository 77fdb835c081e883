package engine

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// maxOffences bounds the proven offences kept, the oldest of which go first, and shownOffences those in a Status.
const maxOffences, shownOffences = 1000, 16

// Offence is a member's proven double signing. The block has the two votes as evidence. Nobody is punished yet.
type Offence struct {
	Node   peer.ID   `json:"-"` // empty if no member has the key
	Name   string    `json:"-"`
	Key    string    // its consensus key's address in hexadecimal
	Kind   string    // "duplicate vote" or "light client attack"
	Height uint64    // at which the member signed twice
	Time   time.Time // of that height
	Block  uint64    // that has the evidence
}

// offences keeps what blocks prove about members, in the database of consensus.
type offences struct {
	db      dbm.DB // constant, as is members; nil keeps nothing
	members []member
	log     *slog.Logger

	mu   sync.Mutex
	list []Offence // ascending by block; guarded by mu
}

// consensusAddress returns the address of a consensus key.
func consensusAddress(key ledger.PublicKey) []byte { return ed25519.PubKey(key[:]).Address() }

// openOffences reads the offences kept.
func openOffences(db dbm.DB, members []member, log *slog.Logger) (*offences, error) {
	o := &offences{db: db, members: members, log: log}
	it, err := db.Iterator(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("read offences: %w", err)
	}
	defer func() { _ = it.Close() }()
	for ; it.Valid(); it.Next() {
		var one Offence
		if err := json.Unmarshal(it.Value(), &one); err != nil {
			return nil, fmt.Errorf("read offences: %w", err)
		}
		o.list = append(o.list, o.named(one))
	}
	return o, it.Error()
}

// key orders offences by block. A block applied again after a crash gives the same keys.
func (o *Offence) key(index int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, o.Block), uint32(index))
}

// named adds the member to an offence.
func (o *offences) named(one Offence) Offence {
	for _, m := range o.members {
		if m.votes() && fmt.Sprintf("%x", consensusAddress(m.key)) == one.Key {
			one.Node, one.Name = m.id, m.name
		}
	}
	return one
}

// note keeps the evidence in a block.
func (o *offences) note(block int64, found []abci.Misbehavior) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, m := range found {
		one := Offence{Key: fmt.Sprintf("%x", m.Validator.Address), Kind: "light client attack", Height: uint64(m.Height), Time: m.Time.UTC(), Block: uint64(block)}
		if m.Type == abci.MisbehaviorType_DUPLICATE_VOTE {
			one.Kind = "duplicate vote"
		}
		one = o.named(one)
		raw, err := json.Marshal(one)
		if err != nil {
			return err
		}
		had, err := o.db.Has(one.key(i))
		if err != nil {
			return err
		}
		if had {
			continue
		}
		if err := o.db.Set(one.key(i), raw); err != nil {
			return err
		}
		o.log.Warn("a member signed twice at one height", "member", one.Name, "kind", one.Kind, "height", one.Height, "block", block)
		o.list = append(o.list, one)
	}
	for len(o.list) > maxOffences {
		if err := o.drop(); err != nil {
			return err
		}
	}
	return nil
}

// drop removes the oldest. The caller holds mu.
func (o *offences) drop() error {
	it, err := o.db.Iterator(nil, nil)
	if err != nil {
		return err
	}
	var oldest []byte
	if it.Valid() {
		oldest = append(oldest, it.Key()...)
	}
	if err := it.Close(); err != nil {
		return err
	}
	o.list = o.list[1:]
	return o.db.Delete(oldest)
}

// newest returns the newest offences, newest last.
func (o *offences) newest() []Offence {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Offence(nil), o.list[max(0, len(o.list)-shownOffences):]...)
}
