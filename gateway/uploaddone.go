package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"walrus/client"
	"walrus/client/jsonform"
)

// The files of an upload: its bytes, tusd's information, and the outcome.
const (
	infoSuffix   = ".info"
	resultSuffix = ".result"
)

// uploadDone is the outcome of a stored upload.
type uploadDone struct {
	BlobID string          `json:"blobId"`
	Size   int64           `json:"size"`
	Token  string          `json:"token,omitempty"` // owner token
	Result json.RawMessage `json:"result"`          // a StoreResult
	// Set for a concatenated upload: itself and its parts. The parts have the same values.
	Final string   `json:"final,omitempty"`
	Parts []string `json:"parts,omitempty"`
}

// headers returns the outcome as headers, for clients that must not get a body.
func (d *uploadDone) headers() map[string]string {
	h := map[string]string{"Walrus-Blob-Id": d.BlobID, "Walrus-Store-Result": string(d.Result)}
	if d.Token != "" {
		h[ownerHeader] = d.Token
	}
	return h
}

// write answers with the result.
func (d *uploadDone) write(w http.ResponseWriter) error {
	for k, v := range d.headers() {
		w.Header().Set(k, v)
	}
	return writeJSON(w, d.Result)
}

// answer is write for a request that came after the upload was complete.
func (d *uploadDone) answer(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Tus-Resumable", "1.0.0")
	w.Header().Set("Upload-Offset", strconv.FormatInt(d.Size, 10))
	if wantsBody(r.Header) {
		return d.write(w)
	}
	for k, v := range d.headers() {
		w.Header().Set(k, v)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// outcome reads the outcome of a stored upload.
func (u *uploads) outcome(id string) (*uploadDone, error) {
	raw, err := os.ReadFile(filepath.Join(u.dir.path, id+resultSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errUnfinished
	}
	done := new(uploadDone)
	if err == nil {
		err = json.Unmarshal(raw, done)
	}
	return done, err
}

// complete reports whether all bytes of an upload are here, so that it can be stored. A part is never complete.
func (u *uploads) complete(ctx context.Context, id string) bool {
	up, err := u.store.GetUpload(ctx, id)
	if err != nil {
		return false
	}
	info, err := up.GetInfo(ctx)
	return err == nil && !info.IsPartial && !info.SizeIsDeferred && info.Offset == info.Size
}

// finish stores a complete upload and keeps the outcome until it expires, for clients that lost the answer. The bytes
// free their space.
func (u *uploads) finish(ctx context.Context, id string) (*uploadDone, error) {
	v, err, _ := u.finishes.Do(id, func() (any, error) {
		if done, err := u.outcome(id); err == nil {
			return done, nil
		}
		return u.storeUpload(ctx, id)
	})
	if err != nil {
		return nil, err
	}
	return v.(*uploadDone), nil //nolint:errcheck // what the function above returns
}

func (u *uploads) storeUpload(ctx context.Context, id string) (done *uploadDone, err error) {
	up, err := u.store.GetUpload(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("finish upload: %w", err)
	}
	info, err := up.GetInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("finish upload: %w", err)
	}
	if info.Size > u.g.cfg.Store.MaxBody {
		return nil, bodyTooLarge(u.g.cfg.Store.MaxBody)
	}
	opt, err := u.options(info.MetaData)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(u.dir.path, id))
	if err != nil {
		return nil, fmt.Errorf("finish upload: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	ctx, end := u.g.storing(ctx)
	defer end()
	res, err := u.g.pay(ctx, opt, func(opt client.StoreOptions) (*client.StoreResult, error) {
		return u.g.client.Store(ctx, f, uint64(info.Size), opt)
	})
	if err != nil {
		return nil, err
	}
	done = &uploadDone{BlobID: res.BlobID.String(), Size: info.Size, Token: u.g.ownerOf(res, opt)}
	if done.Result, err = json.Marshal(jsonform.New(res)); err != nil {
		return nil, err
	}
	if !info.IsFinal {
		return done, u.keep(id, done)
	}
	done.Final, done.Parts = id, info.PartialUploads
	if err := u.keep(id, done); err != nil {
		return done, err
	}
	return done, u.spend(ctx, done.Parts, done)
}

// keep saves an upload's outcome and turns its file into a hole of the same size: tusd still reports it as complete.
func (u *uploads) keep(id string, done *uploadDone) error {
	raw, err := json.Marshal(done)
	if err != nil {
		return err
	}
	path := filepath.Join(u.dir.path, id)
	if err := os.WriteFile(path+resultSuffix, raw, 0o600); err != nil {
		return fmt.Errorf("finish upload: %w", err)
	}
	if err := errors.Join(os.Truncate(path, 0), os.Truncate(path, done.Size)); err != nil {
		return fmt.Errorf("finish upload: %w", err)
	}
	return nil
}

// unfinished counts the uploads that take up space.
func (u *uploads) unfinished() (n int, err error) {
	list, err := os.ReadDir(u.dir.path)
	for _, e := range list {
		switch {
		case strings.HasSuffix(e.Name(), infoSuffix):
			n++
		case strings.HasSuffix(e.Name(), resultSuffix):
			n--
		}
	}
	return n, err
}

// expire removes uploads without progress since before.
func (u *uploads) expire(before time.Time) error {
	list, err := os.ReadDir(u.dir.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	newest := map[string]time.Time{} // by ID
	for _, e := range list {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		id, _, _ := strings.Cut(e.Name(), ".")
		if t := info.ModTime(); t.After(newest[id]) {
			newest[id] = t
		}
	}
	for id, t := range newest {
		if !t.Before(before) {
			continue
		}
		err = errors.Join(err, u.remove(id))
	}
	return err
}

// run expires uploads until ctx ends.
func (u *uploads) run(ctx context.Context) {
	expiry := u.g.cfg.Store.UploadExpiry
	tick := time.NewTicker(max(expiry/10, time.Second))
	defer tick.Stop()
	for {
		if err := u.expire(time.Now().Add(-expiry)); err != nil {
			u.g.log.Warn("remove uploads without progress", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
