package machine

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/shards"
)

// isFree reports whether a transaction marks a blob for nothing.
func isFree(tx *ledger.Tx) bool {
	if tx.Fee != 0 || tx.Nonce != 0 || len(tx.Ops) != 1 {
		return false
	}
	name := ledger.OpName(tx.Ops[0])
	return name == "disproveBlob" || name == "refuteBlob"
}

// applyFree runs a transaction that pays nothing.
func (m *model) applyFree(tx *ledger.Tx, signed bool) ledger.Code {
	switch {
	case tx.Network != m.network:
		return ledger.CodeNetwork
	case m.height > tx.Expiry || tx.Expiry > m.height+ledger.MaxExpiry:
		return ledger.CodeExpired
	case !signed:
		return ledger.CodeSignature
	}
	if _, refutes := tx.Ops[0].(ledger.RefuteBlob); refutes {
		member := false
		for i := range m.members {
			member = member || m.members[i].Node == tx.Sender.Peer()
		}
		if !member {
			return ledger.CodeFee
		}
	}
	return m.mark(tx, tx.Ops[0])
}

func (m *model) marked(blob shards.BlobID) bool {
	_, ok := m.invalid[blob]
	return ok
}

func (m *model) mark(tx *ledger.Tx, op ledger.Op) ledger.Code {
	why := ledger.InvalidBlob{Epoch: m.now, Height: m.height, Tx: tx.ID(), Event: uint16(m.events)}
	var blob shards.BlobID
	good, wrong := false, ledger.CodeProof
	switch op := op.(type) {
	case ledger.DisproveBlob:
		blob, why.Proof = op.BlobID, op.Proof
		good = m.good["proof"+string(blob[:])+string(op.Proof)]
	case ledger.RefuteBlob:
		blob, why.Certificate, wrong = op.BlobID, op.Certificate, ledger.CodeCertificate
		cert, err := certs.UnmarshalRefutationCertificate(op.Certificate)
		good = err == nil && cert.Blob == blob && cert.Epoch == m.now && m.good["refutations"+string(op.Certificate)]
	}
	registered := false
	for _, b := range m.blobs {
		registered = registered || b.BlobID == blob && b.End > m.now
	}
	switch {
	case m.marked(blob):
		return ledger.CodeInvalidBlob
	case !registered:
		return ledger.CodeNotFound
	case !good:
		return wrong
	}
	m.invalid[blob] = why
	return ledger.CodeOK
}

// wrongBlob is one of a few blobs that are encoded wrongly. Those that were marked are replaced in time.
func (g *gambler) wrongBlob(t *testing.T) *wrongtest.Encoding {
	i := g.IntN(len(g.wrong))
	if e := g.wrong[i]; e == nil || g.m.marked(e.ID) && g.IntN(10) == 0 {
		p, err := shards.NewParams(10)
		if err != nil {
			t.Fatal(err)
		}
		content := fmt.Appendf(nil, "wrong %d", g.Uint64())
		all := func(axis shards.Axis, _ int) bool { return axis == shards.Secondary }
		g.wrong[i] = wrongtest.Mix(t, "all columns", p, content, bytes.Repeat([]byte{0xff}, len(content)), all)
	}
	return g.wrong[i]
}

// mark is an operation that marks a blob, mostly a wrong one.
func (g *gambler) mark(t *testing.T) ledger.Op {
	e := g.wrongBlob(t)
	blob := e.ID
	if g.IntN(6) == 0 {
		_, blob, _ = g.blobName()
	}
	if g.IntN(2) == 0 {
		return ledger.RefuteBlob{BlobID: blob, Certificate: g.refutation(blob)}
	}
	proof := e.Proof(t).Marshal()
	g.m.good["proof"+string(e.ID[:])+string(proof)] = true
	if g.IntN(4) == 0 {
		proof[g.IntN(len(proof))] ^= 1 << g.IntN(8)
	}
	return ledger.DisproveBlob{BlobID: blob, Proof: proof}
}

// refutation is taken for good, unless it is of another epoch or changed.
func (g *gambler) refutation(blob shards.BlobID) []byte {
	cert := &certs.RefutationCertificate{Epoch: g.m.now, Blob: blob, Signers: []uint16{0, 1}}
	switch g.IntN(8) {
	case 0:
		cert.Epoch++
	case 1:
		cert.Blob[0] ^= 1
	}
	raw := cert.Marshal()
	if g.IntN(8) == 0 {
		raw[len(raw)-1] ^= 1 // nobody vouches for it
		return raw
	}
	g.m.good["refutations"+string(raw)] = true
	g.vouched[CertificateKey{cert.Epoch, blake2b.Sum256(append([]byte("refutations"), raw...))}] = true
	return raw
}

// free makes a transaction that pays nothing.
func (g *gambler) free(t *testing.T) *ledger.Tx {
	key := g.wallets[g.IntN(len(g.wallets))].key
	if g.IntN(2) == 0 {
		key = testIdentities[g.IntN(len(testIdentities))]
	}
	return ledger.NewFree(g.m.network, g.m.height+uint64(g.IntN(100)), key, g.mark(t))
}

// addMarks adds the model's marks to the infos.
func (m *model) addMarks(infos map[shards.BlobID]ledger.BlobInfo, want memory) {
	for blob, why := range maps.All(m.invalid) {
		info := infos[blob]
		info.Invalid = true
		infos[blob] = info
		want[string(ledger.KeyInvalidBlob(blob))] = why.Marshal()
	}
}
