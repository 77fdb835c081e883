package pages

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"walrus/ledger"
)

// TestServe serves the fixture if WALRUS_SERVE_PAGES is set, for looking at every page in a browser: a real network
// with a month of history, a dead node and a quilt takes long to make. It prints its address and the pages, and ends
// with its input.
func TestServe(t *testing.T) {
	if os.Getenv("WALRUS_SERVE_PAGES") == "" {
		t.Skip("only for scripts/web/run.sh screens")
	}
	start = time.Now().UTC().Truncate(time.Second)
	calm := hostile
	defer func() { hostile = calm }()
	hostile = "A text with \"quotes\" & <marks>"
	h := newSite(t, newFixture())
	var picture bytes.Buffer
	ice := image.NewRGBA(image.Rect(0, 0, 320, 200))
	for x := range 320 {
		for y := range 200 {
			ice.Set(x, y, color.RGBA{uint8(40 + x/4), uint8(90 + y/2), uint8(150 + (x+y)/8), 255})
		}
	}
	if err := png.Encode(&picture, ice); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			if strings.HasSuffix(r.URL.Path, ".svg") {
				b, err := Badge(&newMonitored(7, 0).overview.Nodes[3])
				if err != nil {
					t.Error(err)
				}
				w.Header().Set("Content-Type", "image/svg+xml")
				_, _ = w.Write(b)
				return
			}
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(picture.Bytes())
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	fmt.Println("url", s.URL)
	for _, p := range []struct{ name, path string }{
		{"network", "/"}, {"node", "/explorer/nodes/node-3"}, {"node-dead", "/explorer/nodes/node-5"},
		{"blob", "/explorer/blobs/" + blobID(1).String()},
		{"blob-pinned", "/explorer/blobs/" + blobID(8).String()},
		{"quilt", "/explorer/blobs/" + blobID(6).String()}, {"transactions", "/explorer/transactions"},
		{"transaction", "/explorer/transactions/" + ledger.TxID{0xaa, 2}.String()},
		{"blobs", "/explorer/blobs"}, {"events", "/explorer/events"}, {"blocks", "/explorer/blocks"},
		{"block", "/explorer/blocks/81234"},
		{"owner", "/explorer/owners/" + ledger.Address{0x99}.String()},
		{"record", "/explorer/records/" + ledger.ObjectID{7, 7}.String()},
		{"upload", "/explorer/upload"}, {"search", "/explorer/search"}, {"pins", "/explorer/pins"},
		{"monitors", "/explorer/monitors"}, {"monitors-month", "/explorer/monitors?span=month"}, {"monitored", "/explorer/monitors/node-3"},
		{"monitored-silent", "/explorer/monitors/node-2"}, {"seen", "/explorer/seen"}, {"risk", "/explorer/risk"},
	} {
		fmt.Println("page", p.name, p.path)
	}
	fmt.Println("end")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
