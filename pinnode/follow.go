package pinnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"walrus/internal/userfile"
	"walrus/ledger"
)

const (
	// MaxFollows bounds the rules that one pinner follows.
	MaxFollows = 100
	// followsFile has them, in a pinner's home.
	followsFile = "follows.json"
	// maxFollowsFile bounds it, in bytes.
	maxFollowsFile = 4 << 20
	// followedKey is the entry of a pin's meta that names the account, or the attributes, for which it was made.
	followedKey = "followed"
)

// Follow asks to pin every certified blob of an account, also those to come. Without an account it asks for every blob
// with the attributes that is certified, or gets them, from then on.
type Follow struct {
	Owner ledger.Address `json:"owner,omitzero"`
	// Attributes that a blob must have, all of them; empty: every blob.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Name and Meta of the pins.
	Name string            `json:"name,omitempty"`
	Meta map[string]string `json:"meta,omitempty"`
}

// Of names what a rule follows: the account, or the attributes if it has none. A rule replaces another one of the same.
func (f *Follow) Of() string {
	if f.Owner != (ledger.Address{}) {
		return f.Owner.String()
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(f.Attributes)) {
		list = append(list, k+"="+f.Attributes[k])
	}
	return strings.Join(list, ", ")
}

// matches reports whether a rule asks for a record.
func (f *Follow) matches(b *ledger.Blob) bool {
	return b.Certified > 0 && (f.Owner == ledger.Address{} || f.Owner == b.Owner) && HasAttributes(b.Attributes, f.Attributes)
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
