package guard

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds a token before it is decoded.
const maxToken = 8 << 10

// skew is the tolerated lead of a token issuer's clock.
const skew = 5 * time.Second

// realm is the challenge of a 401.
const realm = `Bearer realm="walrus publisher"`

func unauthenticated(reason, message string) *Refusal {
	return &Refusal{Code: http.StatusUnauthorized, Status: "UNAUTHENTICATED", Reason: reason,
		Domain: domainAuth, Message: message,
		challenge: realm + `, error="invalid_token", error_description="` + message + `"`}
}

func forbidden(reason, message string) *Refusal {
	return &Refusal{Code: http.StatusForbidden, Status: "PERMISSION_DENIED", Reason: reason,
		Domain: domainAuth, Message: message,
		challenge: realm + `, error="insufficient_scope", error_description="` + message + `"`}
}

// authenticate requires a valid token for writes. Continuing an upload needs none: its ID is the permission, and its
// token is used up and may have expired.
func (g *Guard) authenticate(next http.Handler) http.Handler {
	if g.key == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visited(r.Context())
		if v.class == write {
			c, f := g.token(r.Header.Values("Authorization"))
			if f == nil && g.cfg.JWT.VerifyUpload && r.Method != http.MethodDelete {
				f = g.checkUpload(c, r)
			}
			if f != nil {
				g.denied(w, r, f)
				return
			}
			v.claims = c
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Guard) denied(w http.ResponseWriter, r *http.Request, f *Refusal) {
	g.metrics.authFailures.WithLabelValues(f.Reason).Inc()
	f.ServeHTTP(w, r)
}

// token returns the claims of a request's token, if the token is valid.
func (g *Guard) token(headers []string) (*claims, *Refusal) {
	var text string
	if len(headers) == 1 {
		if scheme, rest, ok := strings.Cut(headers[0], " "); ok && strings.EqualFold(scheme, "Bearer") {
			text = strings.TrimSpace(rest)
		}
	}
	if text == "" {
		f := unauthenticated("MISSING_TOKEN", "this publisher requires a token: send Authorization: Bearer <JWT>")
		f.challenge = realm
		return nil, f
	}
	if len(text) > maxToken {
		return nil, unauthenticated("INVALID_TOKEN", "the JWT token is too long")
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{g.cfg.JWT.Algorithm}), jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding())
	c := new(claims)
	_, err := parser.ParseWithClaims(text, c, func(*jwt.Token) (any, error) { return g.key, nil })
	switch {
	case err == nil:
		return c, g.checkTimes(c)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, unauthenticated("INVALID_SIGNATURE",
			"the token's signature is invalid, uses another algorithm, or is not valid yet")
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, unauthenticated("EXPIRED_SIGNATURE", "the token has expired")
	}
	return nil, unauthenticated("INVALID_TOKEN", "the JWT token is invalid")
}

// checkTimes checks the claims that every token needs: ID, consistency and times.
func (g *Guard) checkTimes(c *claims) *Refusal {
	life := g.cfg.JWT.Lifetime
	switch {
	case c.ID == "":
		return unauthenticated("INVALID_TOKEN", "the JWT token has no jti")
	case !c.consistent():
		return unauthenticated("INCONSISTENT_TOKEN", "the token has two claims that exclude each other")
	case life > 0 && (c.IssuedAt == nil || c.ExpiresAt.Sub(c.IssuedAt.Time) != life):
		return unauthenticated("INVALID_EXPIRATION", "the token must have an iat and expire "+
			strconv.Itoa(int(life/time.Second))+" seconds after it")
	case life > 0 && time.Until(c.IssuedAt.Time) > skew:
		return unauthenticated("INVALID_TIMESTAMP", "the token was issued in the future")
	}
	return nil
}

// checkUpload checks a request against its token. A body without a length is checked as it arrives.
func (g *Guard) checkUpload(c *claims, r *http.Request) *Refusal {
	if concat(r) != partialUpload { // the whole states the epochs and the owner
		if f := c.checkQuery(r, g.cfg.JWT.Epochs); f != nil {
			return f
		}
	}
	switch size := r.ContentLength; {
	case below(r.URL.Path, "/v1/quilts"):
		return nil // the quilt's size counts: the handler calls CheckSize
	case concat(r) == finalUpload:
		return nil // its size is the sum of its parts: the handler calls CheckSize
	case below(r.URL.Path, uploads):
		n, err := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
		if err == nil && n >= 0 {
			return c.checkSize(n, concat(r) != partialUpload)
		}
		if c.Size != nil || c.MaxSize != nil {
			return forbidden("INVALID_SIZE", "the token limits the size, so the upload must state it in Upload-Length")
		}
	case size >= 0:
		return c.checkSize(size, true)
	default:
		var got int64
		judge(r, func(n int, end bool) *Refusal {
			got += int64(n)
			return c.checkSize(got, end)
		})
	}
	return nil
}

// useToken uses up the token of a request whose turn has come. A part of an upload does not use it up: a part stores
// nothing by itself, and the request that joins the parts must show the same token. Parts are only counted.
func (g *Guard) useToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visited(r.Context())
		if c := v.claims; c != nil {
			part := v.class == write && concat(r) == partialUpload
			if f := g.replays.use(c.ID, c.ExpiresAt.Time, part); f != nil {
				g.denied(w, r, f)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
