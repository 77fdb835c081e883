package p2p

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"walrus/p2p/internal/wire"
)

// Errors that keep their identity across the wire: a Backend returns an error that wraps one of them, and the caller on
// the other side gets an error that wraps the same one, with the text of the Backend's error.
var (
	// ErrNotFound: the node does not have what was asked for.
	ErrNotFound = errors.New("not found")
	// ErrBusy: the node, or its share for this peer, is at its limit; ask again a little later or ask another node.
	ErrBusy = errors.New("busy")
	// ErrBadRequest: the request makes no sense to the node; repeating it does not help.
	ErrBadRequest = errors.New("bad request")
	// ErrNotOwner: the node does not hold the shard of that sliver in this epoch.
	ErrNotOwner = errors.New("shard is not held by this node")
	// ErrNotRegistered: no registration (or none that is still valid) allows to store the blob.
	ErrNotRegistered = errors.New("blob is not registered")
	// ErrCorrupt: the node has it, but damaged; it will repair it.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrMismatch: the bytes that were sent do not match the blob ID.
	ErrMismatch = errors.New("bytes do not match the blob ID")
	// ErrUnavailable: the peer cannot be reached, stopped answering, or cannot serve now.
	ErrUnavailable = errors.New("unavailable")
	// ErrInternal: something went wrong inside the node; it says no more about it.
	ErrInternal = errors.New("internal error")
)

// ErrProtocol is returned, and never sent, when a peer's answer breaks the protocol: the peer is faulty or hostile.
var ErrProtocol = errors.New("peer broke the protocol")

// codes are the numbers of the errors on the wire, by position; 0 is success. They never change their meaning.
var codes = [...]error{
	1: ErrNotFound, 2: ErrBusy, 3: ErrBadRequest, 4: ErrNotOwner, 5: ErrNotRegistered,
	6: ErrCorrupt, 7: ErrMismatch, 8: ErrUnavailable, 9: ErrInternal,
}

const codeInternal = 9

// encodeError turns an error of a Backend into its code and text. An error without a code gives nothing away.
func encodeError(err error) (code uint32, text string) {
	for i, sentinel := range codes {
		if i > 0 && errors.Is(err, sentinel) {
			if i == codeInternal {
				break
			}
			return uint32(i), printable(err.Error())
		}
	}
	return codeInternal, ""
}

// decodeError is what a caller gets for a code and text from the wire. The text comes from a stranger.
func decodeError(code uint32, text string) error {
	sentinel := ErrInternal // also for codes of later versions
	if code > 0 && code < uint32(len(codes)) {
		sentinel = codes[code]
	}
	text = printable(text)
	if text == "" || text == sentinel.Error() {
		return sentinel
	}
	return &remoteError{sentinel, text}
}

// remoteError is an error that a peer reported: its text, with the identity of a sentinel.
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

// printable is s cut to what an error text may be, with anything that is not a printable character replaced, so that
// a peer cannot write control sequences to a log or terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), wire.MaxErrorText)])
}

// flat is an error of libp2p on one line: it lists failed dials on many.
type flat struct{ error }

func (e flat) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

func (e flat) Unwrap() error { return e.error }
