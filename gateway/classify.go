package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"time"

	"walrus/client"
	"walrus/gateway/guard"
	"walrus/ledger"
	"walrus/quilt"
)

// retrySeconds is the Retry-After when the network, not the request, is at fault.
const retrySeconds = 5

// notFoundMessage is the original's text.
const notFoundMessage = "the requested blob ID does not exist on Walrus, ensure that it was entered correctly"

// action says what a failed request was doing: the same error means different things.
type action int

const (
	reading action = iota
	storing
	managing // managing records of the ledger
)

// classify maps an error, of the client or of reading a request, to the failure sent to HTTP clients.
func classify(what action, err error) *failure {
	var known *failure
	var notEnough *client.NotEnoughError
	var tooLarge *http.MaxBytesError
	var refused *ledger.OpError
	var wrong *client.RequestError
	var guarded *guard.Refusal
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &guarded):
		return &failure{code: guarded.Code, status: guarded.Status, reason: guarded.Reason, domain: guarded.Domain,
			message: guarded.Message, retry: int(guarded.Retry / time.Second)}
	case errors.As(err, &wrong):
		return malformed(wrong.Error())
	case errors.As(err, &tooLarge):
		return bodyTooLarge(tooLarge.Limit)
	case errors.Is(err, errStalledBody):
		return &failure{code: http.StatusRequestTimeout, status: "DEADLINE_EXCEEDED", reason: "BODY_STALLED",
			domain: domainGlobal, message: err.Error()}
	case errors.Is(err, client.ErrNotFound):
		return &failure{code: http.StatusNotFound, status: "NOT_FOUND", reason: "BLOB_NOT_FOUND", domain: domainDaemon,
			message: notFoundMessage}
	case errors.Is(err, client.ErrNoFile), errors.Is(err, quilt.ErrFormat):
		return &failure{code: http.StatusNotFound, status: "NOT_FOUND", reason: "QUILT_PATCH_NOT_FOUND", domain: domainDaemon,
			message: err.Error()}
	case isQuiltRequest(err):
		return malformed(shorten(err.Error()))
	case errors.As(err, &notEnough) && what == storing:
		return &failure{code: http.StatusGatewayTimeout, status: "DEADLINE_EXCEEDED", reason: "INSUFFICIENT_CONFIRMATIONS",
			domain: domainStorage, message: err.Error(), retry: retrySeconds}
	case errors.As(err, &notEnough):
		return &failure{code: http.StatusServiceUnavailable, status: "UNAVAILABLE", reason: "BLOB_UNAVAILABLE",
			domain: domainDaemon, message: err.Error(), retry: retrySeconds}
	case errors.Is(err, client.ErrInvalidBlob):
		return invalidBlob(what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{code: http.StatusGatewayTimeout, status: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED",
			domain: domainGlobal, message: "the network did not answer in time; try again", retry: retrySeconds}
	case errors.Is(err, client.ErrStalled):
		return unavailable("LEDGER_STALLED", err)
	case errors.Is(err, client.ErrUnknown):
		return &failure{code: http.StatusGatewayTimeout, status: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED",
			domain: domainGlobal, message: err.Error()}
	case errors.Is(err, client.ErrNoWallet), errors.Is(err, client.ErrNoFunds):
		return unavailable("PUBLISHER_CANNOT_PAY", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.EDQUOT):
		return unavailable("GATEWAY_OUT_OF_RESOURCES",
			errors.New("the gateway has no free disk or memory for this request; try again later"))
	case errors.As(err, &refused):
		return &failure{code: http.StatusBadRequest, status: "FAILED_PRECONDITION", reason: "LEDGER_REFUSED",
			domain: domainDaemon, message: err.Error()}
	}
	return &failure{code: http.StatusInternalServerError, status: "INTERNAL", reason: "INTERNAL", domain: domainGlobal,
		message: internalMessage(err)}
}

// invalidBlob returns the failure for a blob that was encoded wrongly. As in the original, a blob that the ledger has
// marked is not found; before that, what a read has proved is an internal error, as is storing under such an ID.
func invalidBlob(what action, err error) *failure {
	f := &failure{code: http.StatusInternalServerError, status: "INTERNAL", reason: "BLOB_INVALID", domain: domainDaemon,
		message: client.ErrInvalidBlob.Error()}
	var known *client.InvalidBlobError
	var refused *ledger.OpError
	switch {
	case errors.As(err, &known):
		f.message = known.Error()
		if known.Mark == nil {
			return f
		}
	case !errors.As(err, &refused): // a read found it, without a proof
		return f
	}
	switch what {
	case reading:
		f.code, f.status = http.StatusNotFound, "NOT_FOUND"
	case managing:
		f.code, f.status = http.StatusBadRequest, "FAILED_PRECONDITION"
	case storing:
	}
	return f
}

func unavailable(reason string, err error) *failure {
	return &failure{code: http.StatusServiceUnavailable, status: "UNAVAILABLE", reason: reason, domain: domainDaemon,
		message: err.Error(), retry: retrySeconds}
}

func bodyTooLarge(limit int64) *failure {
	return &failure{
		code: http.StatusRequestEntityTooLarge, status: "SIZE_EXCEEDED", reason: "SIZE_EXCEEDED", domain: domainDaemon,
		message: fmt.Sprintf("the body is larger than %d bytes, the limit of this publisher", limit),
	}
}

// internalMessage returns err's text without paths of this machine.
func internalMessage(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Op + ": " + path.Err.Error()
	}
	return err.Error()
}

// isQuiltRequest reports whether err says that the files cannot form a quilt.
func isQuiltRequest(err error) bool {
	for _, wrong := range []error{quilt.ErrIdentifier, quilt.ErrDuplicate, quilt.ErrTags, quilt.ErrCount,
		quilt.ErrTooLarge} {
		if errors.Is(err, wrong) {
			return true
		}
	}
	return false
}
