package pages

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"walrus/ledger"
	"walrus/quilt"
)

// newSite serves a fixture.
func newSite(t *testing.T, f *fixture) http.Handler {
	t.Helper()
	h, err := New(Config{Publisher: true, Aggregator: true, Pins: f, Monitor: newMonitored(24, 8), MaxUpload: 10 << 20, MaxQuilt: 20 << 20, Epochs: 1}, f, f,
		slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

// pagePaths lists all pages that have content.
func pagePaths() []string {
	list := []string{"/", "/explorer/upload", "/explorer/nodes/node-3", "/explorer/nodes/" + peerName(5),
		"/explorer/nodes/node-0"}
	list = append(list, "/explorer/search", "/explorer/transactions", "/explorer/transactions/"+
		ledger.TxID{0xaa, 1}.String(), "/explorer/blobs", "/explorer/events",
		"/explorer/blocks", "/explorer/blocks/81234", "/explorer/blocks/81233",
		"/explorer/owners/"+ledger.Address{0x99}.String(), "/explorer/records/"+ledger.ObjectID{7, 7}.String(),
		"/explorer/monitors", "/explorer/monitors?span=month", "/explorer/seen", "/explorer/monitors/node-3", "/explorer/monitors/node-2", "/explorer/risk",
		"/explorer/pins", "/explorer/pins?before=2026-03-14T15:00:00Z")
	for i := range 8 {
		list = append(list, "/explorer/blobs/"+blobID(byte(i+1)).String())
	}
	return list
}

func TestPages(t *testing.T) {
	h := newSite(t, newFixture())
	for _, tt := range []struct {
		path string
		want []string // in the page as served, so without JavaScript
	}{
		{"/", []string{
			">Network</h1>", "<b>12</b> ends in", `datetime="2026-03-14T18:34:26Z"`, "81\u202f234", "0.0001 WAL", "0.00002 WAL",
			"3.00 TiB", "12.3456789 WAL",
			"n = 100, f = 33", "67 are a quorum", `href="/explorer/nodes/` + peerName(3) + `"`, "owes 37 slivers", "unreachable",
			"refused the connection", "v0.5.0",
			`<path class="line stored" d="M`, "<li>15:10</li>", "<li>16 MiB/s</li>", "<li>0 B/s</li>", `action="/explorer/search"`,
			"/explorer/api/network",
		}},
		{"/explorer/nodes/node-3", []string{"node-3", peerName(3), "Reachable, not well:", "<b>37</b> slivers owed",
			"0.57715 WAL", "0.1275 WAL", "2 d 2 h", "3, 10, 17", "was damaged",
			"14 Mar 2026, 14:00:00 UTC</time>: sliver 12", "8.00 GiB</b> of 20.0 GiB",
			"100 GiB free, of which 256 MiB stay unused", "/ip4/192.0.2.3/tcp/4001", "100.00 %", "97.50 %", "19 d 12 h",
			"recorded for 20 d",
			"80.0 GiB", "3.00 TiB", ">48<", "received</span>", "sent</span>", "on disk</span>", "<li>12:00</li>",
			"<li>2 MiB/s</li>", "Reported by the node <time",
		}},
		{"/explorer/nodes/" + peerName(5), []string{"This node is dead", "refused the connection",
			"it is not running.</span> It last answered <time", "Last reported to this gateway <time",
			"14 Mar 2026, 14:29:26 UTC", "It does not answer", "97.50 %"}},
		{"/explorer/blobs/" + blobID(1).String(), []string{
			"Certified and stored", "until epoch 19 begins", "20 Mar 2026, 18:34:26 UTC", "1.43 MiB", "7.53 MiB",
			"6 nodes with 86 of 100 shards signed", "a quorum is 67", "Did not sign: node-5",
			`id="heatmap"`, "Shard 5 on node-5: primary unreachable, secondary unreachable",
			"Shard 10 on node-3: primary stored, secondary corrupt", "Shard 3 on node-3: primary repairing, secondary missing",
			`<img src="/v1/blobs/by-object-id/0x0707`, `data-testid="download" href="/v1/blobs/by-object-id/0x0707`,
			"A walrus on the ice", "2 deletable records until epoch 19",
		}},
		{"/explorer/blobs/" + blobID(1).String(), []string{"<h2 id=\"history\">History</h2>", "blob certified", "blob registered",
			"?before=81233.0.0#history"}},
		{"/explorer/blobs/" + blobID(1).String() + "?before=none", []string{"No transactions are known",
			"Older transactions are no longer kept: the node that was asked keeps them from block 81"}},
		{"/explorer/blobs/" + blobID(2).String(),
			[]string{"the walrus said,", `href="/v1/blobs/` + blobID(2).String() + `"`}},
		{"/explorer/blobs/" + blobID(3).String(),
			[]string{`<video controls preload="metadata" src="/v1/blobs/` + blobID(3).String() + `"`}},
		{"/explorer/blobs/" + blobID(4).String(),
			[]string{"Registered, not certified yet", "No node has sent a valid certificate"}},
		{"/explorer/blobs/" + blobID(6).String(), []string{
			">Quilt</h1>", "2 files stored together", `href="/v1/blobs/by-quilt-patch-id/AAAA"`, "photos/ice.jpg",
			`download="ice.jpg"`, "place: Svalbard, year: 2026",
		}},
		{"/explorer/blobs/" + blobID(7).String(), []string{
			"Invalid: this blob has no content.", "row 3 and column 7 have different symbols", "since epoch 11",
			`href="/explorer/blocks/81233"`,
			`href="/explorer/transactions/0xaa02`, "The blob ID leads to column 7.",
		}},
		{"/explorer/blobs/" + blobID(8).String(), []string{
			"Not stored, but pinned:", "its storage has ended, this is epoch 12", "One peer says that it keeps", peerName(77),
			"seen here since <time", "14 Mar 2026, 14:09:26 UTC", `data-testid="download" href="/v1/blobs/`, `<img src="/v1/blobs/`, "1.43 MiB",
		}},
		{"/explorer/transactions", []string{
			"certify blob", "buy storage, register blob (2)", "failed: balance", `href="/explorer/transactions/0xaa01`,
			`href="/explorer/owners/0x99`, `href="/explorer/blocks/81233"`,
			`href="/explorer/transactions?before=81233.0.0"`, "is only the word of the node", "/explorer/api/transactions",
		}},
		{"/explorer/transactions/" + ledger.TxID{0xaa, 2}.String(),
			[]string{"Done:", "storage bought", "blob registered", "0.0078 WAL", `href="/explorer/records/0x0707`,
				`href="/explorer/blobs/` + blobID(1).String()}},
		{"/explorer/transactions/" + ledger.TxID{0xaa, 1}.String(), []string{"Failed (balance):", "A node says:"}},
		{"/explorer/blobs", []string{`href="/explorer/blobs/` + blobID(1).String(), "certified", "1.43 MiB",
			`href="/explorer/blobs?before=81233.0.0"`}},
		{"/explorer/events", []string{"blob certified", "storage bought", "blob registered", "are not listed here"}},
		{"/explorer/blocks", []string{`href="/explorer/blocks/81234"`, "86 of 100", "node-2",
			`href="/explorer/blocks?before=81233"`}},
		{"/explorer/blocks/81234", []string{"Block 81\u202f234", "certify blob", `href="/explorer/blocks/81233"`}},
		{"/explorer/blocks/81233", []string{"None: the header proves it.", `href="/explorer/blocks/81234"`}},
		{"/explorer/owners/" + ledger.Address{0x99}.String(), []string{"2.5 WAL", `href="/explorer/records/0x0707`, "ended",
			"8.00 MiB", "register blob", `href="/explorer/owners/0x99`, "?before=81233.0.7#transactions"}},
		{"/explorer/records/" + ledger.ObjectID{7, 7}.String(),
			[]string{`href="/explorer/blobs/` + blobID(1).String(), `href="/explorer/owners/0x99`, "certified", "deletable",
				"20 Mar 2026", "title", `data-object="0x0707`}},
		{"/explorer/blobs/" + blobID(2).String(),
			[]string{"One peer says that it keeps", peerName(77), `datetime="2026-03-14T14:09:26Z"`}},
		{"/explorer/blobs/" + blobID(3).String(), []string{"No peer says", "walrus pin add " + blobID(3).String()}},
		{"/explorer/pins", []string{
			"Some blobs cannot be pinned.", "<b>2</b> blobs", "by 5 requests", "40.00 % of the limit", "7.00 GiB",
			`href="/explorer/blobs/` + blobID(1).String(), "100 %", "41 %", "never",
			"only 3 of 34 rows; next try 14 Mar 2026, 15:19:26 UTC", "bafkreigh2a",
			`href="/explorer/pins?before=2026-03-14T15%3A00%3A00Z"`, "/explorer/api/pins", `aria-current="page">Pins</a>`, peerName(77),
		}},
		{"/explorer/pins?before=2026-03-14T15:00:00Z", []string{"The pin process does not run", "None. Add one with"}},
		{"/explorer/search", []string{`name="q"`, "a block by its height"}},
		{"/explorer/upload", []string{`method="post" enctype="multipart/form-data"`, `name="file" type="file"`,
			`name="epochs"`, `max="53"`, `name="permanent"`, "10.0 MiB"}},
	} {
		w := get(t, h, tt.path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", tt.path, w.Code)
		}
		for _, want := range tt.want {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s lacks %q", tt.path, want)
			}
		}
	}
}

// TestHeaders checks every page: nothing inline, nothing from elsewhere, one title, one h1, landmarks.
func TestHeaders(t *testing.T) {
	h := newSite(t, newFixture())
	tags, values := regexp.MustCompile(`<[^>]*>`), regexp.MustCompile(`"[^"]*"`)
	inline := regexp.MustCompile(`(?i)^<style|\s(style|on[a-z]+)=|<script>`)
	elsewhere := regexp.MustCompile(`(?i)(src|href|action)="(https?:|//|data:|javascript:)`)
	for _, path := range append(pagePaths(), "/explorer/nothing", "/explorer/search?q=nobody") {
		w := get(t, h, path)
		if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("%s: content type %q", path, got)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") ||
			strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
		body := w.Body.String()
		for _, tag := range tags.FindAllString(body, -1) {
			if inline.MatchString(values.ReplaceAllString(tag, "")) || elsewhere.MatchString(tag) ||
				strings.HasPrefix(tag, "<script") && !strings.Contains(tag, "src=") {
				t.Errorf("%s has %.120s", path, tag)
			}
		}
		for _, once := range []string{"<title>", "<h1", "<main", "<header", `<nav aria-label="Main">`, "<footer",
			`class="skip"`, `<html lang="en">`} {
			if n := strings.Count(body, once); n != 1 {
				t.Errorf("%s has %d %s", path, n, once)
			}
		}
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(body, -1) {
			if ids[m[1]] {
				t.Errorf("%s has two elements %s", path, m[1])
			}
			ids[m[1]] = true
		}
	}
}

// TestHostile puts text that breaks out of markup everywhere where others choose the text.
func TestHostile(t *testing.T) {
	f := newFixture()
	n := f.nodes["node-0"]
	n.Name, n.Why, n.State, n.Version, n.Ledger, n.Incidents = hostile, hostile, hostile, hostile, hostile, []string{hostile}
	n.OK = false
	f.network.Nodes[0] = n.NodeSummary
	f.network.Nodes[0].Peer = hostile
	f.network.Ledger.Error = hostile
	h := newSite(t, f)
	for _, path := range []string{"/", "/explorer/live", "/explorer/upload", "/explorer/nodes/node-0",
		"/explorer/blobs/" + blobID(5).String(), "/explorer/blobs/" + blobID(6).String(), "/explorer/transactions",
		"/explorer/records/" + ledger.ObjectID{7, 7}.String(),
		"/explorer/search?q=%3C%2Ftitle%3E%3Cscript%3Ealert(1)%3C/script%3E",
		"/explorer/nodes/%3Cscript%3Ealert(1)%3C%2Fscript%3E"} {
		body := get(t, h, path).Body.String()
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s was broken out of", path)
		}
		if !strings.Contains(body, "alert(1)") {
			t.Errorf("%s does not show the text at all", path)
		}
	}
	if body := get(t, h, "/explorer/blobs/"+blobID(5).String()).Body.String(); strings.Contains(body, "<iframe") ||
		strings.Contains(body, "<object") {
		t.Error("a page of HTML is shown as such")
	}
}

// TestTurnedText: a name with marks that turn the direction of writing is not shown as another name.
func TestTurnedText(t *testing.T) {
	const turned = "ice\u202egpj.exe"
	f := newFixture()
	folder := f.blobs[blobID(6)]
	folder.ContentType = turned
	folder.Quilt = []QuiltFile{{Identifier: turned, PatchID: "AAAA", Columns: 1, Tags: map[string]string{"by": turned}}}
	f.records[ledger.ObjectID{7, 7}].Attributes = []ledger.Attribute{{Key: turned, Value: turned}}
	h := newSite(t, f)
	values := regexp.MustCompile(`"[^"]*"`) // attribute values: texts to be saved or searched for stay unchanged
	for path, shown := range map[string]int{
		"/explorer/blobs/" + blobID(6).String(): 3, "/explorer/records/" + ledger.ObjectID{7, 7}.String(): 2,
		"/explorer/search?q=" + url.QueryEscape(turned): 1,
	} {
		body := values.ReplaceAllString(get(t, h, path).Body.String(), "")
		if n := strings.Count(body, `ice\u202egpj.exe`); n != shown || strings.Contains(body, "\u202e") {
			t.Errorf("%s shows the name %d times, want %d; turned: %v", path, n, shown, strings.Contains(body, "\u202e"))
		}
	}
	for text, want := range map[string]string{"ключ 👩\u200d🚀\u00a0é": "ключ 👩\u200d🚀\u00a0é",
		"a\x1bb\nc": `a\u001bb\u000ac`, "\U000e0001": `\U000e0001`} {
		if got := visibleText(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// TestQuiltIsPaged: each file of a large quilt is on one page, and the pages lead to each other.
func TestQuiltIsPaged(t *testing.T) {
	f := newFixture()
	b := f.blobs[blobID(6)]
	b.Quilt = nil
	for i := range 666 {
		b.Quilt = append(b.Quilt, QuiltFile{Identifier: fmt.Sprintf("file-%03d.txt", i), PatchID: fmt.Sprintf("P%03d", i),
			Columns: 1})
	}
	h := newSite(t, f)
	url := "/explorer/blobs/" + b.ID.String()
	name := regexp.MustCompile(`>file-(\d+)\.txt<`)
	seen, page := 0, 0
	for next := url; next != ""; page++ {
		w := get(t, h, next)
		body := w.Body.String()
		names := name.FindAllStringSubmatch(body, -1)
		if w.Code != http.StatusOK || len(names) == 0 || len(names) > maxFiles {
			t.Fatalf("%s: %d, %d files", next, w.Code, len(names))
		}
		for _, n := range names {
			if want := fmt.Sprintf("%03d", seen); n[1] != want {
				t.Fatalf("%s: file %s, want %s", next, n[1], want)
			}
			seen++
		}
		if want := fmt.Sprintf("Files %d to %d of 666.", seen-len(names)+1, seen); !strings.Contains(body, want) {
			t.Errorf("%s does not say %q", next, want)
		}
		if (page > 0) != strings.Contains(body, fmt.Sprintf(`href="%s?page=%d#files">Earlier files`, url, page)) {
			t.Errorf("%s: wrong link to the page before", next)
		}
		next = ""
		if link := fmt.Sprintf("%s?page=%d#files", url, page+2); strings.Contains(body, `href="`+link+`">More files`) {
			next = strings.TrimSuffix(link, "#files")
		}
	}
	if seen != 666 || page != 7 {
		t.Errorf("%d files on %d pages", seen, page)
	}
	for _, wrong := range []string{"0", "8", "x", "-1", "70000"} {
		if w := get(t, h, url+"?page="+wrong); w.Code != http.StatusBadRequest {
			t.Errorf("page %s: %d %s", wrong, w.Code, w.Body)
		}
	}
	if body := get(t, newSite(t, newFixture()), url).Body.String(); strings.Contains(body, "More files") ||
		strings.Contains(body, "Files 1 to") {
		t.Error("a small quilt has several pages")
	}
}

func TestSearch(t *testing.T) {
	h := newSite(t, newFixture())
	object := ledger.ObjectID{7, 7}
	for _, tt := range []struct {
		query, location string
		status          int
	}{
		{"", "", http.StatusOK},
		{blobID(9).String(), "/explorer/blobs/" + blobID(9).String(), http.StatusSeeOther},
		{"+" + object.String() + "+", "/explorer/records/" + object.String(), http.StatusSeeOther},
		{ledger.TxID{0xaa, 1}.String(), "/explorer/transactions/" + ledger.TxID{0xaa, 1}.String(), http.StatusSeeOther},
		{ledger.Address{0x99}.String(), "/explorer/owners/" + ledger.Address{0x99}.String(), http.StatusSeeOther},
		{"81234", "/explorer/blocks/81234", http.StatusSeeOther},
		{"81235", "", http.StatusNotFound},
		{quilt.PatchID{Quilt: blobID(6), Start: 1, End: 4}.String(), "/explorer/blobs/" + blobID(6).String(),
			http.StatusSeeOther},
		{ledger.ObjectID{8}.String(), "", http.StatusNotFound},
		{"node-4", "/explorer/nodes/" + peerName(4), http.StatusSeeOther},
		{peerName(4), "/explorer/nodes/" + peerName(4), http.StatusSeeOther},
		{"//elsewhere.example", "", http.StatusNotFound},
	} {
		w := get(t, h, "/explorer/search?q="+tt.query)
		if w.Code != tt.status || w.Header().Get("Location") != tt.location {
			t.Errorf("%q: status %d to %q, want %d to %q", tt.query, w.Code, w.Header().Get("Location"), tt.status, tt.location)
		}
	}
}

func TestErrors(t *testing.T) {
	f := newFixture()
	h := newSite(t, f)
	away := newFixture()
	away.err = errNetwork
	for _, tt := range []struct {
		h            http.Handler
		method, path string
		status       int
		want         string
	}{
		{h, "GET", "/explorer/blobs/" + blobID(9).String(), http.StatusNotFound, "its last registration ended with epoch 9"},
		{h, "GET", "/explorer/blobs/short", http.StatusBadRequest, "Invalid request"},
		{h, "GET", "/explorer/nodes/nobody", http.StatusNotFound, "node nobody: not found"},
		{h, "GET", "/nothing", http.StatusNotFound, "There is no such page"},
		{h, "GET", "/explorer/assets/none.js", http.StatusNotFound, "There is no such page"},
		{h, "POST", "/", http.StatusMethodNotAllowed, "This address is read-only"},
		{newSite(t, away), "GET", "/", http.StatusServiceUnavailable, "the ledger is stalled"},
		{newSite(t, away), "GET", "/explorer/live", http.StatusServiceUnavailable, "the ledger is stalled"},
		{newSite(t, away), "GET", "/explorer/search?q=node-1", http.StatusServiceUnavailable, "the ledger is stalled"},
	} {
		w := httptest.NewRecorder()
		tt.h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s: status %d, want %d with %q", tt.method, tt.path, w.Code, tt.status, tt.want)
		}
		if (w.Header().Get("Retry-After") != "") != (tt.status == http.StatusServiceUnavailable) {
			t.Errorf("%s %s: Retry-After %q", tt.method, tt.path, w.Header().Get("Retry-After"))
		}
	}
}

// TestLedgerAway shows the pages while the ledger does not answer.
func TestLedgerAway(t *testing.T) {
	f := newFixture()
	f.network.Epoch, f.network.Prices, f.network.Capacity, f.network.Supply, f.network.Throughput = nil, nil, nil, nil, nil
	f.network.Ledger = LedgerState{Error: "is stalled at height 812", Height: 812}
	b := f.blobs[blobID(2)]
	b.Status, b.Ledger = StatusUnknown, BlobLedger{Error: "is stalled at height 812"}
	h := newSite(t, f)
	for path, want := range map[string]string{"/": "No measurements yet", "/explorer/upload": "nothing can be stored",
		"/explorer/blobs/" + blobID(2).String(): "the ledger does not answer"} {
		w := get(t, h, path)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) ||
			!strings.Contains(w.Body.String(), "is stalled at height 812") {
			t.Errorf("%s: status %d, lacks %q or why", path, w.Code, want)
		}
	}
}

// TestRoles: the pages leave out what the gateway does not do.
func TestRoles(t *testing.T) {
	h, err := New(Config{}, newFixture(), newFixture(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if body := get(t, h, "/").Body.String(); strings.Contains(body, "/explorer/upload") {
		t.Error("it offers uploads, which it does not take")
	}
	for _, path := range []string{"/explorer/upload", "/explorer/pins", "/explorer/api/pins"} {
		if w := get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if body := get(t, h, "/").Body.String(); strings.Contains(body, "/explorer/pins") {
		t.Error("it links pins, which it has not")
	}
	if body := get(t, h, "/explorer/blobs/"+blobID(1).String()).Body.String(); strings.Contains(body, "/v1/blobs") {
		t.Error("it offers content, which it does not serve")
	}
}

func TestLargestCommittee(t *testing.T) {
	f := newFixture()
	b := f.blobs[blobID(1)]
	b.Shards = nil
	for i := range 1000 {
		b.Shards = append(b.Shards, Shard{Index: i, Name: fmt.Sprintf("node-%d", i), Peer: peerName(i), Primary: SliverStored,
			Secondary: Missing})
	}
	body := get(t, newSite(t, f), "/explorer/blobs/"+blobID(1).String()).Body.String()
	if n := strings.Count(body, "data-shard="); n != 1000 || len(body) > 1<<20 {
		t.Errorf("%d shards in %d bytes", n, len(body))
	}
}

// TestInvalidBlob: the page of an invalid blob offers none of its content.
func TestInvalidBlob(t *testing.T) {
	w := get(t, newSite(t, newFixture()), "/explorer/blobs/"+blobID(7).String())
	for _, no := range []string{"/v1/blobs/", `id="download"`, `id="preview"`, "Certified and stored"} {
		if strings.Contains(w.Body.String(), no) {
			t.Errorf("the page has %q", no)
		}
	}
}
