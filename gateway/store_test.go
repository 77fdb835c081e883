package gateway_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"testing"

	"walrus/client/jsonform"
)

func random(seed uint64, size int) []byte {
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, size)
	_, _ = src.Read(b)
	return b
}

// put stores data and returns its blob ID.
func put(t testing.TB, url string, data []byte) string {
	t.Helper()
	a := do(t, http.MethodPut, url, bytes.NewReader(data))
	if a.code != http.StatusOK {
		t.Fatalf("PUT %s: %d %s", url, a.code, a.body)
	}
	var res jsonform.StoreResult
	if err := json.Unmarshal(a.body, &res); err != nil {
		t.Fatal(err)
	}
	if res.NewlyCreated != nil {
		return res.NewlyCreated.BlobObject.BlobID.String()
	}
	return res.AlreadyCertified.BlobID.String()
}

func TestStoreAndRead(t *testing.T) {
	s := serve(t, nil)
	data := random(1, 100_000)
	id := put(t, s.URL+"/v1/blobs?epochs=2", data)
	a := do(t, http.MethodGet, s.URL+"/v1/blobs/"+id, nil)
	if a.code != http.StatusOK || !bytes.Equal(a.body, data) {
		t.Fatalf("read: %d, %d bytes", a.code, len(a.body))
	}
	if again := put(t, s.URL+"/v1/blobs", data); again != id {
		t.Errorf("stored again as %s, first as %s", again, id)
	}
}

// TestStoreByForce: force=true makes and pays for another record of a certified blob, like walrus store --force.
func TestStoreByForce(t *testing.T) {
	s := serve(t, nil)
	data := random(77, 1000)
	id := put(t, s.URL+"/v1/blobs", data)
	records := map[string]bool{}
	for range 2 {
		a := do(t, http.MethodPut, s.URL+"/v1/blobs?force=true", bytes.NewReader(data))
		var res jsonform.StoreResult
		if err := json.Unmarshal(a.body, &res); err != nil || a.code != http.StatusOK || res.NewlyCreated == nil {
			t.Fatalf("stored by force: %d %s, %v", a.code, a.body, err)
		}
		if o := res.NewlyCreated.BlobObject; o.BlobID.String() != id || res.NewlyCreated.Cost == 0 {
			t.Errorf("stored by force: %s", a.body)
		}
		records[res.NewlyCreated.BlobObject.ID.String()] = true
	}
	if len(records) != 2 {
		t.Errorf("stored by force twice: records %v", records)
	}
}
