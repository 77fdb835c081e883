package machine

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/shards"
)

// opArgs is one operation of a script.
type opArgs struct {
	scene *scene
	made  ledger.ObjectID // what it makes
	who   string
	args
}

// as names the object that the operation makes.
func (o *opArgs) as() {
	if name := o.text("as", ""); name != "" {
		o.scene.objects[name], o.scene.names[o.made.String()] = o.made, name
	}
}

func (o *opArgs) objectAt(i int) ledger.ObjectID { return o.scene.object(o.at(i)) }

func (o *opArgs) op(t *testing.T) ledger.Op {
	t.Helper()
	defer o.as()
	kind := o.at(0)
	switch kind {
	case "transfer":
		return ledger.Transfer{To: o.scene.address(o.at(1)), Amount: parseAmount(t, o.at(2))}
	case "buyStorage":
		start, end, _ := strings.Cut(o.at(2), "-")
		return ledger.BuyStorage{Bytes: parseNumber(t, o.at(1)), Start: uint32(parseNumber(t, start)),
			End: uint32(parseNumber(t, end))}
	case "splitStorage":
		return ledger.SplitStorage{Storage: o.objectAt(1), Epoch: o.epoch("epoch", 0), Bytes: o.bytes("bytes", 0)}
	case "mergeStorage":
		return ledger.MergeStorage{A: o.objectAt(1), B: o.objectAt(2)}
	case "offerStorage":
		return ledger.OfferStorage{Storage: o.objectAt(1), To: o.scene.address(o.at(2)), Until: o.epoch("until", o.scene.epoch(t)+1)}
	case "acceptOffer":
		return ledger.AcceptOffer{Object: o.objectAt(1), From: o.scene.address(o.at(2))}
	case "withdrawOffer":
		return ledger.WithdrawOffer{Object: o.objectAt(1)}
	case "registerBlob":
		return o.register()
	case "certifyBlob":
		return ledger.CertifyBlob{Object: o.objectAt(1), Certificate: o.certificate(t)}
	case "extendBlob":
		op := ledger.ExtendBlob{Object: o.objectAt(1), Epochs: o.epoch("epochs", 0), FromFunds: o.has("funds")}
		if o.has("storage") {
			op.Storage = o.scene.object(o.text("storage", ""))
		}
		return op
	case "deleteBlob":
		return ledger.DeleteBlob{Object: o.objectAt(1)}
	case "shareBlob":
		return ledger.ShareBlob{Object: o.objectAt(1), Amount: o.amount("amount", 0)}
	case "fundBlob":
		return ledger.FundBlob{Object: o.objectAt(1), Amount: o.amount("amount", 0)}
	case "offerBlob":
		return ledger.OfferBlob{Object: o.objectAt(1), To: o.scene.address(o.at(2)), Until: o.epoch("until", o.scene.epoch(t)+1)}
	case "burnBlob":
		return ledger.BurnBlob{Object: o.objectAt(1)}
	case "setAttributes":
		return o.setAttributes()
	case "disproveBlob":
		return o.disprove(t)
	case "refuteBlob":
		return o.refute(t)
	case "bondMonitor":
		return o.bond()
	case "unbondMonitor":
		return ledger.UnbondMonitor{Monitor: o.scene.monitor(o.at(1))}
	}
	t.Fatalf("there is no operation %q", kind)
	return nil
}

// disprove reads: disproveBlob blob, and what may be wrong with the proof: of=name (another blob's), garbage. A blob
// that is encoded rightly has none; any bytes stand for it.
func (o *opArgs) disprove(t *testing.T) ledger.Op {
	op := ledger.DisproveBlob{BlobID: o.scene.blob(o.at(1)), Proof: make([]byte, 653)}
	if e := o.scene.wrong[o.text("of", o.at(1))]; e != nil {
		op.Proof = e.Proof(t).Marshal()
	}
	if o.has("garbage") {
		op.Proof = op.Proof[1:]
	}
	return op
}

// refute reads: refuteBlob blob signers=0,1 (members), and what may be wrong: epoch, of=name (another blob), forged,
// garbage.
func (o *opArgs) refute(t *testing.T) ledger.Op {
	blob := o.scene.blob(o.at(1))
	epoch := uint32(o.offset("epoch", uint64(o.scene.epoch(t))))
	committee, err := o.scene.Committees.At(epoch)
	if err != nil {
		t.Fatal(err)
	}
	signed := o.scene.blob(o.text("of", o.at(1)))
	cert := &certs.RefutationCertificate{Epoch: epoch, Blob: signed}
	var list []certs.Refutation
	for _, s := range strings.Split(o.text("signers", "0,1"), ",") {
		i := int(parseNumber(t, s))
		list = append(list, committee.Refute(o.scene.keys[i], committee.Members()[i].Node, signed))
		cert.Signers = append(cert.Signers, uint16(i))
	}
	if full, _, err := committee.AggregateRefutations(signed, list); err == nil {
		cert = full
	}
	if o.has("forged") {
		cert.Signers[len(cert.Signers)-1]++
	}
	op := ledger.RefuteBlob{BlobID: blob, Certificate: cert.Marshal()}
	if o.has("garbage") {
		op.Certificate = op.Certificate[1:]
	}
	return op
}

// bond reads: bondMonitor monitor amount=WAL, and what may be wrong: for=name (agreed to another account), network
// (agreed on another one).
func (o *opArgs) bond() ledger.Op {
	network := o.scene.Network
	if o.has("network") {
		network = certs.NetworkID{1}
	}
	op := ledger.SignBond(newWallet(o.at(1)).key, network, o.scene.address(o.text("for", o.who)), o.amount("amount", 0))
	o.scene.monitor(o.at(1))
	return op
}

// register reads: registerBlob storage blob=name size=bytes deletable attributes=key:value,… wrong (blob ID), or
// contradictory (its columns are another blob's).
func (o *opArgs) register() ledger.Op {
	name := o.text("blob", "blob")
	op := ledger.RegisterBlob{Storage: o.objectAt(1), Size: o.bytes("size", 1000), Deletable: o.has("deletable")}
	op.Root, op.BlobID = testBlob(name, op.Size)
	if o.has("contradictory") {
		e := contradictory(o.t, name)
		o.scene.wrong[name], op.Root, op.BlobID, op.Size = e, e.Meta.BlobRoot(), e.ID, e.Meta.Length
	}
	b := blobName{op.BlobID, op.Root, op.Size, op.Deletable}
	o.scene.blobs[name] = b
	if as := o.text("as", ""); as != "" {
		o.scene.blobs[as+"'s"] = b
	}
	o.scene.names[op.BlobID.String()] = name
	if o.has("wrong") {
		op.BlobID[0] ^= 1
		o.scene.names[op.BlobID.String()] = "wrong"
	}
	if pairs := o.text("attributes", ""); pairs != "" {
		op.Attributes = sortedAttributes(strings.Split(pairs, ","))
	}
	return op
}

// certificate reads what may be wrong with it: signers=0,1,2 (members; duplicates stay), epoch, blob=name,
// object=name, permanent, deletable, forged (by another key), network (another one), garbage.
func (o *opArgs) certificate(t *testing.T) []byte {
	t.Helper()
	object := o.at(1)
	blob, ok := o.scene.blobs[object+"'s"]
	if !ok {
		_, id := testBlob(object, 1000)
		blob = blobName{id: id}
	}
	if name := o.text("blob", ""); name != "" {
		blob.id = o.scene.blobs[name].id
	}
	p := certs.Persistence{Deletable: blob.deletable}
	if o.has("permanent") {
		p.Deletable = false
	} else if o.has("deletable") {
		p.Deletable = true
	}
	if p.Deletable {
		p.Object = o.scene.object(o.text("object", object))
	}
	var signers []int
	for _, s := range strings.Split(o.text("signers", "0,1,2"), ",") {
		i, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, i)
	}
	epoch := o.scene.epoch(t)
	if o.has("epoch") {
		epoch = uint32(o.offset("epoch", uint64(epoch)))
	}
	cert := o.scene.certificate(t, epoch, blob.id, p, slices.Compact(slices.Clone(signers))...)
	if o.has("forged") { // says that another member signed
		cert.Signers[len(cert.Signers)-1]--
	}
	if o.has("network") { // is of another network
		cert = otherNetwork(t).certificate(t, epoch, blob.id, p, signers...)
	}
	raw := cert.Marshal()
	if len(signers) != len(cert.Signers) {
		raw = repeatSigners(raw, signers)
	}
	if o.has("garbage") {
		raw = raw[:len(raw)-1]
	}
	return raw
}

// contradictory is a blob whose columns are those of another.
func contradictory(t testing.TB, name string) *wrongtest.Encoding {
	t.Helper()
	p, err := shards.NewParams(10)
	if err != nil {
		t.Fatal(err)
	}
	columns := func(axis shards.Axis, _ int) bool { return axis == shards.Secondary }
	return wrongtest.Mix(t, name, p, []byte(name), bytes.Repeat([]byte{0}, len(name)), columns)
}

func otherNetwork(t *testing.T) *network {
	return newNetwork(t, func(g *ledger.Genesis) { g.BurnBasis++ })
}

// repeatSigners gives a certificate's binary form another list of signers.
func repeatSigners(raw []byte, signers []int) []byte {
	const header = 1 + 4 + 32 + 1 + 32
	signature := raw[len(raw)-certs.SignatureSize:]
	b := binary.LittleEndian.AppendUint16(slices.Clone(raw[:header]), uint16(len(signers)))
	for _, s := range signers {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return append(b, signature...)
}

// setAttributes reads: setAttributes object set=key:value,… remove=key,… fill=n (n attributes of the greatest size).
func (o *opArgs) setAttributes() ledger.Op {
	op := ledger.SetAttributes{Object: o.objectAt(1)}
	if pairs := o.text("set", ""); pairs != "" {
		op.Set = sortedAttributes(strings.Split(pairs, ","))
	}
	for i := range o.number("fill", 0) {
		op.Set = append(op.Set, ledger.Attribute{Key: o.text("key", "k") + strconv.Itoa(int(10+i)),
			Value: strings.Repeat("v", ledger.MaxAttributeValue)})
	}
	if keys := o.text("remove", ""); keys != "" {
		op.Remove = strings.Split(keys, ",")
	}
	return op
}
