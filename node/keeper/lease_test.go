package keeper

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"walrus/ledger"
	"walrus/shards"
	"walrus/store"
)

// state is a ledger with one fixed state.
type state struct {
	Ledger
	ready  chan struct{}
	height uint64 // 0: 7

	mu     sync.Mutex // taken by Get, and by tests that change values meanwhile
	values map[string][]byte
}

// set changes values.
func (s *state) set(values map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.values, values)
}

func (s *state) Health() (uint64, time.Time, string) { return 7, time.Time{}, "" }

func (s *state) State() (ledger.Reader, uint64) { return s, cmp.Or(s.height, 7) }
func (s *state) Ready() <-chan struct{}         { return s.ready }

func (s *state) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[string(key)], nil
}

// TestEndOfExtended ends the epoch of an extended blob whose extension was not stored, because the disk failed: the
// blob stays.
func TestEndOfExtended(t *testing.T) {
	params, err := shards.NewParams(10)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 5000)
	_, _ = rand.Read(data)
	meta, _, err := shards.Encode(params, data)
	if err != nil {
		t.Fatal(err)
	}
	id := meta.ID()
	cfg := store.Default(t.TempDir())
	cfg.Logger = slog.New(slog.DiscardHandler)
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	l := &state{ready: make(chan struct{}), values: map[string][]byte{
		string(ledger.KeyEpoch()):      ledger.EpochInfo{Epoch: 2}.Marshal(),
		string(ledger.KeyBlobInfo(id)): ledger.BlobInfo{PermanentEnd: 5}.Marshal(),
	}}
	close(l.ready)
	n := testKeeper(t, st, l, params).follower.leases
	if err := st.PutBlob(id, meta.Marshal(), 2); err != nil {
		t.Fatal(err)
	}
	if err := n.endEpochs(2); err != nil {
		t.Fatal(err)
	}
	if rec, err := st.Blob(id); err != nil || rec.EndEpoch != 5 {
		t.Errorf("record %+v, %v", rec, err)
	}
	if _, err := st.Metadata(id); err != nil {
		t.Error(err)
	}
	l.values[string(ledger.KeyEpoch())] = ledger.EpochInfo{Epoch: 5}.Marshal()
	if err := n.compare(id); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Blob(id); err == nil {
		t.Error("a blob that has ended is here")
	}
}
