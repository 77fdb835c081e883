package pinapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"walrus/internal/socket"
	"walrus/pin"
	"walrus/quilt"
	"walrus/shards"
)

// Copies has a pinner's operations that the API has not.
type Copies interface {
	// Verify reads all of a pinned blob and compares it with its ID. Errors: pin.ErrNotFound, pin.ErrDamaged, or others.
	Verify(ctx context.Context, id shards.BlobID) error
	// Export writes a pinned blob into a folder, as Import reads it.
	Export(ctx context.Context, id shards.BlobID, dir string) error
	// Import pins the blobs of a folder. What is there already is not copied again.
	Import(ctx context.Context, dir string) ([]pin.Request, error)
	// Files lists the files of a pinned quilt. Errors: pin.ErrNotFound, pin.ErrInvalid if the blob is no quilt, or others.
	Files(ctx context.Context, id shards.BlobID) ([]quilt.Patch, error)
	// Status returns counts.
	Status() pin.Stats
}

// socketName is the Unix socket in a pinner's home.
const socketName = "pin.sock"

// SocketPath returns the path of the socket of the pinner with a home.
func SocketPath(home string) string { return filepath.Join(home, socketName) }

// ListenLocal opens the socket in home, for the user alone. The caller holds the home's lock, so a socket that is there
// already was left by a process that was killed.
func ListenLocal(home string) (net.Listener, error) { return socket.Listen(SocketPath(home)) }

// Local serves commands on this machine, without tokens: whoever may open the socket is the owner.
type Local struct {
	api    *API // constant, as the rest
	pins   Pins
	copies Copies
	about  func() Process
}

// NewLocal makes the local interface to the pins of api and to their copies. about describes the process.
func NewLocal(api *API, c Copies, about func() Process) http.Handler {
	l := &Local{api, api.pins, c, about}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	for pattern, h := range map[string]handler{
		"GET /local/status":         l.status,
		"POST /local/list":          l.list,
		"POST /local/pins":          l.add,
		"GET /local/pins/{id}":      l.get,
		"POST /local/pins/{id}":     l.replace,
		"DELETE /local/pins/{id}":   l.remove,
		"POST /local/verify/{blob}": l.verify,
		"POST /local/export/{blob}": l.export,
		"POST /local/import":        l.importAll,
		"GET /local/files/{blob}":   l.files,
	} {
		mux.Handle(pattern, api.answer(h))
	}
	return mux
}

// NewLocalServer returns a server for h without a bound on time: reading terabytes again takes its time.
func NewLocalServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTime, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// read decodes the JSON body of a request.
func read(w http.ResponseWriter, r *http.Request, v any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v); err != nil {
		return badRequest("read the body: %v", err)
	}
	return nil
}

func (l *Local) status(http.ResponseWriter, *http.Request) (int, any, error) {
	return http.StatusOK, NewStatus(l.about(), l.copies.Status()), nil
}

func (l *Local) list(w http.ResponseWriter, r *http.Request) (int, any, error) {
	var f pin.Filter
	if err := read(w, r, &f); err != nil {
		return 0, nil, err
	}
	page, total, err := l.pins.List(f)
	return http.StatusOK, NewList(page, total), err
}

func (l *Local) add(w http.ResponseWriter, r *http.Request) (int, any, error) {
	var p Pin
	if err := read(w, r, &p); err != nil {
		return 0, nil, err
	}
	got, err := l.pins.Add(r.Context(), p.request())
	return http.StatusAccepted, NewPin(&got), err
}

func (l *Local) replace(w http.ResponseWriter, r *http.Request) (int, any, error) {
	var p Pin
	if err := read(w, r, &p); err != nil {
		return 0, nil, err
	}
	got, err := l.pins.Replace(r.Context(), r.PathValue("id"), p.request())
	return http.StatusAccepted, NewPin(&got), err
}

func (l *Local) get(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	got, err := l.pins.Request(r.PathValue("id"))
	return http.StatusOK, NewPin(&got), err
}

func (l *Local) remove(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	return http.StatusAccepted, nil, l.pins.Remove(r.Context(), r.PathValue("id"))
}

func (l *Local) verify(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := shards.ParseBlobID(r.PathValue("blob"))
	if err != nil {
		return 0, nil, badRequest("%v", err)
	}
	return http.StatusOK, nil, told(l.copies.Verify(r.Context(), id))
}

// folderForm names a folder by its absolute path: the two processes may be in different ones.
type folderForm struct {
	Dir string `json:"dir"`
}

func (l *Local) export(w http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := shards.ParseBlobID(r.PathValue("blob"))
	if err != nil {
		return 0, nil, badRequest("%v", err)
	}
	var f folderForm
	if err := read(w, r, &f); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, nil, told(l.copies.Export(r.Context(), id, f.Dir))
}

func (l *Local) importAll(w http.ResponseWriter, r *http.Request) (int, any, error) {
	var f folderForm
	if err := read(w, r, &f); err != nil {
		return 0, nil, err
	}
	list, err := l.copies.Import(r.Context(), f.Dir)
	return http.StatusOK, NewList(list, len(list)), told(err)
}

func (l *Local) files(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := shards.ParseBlobID(r.PathValue("blob"))
	if err != nil {
		return 0, nil, badRequest("%v", err)
	}
	files, err := l.copies.Files(r.Context(), id)
	return http.StatusOK, NewFiles(id, files), told(err)
}

// told lets the owner see the whole text of an error: it may name files.
func told(err error) error {
	f := classifyOrNil(err)
	if f == nil {
		return nil
	}
	f.Details = err.Error()
	return f
}

func classifyOrNil(err error) *Failure {
	if err == nil {
		return nil
	}
	f := *classify(err)
	return &f
}
