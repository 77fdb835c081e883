package guard

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// claims holds a token's registered claims (RFC 7519) and its limits for the upload.
type claims struct {
	jwt.RegisteredClaims
	SendObjectTo *string `json:"send_object_to"`
	Epochs       *uint32 `json:"epochs"`
	MaxEpochs    *uint32 `json:"max_epochs"`
	Size         *uint64 `json:"size"`
	MaxSize      *uint64 `json:"max_size"`
}

// consistent reports whether no two claims say the same thing differently.
func (c *claims) consistent() bool {
	return (c.Epochs == nil || c.MaxEpochs == nil) && (c.Size == nil || c.MaxSize == nil)
}

// checkQuery checks a request's parameters against the claims. Resumable uploads may have them in their metadata. A
// parameter given twice is refused: the handler might use the other value.
func (c *claims) checkQuery(r *http.Request, defaultEpochs uint32) *Refusal {
	given := r.URL.Query()
	if below(r.URL.Path, uploads) {
		for k, v := range uploadMetadata(r.Header.Get("Upload-Metadata")) {
			given[k] = append(given[k], v)
		}
	}
	if c.Epochs != nil || c.MaxEpochs != nil {
		epochs, ok := uint64(defaultEpochs), len(given["epochs"]) < 2
		if len(given["epochs"]) == 1 {
			var err error
			epochs, err = strconv.ParseUint(given.Get("epochs"), 10, 32)
			ok = err == nil
		}
		if !ok || c.Epochs != nil && epochs != uint64(*c.Epochs) || c.MaxEpochs != nil && epochs > uint64(*c.MaxEpochs) {
			return forbidden("INVALID_EPOCHS", "the epochs field in the query does not match the token")
		}
	}
	if to := given["send_object_to"]; c.SendObjectTo != nil &&
		(len(to) != 1 || address(to[0]) != address(*c.SendObjectTo)) {
		return forbidden("INVALID_SEND_OBJECT_TO",
			"the send_object_to field in the query does not match the token, or is missing")
	}
	return nil
}

// checkSize checks a size against the claims. end: n is the whole size, not only the part that has come.
func (c *claims) checkSize(n int64, end bool) *Refusal {
	size := uint64(n)
	if c.MaxSize != nil && size > *c.MaxSize || c.Size != nil && (size > *c.Size || end && size < *c.Size) {
		return forbidden("INVALID_SIZE", "the size of the request does not match the size specified in the token")
	}
	return nil
}

// CheckSize checks an upload's size against the request's token, if it has one. The guard itself checks blobs; only the
// handler knows the sizes of quilts and of joined parts. A size below 0 means that the size is not known yet. The error
// is a *Refusal.
func (g *Guard) CheckSize(ctx context.Context, size int64) error {
	if v := visited(ctx); v != nil && v.claims != nil && g.cfg.JWT.VerifyUpload {
		if size < 0 && (v.claims.Size != nil || v.claims.MaxSize != nil) {
			return forbidden("INVALID_SIZE", "the token limits the size, so the upload must state it in Upload-Length")
		}
		if size < 0 {
			return nil
		}
		if f := v.claims.checkSize(size, true); f != nil {
			return f
		}
	}
	return nil
}

// uploadMetadata parses tus' metadata header: name, blank, value in base64, comma.
func uploadMetadata(header string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		if b, err := base64.StdEncoding.DecodeString(value); err == nil {
			out[name] = string(b)
		}
	}
	return out
}

// address returns an address in a canonical form for comparison.
func address(s string) string {
	return strings.TrimLeft(strings.TrimPrefix(strings.ToLower(s), "0x"), "0")
}
