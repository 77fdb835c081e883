package keeper

import (
	"crypto/rand"
	"log/slog"
	"testing"

	"walrus/ledger"
	"walrus/shards"
	"walrus/store"
)

// state is a ledger with one fixed state.
type state struct {
	Ledger
	values map[string][]byte
	ready  chan struct{}
}

func (s *state) State() (ledger.Reader, uint64) { return s, 7 }
func (s *state) Get(key []byte) ([]byte, error) { return s.values[string(key)], nil }
func (s *state) Ready() <-chan struct{}         { return s.ready }

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
	n.compareWithLedger(t.Context())
	if _, err := st.Blob(id); err == nil {
		t.Error("a blob that has ended is here")
	}
}
