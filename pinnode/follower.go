package pinnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"walrus/internal/userfile"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/pin"
	"walrus/shards"
)

const (
	// followEvery: in this time the followed accounts and the newest transactions are looked at without being asked to.
	// It makes up for certificates that were not heard of.
	followEvery = 5 * time.Minute
	// rulesEvery is the pause between two looks at the time of change of the rules' file.
	rulesEvery = 3 * time.Second
	// followTime bounds one look at one account, and at the newest transactions.
	followTime = time.Minute
	// afterHearing: a transaction is proven about a block after its certificate was heard of. It is looked for so many
	// times, after twice the pause each time.
	afterHearing, hearingPause = 4, time.Second
	// feedPages bounds the pages of transactions that are read back at a time: 2048 transactions.
	feedPages = 64
	// feedFile, in a pinner's home, has the place of the newest transaction that was looked at.
	feedFile = "followed.json"
)

// accounts reads accounts and records of the ledger.
type accounts interface {
	Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error)
	Objects(ctx context.Context, owner ledger.Address) (map[ledger.ObjectID]ledger.Storage, map[ledger.ObjectID]ledger.Blob, error)
}

// transactions lists the transactions of all accounts, the newest first.
type transactions interface {
	History(ctx context.Context, account ledger.Address, from light.Cursor, limit int) (*light.History, error)
}

// pins are the ones that a follower makes.
type pins interface {
	Add(ctx context.Context, r pin.Request) (pin.Request, error)
	List(f pin.Filter) ([]pin.Request, int, error)
}

// follower pins the blobs that rules ask for. It is used by one goroutine.
type follower struct {
	home    string
	ledger  accounts
	history transactions // nil: accounts are listed, transactions are not looked at
	pins    pins
	last    map[string]ledger.Account         // as of the last complete listing, by rule
	seen    map[string]map[shards.BlobID]bool // blobs that have a pin for a rule, or had one since the start
	lost    func(oldest light.Position)       // transactions were not looked at
}

func newFollower(home string, l accounts, h transactions, p pins) *follower {
	return &follower{home: home, ledger: l, history: h, pins: p, last: map[string]ledger.Account{}, seen: map[string]map[shards.BlobID]bool{}}
}

// listAll lists the blobs of every followed account. An error at one does not keep the others from being looked at.
func (f *follower) listAll(ctx context.Context, rules []Follow) error {
	var errs []error
	for i := range rules {
		if rules[i].Owner == (ledger.Address{}) {
			continue
		}
		short, stop := context.WithTimeout(ctx, followTime)
		if err := f.list(short, &rules[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", rules[i].Owner, err))
		}
		stop()
	}
	return errors.Join(errs...)
}

// list pins what is new in an account. Whatever changes an account's blobs also changes its nonce or its counts: as
// long as these are the same, nothing is listed, however often somebody pays it.
func (f *follower) list(ctx context.Context, rule *Follow) error {
	r, err := f.ledger.Read(ctx, ledger.KeyAccount(rule.Owner))
	if err != nil {
		return err
	}
	account, err := ledger.ReadAccount(r, rule.Owner)
	if err != nil {
		return err
	}
	account.Balance = 0
	raw, err := json.Marshal(rule)
	if err != nil {
		return err
	}
	if last, known := f.last[string(raw)]; known && last == account {
		return nil
	}
	_, blobs, err := f.ledger.Objects(ctx, rule.Owner)
	if err != nil {
		return err
	}
	var ids []shards.BlobID
	for _, b := range blobs {
		if rule.matches(&b) {
			ids = append(ids, b.BlobID)
		}
	}
	if err := f.pin(ctx, rule, ids); err != nil {
		return err
	}
	f.last[string(raw)] = account
	return nil
}

// pin pins blobs for a rule, each once.
func (f *follower) pin(ctx context.Context, rule *Follow, ids []shards.BlobID) error {
	seen, err := f.pinned(rule.Of())
	if err != nil {
		return err
	}
	slices.SortFunc(ids, func(a, b shards.BlobID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if seen[id] {
			continue
		}
		meta := map[string]string{followedKey: rule.Of()}
		for k, v := range rule.Meta {
			meta[k] = v
		}
		if _, err := f.pins.Add(ctx, pin.Request{CID: pin.CID(id), Blob: id, Name: rule.Name, Meta: meta}); err != nil {
			return err
		}
		seen[id] = true
	}
	return nil
}

// pinned returns the blobs that were pinned for a rule; it reads them once.
func (f *follower) pinned(rule string) (map[shards.BlobID]bool, error) {
	if seen := f.seen[rule]; seen != nil {
		return seen, nil
	}
	seen := map[shards.BlobID]bool{}
	filter := pin.Filter{Meta: map[string]string{followedKey: rule}, Limit: pin.MaxPage}
	for {
		page, total, err := f.pins.List(filter)
		if err != nil {
			return nil, err
		}
		for i := range page {
			seen[page[i].Blob] = true
		}
		if len(page) == total || len(page) == 0 {
			f.seen[rule] = seen
			return seen, nil
		}
		filter.Before = page[len(page)-1].Created
	}
}

// readFeed looks at the transactions since the last time and pins what rules ask for. It reports whether there were
// any. The first time it only notes which is the newest: what was certified before is listed by account alone.
func (f *follower) readFeed(ctx context.Context, rules []Follow) (news bool, err error) {
	if f.history == nil || len(rules) == 0 {
		return false, f.noteFeed(light.Position{})
	}
	ctx, stop := context.WithTimeout(ctx, followTime)
	defer stop()
	at, err := f.feedPlace()
	if err != nil {
		return false, err
	}
	newest, objects, err := f.changed(ctx, at, rules)
	if err != nil || newest == at {
		return false, err
	}
	if at != (light.Position{}) {
		if err := f.pinObjects(ctx, rules, objects); err != nil {
			return true, err
		}
	}
	return true, f.noteFeed(newest)
}

// changed lists the records that transactions after a place have certified or given attributes, and the newest place.
// If only accounts are followed, those of others are left out.
func (f *follower) changed(ctx context.Context, at light.Position, rules []Follow) (newest light.Position, objects []ledger.ObjectID, err error) {
	owners, everybody := map[ledger.Address]bool{}, false
	for i := range rules {
		owners[rules[i].Owner] = true
		everybody = everybody || rules[i].Owner == ledger.Address{}
	}
	newest = at
	var from light.Cursor
	for page := 0; ; page++ {
		h, err := f.history.History(ctx, ledger.Address{}, from, light.MaxHistory)
		if h == nil {
			return at, nil, err
		}
		for i := range h.Entries {
			r := &h.Entries[i].Receipt
			place := light.Position{Height: r.Height, Index: r.Index}
			if newest == at {
				newest = place
			}
			if !after(place, at) || at == (light.Position{}) {
				return newest, objects, nil
			}
			for _, e := range r.Events {
				switch e.Kind {
				case ledger.EventCertified, ledger.EventAttributes, ledger.EventBlobMoved:
					if everybody || owners[e.From] || owners[e.To] {
						objects = append(objects, e.Object)
					}
				}
			}
		}
		if h.Next == nil {
			return newest, objects, nil
		}
		if page == feedPages-1 {
			if f.lost != nil {
				f.lost(at)
			}
			return newest, objects, nil
		}
		from = *h.Next
	}
}

// after reports whether place a comes after place b.
func after(a, b light.Position) bool {
	return a.Height > b.Height || a.Height == b.Height && a.Index > b.Index
}

// pinObjects reads records with proofs and pins the blobs of those that rules ask for.
func (f *follower) pinObjects(ctx context.Context, rules []Follow, objects []ledger.ObjectID) error {
	for page := range slices.Chunk(objects, light.MaxKeys) {
		var keys [][]byte
		for _, id := range page {
			keys = append(keys, ledger.KeyBlob(id))
		}
		r, err := f.ledger.Read(ctx, keys...)
		if err != nil {
			return err
		}
		for _, id := range page {
			b, err := ledger.ReadBlob(r, id)
			if errors.Is(err, ledger.ErrNotFound) { // deleted meanwhile
				continue
			}
			if err != nil {
				return err
			}
			for i := range rules {
				if !rules[i].matches(&b) {
					continue
				}
				if err := f.pin(ctx, &rules[i], []shards.BlobID{b.BlobID}); err != nil {
					return fmt.Errorf("%s: %w", rules[i].Of(), err)
				}
			}
		}
	}
	return nil
}

// feedForm is the content of feedFile.
type feedForm struct {
	Height uint64 `json:"height"`
	Index  uint32 `json:"index"`
}

// feedPlace reads the place of the newest transaction that was looked at; zero if there is none.
func (f *follower) feedPlace() (light.Position, error) {
	raw, err := os.ReadFile(filepath.Join(f.home, feedFile))
	if errors.Is(err, os.ErrNotExist) {
		return light.Position{}, nil
	}
	if err != nil {
		return light.Position{}, err
	}
	var form feedForm
	if err := json.Unmarshal(raw, &form); err != nil { // it begins anew
		return light.Position{}, nil
	}
	return light.Position(form), nil
}

// noteFeed writes the place down. Without rules none is kept.
func (f *follower) noteFeed(at light.Position) error {
	path := filepath.Join(f.home, feedFile)
	if at == (light.Position{}) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	raw, err := json.Marshal(feedForm(at))
	if err != nil {
		return err
	}
	return userfile.Replace(path, raw)
}
