package guard

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// from makes a PUT request from an address.
func from(ip, body string, header ...string) *http.Request {
	r := request("PUT", "/v1/blobs", body, header...)
	r.RemoteAddr = ip + ":1"
	return r
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newGuard(t, func(c *Config) { c.Quota.Rate, c.Quota.Burst = 6, 2 }).Wrap(http.HandlerFunc(reader))
		do(h, from("1.1.1.1", "x"))
		do(h, from("1.1.1.1", "x"))
		w := do(h, from("1.1.1.1", "x"))
		wantRefusal(t, w, 429, "RATE_LIMIT_REACHED")
		if w.Header().Get("Retry-After") != "10" {
			t.Errorf("retry after %q", w.Header().Get("Retry-After"))
		}
		if w := do(h, from("2.2.2.2", "x")); w.Code != 200 {
			t.Errorf("another client: %d", w.Code)
		}
		if w := do(h, request("GET", "/v1/blobs/x", "")); w.Code != 200 {
			t.Errorf("a read: %d", w.Code)
		}
		time.Sleep(10 * time.Second)
		if w := do(h, from("1.1.1.1", "x")); w.Code != 200 {
			t.Errorf("later: %d", w.Code)
		}
	})
}

func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newGuard(t, func(c *Config) { c.Quota.Bytes = 10 }).Wrap(http.HandlerFunc(reader))
		if w := do(h, from("1.1.1.1", "12345678")); w.Code != 200 {
			t.Fatalf("within: %d", w.Code)
		}
		wantRefusal(t, do(h, from("1.1.1.1", "123")), 429, "BYTE_QUOTA_REACHED")
		r := from("1.1.1.1", "123")
		r.ContentLength = -1
		wantRefusal(t, do(h, r), 429, "BYTE_QUOTA_REACHED") // detected while the body comes in
		if w := do(h, from("1.1.1.1", "12")); w.Code != 200 {
			t.Errorf("just within: %d", w.Code)
		}
		w := do(h, from("1.1.1.1", "1"))
		if w.Header().Get("Retry-After") != "86400" { // the test's clock begins at midnight
			t.Errorf("retry after %q", w.Header().Get("Retry-After"))
		}
		time.Sleep(24 * time.Hour)
		if w := do(h, from("1.1.1.1", "1234567890")); w.Code != 200 {
			t.Errorf("the next day: %d", w.Code)
		}
	})
}

func TestKeysOfAccounts(t *testing.T) {
	const apiKey = "0123456789abcdef"
	g := newGuard(t, func(c *Config) {
		c.Quota.Bytes, c.Quota.MaxKeys, c.Quota.APIKeys = 10, 4, map[string]string{"bob": apiKey}
	})
	h := g.Wrap(http.HandlerFunc(reader))
	wantRefusal(t, do(h, from("1.1.1.1", "x", "X-Api-Key", "wrong")), 401, "INVALID_API_KEY")
	do(h, from("1.1.1.1", "0123456789"))
	if w := do(h, from("1.1.1.1", "0123456789", "X-Api-Key", apiKey)); w.Code != 200 {
		t.Errorf("a key has no account of its own: %d", w.Code)
	}
	wantRefusal(t, do(h, from("2.2.2.2", "x", "X-Api-Key", apiKey)), 429, "BYTE_QUOTA_REACHED")
	do(h, from("3.3.3.3", "x"))
	do(h, from("4.4.4.4", "x"))
	do(h, from("5.5.5.5", "0123456789")) // the table is full: this key gets the shared account
	wantRefusal(t, do(h, from("6.6.6.6", "x")), 429, "BYTE_QUOTA_REACHED")
	wantRefusal(t, do(h, from("1.1.1.1", "x")), 429, "BYTE_QUOTA_REACHED") // no key is forgotten
	if len(g.quotas.accounts) != 4 {
		t.Errorf("%d accounts", len(g.quotas.accounts))
	}
}

func TestSubjectsHaveAccounts(t *testing.T) {
	h := newGuard(t, func(c *Config) { c.JWT.Secret, c.Quota.Bytes = secret, 10 }).Wrap(http.HandlerFunc(reader))
	put := func(subject string) *http.Request {
		return from("1.1.1.1", "0123456789", "Authorization",
			"Bearer "+sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"sub": subject}))
	}
	for _, subject := range []string{"ann", "bob", strings.Repeat("c", 1000)} {
		if w := do(h, put(subject)); w.Code != 200 {
			t.Errorf("%.5s: %d %s", subject, w.Code, w.Body)
		}
	}
	wantRefusal(t, do(h, put("ann")), 429, "BYTE_QUOTA_REACHED")
}

func TestSpend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, func(c *Config) { c.Quota.Spend, c.Quota.TotalSpend = 100, 150 })
		var settle func(uint64)
		var plan, paid uint64
		h := g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var err error
			if settle, err = g.Reserve(r.Context(), plan); err != nil {
				var refusal *Refusal
				if errors.As(err, &refusal) {
					refusal.ServeHTTP(w, r)
				}
				return
			}
			settle(paid)
			settle(1000) // has no effect
		}))
		for i, tt := range []struct {
			ip         string
			plan, paid uint64
			code       int
		}{
			{"1.1.1.1", 101, 0, 429}, {"1.1.1.1", ^uint64(0), 0, 429}, {"1.1.1.1", 100, 0, 200}, {"1.1.1.1", 100, 60, 200},
			{"1.1.1.1", 41, 41, 429},
			{"1.1.1.1", 40, 40, 200}, {"1.1.1.1", 1, 1, 429}, {"2.2.2.2", 51, 0, 429}, {"2.2.2.2", 50, 50, 200},
			{"3.3.3.3", 1, 1, 429}, {"3.3.3.3", 0, 0, 200},
		} {
			plan, paid = tt.plan, tt.paid
			if w := do(h, from(tt.ip, "x")); w.Code != tt.code {
				t.Errorf("%d: %+v: %d", i, tt, w.Code)
			} else if w.Code == 429 {
				wantRefusal(t, w, 429, "SPEND_LIMIT_REACHED")
			}
		}
		time.Sleep(24 * time.Hour)
		if plan, paid = 100, 100; do(h, from("1.1.1.1", "x")).Code != 200 {
			t.Error("refused the next day")
		}
		if _, err := g.Reserve(t.Context(), 1<<60); err != nil {
			t.Errorf("outside of a request: %v", err)
		}
	})
}

// TestSpendOverMidnight: an amount reserved yesterday and paid today takes nothing from today's account.
func TestSpendOverMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuotas(QuotaConfig{Spend: 100, MaxKeys: 1})
		day, _ := q.reserve("a", 80)
		time.Sleep(24 * time.Hour)
		q.reserve("a", 20)
		q.settle("a", day, 80, 70)
		if got := fmt.Sprint(q.accounts["a"].spent, q.total); got != "90 90" {
			t.Errorf("spent %s", got)
		}
	})
}
