package gateway

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/tus/tusd/v2/pkg/filestore"
	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	"golang.org/x/exp/slog" // tusd uses this package, not log/slog
	"golang.org/x/sync/singleflight"

	"walrus/client"
)

const uploadsPath = "/v1/uploads"

// uploads receives bodies in pieces, by the tus protocol or the IETF draft that follows it. A piece is on disk once it
// is acknowledged. The last piece stores the blob.
type uploads struct {
	g        *Gateway
	dir      *uploadDir // holds the pieces
	store    filestore.FileStore
	tus      *handler.UnroutedHandler
	finishes singleflight.Group // by ID: one store per upload at a time
	joins    claims             // of parts
}

// openUploads makes the directory of uploads, and their handler.
func (g *Gateway) openUploads() error {
	dir, err := openUploadDir(g.cfg.Store.UploadDir, g.cfg.Store.TempDir)
	if err != nil {
		return fmt.Errorf("open the folder for uploads: %w", err)
	}
	g.uploads, err = newUploads(g, dir)
	return err
}

// newUploads makes the handler of uploads in a directory that exists.
func newUploads(g *Gateway, dir *uploadDir) (*uploads, error) {
	u := &uploads{g: g, dir: dir, store: filestore.New(dir.path)}
	u.store.FileModePerm, u.store.DirModePerm = 0o600, 0o700
	parts := handler.NewStoreComposer()
	parts.UseCore(u.store)
	parts.UseTerminater(u.store)
	parts.UseConcater(u.store)
	parts.UseLengthDeferrer(u.store)
	memorylocker.New().UseIn(parts)
	var err error
	u.tus, err = handler.NewUnroutedHandler(handler.Config{
		StoreComposer: parts, BasePath: uploadsPath, MaxSize: g.cfg.Store.MaxBody,
		EnableExperimentalProtocol: true, DisableDownload: true,
		Cors: &handler.CorsConfig{Disable: true}, NetworkTimeout: g.cfg.Time.Stall,
		GracefulRequestCompletionTimeout: g.cfg.Time.Drain, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		PreUploadCreateCallback: u.admit, PreFinishResponseCallback: u.finished,
	})
	if err != nil {
		return nil, fmt.Errorf("resumable uploads: %w", err)
	}
	return u, nil
}

// admit accepts or refuses a new upload.
func (u *uploads) admit(hook handler.HookEvent) (res handler.HTTPResponse, same handler.FileInfoChanges, err error) {
	if _, err = u.options(hook.Upload.MetaData); err == nil {
		err = u.mayHave(&hook)
	}
	if err == nil {
		err = u.room(len(hook.Upload.PartialUploads))
	}
	if err != nil {
		err = u.refusal(err)
	}
	return res, same, err
}

// room returns an error if there is no room for one more upload. An upload made of parts gives their room back once
// it is stored.
func (u *uploads) room(parts int) error {
	if err := u.dir.ready(); err != nil {
		return err
	}
	n, err := u.unfinished()
	if err == nil && n-parts >= u.g.cfg.Store.MaxUploads {
		return &failure{
			code: http.StatusTooManyRequests, status: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_UPLOADS", domain: domainDaemon,
			message: "too many uploads are unfinished; try again later", retry: retrySeconds,
		}
	}
	return err
}

// refusal converts err into an error that tusd sends.
func (u *uploads) refusal(err error) error {
	if own := (handler.Error{}); errors.As(err, &own) {
		return own
	}
	f := classify(storing, err)
	if f.code >= http.StatusInternalServerError {
		u.g.log.Warn("upload failed", "folder", u.dir.path, "status", f.code, "err", err)
	}
	return tusError(f)
}

// finished is called when all pieces are here. It stores the blob.
func (u *uploads) finished(hook handler.HookEvent) (handler.HTTPResponse, error) {
	if hook.Upload.IsPartial {
		return handler.HTTPResponse{}, nil
	}
	done, err := u.finish(hook.Context, hook.Upload.ID)
	if err != nil {
		if hook.Upload.IsFinal { // the client does not know its ID and begins it anew from the same parts
			err = errors.Join(err, u.remove(hook.Upload.ID))
		}
		return handler.HTTPResponse{}, u.refusal(err)
	}
	res := handler.HTTPResponse{Header: handler.HTTPHeader{}}
	maps.Copy(res.Header, done.headers())
	if wantsBody(hook.HTTPRequest.Header) {
		res.StatusCode, res.Body, res.Header["Content-Type"] = http.StatusOK, string(done.Result), "application/json"
	}
	return res, nil
}

// wantsBody reports whether a client accepts a body in the final response: tus demands an empty one.
func wantsBody(h http.Header) bool {
	return strings.Contains(h.Get("Prefer"), "return=representation")
}

// options reads the store parameters from an upload's metadata. Unknown keys belong to the client.
func (u *uploads) options(meta handler.MetaData) (client.StoreOptions, error) {
	p := StoreParams{Epochs: meta["epochs"], SendObjectTo: meta["send_object_to"], ContentType: meta["content_type"]}
	if p.ContentType == "" {
		p.ContentType = meta["filetype"] // the key that browsers' clients use
	}
	for k, v := range map[string]*bool{"permanent": &p.Permanent, "deletable": &p.Deletable, "force": &p.Force,
		"share": &p.Share} {
		switch meta[k] {
		case "true":
			*v = true
		case "", "false":
		default:
			return client.StoreOptions{}, malformed(k + ": must be true or false")
		}
	}
	return p.options(&u.g.cfg.Store)
}

// tusError makes tusd answer with a failure.
func tusError(f *failure) error {
	e := handler.NewError(f.reason, f.message, f.code)
	e.HTTPResponse.Body, e.HTTPResponse.Header = f.text(), handler.HTTPHeader{"Content-Type": "application/json"}
	if f.retry > 0 {
		e.HTTPResponse.Header["Retry-After"] = fmt.Sprint(f.retry)
	}
	return e
}

func (g *Gateway) addUploads(api huma.API) {
	u := g.uploads
	register(g, api, storing, uploadOperation(api, http.MethodOptions, false),
		func(w http.ResponseWriter, r *http.Request, _ *struct{}) error {
			return u.pass(w, r, nil)
		})
	register(g, api, storing, uploadOperation(api, http.MethodPost, false),
		func(w http.ResponseWriter, r *http.Request, _ *uploadNew) error {
			return u.create(w, r)
		})
	register(g, api, storing, uploadOperation(api, http.MethodHead, true),
		func(w http.ResponseWriter, r *http.Request, _ *uploadAt) error {
			return u.pass(w, r, u.tus.HeadFile)
		})
	register(g, api, storing, uploadOperation(api, http.MethodPatch, true),
		func(w http.ResponseWriter, r *http.Request, in *uploadPiece) error {
			return u.patch(w, r, in.ID)
		})
	register(g, api, storing, uploadOperation(api, http.MethodDelete, true),
		func(w http.ResponseWriter, r *http.Request, _ *uploadAt) error {
			return u.pass(w, r, u.tus.DelFile)
		})
	register(g, api, storing, uploadOperation(api, http.MethodGet, true),
		func(w http.ResponseWriter, _ *http.Request, in *uploadAt) error {
			done, err := u.outcome(in.ID)
			if err != nil {
				return err
			}
			return done.write(w)
		})
	describeTus(api)
}

// pass hands a request to tusd. Its answers name uploads by their path alone: tusd would make full addresses of the
// Host header, or of headers that anybody can send, and know nothing of a proxy in front.
func (u *uploads) pass(w http.ResponseWriter, r *http.Request, h http.HandlerFunc) error {
	if r.ContentLength > u.g.cfg.Store.MaxBody {
		return bodyTooLarge(u.g.cfg.Store.MaxBody)
	}
	if r.Header.Get("Content-Type") == "application/octet-stream" {
		r.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	origin := "http://" + r.Host
	if r.TLS != nil {
		origin = "https://" + r.Host
	}
	out := &pathsOnly{ResponseWriter: w, origin: origin}
	http.StripPrefix(uploadsPath, u.tus.Middleware(h)).ServeHTTP(out, r) // tusd takes the rest of the path as the ID
	return nil
}

// pathsOnly removes the origin from the addresses of uploads in an answer's header.
type pathsOnly struct {
	http.ResponseWriter
	origin string
}

func (p *pathsOnly) WriteHeader(code int) {
	for _, k := range []string{"Location", concatHeader} {
		if v := p.Header().Get(k); v != "" {
			p.Header().Set(k, strings.ReplaceAll(v, p.origin+uploadsPath, uploadsPath))
		}
	}
	p.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find the connection.
func (p *pathsOnly) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// patch takes a piece. For a complete upload it returns the outcome, or stores it if that failed before.
func (u *uploads) patch(w http.ResponseWriter, r *http.Request, id string) error {
	if done, err := u.outcome(id); err == nil {
		return done.answer(w, r)
	}
	if !u.complete(r.Context(), id) {
		return u.pass(w, r, u.tus.PatchFile)
	}
	done, err := u.finish(r.Context(), id)
	if err != nil {
		return err
	}
	return done.answer(w, r)
}

// errUnfinished is returned for the outcome of an unfinished upload.
var errUnfinished = &failure{
	code: http.StatusNotFound, status: "NOT_FOUND", reason: "UPLOAD_NOT_FINISHED", domain: domainDaemon,
	message: "no upload has this ID, or it is not finished",
}
