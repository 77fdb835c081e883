package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"walrus/client"
	"walrus/client/jsonform"
	"walrus/ledger"
	"walrus/shards"
)

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		what   action
		err    error
		code   int
		status string
		reason string
		retry  bool
	}{
		{reading, client.ErrNotFound, 404, "NOT_FOUND", "BLOB_NOT_FOUND", false},
		{reading, &client.NotEnoughError{Op: "read"}, 503, "UNAVAILABLE", "BLOB_UNAVAILABLE", true},
		{storing, &client.NotEnoughError{Op: "store"}, 504, "DEADLINE_EXCEEDED", "INSUFFICIENT_CONFIRMATIONS", true},
		{reading, client.ErrInvalidBlob, 500, "INTERNAL", "BLOB_INVALID", false},
		{reading, &client.InvalidBlobError{}, 500, "INTERNAL", "BLOB_INVALID", false},
		{reading, &client.InvalidBlobError{Mark: &ledger.InvalidBlob{}}, 404, "NOT_FOUND", "BLOB_INVALID", false},
		{storing, &client.InvalidBlobError{Mark: &ledger.InvalidBlob{}}, 500, "INTERNAL", "BLOB_INVALID", false},
		{managing, fmt.Errorf("%w: %w", client.ErrInvalidBlob, &ledger.OpError{Code: ledger.CodeInvalidBlob}), 400,
			"FAILED_PRECONDITION", "BLOB_INVALID", false},
		{reading, context.DeadlineExceeded, 504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", true},
		{storing, context.DeadlineExceeded, 504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", true},
		{storing, client.ErrUnknown, 504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", false},
		{reading, client.ErrStalled, 503, "UNAVAILABLE", "LEDGER_STALLED", true},
		{storing, client.ErrNoWallet, 503, "UNAVAILABLE", "PUBLISHER_CANNOT_PAY", true},
		{storing, &client.NoFundsError{Need: 2, Have: 1}, 503, "UNAVAILABLE", "PUBLISHER_CANNOT_PAY", true},
		{storing, &client.RequestError{}, 400, "INVALID_ARGUMENT", "MALFORMED_REQUEST", false},
		{storing, &ledger.OpError{Code: ledger.CodeState}, 400, "FAILED_PRECONDITION", "LEDGER_REFUSED", false},
		{storing, &http.MaxBytesError{Limit: 7}, 413, "SIZE_EXCEEDED", "SIZE_EXCEEDED", false},
		{storing, errStalledBody, 408, "DEADLINE_EXCEEDED", "BODY_STALLED", false},
		{storing, errBrokenBody, 400, "INVALID_ARGUMENT", "MALFORMED_REQUEST", false},
		{storing, &fs.PathError{Op: "write", Path: "/secret", Err: syscall.ENOSPC}, 503, "UNAVAILABLE",
			"GATEWAY_OUT_OF_RESOURCES", true},
		{storing, &fs.PathError{Op: "write", Path: "/secret", Err: syscall.EIO}, 500, "INTERNAL", "INTERNAL", false},
		{reading, errors.New("boom"), 500, "INTERNAL", "INTERNAL", false},
	} {
		f := classify(tt.what, fmt.Errorf("wrapped: %w", tt.err))
		if f.code != tt.code || f.status != tt.status || f.reason != tt.reason || f.retry > 0 != tt.retry {
			t.Errorf("%v: %+v", tt.err, f)
		}
		if strings.Contains(f.message, "/secret") {
			t.Errorf("%v: tells a path of this machine: %s", tt.err, f.message)
		}
	}
}

// TestErrorBody compares the bytes of an error with the original's.
func TestErrorBody(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"x"`)
	w.Header().Set("Cache-Control", cacheControl)
	classify(reading, client.ErrNotFound).write(w, false)
	const want = `{"error":{"status":"NOT_FOUND","code":404,"message":"the requested blob ID does not exist on Walrus, ensure that it was entered correctly",` +
		`"details":[{"@type":"ErrorInfo","reason":"BLOB_NOT_FOUND","domain":"daemon.walrus.space","metadata":{}}]}}`
	if got := w.Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	h := w.Header()
	if w.Code != http.StatusNotFound || h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" ||
		h.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", w.Code, h)
	}
}

// TestMarkedInvalid: storing under a marked ID is answered as in the original.
func TestMarkedInvalid(t *testing.T) {
	e := &client.InvalidBlobError{BlobID: shards.BlobID{1}}
	if markedInvalid(e) != nil || markedInvalid(errors.New("boom")) != nil {
		t.Error("an answer about a blob that is not marked")
	}
	e.Mark = &ledger.InvalidBlob{Event: 2}
	w := httptest.NewRecorder()
	if err := writeStatus(w, http.StatusInternalServerError,
		jsonform.StoreResult{MarkedInvalid: markedInvalid(fmt.Errorf("store: %w", e))}); err != nil {
		t.Fatal(err)
	}
	const want = `{"markedInvalid":{"blobId":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","event":{"txDigest":"11111111111111111111111111111111","eventSeq":"2"}}}`
	if w.Code != http.StatusInternalServerError || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
