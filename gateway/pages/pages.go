// Package pages is the face of the network: pages for people, served by a gateway, and the JSON behind each. They are
// whole without JavaScript, which only adds what moves: fresh numbers, a chart to point at, progress of an upload. All they
// load comes from here. What they show they ask of Data. Start with New.
//
// The API, in JSON with camelCase names; what there is not is 404 and what cannot be told right now 503, both as
// {"error":{"code":404,"status":"NOT_FOUND","message":"…","details":[]}}:
//
//	GET /explorer/api/network               Network
//	GET /explorer/api/nodes/{name or peer}  Node
//	GET /explorer/api/blobs/{blob ID}       Blob
//	GET /explorer/api/price?size=&epochs=   Price
//	GET /explorer/api/transactions?before=  TransactionList
//	GET /explorer/api/transactions/{ID}     Transaction
//	GET /explorer/api/blocks?before=        BlockList
//	GET /explorer/api/blocks/{height}       BlockDetail
//	GET /explorer/api/owners/{address}      Owner
//	GET /explorer/api/records/{object ID}   RecordDetail
//
// The pages have the same addresses without api; that of the network is /. Besides there are /explorer/blobs and
// /explorer/events, made from transactions, /explorer/upload and /explorer/search?q=.
package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
)

// Config of the pages.
type Config struct {
	// Publisher has the upload page; without, there is nothing that costs.
	Publisher bool
	// Aggregator offers content for download and preview.
	Aggregator bool
	// MaxUpload is the greatest blob that is taken, in bytes.
	MaxUpload int64
	// MaxQuilt is the same for the files of a quilt together.
	MaxQuilt int64
	// TempDir is where files of forms wait until they are stored. Empty means the system's.
	TempDir string
	// Epochs for which a blob is stored if the form is not changed.
	Epochs uint32
}

// site serves the pages; all is constant after New.
type site struct {
	cfg    Config
	data   Data
	log    *slog.Logger
	assets assets
	pages  map[string]*template.Template
}

// New makes the handler of /, of everything below /explorer/, and of what else is to look not found.
func New(cfg Config, data Data, log *slog.Logger) (http.Handler, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	s := &site{cfg: cfg, data: data, log: log, assets: a}
	if s.pages, err = parsePages(a); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.network)
	mux.HandleFunc("GET /explorer", s.home)
	mux.HandleFunc("GET /explorer/{$}", s.home)
	mux.HandleFunc("GET /explorer/live", s.live)
	mux.HandleFunc("GET /explorer/nodes/{key}", s.node)
	mux.HandleFunc("GET /explorer/blobs/{id}", s.blob)
	mux.HandleFunc("GET /explorer/search", s.search)
	mux.HandleFunc("GET /explorer/assets/{name}", s.asset)
	mux.HandleFunc("GET /favicon.ico", s.favicon)
	mux.HandleFunc("GET /explorer/api/network", s.apiNetwork)
	mux.HandleFunc("GET /explorer/api/nodes/{key}", s.apiNode)
	mux.HandleFunc("GET /explorer/api/blobs/{id}", s.apiBlob)
	mux.HandleFunc("GET /explorer/api/price", s.apiPrice)
	for _, one := range s.subjects() {
		s.add(mux, one)
		s.addJSON(mux, one)
	}
	for _, one := range s.views() {
		s.add(mux, one)
	}
	mux.HandleFunc("/explorer/api/", s.apiNothing)
	mux.HandleFunc("/", s.nothing)
	if cfg.Publisher {
		mux.HandleFunc("GET /explorer/upload", s.form)
		mux.Handle("POST /explorer/upload", s.sameOrigin(http.HandlerFunc(s.upload)))
	}
	return Secured(mux), nil
}

// policy lets a page load what this gateway serves, and nothing run or styled that stands in the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secured sets the headers of every answer: those of pages that others make, too.
func Secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// view is what every template gets.
type view struct {
	Title     string
	Here      string // the entry of the menu that this is
	Tab       string // likewise of the ledger's
	JSON      string // where the same is for programs
	Publisher bool
	Query     string // what was searched for
	Data      any
}

// show writes page. It is made in full before the first byte goes out, so that a fault of a template is a 500.
func (s *site) show(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	v.Publisher = s.cfg.Publisher
	s.render(w, r, status, s.pages[page], "layout", v)
}

// Frame puts content into the pages' layout: for pages that others make.
func Frame(title, here string, publisher bool, content template.HTML) ([]byte, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	all, err := parsePages(a)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	var b bytes.Buffer
	err = all["frame"].ExecuteTemplate(&b, "layout", view{Title: title, Here: here, Publisher: publisher, Data: content})
	return b.Bytes(), err
}

func (s *site) render(w http.ResponseWriter, r *http.Request, status int, t *template.Template, name string, v any) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, v); err != nil {
		s.log.Error("a page could not be made", "path", r.URL.Path, "err", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // all of it is of this moment
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // a reader who has left needs no answer
	}
}
