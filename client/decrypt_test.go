package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"filippo.io/age"

	"walrus/ledger"
	"walrus/shards"
)

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// sealed stores data encrypted for keys and opens the blob.
func sealed(t *testing.T, c *Client, data []byte, keys ...*age.X25519Identity) *Blob {
	t.Helper()
	var to []age.Recipient
	for _, k := range keys {
		to = append(to, k.Recipient())
	}
	res, err := store(t, c, data, StoreOptions{Encrypt: to})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Open(t.Context(), res.BlobID)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEncrypted stores encrypted data and reads all of it and ranges, also with age's own reader. No range fetches rows
// that it does not need, and no temporary files remain.
func TestEncrypted(t *testing.T) {
	for _, size := range []int{0, 1, 1000, ageChunk - 1, ageChunk, ageChunk + 1, 3 * ageChunk, 1_234_567} {
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
			f, c := newFake(t, 7, 28)
			key, other := newIdentity(t), newIdentity(t)
			data := noise(80, size)
			b := sealed(t, c, data, other, key)
			identities := []age.Identity{key}

			var raw, out bytes.Buffer
			if _, err := b.CopyRange(t.Context(), &raw, 0, int64(b.Size()), ReadOptions{}); err != nil {
				t.Fatal(err)
			}
			if size >= 32 && bytes.Contains(raw.Bytes(), data[:32]) {
				t.Error("the stored bytes contain the plain ones")
			}
			theirs, err := age.Decrypt(&raw, key)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(theirs); err != nil || !bytes.Equal(got, data) {
				t.Errorf("age reads %d bytes, %v", len(got), err)
			}
			if _, err := b.CopyDecrypted(t.Context(), &out, identities, ReadOptions{}); err != nil ||
				!bytes.Equal(out.Bytes(), data) {
				t.Errorf("the whole: %d bytes, %v", out.Len(), err)
			}
			p, err := b.Decrypted(t.Context(), identities)
			if err != nil || p.Size() != uint64(size) || p.ID() != b.ID() {
				t.Fatalf("%+v, %v", p, err)
			}
			row := int(f.com.Params().Layout(shards.Primary, b.Size()).Size())
			r := rand.New(rand.NewPCG(81, uint64(size)))
			for i := range 12 {
				off := r.IntN(size + 1)
				n := r.IntN(size - off + 1)
				if i == 0 {
					off, n = 0, size
				}
				f.fetched()
				out.Reset()
				var done int64
				_, err := p.CopyRange(t.Context(), &out, int64(off), int64(n),
					ReadOptions{Progress: func(_ Stage, d, _ int64) { done = d }})
				if err != nil || !bytes.Equal(out.Bytes(), data[off:off+n]) || done != int64(n) {
					t.Errorf("%d bytes from %d on: %d bytes, %v, progress %d", n, off, out.Len(), err, done)
				}
				if asked := len(f.fetched()); asked > (n+2*ageSealed)/row+2 {
					t.Errorf("%d bytes from %d on: fetched %d rows of %d bytes", n, off, asked, row)
				}
			}
			whole, err := io.ReadAll(io.NewSectionReader(p.ReaderAt(t.Context()), 0, 1<<40))
			if err != nil || !bytes.Equal(whole, data) {
				t.Errorf("at random: %d bytes, %v", len(whole), err)
			}
			if _, err := p.CopyRange(t.Context(), io.Discard, int64(size), 1, ReadOptions{}); !errors.Is(err, ErrRange) {
				t.Errorf("beyond the end: %v", err)
			}
			if left, err := os.ReadDir(c.cfg.TempDir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestEncryptedIsMarked(t *testing.T) {
	_, c := newFake(t, 4, 4)
	key := newIdentity(t)
	own := []ledger.Attribute{{Key: "zoo", Value: "walrus"}}
	res, err := store(t, c, []byte("secret"), StoreOptions{Encrypt: []age.Recipient{key.Recipient()}, Attributes: own})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := c.Record(t.Context(), res.Object)
	if err != nil || len(rec.Attributes) != 2 ||
		rec.Attributes[0] != (ledger.Attribute{Key: EncryptionAttribute, Value: EncryptionAge}) {
		t.Errorf("record %+v, %v", rec, err)
	}
	own = []ledger.Attribute{{Key: EncryptionAttribute, Value: "rot13"}}
	if _, err := store(t, c, []byte("secret"),
		StoreOptions{Encrypt: []age.Recipient{key.Recipient()}, Attributes: own}); err == nil {
		t.Error("stored with an attribute that encryption sets")
	}
}

// TestDecryptRefuses: each failure has its own error and sentence, for whole reads and for ranges.
func TestDecryptRefuses(t *testing.T) {
	_, c := newFake(t, 7, 28)
	key := newIdentity(t)
	pass := func(word string) *age.ScryptIdentity {
		id, err := age.NewScryptIdentity(word)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	word, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	word.SetWorkFactor(10)
	seal := func(to age.Recipient) []byte {
		s, err := Seal(t.Context(), bytes.NewReader(noise(82, 200_000)), []age.Recipient{to}, c.cfg.TempDir)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(s, 0, int64(s.Size())))
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := seal(key.Recipient())
	change := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	for name, x := range map[string]struct {
		blob []byte
		id   age.Identity
		want error
		says string
		late bool // ranges elsewhere do not detect it
	}{
		"another's":           {good, newIdentity(t), ErrWrongIdentity, "other recipients (X25519)", false},
		"a passphrase for it": {good, pass("x"), ErrWrongIdentity, "other recipients (X25519)", false},
		"an identity for it":  {seal(word), key, ErrWrongIdentity, "encrypted with a passphrase", false},
		"a wrong passphrase":  {seal(word), pass("wrong horse"), ErrWrongIdentity, "the passphrase is wrong", false},
		"plain":               {noise(83, 1000), key, ErrNotEncrypted, "not encrypted", false},
		"empty":               {nil, key, ErrNotEncrypted, "not encrypted", false},
		"text form": {[]byte("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n"), key, ErrNotEncrypted,
			"text form", false},
		"the intro alone":      {good[:25], key, ErrDamaged, "when it was stored", false},
		"cut in the header":    {good[:100], key, ErrDamaged, "when it was stored", false},
		"cut after the header": {good[:220], key, ErrDamaged, "when it was stored", false},
		"cut in a chunk":       {good[:100_000], key, ErrDamaged, "when it was stored", false},
		"cut after a chunk":    {good[:len(good)-(200_000%ageChunk+16)], key, ErrDamaged, "when it was stored", false},
		"header changed":       {change(150), key, ErrDamaged, "when it was stored", false},
		"first chunk changed":  {change(1000), key, ErrDamaged, "when it was stored", true},
		"last chunk changed":   {change(len(good) - 1), key, ErrDamaged, "when it was stored", false},
		"more at the end":      {append(bytes.Clone(good), 0), key, ErrDamaged, "when it was stored", false},
	} {
		b := opened(t, c, x.blob)
		var out bytes.Buffer
		_, whole := b.CopyDecrypted(t.Context(), &out, []age.Identity{x.id}, ReadOptions{})
		if !bytes.HasPrefix(noise(82, 200_000), out.Bytes()) {
			t.Errorf("%s: wrong bytes were written", name)
		}
		p, ranged := b.Decrypted(t.Context(), []age.Identity{x.id})
		if x.late {
			if ranged == nil {
				_, ranged = p.CopyRange(t.Context(), io.Discard, 100, 10, ReadOptions{})
			}
			if _, err := p.CopyRange(t.Context(), io.Discard, 150_000, 10, ReadOptions{}); err != nil {
				t.Errorf("%s: a range elsewhere: %v", name, err)
			}
		}
		for _, err := range []error{whole, ranged} {
			if !errors.Is(err, x.want) || !strings.Contains(err.Error(), x.says) || strings.Contains(err.Error(), "horse") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestDecryptStops: errors of the writer, the context and the nodes keep their identity.
func TestDecryptStops(t *testing.T) {
	f, c := newFake(t, 7, 28)
	key := newIdentity(t)
	data := noise(84, 1_000_000)
	b := sealed(t, c, data, key)
	p, err := b.Decrypted(t.Context(), []age.Identity{key})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 {
		_, whole := b.CopyDecrypted(t.Context(), &limitedWriter{100_000}, []age.Identity{key}, ReadOptions{})
		_, ranged := p.CopyRange(t.Context(), &limitedWriter{100_000}, 1000, 500_000, ReadOptions{})
		if !errors.Is(whole, errWriter) || !errors.Is(ranged, errWriter) {
			t.Errorf("into a full writer: %v; %v", whole, ranged)
		}
		_, whole = b.CopyDecrypted(ctx, io.Discard, []age.Identity{key}, ReadOptions{})
		_, ranged = p.CopyRange(ctx, io.Discard, 1000, 500_000, ReadOptions{})
		_, opening := b.Decrypted(ctx, []age.Identity{key})
		for _, err := range []error{whole, ranged, opening} {
			if !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
				t.Errorf("cancelled: %v", err)
			}
		}
	}
	for i := range f.moods {
		f.moods[i] = down
	}
	var few *NotEnoughError
	if _, err := b.CopyDecrypted(t.Context(), io.Discard, []age.Identity{key}, ReadOptions{}); !errors.As(err, &few) {
		t.Errorf("all nodes are down: %v", err)
	}
}
