package gateway_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"walrus/gateway"
)

// visit serves a complete site of the shared network.
func visit(t testing.TB, change func(*gateway.SiteConfig)) *httptest.Server {
	t.Helper()
	cfg := gateway.DefaultSite()
	cfg.API.Store.OwnerKey, cfg.API.Store.TempDir = []byte("a secret of the publisher"), t.TempDir()
	if change != nil {
		change(&cfg)
	}
	site, err := gateway.NewSite(cfg, shared.client, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(site.Handler())
	t.Cleanup(s.Close)
	return s
}

// TestExtendIsSpending: a limit on storing also limits extending.
func TestExtendIsSpending(t *testing.T) {
	s := visit(t, func(c *gateway.SiteConfig) { c.Guard.Quota.Spend = 16_820_000 })
	res, token := stored(t, s.URL+"/v1/blobs", random(60, 2000))
	extend := s.URL + "/v1/blobs/by-object-id/" + res.NewlyCreated.BlobObject.ID.String() + "/extend?epochs="
	if a := do(t, http.MethodPost, extend+"max", nil, "Walrus-Owner-Token", token); a.code != http.StatusTooManyRequests ||
		!strings.Contains(string(a.body), "SPEND_LIMIT_REACHED") {
		t.Errorf("extending beyond the limit: %d %s", a.code, a.body)
	}
	if a := do(t, http.MethodPost, extend+"1", nil, "Walrus-Owner-Token", token); a.code != http.StatusOK {
		t.Errorf("extending within the limit: %d %s", a.code, a.body)
	}
	for range 20 { // extensions count as spending
		if a := do(t, http.MethodPost, extend+"1", nil, "Walrus-Owner-Token", token); a.code == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("a client extended without end")
}

// TestExtendWantsToken: where the publisher requires tokens, an owner's token alone does not allow extending the blob.
func TestExtendWantsToken(t *testing.T) {
	open := visit(t, nil)
	res, token := stored(t, open.URL+"/v1/blobs", random(61, 2000))
	s := visit(t, func(c *gateway.SiteConfig) { c.Guard.JWT.Secret = "only the issuer of tokens knows this" })
	extend := s.URL + "/v1/blobs/by-object-id/" + res.NewlyCreated.BlobObject.ID.String() + "/extend?epochs=1"
	if a := do(t, http.MethodPost, extend, nil, "Walrus-Owner-Token", token); a.code != http.StatusUnauthorized ||
		!strings.Contains(string(a.body), "MISSING_TOKEN") {
		t.Errorf("extending without a token of the publisher's: %d %s", a.code, a.body)
	}
}

// TestQuiltWithinToken: a token's size limit applies to the quilt, whose size is known only after the form has arrived.
func TestQuiltWithinToken(t *testing.T) {
	const secret = "only the issuer of tokens knows this"
	s := visit(t, func(c *gateway.SiteConfig) { c.Guard.JWT.Secret, c.Guard.JWT.VerifyUpload = secret, true })
	body, kind := newForm(t, testFile{"a", random(62, 5000)})
	for i, tt := range []struct{ most, want int }{{5000, http.StatusForbidden}, {1 << 20, http.StatusOK}} {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"exp": time.Now().Add(time.Hour).Unix(), "jti": fmt.Sprint("quilt ", i), "max_size": tt.most,
		}).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, http.MethodPut, s.URL+"/v1/quilts", bytes.NewReader(body), "Content-Type", kind,
			"Authorization", "Bearer "+token)
		if a.code != tt.want || tt.want == http.StatusForbidden && !strings.Contains(string(a.body), "INVALID_SIZE") {
			t.Errorf("at most %d bytes: %d %s", tt.most, a.code, a.body)
		}
	}
}
