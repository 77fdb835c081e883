package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/tus/tusd/v2/pkg/handler"
)

// The concatenation of tus: a client sends parts of a blob in parallel, each as its own upload, and then has them
// joined. Only the whole is stored and paid for. Afterwards the parts free their space.

const (
	concatHeader = "Upload-Concat"
	draftHeader  = "Upload-Draft-Interop-Version" // of the IETF's draft, which has no concatenation
)

// create begins an upload. A repeated request for the whole of the same parts gets the same answer, as the first may
// have been lost. It waits for the first if that is not done: otherwise both would be stored and paid for.
func (u *uploads) create(w http.ResponseWriter, r *http.Request) error {
	concat := r.Header.Get(concatHeader)
	if concat != "" && r.Header.Get(draftHeader) != "" {
		return malformed(concatHeader + " is of tus, " + draftHeader + " of another protocol: send one of them")
	}
	list, final := strings.CutPrefix(concat, "final;")
	if !final {
		return u.pass(w, r, u.tus.PostFile)
	}
	parts, err := u.parts(list)
	if err != nil {
		return err
	}
	release, err := u.joins.take(r.Context(), parts)
	if err != nil {
		return err
	}
	defer release()
	if done, err := u.outcome(parts[0]); err == nil && slices.Equal(done.Parts, parts) {
		w.Header().Set("Location", uploadsPath+"/"+done.Final)
		w.Header().Set("Tus-Resumable", "1.0.0")
		for k, v := range done.headers() {
			w.Header().Set(k, v)
		}
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	return u.pass(w, r, u.tus.PostFile)
}

// parts reads the list of a whole's parts, at least one. IDs are checked because tusd makes paths of them.
func (u *uploads) parts(list string) (ids []string, err error) {
	for url := range strings.SplitSeq(list, " ") {
		if url == "" {
			continue
		}
		_, id, ok := strings.Cut(url, uploadsPath+"/")
		if !ok || !uploadID.MatchString(id) {
			return nil, malformed(concatHeader + ": " + shorten(url) + ": no such upload at this gateway")
		}
		if slices.Contains(ids, id) { // or a few bytes, once counted, would become very many
			return nil, malformed(concatHeader + ": " + shorten(url) + " is named twice: each part may be used once")
		}
		ids = append(ids, id)
	}
	if most := u.g.cfg.Store.MaxUploads; len(ids) == 0 || len(ids) > most {
		return nil, malformed(fmt.Sprintf("%s: %d parts: must be 1 to %d", concatHeader, len(ids), most))
	}
	return ids, nil
}

// claims holds the parts that are being joined, each by one request. The zero value is ready for use.
type claims struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when the part is free again; guarded by mu
}

// take waits until no other request joins any of the parts, or ctx ends.
func (c *claims) take(ctx context.Context, parts []string) (release func(), err error) {
	for {
		busy := c.try(parts)
		if busy == nil {
			return func() { c.release(parts) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try takes all parts, or returns the claim of one that is taken.
func (c *claims) try(parts []string) (busy <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range parts {
		if claim, ok := c.taken[id]; ok {
			return claim
		}
	}
	if c.taken == nil {
		c.taken = map[string]chan struct{}{}
	}
	claim := make(chan struct{})
	for _, id := range parts {
		c.taken[id] = claim
	}
	return nil
}

func (c *claims) release(parts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.taken[parts[0]])
	for _, id := range parts {
		delete(c.taken, id)
	}
}

// uploadID matches the IDs of uploads.
var uploadID = regexp.MustCompile("^[0-9a-f]{32}$")

// mayHave checks the token's limits for a new upload where the guard cannot, and that its parts can be joined.
func (u *uploads) mayHave(hook *handler.HookEvent) error {
	info := &hook.Upload
	if info.IsPartial { // checked against the token as a part
		return nil
	}
	for _, id := range info.PartialUploads {
		up, err := u.store.GetUpload(hook.Context, id)
		if err != nil {
			return err
		}
		part, err := up.GetInfo(hook.Context)
		if err != nil {
			return err
		}
		if _, err := u.outcome(id); err == nil || !part.IsPartial { // its bytes are gone or about to be
			return malformed(concatHeader + ": one of the uploads was not begun as a part, or is already used in another upload")
		}
	}
	size := info.Size
	if info.SizeIsDeferred {
		size = -1
	}
	return u.g.limits.CheckSize(hook.Context, size)
}

// spend replaces the parts of a stored whole by their outcome.
func (u *uploads) spend(ctx context.Context, parts []string, done *uploadDone) error {
	for _, id := range parts {
		up, err := u.store.GetUpload(ctx, id)
		if errors.Is(err, handler.ErrNotFound) { // its client deleted it meanwhile
			continue
		}
		if err != nil {
			return err
		}
		info, err := up.GetInfo(ctx)
		if err != nil {
			return err
		}
		spent := *done
		spent.Size = info.Size
		if err := u.keep(id, &spent); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes uploads with all their files.
func (u *uploads) remove(ids ...string) (err error) {
	for _, id := range ids {
		for _, suffix := range []string{"", infoSuffix, resultSuffix} {
			if e := os.Remove(filepath.Join(u.dir.path, id+suffix)); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	return err
}
