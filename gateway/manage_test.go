package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"walrus/client/jsonform"
	"walrus/gateway"
)

// stored stores data and returns the result and the owner's token.
func stored(t testing.TB, url string, data []byte) (jsonform.StoreResult, string) {
	t.Helper()
	a := do(t, http.MethodPut, url, bytes.NewReader(data))
	var res jsonform.StoreResult
	if err := json.Unmarshal(a.body, &res); a.code != http.StatusOK || err != nil {
		t.Fatalf("PUT %s: %d %s", url, a.code, a.body)
	}
	return res, a.header.Get("Walrus-Owner-Token")
}

func TestOwner(t *testing.T) {
	s := serve(t, nil)
	data := random(20, 2000)
	res, token := stored(t, s.URL+"/v1/blobs", data)
	if token == "" || res.NewlyCreated == nil {
		t.Fatalf("no token for a new blob: %+v", res)
	}
	object, id := res.NewlyCreated.BlobObject.ID.String(), res.NewlyCreated.BlobObject.BlobID.String()
	if _, again := stored(t, s.URL+"/v1/blobs", data); again != "" {
		t.Error("somebody who stored the same got a token of the first one's record")
	}
	_, other := stored(t, s.URL+"/v1/blobs", random(21, 2000))
	byObject := s.URL + "/v1/blobs/by-object-id/" + object
	for _, tt := range []struct {
		name, method, url string
		header            []string
		code              int
	}{
		{"no token", "DELETE", byObject, nil, 401},
		{"not a bearer", "DELETE", byObject, []string{"Authorization", "Basic " + token}, 401},
		{"another's token", "DELETE", byObject, []string{"Authorization", "Bearer " + other}, 403},
		{"another's token, by blob", "DELETE", s.URL + "/v1/blobs/" + id, []string{"Authorization", "Bearer " + other}, 403},
		{"no such blob", "DELETE", s.URL + "/v1/blobs/" + someID, []string{"Authorization", "Bearer " + token}, 404},
		{"no such object", "DELETE", s.URL + "/v1/blobs/by-object-id/" + someObject,
			[]string{"Authorization", "Bearer " + token}, 403},
		{"extend without a token", "POST", byObject + "/extend?epochs=1", nil, 401},
		{"extend by nothing", "POST", byObject + "/extend", []string{"Authorization", "Bearer " + token}, 400},
		{"extend by 0", "POST", byObject + "/extend?epochs=0", []string{"Authorization", "Bearer " + token}, 400},
		{"extend too far", "POST", byObject + "/extend?epochs=1000", []string{"Authorization", "Bearer " + token}, 400},
		{"list without a token", "GET", s.URL + "/v1/blobs", nil, 401},
		{"list with a wrong one", "GET", s.URL + "/v1/blobs", []string{"Authorization", "Bearer x"}, 403},
		{"list from nowhere", "GET", s.URL + "/v1/blobs?page_token=AAAA", []string{"Authorization", "Bearer " + token}, 400},
		{"list", "GET", s.URL + "/v1/blobs", []string{"Authorization", "bearer " + token}, 200},
	} {
		a := do(t, tt.method, tt.url, nil, tt.header...)
		if a.code != tt.code {
			t.Errorf("%s: %d, want %d: %s", tt.name, a.code, tt.code, a.body)
		}
		if (a.code == http.StatusUnauthorized) != (a.header.Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s: WWW-Authenticate %q", tt.name, a.header.Get("WWW-Authenticate"))
		}
		if tt.name == "list" && (strings.Count(string(a.body), `"id"`) != 2 || !strings.Contains(string(a.body), object)) {
			t.Errorf("list: %s", a.body)
		}
	}
	a := do(t, http.MethodPost, byObject+"/extend?epochs=2", nil, "Walrus-Owner-Token", token)
	var longer gateway.Extension
	if err := json.Unmarshal(a.body, &longer); err != nil || a.code != http.StatusOK ||
		longer.BlobObject.Storage.EndEpoch != res.NewlyCreated.BlobObject.Storage.EndEpoch+2 || longer.Cost == 0 {
		t.Fatalf("extend: %d %s", a.code, a.body)
	}
	a = do(t, http.MethodDelete, byObject, nil, "Authorization", "Bearer "+token)
	if a.code != http.StatusOK || !strings.Contains(string(a.body), object) {
		t.Fatalf("delete: %d %s", a.code, a.body)
	}
	if a = do(t, http.MethodDelete, byObject, nil, "Authorization", "Bearer "+token); a.code != http.StatusNotFound {
		t.Errorf("delete again: %d", a.code)
	}
	if a = do(t, http.MethodGet, s.URL+"/v1/blobs/"+id, nil); a.code != http.StatusNotFound ||
		a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("read what was deleted: %d %v", a.code, a.header)
	}
}

func TestDeletePermanent(t *testing.T) {
	s := serve(t, nil)
	res, token := stored(t, s.URL+"/v1/blobs?permanent=true", random(22, 2000))
	id := res.NewlyCreated.BlobObject.BlobID.String()
	if a := do(t, http.MethodDelete, s.URL+"/v1/blobs/"+id, nil, "Authorization",
		"Bearer "+token); a.code != http.StatusBadRequest {
		t.Errorf("delete a permanent blob: %d %s", a.code, a.body)
	}
	if res, token := stored(t, s.URL+"/v1/blobs?permanent=true&share=true", random(23, 2000)); token != "" ||
		res.NewlyCreated.SharedBlobObject == nil {
		t.Errorf("shared: token %q, %+v", token, res.NewlyCreated)
	}
	if _, token := stored(t, s.URL+"/v1/blobs?send_object_to="+someObject, random(24, 2000)); token != "" {
		t.Errorf("sent to somebody: token %q", token)
	}
}

// TestList reads all pages as the operator.
func TestList(t *testing.T) {
	cfg := fullConfig()
	cfg.Store.TempDir = t.TempDir()
	_, s := serveConfig(t, cfg)
	token, err := gateway.OperatorToken(cfg.Store.OwnerKey)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for i := range 5 {
		res, _ := stored(t, s.URL+"/v1/blobs", random(uint64(30+i), 500))
		want[res.NewlyCreated.BlobObject.ID.String()] = true
	}
	next, pages := "", 0
	for {
		a := do(t, http.MethodGet, s.URL+"/v1/blobs?page_size=2&page_token="+next, nil, "Authorization", "Bearer "+token)
		var page gateway.BlobList
		if err := json.Unmarshal(a.body, &page); err != nil || a.code != http.StatusOK || len(page.Blobs) > 2 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		for i := range page.Blobs {
			delete(want, page.Blobs[i].ID.String())
		}
		pages++
		if next = page.NextPageToken; next == "" {
			break
		}
	}
	if len(want) > 0 || pages < 3 {
		t.Errorf("%d pages, missing %v", pages, want)
	}
}
