package round

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"walrus/certs"
)

// Attestation tells what one monitor found out in one round. Its binary form:
//
//	kind 1 u8 ‖ flags u8 (1 = void) ‖ round u64 ‖ epoch u32 ‖ monitor 32 ‖ receipts' root 32 ‖ receipts u16 ‖
//	nodes n u16 ‖ outcomes, 3 bits each, the lowest bits of a byte first, ⌈3n/8⌉ bytes, the rest 0 ‖
//	RTT u8, rate u8 for each node that answered, by index ‖ signature 64
//
// So 100 nodes that all answer take 384 bytes, 1,000 take 2,521; 31 of 1,000 take 583.
type Attestation struct {
	Void     bool     // the monitor does not trust this round
	Round    uint64   //
	Epoch    uint32   // of the committee that Results is about
	Monitor  Key      //
	Receipts [32]byte // root over the receipts: see ReceiptTree
	Count    uint16   // number of receipts
	Results  []Result // by index in the committee: 1 to MaxNodes, of which at most MaxAnswers answered

	Signature [ed25519.SignatureSize]byte
}

const attestationHead = 1 + 1 + 8 + 4 + 32 + 32 + 2 + 2

// Encode returns the binary form. Errors wrap ErrSize if there are too many nodes or answers.
func (a *Attestation) Encode() ([]byte, error) {
	b, err := a.body()
	if err != nil {
		return nil, err
	}
	return append(b, a.Signature[:]...), nil
}

// body is the binary form without the signature.
func (a *Attestation) body() ([]byte, error) {
	n, answered := len(a.Results), 0
	for _, r := range a.Results {
		if r.Outcome.Answered() {
			answered++
		}
	}
	if n == 0 || n > MaxNodes || answered > MaxAnswers {
		return nil, fmt.Errorf("%w: %d nodes, %d answers: at most %d, %d", ErrSize, n, answered, MaxNodes, MaxAnswers)
	}
	b := make([]byte, 0, MaxAttestation)
	flags := byte(0)
	if a.Void {
		flags = 1
	}
	b = append(b, byte(KindAttestation), flags)
	b = binary.LittleEndian.AppendUint64(b, a.Round)
	b = binary.LittleEndian.AppendUint32(b, a.Epoch)
	b = append(b, a.Monitor[:]...)
	b = append(b, a.Receipts[:]...)
	b = binary.LittleEndian.AppendUint16(b, a.Count)
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	packed := make([]byte, (3*n+7)/8)
	for i, r := range a.Results {
		o := uint16(r.Outcome&7) << (3 * i % 8)
		packed[3*i/8] |= byte(o)
		if o > 255 {
			packed[3*i/8+1] |= byte(o >> 8)
		}
	}
	b = append(b, packed...)
	for _, r := range a.Results {
		if r.Outcome.Answered() {
			b = append(b, byte(max(r.RTT, 1)), byte(r.Rate))
		}
	}
	return b, nil
}

// ParseAttestation decodes the binary form. Errors wrap ErrFormat. Each accepted form is the only one of its value.
func ParseAttestation(b []byte) (*Attestation, error) {
	if len(b) > MaxAttestation {
		return nil, fmt.Errorf("%w: attestation of %d bytes: at most %d", ErrFormat, len(b), MaxAttestation)
	}
	r := reader{b: b}
	kind, flags := r.u8("kind"), r.u8("flags")
	if Kind(kind) != KindAttestation || flags > 1 {
		r.fail("kind %d, flags %d", kind, flags)
	}
	a := &Attestation{Void: flags == 1, Round: r.u64("round"), Epoch: r.u32("epoch"), Monitor: r.key("monitor")}
	a.Receipts = r.key("root")
	a.Count = r.u16("receipts")
	n := int(r.u16("nodes"))
	if n == 0 || n > MaxNodes {
		r.fail("%d nodes: want 1 to %d", n, MaxNodes)
	}
	if r.err != nil {
		return nil, r.err
	}
	a.results(&r, n)
	a.Signature = [ed25519.SignatureSize]byte(r.take("signature", ed25519.SignatureSize))
	if err := r.end(); err != nil {
		return nil, err
	}
	return a, nil
}

// results reads the vector.
func (a *Attestation) results(r *reader, n int) {
	packed := r.take("outcomes", (3*n+7)/8)
	if r.err != nil {
		return
	}
	if rest := 3 * n % 8; rest > 0 && packed[len(packed)-1]>>rest != 0 {
		r.fail("bits after the last outcome")
		return
	}
	a.Results = make([]Result, n)
	answered := 0
	for i := range a.Results {
		o := uint16(packed[3*i/8])
		if 3*i/8+1 < len(packed) {
			o |= uint16(packed[3*i/8+1]) << 8
		}
		a.Results[i].Outcome = Outcome(o >> (3 * i % 8) & 7)
		if a.Results[i].Outcome >= outcomes {
			r.fail("node %d: %s is unknown", i, a.Results[i].Outcome)
			return
		}
		if a.Results[i].Outcome.Answered() {
			answered++
		}
	}
	if answered > MaxAnswers {
		r.fail("%d nodes answered: at most %d", answered, MaxAnswers)
	}
	for i := range a.Results {
		if res := &a.Results[i]; r.err == nil && res.Outcome.Answered() {
			res.RTT, res.Rate = Code(r.u8("rtt")), Code(r.u8("rate"))
			if res.RTT == 0 {
				r.fail("node %d answered without a round trip", i)
			}
		}
	}
}

// Sign sets the monitor to sk's key and signs. Errors wrap ErrSize. A monitor signs one attestation a round, ever: two
// different ones silence it.
func (a *Attestation) Sign(network certs.NetworkID, sk ed25519.PrivateKey) error {
	a.Monitor = keyOf(sk)
	body, err := a.body()
	if err != nil {
		return err
	}
	a.Signature = [ed25519.SignatureSize]byte(ed25519.Sign(sk, signed(attestationDomain, network, body)))
	return nil
}

// Verify checks the signature, which takes about 50 µs. Errors wrap ErrSignature, or ErrSize.
func (a *Attestation) Verify(network certs.NetworkID) error {
	body, err := a.body()
	if err != nil {
		return err
	}
	return verify(attestationDomain, network, body, a.Monitor, a.Signature)
}

// Counts reports whether the round is valid: the monitor says so, and it reached at least half of the nodes it asked,
// and one at least. A monitor that reaches fewer is itself badly connected, whatever it says.
func (a *Attestation) Counts() bool { return !a.Void && !Void(a.Results) }

// Void reports whether fewer than half of the nodes asked sent an answer, or none was asked. A node that answered too
// late, or was busy, counts as not reached.
func Void(results []Result) bool {
	asked, reached := 0, 0
	for _, r := range results {
		if r.Outcome != NotAsked {
			asked++
		}
		if r.Outcome.Answered() {
			reached++
		}
	}
	return reached == 0 || 2*reached < asked
}

// Equivocation proves that a monitor signed two different attestations for one round. Its binary form: kind 3 u8 ‖
// length of the first u16 ‖ first ‖ second. The first has the lesser bytes, so a pair has one form.
type Equivocation struct {
	First, Second *Attestation
}

// NewEquivocation orders two attestations.
func NewEquivocation(a, b *Attestation) (*Equivocation, error) {
	x, err := a.Encode()
	if err != nil {
		return nil, err
	}
	y, err := b.Encode()
	if err != nil {
		return nil, err
	}
	if bytes.Compare(x, y) > 0 {
		a, b = b, a
	}
	return &Equivocation{a, b}, nil
}

// Encode returns the binary form.
func (e *Equivocation) Encode() ([]byte, error) {
	first, err := e.First.Encode()
	if err != nil {
		return nil, err
	}
	second, err := e.Second.Encode()
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint16([]byte{byte(KindEquivocation)}, uint16(len(first)))
	return append(append(b, first...), second...), nil
}

// ParseEquivocation decodes the binary form and checks that both are of one monitor and round, and differ in what they
// say. Errors wrap ErrFormat.
func ParseEquivocation(b []byte) (*Equivocation, error) {
	r := reader{b: b}
	if kind := r.u8("kind"); Kind(kind) != KindEquivocation {
		r.fail("kind %d", kind)
	}
	n := int(r.u16("length"))
	if n > MaxAttestation {
		r.fail("first attestation of %d bytes: at most %d", n, MaxAttestation)
		return nil, r.err
	}
	first := r.take("first", n)
	if r.err != nil {
		return nil, r.err
	}
	var e Equivocation
	var err error
	if e.First, err = ParseAttestation(first); err != nil {
		return nil, err
	}
	if e.Second, err = ParseAttestation(r.b); err != nil {
		return nil, err
	}
	if e.First.Monitor != e.Second.Monitor || e.First.Round != e.Second.Round {
		return nil, fmt.Errorf("%w: attestations of different monitors or rounds contradict nothing", ErrFormat)
	}
	if bytes.Compare(first, r.b) > 0 || bytes.Equal(first[:len(first)-ed25519.SignatureSize],
		r.b[:len(r.b)-ed25519.SignatureSize]) {
		return nil, fmt.Errorf("%w: the attestations are the same, or in the wrong order", ErrFormat)
	}
	return &e, nil
}

// Verify checks both signatures. Errors wrap ErrSignature.
func (e *Equivocation) Verify(network certs.NetworkID) error {
	if err := e.First.Verify(network); err != nil {
		return err
	}
	return e.Second.Verify(network)
}
