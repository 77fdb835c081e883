package guard

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const secret = "a secret that only the issuer of tokens knows"

// sign makes a token that expires in a minute, with the claims of more; nil removes a claim.
func sign(t testing.TB, method jwt.SigningMethod, key any, more jwt.MapClaims) string {
	t.Helper()
	c := jwt.MapClaims{"exp": time.Now().Add(time.Minute).Unix(), "jti": rand.Text()}
	for k, v := range more {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	text, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withJWT(change func(*JWTConfig)) func(*Config) {
	return func(c *Config) {
		c.JWT.Secret = secret
		if change != nil {
			change(&c.JWT)
		}
	}
}

func TestTokens(t *testing.T) {
	hs := func(more jwt.MapClaims) string {
		return "Bearer " + sign(t, jwt.SigningMethodHS256, []byte(secret), more)
	}
	now := time.Now().Unix()
	for name, tt := range map[string]struct {
		header string
		life   time.Duration
		code   int
		reason string
	}{
		"valid":           {hs(nil), 0, 200, ""},
		"lower case":      {"bearer " + hs(nil)[7:], 0, 200, ""},
		"missing":         {"", 0, 401, "MISSING_TOKEN"},
		"basic":           {"Basic abc", 0, 401, "MISSING_TOKEN"},
		"rubbish":         {"Bearer a.b.c", 0, 401, "INVALID_TOKEN"},
		"long":            {"Bearer " + strings.Repeat("a", maxToken+1), 0, 401, "INVALID_TOKEN"},
		"expired":         {hs(jwt.MapClaims{"exp": now - 1}), 0, 401, "EXPIRED_SIGNATURE"},
		"not yet":         {hs(jwt.MapClaims{"nbf": now + 100}), 0, 401, "INVALID_SIGNATURE"},
		"no exp":          {hs(jwt.MapClaims{"exp": nil}), 0, 401, "INVALID_TOKEN"},
		"no jti":          {hs(jwt.MapClaims{"jti": nil}), 0, 401, "INVALID_TOKEN"},
		"number jti":      {hs(jwt.MapClaims{"jti": 7}), 0, 401, "INVALID_TOKEN"},
		"other key":       {"Bearer " + sign(t, jwt.SigningMethodHS256, []byte("x"), nil), 0, 401, "INVALID_SIGNATURE"},
		"other algorithm": {"Bearer " + sign(t, jwt.SigningMethodHS512, []byte(secret), nil), 0, 401, "INVALID_SIGNATURE"},
		"none": {"Bearer " + sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), 0, 401,
			"INVALID_SIGNATURE"},
		"both sizes":       {hs(jwt.MapClaims{"size": 1, "max_size": 1}), 0, 401, "INCONSISTENT_TOKEN"},
		"both epochs":      {hs(jwt.MapClaims{"epochs": 1, "max_epochs": 1}), 0, 401, "INCONSISTENT_TOKEN"},
		"lifetime":         {hs(jwt.MapClaims{"iat": now, "exp": now + 60}), time.Minute, 200, ""},
		"other lifetime":   {hs(jwt.MapClaims{"iat": now, "exp": now + 61}), time.Minute, 401, "INVALID_EXPIRATION"},
		"no iat":           {hs(nil), time.Minute, 401, "INVALID_EXPIRATION"},
		"from the future":  {hs(jwt.MapClaims{"iat": now + 60, "exp": now + 120}), time.Minute, 401, "INVALID_TIMESTAMP"},
		"claims unchecked": {hs(jwt.MapClaims{"epochs": 9, "size": 9}), 0, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newGuard(t, withJWT(func(c *JWTConfig) { c.Lifetime = tt.life })).Wrap(http.HandlerFunc(reader))
			w := do(h, request("PUT", "/v1/blobs", "x", "Authorization", tt.header))
			if tt.code == 200 {
				if w.Code != 200 {
					t.Fatalf("refused: %d %s", w.Code, w.Body)
				}
				return
			}
			wantRefusal(t, w, tt.code, tt.reason)
			if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer realm=") {
				t.Errorf("no challenge: %v", w.Header())
			}
			if w := do(h, request("GET", "/v1/blobs/x", "", "Authorization", tt.header)); w.Code != 200 {
				t.Errorf("a read is refused: %d", w.Code)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	meta := "filename YQ==,epochs " + base64.StdEncoding.EncodeToString([]byte("5"))
	for name, tt := range map[string]struct {
		claims  jwt.MapClaims
		method  string
		target  string
		header  []string
		chunked bool
		reason  string
	}{
		"epochs":         {claims: jwt.MapClaims{"epochs": 5}, target: "/v1/blobs?epochs=5"},
		"other epochs":   {claims: jwt.MapClaims{"epochs": 5}, target: "/v1/blobs?epochs=4", reason: "INVALID_EPOCHS"},
		"no epochs":      {claims: jwt.MapClaims{"epochs": 5}, target: "/v1/blobs", reason: "INVALID_EPOCHS"},
		"default epochs": {claims: jwt.MapClaims{"epochs": 1}, target: "/v1/blobs"},
		"twice": {claims: jwt.MapClaims{"epochs": 5}, target: "/v1/blobs?epochs=5&epochs=9",
			reason: "INVALID_EPOCHS"},
		"max epochs": {claims: jwt.MapClaims{"max_epochs": 5}, target: "/v1/blobs?epochs=3"},
		"above max":  {claims: jwt.MapClaims{"max_epochs": 5}, target: "/v1/blobs?epochs=6", reason: "INVALID_EPOCHS"},
		"negative": {claims: jwt.MapClaims{"max_epochs": 5}, target: "/v1/blobs?epochs=-1",
			reason: "INVALID_EPOCHS"},
		"to": {claims: jwt.MapClaims{"send_object_to": "0x0aB"}, target: "/v1/blobs?send_object_to=0xAb"},
		"to another": {claims: jwt.MapClaims{"send_object_to": "0xab"}, target: "/v1/blobs?send_object_to=0xac",
			reason: "INVALID_SEND_OBJECT_TO"},
		"to nobody": {claims: jwt.MapClaims{"send_object_to": "0xab"}, target: "/v1/blobs",
			reason: "INVALID_SEND_OBJECT_TO"},
		"size":       {claims: jwt.MapClaims{"size": 10}, target: "/v1/blobs"},
		"other size": {claims: jwt.MapClaims{"size": 11}, target: "/v1/blobs", reason: "INVALID_SIZE"},
		"max size":   {claims: jwt.MapClaims{"max_size": 10}, target: "/v1/blobs"},
		"too large":  {claims: jwt.MapClaims{"max_size": 9}, target: "/v1/blobs", reason: "INVALID_SIZE"},
		"chunked":    {claims: jwt.MapClaims{"size": 10}, target: "/v1/blobs", chunked: true},
		"chunked too large": {claims: jwt.MapClaims{"max_size": 9}, target: "/v1/blobs", chunked: true,
			reason: "INVALID_SIZE"},
		"chunked too small": {claims: jwt.MapClaims{"size": 11}, target: "/v1/blobs", chunked: true, reason: "INVALID_SIZE"},
		"quilt":             {claims: jwt.MapClaims{"max_size": 9}, target: "/v1/quilts"}, // the handler calls CheckSize
		"tus": {claims: jwt.MapClaims{"epochs": 5, "size": 99}, method: "POST", target: "/v1/uploads",
			header: []string{"Upload-Length", "99", "Upload-Metadata", meta}},
		"tus other epochs": {claims: jwt.MapClaims{"epochs": 4}, method: "POST", target: "/v1/uploads",
			header: []string{"Upload-Length", "99", "Upload-Metadata", meta}, reason: "INVALID_EPOCHS"},
		"tus too large": {claims: jwt.MapClaims{"max_size": 98}, method: "POST", target: "/v1/uploads",
			header: []string{"Upload-Length", "99"}, reason: "INVALID_SIZE"},
		"tus size untold": {claims: jwt.MapClaims{"max_size": 98}, method: "POST", target: "/v1/uploads",
			header: []string{"Upload-Defer-Length", "1"}, reason: "INVALID_SIZE"},
		"delete": {claims: jwt.MapClaims{"epochs": 5}, method: "DELETE", target: "/v1/blobs/x"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = "PUT"
			}
			g := newGuard(t, withJWT(func(c *JWTConfig) { c.VerifyUpload = true }))
			r := request(tt.method, tt.target, "0123456789", tt.header...)
			r.Header.Set("Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, []byte(secret), tt.claims))
			if tt.chunked {
				r.ContentLength = -1
			}
			w := do(g.Wrap(http.HandlerFunc(reader)), r)
			if tt.reason != "" {
				wantRefusal(t, w, 403, tt.reason)
			} else if w.Code != 200 {
				t.Errorf("refused: %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestCheckSize(t *testing.T) {
	g := newGuard(t, withJWT(func(c *JWTConfig) { c.VerifyUpload = true }))
	var fits, not error
	h := g.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fits, not = g.CheckSize(r.Context(), 9), g.CheckSize(r.Context(), 10)
	}))
	token := sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"max_size": 9})
	do(h, request("PUT", "/v1/quilts", "x", "Authorization", "Bearer "+token))
	var refusal *Refusal
	if !errors.As(not, &refusal) || fits != nil || g.CheckSize(t.Context(), 10) != nil {
		t.Errorf("%v, %v", fits, not)
	}
}

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newGuard(t, withJWT(func(c *JWTConfig) { c.CacheSize = 2 })).Wrap(http.HandlerFunc(reader))
		put := func(token string) *http.Request {
			return request("PUT", "/v1/blobs", "x", "Authorization", "Bearer "+token)
		}
		hs := func() string { return sign(t, jwt.SigningMethodHS256, []byte(secret), nil) }
		one := hs()
		if w := do(h, put(one)); w.Code != 200 {
			t.Fatalf("first use: %d", w.Code)
		}
		wantRefusal(t, do(h, put(one)), 429, "TOKEN_ALREADY_USED")
		time.Sleep(10 * time.Second)
		do(h, put(hs()))
		w := do(h, put(hs()))
		wantRefusal(t, w, 429, "TOO_MANY_TOKENS")
		if w.Header().Get("Retry-After") != "50" {
			t.Errorf("retry after %q", w.Header().Get("Retry-After"))
		}
		wantRefusal(t, do(h, put(one)), 429, "TOKEN_ALREADY_USED") // an unexpired one is not forgotten
		time.Sleep(50 * time.Second)
		if w := do(h, put(hs())); w.Code != 200 {
			t.Errorf("after one expired: %d", w.Code)
		}
		wantRefusal(t, do(h, put(one)), 401, "EXPIRED_SIGNATURE")
	})
}

// TestPartsOfOneToken: a token begins a bounded number of parts, and none once it is used up. The whole needs it still.
func TestPartsOfOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newGuard(t, withJWT(func(c *JWTConfig) { c.CacheSize = 1 })).Wrap(http.HandlerFunc(reader))
		post := func(token, concat string) *httptest.ResponseRecorder {
			return do(h, request("POST", "/v1/uploads", "", "Authorization", "Bearer "+token, "Upload-Length", "1",
				"Upload-Concat", concat))
		}
		token, other := sign(t, jwt.SigningMethodHS256, []byte(secret), nil), sign(t, jwt.SigningMethodHS256,
			[]byte(secret), nil)
		for range maxParts {
			if w := post(token, "partial"); w.Code != 200 {
				t.Fatalf("a part: %d %s", w.Code, w.Body)
			}
		}
		wantRefusal(t, post(token, "partial"), 429, "TOO_MANY_PARTS")
		wantRefusal(t, post(other, "partial"), 429, "TOO_MANY_TOKENS") // a token with parts is remembered like a used one
		if w := post(token, "final;x"); w.Code != 200 {
			t.Errorf("the whole: %d %s", w.Code, w.Body)
		}
		for _, concat := range []string{"partial", "final;x", ""} {
			wantRefusal(t, post(token, concat), 429, "TOKEN_ALREADY_USED")
		}
		time.Sleep(60 * time.Second)
		wantRefusal(t, post(token, "partial"), 401, "EXPIRED_SIGNATURE")
		if w := post(sign(t, jwt.SigningMethodHS256, []byte(secret), nil), "partial"); w.Code != 200 {
			t.Errorf("after one expired: %d %s", w.Code, w.Body)
		}
	})
}

func TestKeys(t *testing.T) {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	spki := func(public any) string {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	for _, tt := range []struct {
		secret string
		method jwt.SigningMethod
		key    any // nil: the configuration is refused
	}{
		{secret, jwt.SigningMethodHS256, []byte(secret)}, {secret, jwt.SigningMethodHS384, []byte(secret)},
		{"0x" + fmt.Sprintf("%x", secret), jwt.SigningMethodHS512, []byte(secret)},
		{spki(&rsaKey.PublicKey), jwt.SigningMethodRS256, rsaKey}, {spki(&rsaKey.PublicKey), jwt.SigningMethodPS512, rsaKey},
		{spki(&p256.PublicKey), jwt.SigningMethodES256, p256}, {spki(&p384.PublicKey), jwt.SigningMethodES384, p384},
		{spki(edPublic), jwt.SigningMethodEdDSA, ed}, {fmt.Sprintf("0x%x", []byte(edPublic)), jwt.SigningMethodEdDSA, ed},
		{spki(&rsaKey.PublicKey), jwt.SigningMethodHS256, nil}, {spki(&p256.PublicKey), jwt.SigningMethodES384, nil},
		{spki(edPublic), jwt.SigningMethodRS256, nil},
		{"0xzz", jwt.SigningMethodHS256, nil}, {"0x", jwt.SigningMethodHS256, nil}, {secret, jwt.SigningMethodRS256, nil},
		{secret, jwt.SigningMethodES512, nil},
	} {
		c := Default()
		c.JWT.Secret, c.JWT.Algorithm = tt.secret, tt.method.Alg()
		if err := c.Validate(); (err == nil) != (tt.key != nil) {
			t.Errorf("%s with %.20q: %v", tt.method.Alg(), tt.secret, err)
		}
		if tt.key == nil {
			continue
		}
		h := newGuard(t, func(g *Config) { g.JWT = c.JWT }).Wrap(http.HandlerFunc(reader))
		if w := do(h, request("PUT", "/v1/blobs", "x", "Authorization",
			"Bearer "+sign(t, tt.method, tt.key, nil))); w.Code != 200 {
			t.Errorf("%s: %d %s", tt.method.Alg(), w.Code, w.Body)
		}
		forged := sign(t, jwt.SigningMethodHS256, []byte("public: "+tt.secret), nil)
		if w := do(h, request("PUT", "/v1/blobs", "x", "Authorization", "Bearer "+forged)); w.Code != 401 {
			t.Errorf("%s: a forged token: %d", tt.method.Alg(), w.Code)
		}
	}
	// The classic attack: the public key, which everybody knows, used as an HMAC secret.
	c := JWTConfig{Secret: spki(&rsaKey.PublicKey), Algorithm: "RS256"}
	h := newGuard(t, withJWT(func(j *JWTConfig) { j.Secret, j.Algorithm = c.Secret, c.Algorithm })).Wrap(
		http.HandlerFunc(reader))
	w := do(h, request("PUT", "/v1/blobs", "x", "Authorization",
		"Bearer "+sign(t, jwt.SigningMethodHS256, []byte(c.Secret), nil)))
	wantRefusal(t, w, 401, "INVALID_SIGNATURE")
}

func FuzzAuthorization(f *testing.F) {
	f.Add("Bearer " + sign(f, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": 33292598400, "max_size": 3}))
	f.Add("Bearer e30.e30.")
	f.Add("Basic x")
	g := newGuard(f, withJWT(nil))
	f.Fuzz(func(t *testing.T, header string) {
		c, refusal := g.token([]string{header})
		if refusal == nil && (c.ID == "" || c.ExpiresAt == nil || !c.consistent()) {
			t.Errorf("%q is let in with %+v", header, c)
		}
		if refusal != nil && refusal.Code != 401 {
			t.Errorf("%q: %d", header, refusal.Code)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("epochs NQ==,filename YQ==", "[::1]:80", "10.0.0.1, 1.2.3.4")
	ps, err := parseProxies([]string{"192.0.2.0/24", "10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, metadata, host, forwarded string) {
		if n := len(uploadMetadata(metadata)); n > strings.Count(metadata, ",")+1 {
			t.Errorf("%d pairs", n)
		}
		if name := hostName(host); len(name) > 2*len(host)+4 {
			t.Errorf("%q: %q", host, name)
		}
		r := request("GET", "/", "")
		r.Header["X-Forwarded-For"] = []string{forwarded}
		if ps.client(r) == "" {
			t.Errorf("no client for %q", forwarded)
		}
	})
}
