package wire

import (
	"errors"
	"fmt"
)

const (
	// MaxAddress bounds an address in binary form, in bytes. One with a name of 253 bytes fits.
	MaxAddress = 512
	// MaxPeerID bounds a peer ID, in bytes. One of an Ed25519 key has 38.
	MaxPeerID = 64
)

// Outcomes of a dial, as in Seen.
const (
	DialNone = iota
	DialOK
	DialFailed
	DialRefused
)

// Validate checks the lengths of a question, and that it dials nothing without an address.
func (w *Whoami) Validate() error {
	switch {
	case len(w.GetAddress()) > MaxAddress:
		return fmt.Errorf("address of %d bytes: the limit is %d", len(w.GetAddress()), MaxAddress)
	case len(w.GetPeer()) > MaxPeerID:
		return fmt.Errorf("peer ID of %d bytes: the limit is %d", len(w.GetPeer()), MaxPeerID)
	case len(w.GetAddress()) == 0 && (len(w.GetPeer()) > 0 || w.GetElsewhere()):
		return errors.New("dial without an address")
	case len(w.GetPeer()) > 0 && w.GetElsewhere():
		return errors.New("dial for another peer, passed on once more")
	}
	return nil
}

// Validate checks the lengths of an answer and its outcome.
func (s *Seen) Validate() error {
	switch {
	case len(s.GetObserved()) > MaxAddress:
		return fmt.Errorf("address of %d bytes: the limit is %d", len(s.GetObserved()), MaxAddress)
	case len(s.GetDialler()) > MaxPeerID:
		return fmt.Errorf("peer ID of %d bytes: the limit is %d", len(s.GetDialler()), MaxPeerID)
	case s.GetDial() > DialRefused:
		return fmt.Errorf("outcome %d of a dial: want at most %d", s.GetDial(), DialRefused)
	case len(s.GetText()) > MaxErrorText:
		return fmt.Errorf("text of %d bytes: the limit is %d", len(s.GetText()), MaxErrorText)
	}
	return nil
}
