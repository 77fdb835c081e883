package p2p

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"walrus/p2p/internal/wire"
)

// Errors that keep their identity across the wire. When a Backend returns an error that wraps one of them, the caller
// on the other side gets an error that wraps the same one and has the same text.
var (
	// ErrNotFound: the node does not have it.
	ErrNotFound = errors.New("not found")
	// ErrBusy: the node, or its share for this peer, is at its limit. Ask again a little later, or ask another node.
	ErrBusy = errors.New("busy")
	// ErrBadRequest: the request makes no sense to the node. Repeating it does not help.
	ErrBadRequest = errors.New("bad request")
	// ErrNotOwner: the node does not hold the shard of that sliver in this epoch.
	ErrNotOwner = errors.New("shard is not held by this node")
	// ErrNotRegistered: no valid registration allows the blob to be stored.
	ErrNotRegistered = errors.New("blob is not registered")
	// ErrCorrupt: the node's copy is damaged and will be repaired.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrMismatch: the bytes sent to the node do not match the blob ID.
	ErrMismatch = errors.New("bytes do not match the blob ID")
	// ErrUnavailable: the peer cannot be reached, stopped answering, or cannot serve now.
	ErrUnavailable = errors.New("unavailable")
	// ErrHave: the node has all that the peer wants to send.
	ErrHave = errors.New("already here")
	// ErrDenied: the upload token is missing, has ended, or is of an account that owns no live record of the blob.
	ErrDenied = errors.New("no valid upload token")
	// ErrSpent: uploads for this record have taken all the space that it pays for. It is not freed soon.
	ErrSpent = errors.New("the record's space is used up")
	// ErrInvalid: the blob was encoded wrongly and has no content. The node keeps nothing of it.
	ErrInvalid = errors.New("blob is invalid")
	// ErrInternal: something went wrong inside the node, which gives no details.
	ErrInternal = errors.New("internal error")
)

// ErrProtocol reports an answer that breaks the protocol: the peer is faulty or hostile. It is never sent.
var ErrProtocol = errors.New("peer broke the protocol")

// codes lists the errors by their number on the wire; 0 is success. A number never changes its meaning.
var codes = [...]error{
	1: ErrNotFound, 2: ErrBusy, 3: ErrBadRequest, 4: ErrNotOwner, 5: ErrNotRegistered,
	6: ErrCorrupt, 7: ErrMismatch, 8: ErrUnavailable, 9: ErrInternal, 10: ErrHave, 11: ErrDenied, 12: ErrSpent,
	13: ErrInvalid,
}

const codeInternal = 9

// encodeError turns an error of a Backend into its code and text. The text of an error without a code is kept back.
func encodeError(err error) (code uint32, text string) {
	for i, sentinel := range codes {
		if sentinel != nil && errors.Is(err, sentinel) {
			if i == codeInternal {
				break
			}
			return uint32(i), printable(err.Error())
		}
	}
	return codeInternal, ""
}

// decodeError turns a code and text from the wire into the caller's error. The text comes from a stranger.
func decodeError(code uint32, text string) error {
	sentinel := ErrInternal // stands for codes of later versions, too
	if code < uint32(len(codes)) && codes[code] != nil {
		sentinel = codes[code]
	}
	text = printable(text)
	if text == "" || text == sentinel.Error() {
		return sentinel
	}
	return &remoteError{sentinel, text}
}

// remoteError combines the text of an error that a peer reported with the identity of a sentinel.
type remoteError struct {
	sentinel error
	text     string
}

func (e *remoteError) Error() string {
	if strings.Contains(e.text, e.sentinel.Error()) {
		return e.text
	}
	return e.sentinel.Error() + ": " + e.text
}

func (e *remoteError) Unwrap() error { return e.sentinel }

// printable cuts s to the length of an error text and replaces every character that is not printable: a peer must not
// write control sequences to a log or terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), wire.MaxErrorText)])
}

// flat puts an error of libp2p on one line. libp2p lists failed dials on several lines.
type flat struct{ error }

func (e flat) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

func (e flat) Unwrap() error { return e.error }
