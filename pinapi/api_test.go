package pinapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"walrus/pin"
	"walrus/shards"
)

const foreign = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"

// service is an API at an HTTP address, with a token.
type service struct {
	t     *testing.T
	pins  *memory
	url   string
	token string
	file  *Tokens
}

func serve(t *testing.T) *service {
	t.Helper()
	tokens, err := OpenTokens(filepath.Join(t.TempDir(), "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := tokens.Create("test")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, pins: &memory{}, token: secret, file: tokens}
	api := NewAPI(Config{Delegates: func() []string {
		return []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"}
	}, Logger: slog.New(slog.DiscardHandler)}, s.pins)
	srv := httptest.NewServer(api.Public(tokens))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// ask sends a request and returns status, headers and body.
func (s *service) ask(method, path, body string, auth ...string) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if auth == nil {
		auth = []string{"Bearer " + s.token}
	}
	req.Header["Authorization"] = auth
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

// want sends a request, expects a status and decodes the answer into out.
func (s *service) want(code int, method, path, body string, out any) {
	s.t.Helper()
	got, h, text := s.ask(method, path, body)
	if got != code {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, code, text)
	}
	if out != nil {
		if h.Get("Content-Type") != "application/json" {
			s.t.Fatalf("%s %s: content type %q", method, path, h.Get("Content-Type"))
		}
		if err := json.Unmarshal([]byte(text), out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// add pins with a name, and returns the answer.
func (s *service) add(cid, name string) (st statusForm) {
	s.t.Helper()
	body, err := json.Marshal(pinForm{CID: cid, Name: name})
	if err != nil {
		s.t.Fatal(err)
	}
	s.want(http.StatusAccepted, "POST", "/pins", string(body), &st)
	return st
}

// TestLife follows a pin through all five operations.
func TestLife(t *testing.T) {
	s := serve(t)
	id := shards.BlobID{1, 2, 3}
	c := pin.CID(id)
	var st statusForm
	s.want(202, "POST", "/pins", fmt.Sprintf(`{"cid":%q,"name":"n","origins":["/ip4/127.0.0.1/tcp/9"],"meta":{"a":"b"},"later":1}`, c), &st)
	if st.Status != pin.Queued || st.Pin.CID != c || st.Pin.Name != "n" || st.Pin.Meta["a"] != "b" || len(st.Pin.Origins) != 1 || len(st.Delegates) != 1 || st.ID == "" {
		t.Fatalf("added: %+v", st)
	}
	again := s.add(c, "n")
	if again.ID == st.ID {
		t.Error("the same CID again has the same request ID")
	}
	s.pins.set(st.ID, func(r *pin.Request) { r.Status, r.Have, r.Rows, r.Size, r.Until = pin.Pinning, 9, 17, 1000, 7 })
	s.want(200, "GET", "/pins/"+st.ID, "", &st)
	if st.Status != pin.Pinning || st.Info["percent"] != "52" || st.Info["status_details"] != "9 of 17 rows are here" || st.Info["blob_id"] != id.String() ||
		st.Info["raw_size"] != "1000" || st.Info["pinned_until"] != "the start of epoch 7" {
		t.Errorf("being pinned: %+v", st)
	}
	var replaced statusForm
	s.want(202, "POST", "/pins/"+st.ID, fmt.Sprintf(`{"cid":%q}`, pin.CID(shards.BlobID{9})), &replaced)
	if replaced.ID == st.ID || replaced.Pin.CID != pin.CID(shards.BlobID{9}) {
		t.Errorf("replaced: %+v", replaced)
	}
	s.want(404, "GET", "/pins/"+st.ID, "", &failureForm{})
	s.want(404, "POST", "/pins/"+st.ID, fmt.Sprintf(`{"cid":%q}`, c), &failureForm{})
	code, _, body := s.ask("DELETE", "/pins/"+replaced.ID, "")
	if code != 202 || body != "" {
		t.Errorf("delete: %d %q", code, body)
	}
	s.want(404, "DELETE", "/pins/"+replaced.ID, "", &failureForm{})
}

// TestForms: blob IDs are accepted and listed as CIDs; CIDs of others are accepted first, and fail with a reason.
func TestForms(t *testing.T) {
	s := serve(t)
	id := shards.BlobID{5}
	if st := s.add(id.String(), ""); st.Pin.CID != pin.CID(id) || st.Info["blob_id"] != id.String() {
		t.Errorf("a blob ID: %+v", st)
	}
	st := s.add(foreign, "")
	if st.Status != pin.Queued {
		t.Errorf("the CID of something else is answered with %q", st.Status)
	}
	s.want(200, "GET", "/pins/"+st.ID, "", &st)
	if st.Status != pin.Failed || st.Info["reason"] == "" {
		t.Errorf("the CID of something else: %+v", st)
	}
	var list resultsForm
	s.want(200, "GET", "/pins?status=queued&cid="+id.String(), "", &list)
	if list.Count != 1 {
		t.Errorf("%d pins found by the blob ID", list.Count)
	}
	s.pins.set(list.Results[0].ID, func(r *pin.Request) { r.CID = "" })
	s.want(200, "GET", "/pins/"+list.Results[0].ID, "", &st)
	if st.Pin.CID != pin.CID(id) {
		t.Errorf("a request without a CID is listed under %q", st.Pin.CID)
	}
}

// TestListing: filters, their default, and pages.
func TestListing(t *testing.T) {
	s := serve(t)
	var ids []string
	for i := range 25 {
		st := s.add(pin.CID(shards.BlobID{byte(i + 1)}), fmt.Sprintf("Name-%02d", i))
		ids = append(ids, st.ID)
		if i >= 5 {
			s.pins.set(st.ID, func(r *pin.Request) { r.Status, r.Meta = pin.Pinned, map[string]string{"k": fmt.Sprint(i % 2)} })
		}
	}
	c := func(i int) string { return pin.CID(shards.BlobID{byte(i)}) }
	for query, count := range map[string]int{
		"":                             20, // only pinned ones
		"limit=1000":                   20,
		"status=queued":                5,
		"status=queued,pinned":         25,
		"status=queued&status=pinned":  25,
		"name=Name-03":                 1, // with a filter, in all states
		"name=name-03":                 0,
		"name=name-03&match=iexact":    1,
		"name=me-0&match=partial":      10,
		"name=ME-0&match=partial":      0,
		"name=ME-0&match=ipartial":     10,
		"match=partial":                20,
		"cid=" + c(1):                  1,
		"cid=" + c(1) + "," + c(2):     2,
		"cid=" + c(1) + "&cid=" + c(9): 2,
		"meta=%7B%22k%22%3A%221%22%7D": 10,
		"unknown=1":                    20,
	} {
		var list resultsForm
		s.want(200, "GET", "/pins?"+query, "", &list)
		if list.Count != count {
			t.Errorf("%q: %d pins, want %d", query, list.Count, count)
		}
		if want := min(count, 10); len(list.Results) != want && query != "limit=1000" {
			t.Errorf("%q: a page of %d, want %d", query, len(list.Results), want)
		}
	}
	seen, before := map[string]bool{}, ""
	for page := 0; ; page++ {
		var list resultsForm
		s.want(200, "GET", "/pins?limit=7"+before, "", &list)
		for i, r := range list.Results {
			if seen[r.ID] || i > 0 && !r.Created.Before(list.Results[i-1].Created) {
				t.Fatalf("page %d: %s is repeated or out of order", page, r.ID)
			}
			seen[r.ID] = true
			before = "&before=" + r.Created.Format("2006-01-02T15:04:05.000Z") // a script's time has milliseconds
		}
		if list.Count == len(list.Results) {
			break
		}
	}
	if len(seen) != 20 {
		t.Errorf("the pages have %d pins", len(seen))
	}
	var list resultsForm
	st := statusForm{}
	s.want(200, "GET", "/pins/"+ids[20], "", &st)
	s.want(200, "GET", "/pins?after="+st.Created.Format("2006-01-02T15:04:05.000Z"), "", &list)
	if list.Count != 4 {
		t.Errorf("%d pins after the 21st of 25", list.Count)
	}
}

// TestRefused: each wrong request has its status and a reason.
func TestRefused(t *testing.T) {
	s := serve(t)
	c := pin.CID(shards.BlobID{1})
	origins := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"/ip4/127.0.0.1/tcp/%d"`, i+1))
		}
		return strings.Join(list, ",")
	}
	inline, err := multihash.Sum(make([]byte, maxCIDText), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	long := cid.NewCidV1(cid.Raw, inline).String() // well-formed
	post := func(format string, args ...any) string {
		return fmt.Sprintf(`{"cid":%q,`+format+`}`, append([]any{c}, args...)...)
	}
	s.want(202, "POST", "/pins", post(`"name":%q`, strings.Repeat("ä", 255)), nil)
	s.want(202, "POST", "/pins", post(`"origins":[%s]`, origins(20)), nil)
	for _, tt := range []struct {
		code               int
		method, path, body string
	}{
		{400, "POST", "/pins", ``},
		{400, "POST", "/pins", `[]`},
		{400, "POST", "/pins", `{}`},
		{400, "POST", "/pins", `{"cid":"nonsense"}`},
		{400, "POST", "/pins", `{"cid":7}`},
		{400, "POST", "/pins", fmt.Sprintf(`{"cid":%q}`, long)},
		{400, "POST", "/pins", post(`"name":%q`, strings.Repeat("n", 256))},
		{400, "POST", "/pins", post(`"origins":[%s]`, origins(21))},
		{400, "POST", "/pins", post(`"origins":["/nothing"]`)},
		{400, "POST", "/pins", post(`"origins":["/ip4/127.0.0.1","/ip4/127.0.0.1"]`)},
		{400, "POST", "/pins", post(`"meta":{"a":1}`)},
		{400, "POST", "/pins", post(`"name":%q`, strings.Repeat("n", maxBody))},
		{400, "GET", "/pins?limit=0", ``},
		{400, "GET", "/pins?limit=1001", ``},
		{400, "GET", "/pins?limit=x", ``},
		{400, "GET", "/pins?before=yesterday", ``},
		{400, "GET", "/pins?after=1", ``},
		{400, "GET", "/pins?status=lost", ``},
		{400, "GET", "/pins?status=", ``},
		{400, "GET", "/pins?match=fuzzy", ``},
		{400, "GET", "/pins?name=" + strings.Repeat("n", 256), ``},
		{400, "GET", "/pins?meta=1", ``},
		{400, "GET", "/pins?meta=map[a:b]", ``},
		{400, "GET", "/pins?cid=" + strings.TrimSuffix(strings.Repeat(c+",", 11), ","), ``},
		{400, "GET", "/pins?cid=nonsense", ``},
		{400, "GET", "/pins?name=%zz", ``},
		{404, "GET", "/", ``},
		{404, "GET", "/pins/unknown", ``},
		{404, "POST", "/pins/unknown", fmt.Sprintf(`{"cid":%q}`, c)},
		{404, "DELETE", "/pins/unknown", ``},
		{405, "DELETE", "/pins", ``},
		{405, "PUT", "/pins/unknown", ``},
	} {
		var f failureForm
		s.want(tt.code, tt.method, tt.path, tt.body, &f)
		if f.Error.Reason == "" || f.Error.Details == "" {
			t.Errorf("%s %s %.100s: %+v", tt.method, tt.path, tt.body, f)
		}
	}
	var f failureForm
	s.pins.full = true
	s.want(409, "POST", "/pins", fmt.Sprintf(`{"cid":%q}`, c), &f)
	s.pins.full, s.pins.broken = false, errors.New("/secret/path is broken")
	s.want(500, "POST", "/pins", fmt.Sprintf(`{"cid":%q}`, c), &f)
	if strings.Contains(f.Error.Details, "secret") {
		t.Errorf("an error of our own is told: %+v", f)
	}
}

// TestAccess: nothing is answered without a token, and a removed token ends at once.
func TestAccess(t *testing.T) {
	s := serve(t)
	for _, auth := range [][]string{{}, {""}, {"Bearer"}, {"Bearer "}, {"Bearer wrong"}, {s.token}, {"Basic " + s.token}, {"Bearer " + s.token + "x"},
		{"Bearer " + s.token, "Bearer " + s.token}, {"Bearer " + strings.Repeat("a", 10_000)}} {
		for _, path := range []string{"/pins", "/pins/x", "/other"} {
			code, h, body := s.ask("GET", path, "", auth...)
			var f failureForm
			if err := json.Unmarshal([]byte(body), &f); err != nil || code != 401 || f.Error.Reason != "UNAUTHORIZED" || h.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%.40q at %s: %d %s", auth, path, code, body)
			}
		}
	}
	for _, scheme := range []string{"Bearer ", "bearer "} {
		if code, _, body := s.ask("GET", "/pins", "", scheme+s.token); code != 200 {
			t.Errorf("with a token: %d %s", code, body)
		}
	}
	if code, h, _ := s.ask("OPTIONS", "/pins", "", ""); code != 204 || h.Get("Access-Control-Allow-Headers") == "" || h.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a browser's question: %d %v", code, h)
	}
	if err := s.file.Remove("test"); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := s.ask("GET", "/pins", ""); code != 401 {
		t.Errorf("with a removed token: %d", code)
	}
}
