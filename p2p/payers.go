package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxPayers bounds the peers known as payers, 150 bytes each.
	maxPayers = 4096
	// maxPayersPerAccount bounds those of one account. They share its part anyway.
	maxPayersPerAccount = 64
)

// Account names who pays for a peer's uploads.
type Account = [32]byte

// payers knows the peers that presented a valid upload token lately.
type payers struct {
	mu       sync.Mutex
	peers    map[peer.ID]paid // guarded by mu, as is the next
	accounts map[Account]int  // peers of each
}

// paid is a peer's newest token.
type paid struct {
	account Account
	until   time.Time
}

func newPayers() *payers { return &payers{peers: map[peer.ID]paid{}, accounts: map[Account]int{}} }

// add knows a peer as a payer of an account until a time. When a table is full, it forgets the entry that ends first.
func (p *payers) add(id peer.ID, account Account, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, known := p.peers[id]; known {
		if old.account == account && !until.After(old.until) {
			return
		}
		p.drop(id)
	}
	if p.accounts[account] >= maxPayersPerAccount {
		p.evict(func(e paid) bool { return e.account == account })
	} else if len(p.peers) >= maxPayers {
		p.evict(func(paid) bool { return true })
	}
	p.peers[id] = paid{account, until}
	p.accounts[account]++
}

// of returns the account for which a peer is known, if any.
func (p *payers) of(id peer.ID) (Account, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, known := p.peers[id]
	if known && !time.Now().Before(e.until) {
		p.drop(id)
		known = false
	}
	return e.account, known
}

// evict forgets the entry that ends first among those of a kind. p.mu is held.
func (p *payers) evict(of func(paid) bool) {
	var first peer.ID
	for id, e := range p.peers {
		if of(e) && (first == "" || e.until.Before(p.peers[first].until)) {
			first = id
		}
	}
	p.drop(first)
}

// drop forgets a peer. p.mu is held.
func (p *payers) drop(id peer.ID) {
	account := p.peers[id].account
	delete(p.peers, id)
	if p.accounts[account]--; p.accounts[account] <= 0 {
		delete(p.accounts, account)
	}
}
