package machine

import (
	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// executeFree runs a transaction that marks a blob ID as invalid and pays nothing. It has its effect or none at all:
// not even its nonce is used.
func (x *run) executeFree() {
	refused := checkSender(x.tx, x.block.certificates.committee)
	if refused == nil {
		refused = rules[ledger.OpKind(x.tx.Ops[0])].apply(x, x.tx.Ops[0])
	}
	if stopped := x.stopped(); stopped != nil {
		refused = stopped
	}
	if refused != nil {
		refused.Op = -1
		x.fail(refused)
		return
	}
	x.undo, x.paid = nil, true
}

// checkSender refuses a free RefuteBlob by somebody who is no member.
func checkSender(tx *ledger.Tx, members *certs.Committee) *ledger.OpError {
	if _, refutes := tx.Ops[0].(ledger.RefuteBlob); !refutes {
		return nil
	}
	if _, ok := members.Member(tx.Sender.Peer()); !ok {
		return refuse(ledger.CodeFee, "only a member may bring signatures for nothing, with the key of its peer ID: pay the fee")
	}
	return nil
}

// admitFree is Gate.Admit for a free transaction. One such transaction waits for each blob, so that nobody can fill the
// gate with copies of one proof.
func (g *Gate) admitFree(tx *ledger.Tx, id shards.BlobID, signed func() bool) error {
	g.mu.Lock()
	state, height, params, err := g.state, g.height, g.params, g.roomForFree(id)
	g.mu.Unlock()
	if err != nil {
		return err
	}
	if err := judgeFree(state, height, &params, tx, id, signed); err != nil { // without the lock: it takes long
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.roomForFree(id); err != nil {
		return err
	}
	g.proofs[id] = true
	g.total++
	return nil
}

// roomForFree reports whether a free transaction about a blob may wait. The caller holds mu.
func (g *Gate) roomForFree(id shards.BlobID) error {
	switch {
	case g.height == 0:
		return errNotStarted
	case g.proofs[id]:
		return refuse(ledger.CodeLimit, "another proof about blob %s waits for the next block: wait for it", id)
	}
	return g.roomForOne()
}

// judgeFree checks a free transaction against the state before its block. What costs least comes first.
func judgeFree(s State, height uint64, params *ledger.Params, tx *ledger.Tx, id shards.BlobID,
	signed func() bool) error {
	if refused := checkEnvelope(tx, s.Network, height); refused != nil {
		return refused
	}
	epoch, err := ledger.ReadEpoch(s.Values)
	if err != nil {
		return err
	}
	info, err := ledger.ReadBlobInfo(s.Values, id)
	if err != nil {
		return err
	}
	if refused := checkMarkable(&info, id, epoch.Epoch); refused != nil {
		return refused
	}
	committee, err := s.Committees.At(epoch.Epoch)
	if err != nil {
		return err
	}
	encoding, err := shards.NewParams(int(params.Shards))
	if err != nil {
		return err
	}
	if refused := checkSender(tx, committee); refused != nil {
		return refused
	}
	switch op := tx.Ops[0].(type) {
	case ledger.DisproveBlob:
		if refused := checkProof(encoding, op); refused != nil {
			return refused
		}
	case ledger.RefuteBlob:
		if refused := readRefutation(op, epoch.Epoch); refused != nil {
			return refused
		}
	}
	if !signed() {
		return errSignature()
	}
	op, refutes := tx.Ops[0].(ledger.RefuteBlob)
	if !refutes {
		return nil
	}
	if err := judgeRefutation(committee, op.Certificate); err != nil {
		return refuse(ledger.CodeCertificate, "%v", err)
	}
	return nil
}
