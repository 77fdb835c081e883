package keeper

import (
	"errors"

	"walrus/certs"
	"walrus/p2p"
)

// facts decide about a certificate from another node or a client. They are gathered in this order, until one decides.
// Those that cost nothing come first: a signature is verified only for a record that the ledger here has certified.
type facts struct {
	ours      bool  // we published it ourselves
	known     bool  // a certificate of the blob is here
	replay    bool  // it is the one that is here, and has been for longer than gossip takes
	certified bool  // the ledger here has a certified record of the blob that is alive
	err       error // it does not decode or verify, or its committee is not known
}

// finding is the outcome of the facts.
type finding string

const (
	isKnown   finding = "known"               // a certificate of the blob is here already
	isBad     finding = "bad"                 // provably: nobody honest sends it
	isStrange finding = "of an unknown epoch" // it cannot be verified here
	isIdle    finding = "not on the ledger"   // the blob is not certified there, or the ledger here is behind
	isFresh   finding = "fresh"               // to be recorded
)

// judge classifies a certificate.
func judge(f facts) finding {
	switch {
	case f.ours, f.known:
		return isKnown
	case errors.Is(f.err, certs.ErrUnknownEpoch):
		return isStrange
	case f.err != nil:
		return isBad
	case !f.certified:
		return isIdle
	}
	return isFresh
}

// judgeGossip decides on a certificate from the topic, with the reason. A bad certificate costs its sender score; one
// that brings nothing new here is not passed on. Our own were recorded before.
func judgeGossip(f facts) (v p2p.Verdict, why finding) {
	why = judge(f)
	switch {
	case f.ours || why == isFresh:
		return p2p.Accept, why
	case why == isBad:
		return p2p.Reject, why
	case f.replay:
		return p2p.Replay, why
	}
	return p2p.Ignore, why
}

// handover names the steps in which a certificate from a client is taken.
type handover string

const (
	refuseIt  handover = "refuse"
	deferIt   handover = "ask again later"                   // its epoch is not known here
	syncIt    handover = "sync"                              // it is recorded, perhaps not durable
	recordIt  handover = "record, publish"                   // durable and counted before anybody hears of it
	awaitThen handover = "await the ledger, record, publish" // without effect until the blob is certified there
)

// takeFromClient decides on a certificate that a client hands over.
func takeFromClient(f facts) handover {
	switch judge(f) {
	case isKnown:
		return syncIt
	case isFresh:
		return recordIt
	case isIdle:
		return awaitThen
	case isStrange:
		return deferIt
	}
	return refuseIt
}
