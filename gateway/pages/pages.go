// Package pages serves a network's pages for people, and the JSON behind each, as part of a gateway. The pages work
// without JavaScript, which only adds live numbers, an interactive chart, and upload progress. They load files from
// this gateway only, and get all data from Data. Start with New.
//
// The API uses JSON with camelCase names. It answers 404 for what does not exist and 503 while the network does not
// answer, both as {"error":{"code":404,"status":"NOT_FOUND","message":"…","details":[]}}:
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
//	GET /explorer/api/pins?before=          PinList, if there is a pinner on this machine
//
// The pages have the same paths without api; the network's is /. There are also /explorer/blobs and /explorer/events,
// made from transactions, /explorer/upload and /explorer/search?q=, and the pages of monitors, /explorer/monitors,
// /explorer/monitors/{name or peer}, /explorer/seen and /explorer/risk, whose JSON the gateway serves at /v1/monitor.
package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
)

// Config configures the pages.
type Config struct {
	// Publisher adds the upload page. Without it, nothing on the pages costs WAL.
	Publisher bool
	// Aggregator offers content for download and preview.
	Aggregator bool
	// MaxUpload bounds an uploaded blob, in bytes.
	MaxUpload int64
	// MaxQuilt bounds the files of an uploaded quilt together, in bytes.
	MaxQuilt int64
	// TempDir holds uploaded files until they are stored. Empty means the system's.
	TempDir string
	// Epochs is the form's default storage period.
	Epochs uint32
	// Pins reads the pins of this machine's pinner. nil: no page of pins.
	Pins Pins
	// Monitor reads what monitors saw. nil: the pages of monitors say that nobody monitors here.
	Monitor Monitor
}

// site serves the pages; all fields are constant after New.
type site struct {
	cfg    Config
	data   Data
	ledger Ledger
	log    *slog.Logger
	assets assets
	pages  map[string]*template.Template
}

// New makes the handler of / and everything below /explorer/. Other paths get a page that says not found.
func New(cfg Config, data Data, chain Ledger, log *slog.Logger) (http.Handler, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	s := &site{cfg: cfg, data: data, ledger: chain, log: log, assets: a}
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
	for _, one := range s.plain() {
		s.addJSON(mux, one)
	}
	for _, one := range append(s.subjects(), s.pins()...) {
		s.add(mux, one)
		s.addJSON(mux, one)
	}
	for _, one := range s.views() {
		s.add(mux, one)
	}
	s.monitorPages(mux)
	mux.HandleFunc("/explorer/api/", s.apiNothing)
	mux.HandleFunc("/", s.nothing)
	if cfg.Publisher {
		mux.HandleFunc("GET /explorer/upload", s.form)
		mux.Handle("POST /explorer/upload", s.sameOrigin(http.HandlerFunc(s.upload)))
	}
	return Secured(mux), nil
}

// policy allows a page to load files of this gateway only, and to run no scripts and apply no styles of its own text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secured sets the headers of every answer, also for pages made elsewhere.
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

// view is the data of every template.
type view struct {
	Title     string
	Here      string // menu entry of this page
	Tab       string // the same for the ledger's tabs
	JSON      string // URL of the same data as JSON
	Publisher bool
	Pins      bool   // there is a page of pins
	Monitor   bool   // there are pages of monitors
	Query     string // the search text
	Data      any
}

// show writes a page. It is rendered completely before the first byte goes out, so a failing template gives a 500.
func (s *site) show(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	v.Publisher, v.Pins, v.Monitor = s.cfg.Publisher, s.cfg.Pins != nil, s.cfg.Monitor != nil
	s.render(w, r, status, s.pages[page], "layout", v)
}

// Frame puts content into the layout of the pages of cfg, for pages made elsewhere.
func Frame(title, here string, cfg *Config, content template.HTML) ([]byte, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	all, err := parsePages(a)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	var b bytes.Buffer
	err = all["frame"].ExecuteTemplate(&b, "layout", view{Title: title, Here: here, Publisher: cfg.Publisher, Pins: cfg.Pins != nil,
		Monitor: cfg.Monitor != nil, Data: content})
	return b.Bytes(), err
}

func (s *site) render(w http.ResponseWriter, r *http.Request, status int, t *template.Template, name string, v any) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, v); err != nil {
		s.log.Error("rendering a page failed", "path", r.URL.Path, "err", err)
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // the page shows the present moment
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // a reader who has left needs no answer
	}
}
