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

// judgeFree checks a free transaction against the state after the last block.
func (g *Gate) judgeFree(tx *ledger.Tx, id shards.BlobID, signed func() bool) error {
	g.mu.Lock()
	state, height, params := g.state, g.height, g.params
	g.mu.Unlock()
	return judgeFree(state, height, &params, tx, id, signed)
}

// checkFree drops the free transactions about blobs that can no longer be marked, or are marked. The caller holds mu.
func (g *Gate) checkFree() (left []Left, err error) {
	var void []ledger.TxID
	g.pool.Best(func(t *Taken) bool {
		if !t.Free {
			return false
		}
		var info ledger.BlobInfo
		if info, err = ledger.ReadBlobInfo(g.state.Values, t.Blob); err != nil {
			return false
		}
		refused := checkMarkable(&info, t.Blob, g.epoch)
		if tx, bad := ledger.UnmarshalTx(t.Raw); bad == nil && refused == nil {
			if op, refutes := tx.Ops[0].(ledger.RefuteBlob); refutes {
				refused = readRefutation(op, g.epoch)
			}
		}
		if refused != nil {
			void = append(void, t.ID)
		}
		return true
	})
	for _, id := range void {
		left = append(left, g.pool.Drop(id)...)
	}
	return left, err
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
