package pinnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"walrus/internal/userfile"
	"walrus/ledger"
	"walrus/pin"
	"walrus/shards"
)

const (
	// followEvery is the pause between two looks at the followed accounts: one small record of each is read.
	followEvery = 3 * time.Second
	// followTime bounds one look at one account.
	followTime = time.Minute
	// MaxFollows bounds the accounts that one pinner follows.
	MaxFollows = 100
	// followsFile has them, in a pinner's home.
	followsFile = "follows.json"
	// maxFollowsFile bounds it, in bytes.
	maxFollowsFile = 4 << 20
	// followedKey is the entry of a pin's meta that names the account for which it was made.
	followedKey = "followed"
)

// Follow asks to pin every certified blob of an account, also those to come.
type Follow struct {
	Owner ledger.Address `json:"owner"`
	// Attributes that a blob must have, all of them; empty: every blob.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Name and Meta of the pins.
	Name string            `json:"name,omitempty"`
	Meta map[string]string `json:"meta,omitempty"`
}

// LoadFollows reads what the pinner with a home follows.
func LoadFollows(home string) (list []Follow, err error) {
	path := filepath.Join(home, followsFile)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read followed accounts: %w", err)
	}
	if st.Size() > maxFollowsFile {
		return nil, fmt.Errorf("read followed accounts: %s is larger than %d bytes", path, maxFollowsFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read followed accounts: %w", err)
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("read followed accounts: %s: %w", path, err)
	}
	if len(list) > MaxFollows {
		return nil, fmt.Errorf("read followed accounts: %s has %d, at most %d are possible", path, len(list), MaxFollows)
	}
	return list, nil
}

// SaveFollows writes what the pinner with a home follows. A running one notices within seconds.
func SaveFollows(home string, list []Follow) error {
	if len(list) > MaxFollows {
		return fmt.Errorf("follow %d accounts: at most %d are possible", len(list), MaxFollows)
	}
	raw, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return userfile.Replace(filepath.Join(home, followsFile), append(raw, '\n'))
}

// accounts reads accounts of the ledger.
type accounts interface {
	Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error)
	Objects(ctx context.Context, owner ledger.Address) (map[ledger.ObjectID]ledger.Storage, map[ledger.ObjectID]ledger.Blob, error)
}

// pins are the ones that a follower makes.
type pins interface {
	Add(ctx context.Context, r pin.Request) (pin.Request, error)
	List(f pin.Filter) ([]pin.Request, int, error)
}

// follower pins the blobs of followed accounts. It is used by one goroutine.
type follower struct {
	ledger accounts
	pins   pins
	last   map[string]ledger.Account                 // as of the last complete look, by followKey
	seen   map[ledger.Address]map[shards.BlobID]bool // blobs that have a pin for an account, or had one since the start
}

func newFollower(l accounts, p pins) *follower {
	return &follower{ledger: l, pins: p, last: map[string]ledger.Account{}, seen: map[ledger.Address]map[shards.BlobID]bool{}}
}

// follow looks at the followed accounts until ctx ends.
func (n *Node) follow(ctx context.Context) error {
	f := newFollower(n.client.Chain().Ledger, n.keeper)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	told := ""
	for {
		err := f.lookAll(ctx, n.cfg.Home)
		if err != nil && err.Error() != told && ctx.Err() == nil {
			n.log.Warn("follow accounts", "err", err)
		}
		if told = ""; err != nil {
			told = err.Error()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lookAll looks at every followed account. An error at one does not keep the others from being looked at.
func (f *follower) lookAll(ctx context.Context, home string) error {
	list, err := LoadFollows(home)
	errs := []error{err}
	for i := range list {
		short, stop := context.WithTimeout(ctx, followTime)
		if err := f.look(short, &list[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", list[i].Owner, err))
		}
		stop()
	}
	return errors.Join(errs...)
}

// look pins what is new in an account. Whatever changes an account's blobs also changes its record: as long as that is
// the same, nothing is listed.
func (f *follower) look(ctx context.Context, rule *Follow) error {
	r, err := f.ledger.Read(ctx, ledger.KeyAccount(rule.Owner))
	if err != nil {
		return err
	}
	account, err := ledger.ReadAccount(r, rule.Owner)
	if err != nil {
		return err
	}
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
	seen, err := f.pinned(rule.Owner)
	if err != nil {
		return err
	}
	for _, id := range missing(blobs, rule.Attributes, seen) {
		meta := map[string]string{followedKey: rule.Owner.String()}
		for k, v := range rule.Meta {
			meta[k] = v
		}
		if _, err := f.pins.Add(ctx, pin.Request{CID: pin.CID(id), Blob: id, Name: rule.Name, Meta: meta}); err != nil {
			return err
		}
		seen[id] = true
	}
	f.last[string(raw)] = account
	return nil
}

// pinned returns the blobs that were pinned for an account; it reads them once.
func (f *follower) pinned(owner ledger.Address) (map[shards.BlobID]bool, error) {
	if seen := f.seen[owner]; seen != nil {
		return seen, nil
	}
	seen := map[shards.BlobID]bool{}
	filter := pin.Filter{Meta: map[string]string{followedKey: owner.String()}, Limit: pin.MaxPage}
	for {
		page, total, err := f.pins.List(filter)
		if err != nil {
			return nil, err
		}
		for i := range page {
			seen[page[i].Blob] = true
		}
		if len(page) == total || len(page) == 0 {
			f.seen[owner] = seen
			return seen, nil
		}
		filter.Before = page[len(page)-1].Created
	}
}

// missing lists the certified blobs that have all of the attributes and were not seen, each once.
func missing(blobs map[ledger.ObjectID]ledger.Blob, attributes map[string]string, seen map[shards.BlobID]bool) (list []shards.BlobID) {
	for _, b := range blobs {
		if b.Certified > 0 && !seen[b.BlobID] && HasAttributes(b.Attributes, attributes) && !slices.Contains(list, b.BlobID) {
			list = append(list, b.BlobID)
		}
	}
	slices.SortFunc(list, func(a, b shards.BlobID) int { return slices.Compare(a[:], b[:]) })
	return list
}

// HasAttributes reports whether a record has all of the wanted attributes.
func HasAttributes(have []ledger.Attribute, want map[string]string) bool {
	found := 0
	for _, attr := range have {
		if v, ok := want[attr.Key]; ok && v == attr.Value {
			found++
		}
	}
	return found == len(want)
}
