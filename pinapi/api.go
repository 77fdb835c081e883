// Package pinapi serves pins over HTTP, in two ways. API is the IPFS Pinning Service API 1.0.0, for clients on other
// machines that have a token. Local serves the same and a pinner's own operations to commands on this machine, at a
// Unix socket; Client asks there. The pins themselves are the caller's.
package pinapi

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"walrus/pin"
)

// Pins keeps what the API is asked for. Implementations are safe for concurrent use.
type Pins interface {
	// Add makes a request durable and returns it with its ID. Errors: pin.ErrInvalid, pin.ErrNoEpoch, pin.ErrFull, or
	// others.
	Add(ctx context.Context, r pin.Request) (pin.Request, error)
	// Replace adds a request and removes the one with that ID, both or neither. Errors: as Add, and pin.ErrNotFound.
	Replace(ctx context.Context, id string, r pin.Request) (pin.Request, error)
	// Remove removes a request. Errors: pin.ErrNotFound, or others.
	Remove(ctx context.Context, id string) error
	// Request returns the request with that ID. Errors: pin.ErrNotFound, or others.
	Request(id string) (pin.Request, error)
	// List returns a page of requests, the newest first, and how many the filter selects in all.
	List(f pin.Filter) (page []pin.Request, total int, err error)
}

// Config of an API.
type Config struct {
	// Delegates returns the multiaddrs, with peer ID, at which this pinner can be reached. The first maxDelegates are
	// told; there must be one.
	Delegates func() []string
	// Logger receives errors that are nobody's fault but ours.
	Logger *slog.Logger
}

// API is the IPFS Pinning Service API over Pins. All tokens see all pins: a token stands for a device of the one person
// who runs the pinner.
type API struct {
	cfg  Config // constant after NewAPI, as the next
	pins Pins
	mux  *http.ServeMux
}

// NewAPI makes an API. It starts nothing.
func NewAPI(cfg Config, pins Pins) *API {
	a := &API{cfg: cfg, pins: pins, mux: http.NewServeMux()}
	for pattern, h := range map[string]handler{
		"GET /pins":                 a.list,
		"POST /pins":                a.add,
		"GET /pins/{requestid}":     a.get,
		"POST /pins/{requestid}":    a.replace,
		"DELETE /pins/{requestid}":  a.remove,
		"GET " + documentPath:       document,
		"OPTIONS /pins":             preflight,
		"OPTIONS /pins/{requestid}": preflight,
		"/pins":                     wrongMethod("GET, POST"),
		"/pins/{requestid}":         wrongMethod("GET, POST, DELETE"),
		"/":                         noSuchPath,
	} {
		a.mux.Handle(pattern, a.answer(h))
	}
	return a
}

// ServeHTTP answers a request without asking for a token. Public does.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Public returns the API for other machines: every request but for the document needs a token of t. Scripts of all web
// pages may call it, because a browser adds no token by itself.
func (a *API) Public(t *Tokens) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodOptions && r.URL.Path != documentPath {
			ok, err := t.Allow(r.Header.Values("Authorization"))
			if err != nil {
				a.cfg.Logger.Error("pinning API: tokens", "err", err)
				writeFailure(w, failed(http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "the tokens cannot be read"))
				return
			}
			if !ok {
				h.Set("WWW-Authenticate", "Bearer")
				writeFailure(w, failed(http.StatusUnauthorized, "UNAUTHORIZED", "the access token is missing or unknown: send Authorization: Bearer TOKEN"))
				return
			}
		}
		a.mux.ServeHTTP(w, r)
	})
}

// handler answers a request with a status and a JSON body, nil for none, or an error.
type handler func(w http.ResponseWriter, r *http.Request) (code int, body any, err error)

func (a *API) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body, err := h(w, r)
		if err != nil {
			f := classify(err)
			if f.code == http.StatusInternalServerError {
				a.cfg.Logger.Error("pinning API", "method", r.Method, "path", r.URL.Path, "err", err)
			}
			writeFailure(w, f)
			return
		}
		writeJSON(w, code, body)
	})
}

// maxBody bounds a pin in JSON: the limits of a request, each byte escaped.
const maxBody = 256 << 10

// readPin reads a pin from the body of a request.
func readPin(w http.ResponseWriter, r *http.Request) (pin.Request, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return pin.Request{}, badRequest("the body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return pin.Request{}, badRequest("read the body: %v", err)
	}
	var p pinForm
	if err := json.Unmarshal(body, &p); err != nil {
		return pin.Request{}, badRequest(`the body is no pin such as {"cid":"…","name":"…"}: %v`, err)
	}
	return p.request()
}

func (a *API) add(w http.ResponseWriter, r *http.Request) (int, any, error) {
	want, err := readPin(w, r)
	if err != nil {
		return 0, nil, err
	}
	got, err := a.pins.Add(r.Context(), want)
	return a.accepted(&got, err)
}

func (a *API) replace(w http.ResponseWriter, r *http.Request) (int, any, error) {
	want, err := readPin(w, r)
	if err != nil {
		return 0, nil, err
	}
	got, err := a.pins.Replace(r.Context(), r.PathValue("requestid"), want)
	return a.accepted(&got, err)
}

// accepted answers with a request as it was accepted. Whether the CID is of this network is looked at afterwards.
func (a *API) accepted(r *pin.Request, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	if r.Status == pin.Failed {
		r.Status, r.Reason = pin.Queued, ""
	}
	return http.StatusAccepted, a.form(r), nil
}

func (a *API) get(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	got, err := a.pins.Request(r.PathValue("requestid"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, a.form(&got), nil
}

func (a *API) remove(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	return http.StatusAccepted, nil, a.pins.Remove(r.Context(), r.PathValue("requestid"))
}

func (a *API) list(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	f, err := parseFilter(r.URL.RawQuery)
	if err != nil {
		return 0, nil, err
	}
	page, total, err := a.pins.List(f)
	if err != nil {
		return 0, nil, err
	}
	out := resultsForm{Count: total, Results: make([]statusForm, len(page))}
	for i := range page {
		out.Results[i] = a.form(&page[i])
	}
	return http.StatusOK, out, nil
}

// documentPath has the API's document, for everybody.
const documentPath = "/openapi.json"

//go:embed openapi.json
var openAPI []byte

func document(http.ResponseWriter, *http.Request) (int, any, error) {
	return http.StatusOK, json.RawMessage(openAPI), nil
}

func preflight(w http.ResponseWriter, _ *http.Request) (int, any, error) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "86400")
	return http.StatusNoContent, nil, nil
}

func wrongMethod(allowed string) handler {
	return func(w http.ResponseWriter, r *http.Request) (int, any, error) {
		w.Header().Set("Allow", allowed)
		return 0, nil, failed(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", fmt.Sprintf("%.20s is not possible here: use %s", r.Method, allowed))
	}
}

func noSuchPath(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	return 0, nil, failed(http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("no such path: %.100s; pins are at /pins", r.URL.Path))
}

// Bounds of the server.
const (
	headerTime = 10 * time.Second
	bodyTime   = 30 * time.Second
	// answerTime bounds a request as a whole. The longest answers are pages of 1000 pins with 16 KiB of meta each.
	answerTime = 2 * time.Minute
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10
	// maxConnections bounds the connections to one address. Others wait in the system's queue.
	maxConnections = 128
)

// Listen listens at a TCP address and bounds the connections that are open at a time.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, maxConnections), nil
}

// NewServer returns a server for h with bounds on time and memory that suit the API.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
