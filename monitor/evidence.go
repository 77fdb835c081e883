package monitor

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"walrus/monitor/round"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

// ErrNoEvidence reports evidence that is not kept here, or no longer.
var ErrNoEvidence = errors.New("no such evidence is kept here")

const (
	// maxFaults bounds the faults remembered, so that each is kept once.
	maxFaults = 4096
	// putTime bounds the handing over of evidence.
	putTime = 30 * time.Second
	// MaxEvidenceList bounds one list of evidence.
	MaxEvidenceList = 1000
)

// faultKey tells faults apart: more evidence of the same one is not kept on the same day.
type faultKey struct {
	node   peer.ID
	kind   probe.Kind
	blob   shards.BlobID
	axis   shards.Axis
	sliver int
	day    uint32
}

// keepEvidence judges evidence and keeps it. fresh is false if the same fault was known today already. monitor is the
// peer that it came from.
func (w *Watch) keepEvidence(e *probe.Evidence, monitor peer.ID, number uint64) (info EvidenceInfo, fresh bool, err error) {
	v, err := probe.Judge(e)
	if err != nil {
		return info, false, err
	}
	if v.Network != w.network {
		return info, false, fmt.Errorf("%w: it is of another network", probe.ErrNotConvicted)
	}
	raw, err := e.Marshal()
	if err != nil {
		return info, false, err
	}
	sum := blake2b.Sum256(raw)
	info = EvidenceInfo{
		ID: hex.EncodeToString(sum[:]), Node: v.Node, Monitor: monitor, Round: number, At: w.start(number), Blob: v.Blob,
		Verdict: string(v.Kind), Axis: v.Axis.String(), Sliver: v.Sliver, Symbol: v.Target, Size: len(raw), Height: v.Height,
	}
	day := dayOf(info.At)
	key := faultKey{v.Node, v.Kind, v.Blob, v.Axis, v.Sliver, day}
	w.mu.Lock()
	if known, ok := w.faults[key]; ok {
		w.mu.Unlock()
		return known, false, nil
	}
	if len(w.faults) >= maxFaults {
		clear(w.faults)
	}
	w.faults[key] = info
	room := w.state.spend(string(keyEvidence)+v.Node.String(), day, len(raw), evidencePerNode) &&
		w.state.spend(string(keyEvidence), day, len(raw), evidencePerDay)
	w.mu.Unlock()
	if !room {
		return info, true, nil // told, but not kept
	}
	facts, err := json.Marshal(&info)
	if err != nil {
		return info, false, err
	}
	err = w.db.put(pair{evidenceKey(day, sum[:]), raw}, pair{append(roundKey(keyFacts, info.At, number), sum[:]...), facts})
	if err != nil {
		return info, false, err
	}
	return info, true, w.db.sync()
}

func evidenceKey(day uint32, id []byte) []byte { return append(dayKey(keyEvidence, day), id...) }

// Evidence lists evidence kept of the last 30 days against a node, or against all with an empty ID: the newest first,
// at most MaxEvidenceList.
func (w *Watch) Evidence(node peer.ID, limit int) (list []EvidenceInfo, err error) {
	limit = min(limit, MaxEvidenceList)
	err = w.db.last(keyFacts, func(_, v []byte) (bool, error) {
		var info EvidenceInfo
		if err := json.Unmarshal(v, &info); err != nil {
			return false, fmt.Errorf("%w: evidence: %w", errDatabase, err)
		}
		if len(list) < limit && (node == "" || info.Node == node) {
			list = append(list, info)
		}
		return len(list) < limit, nil
	})
	return list, err
}

// EvidenceFile returns evidence by its ID. ErrNoEvidence.
func (w *Watch) EvidenceFile(id string) (*probe.Evidence, error) {
	sum, err := hex.DecodeString(id)
	if err != nil || len(sum) != blake2b.Size256 {
		return nil, fmt.Errorf("evidence %.64s: %w", id, ErrNoEvidence)
	}
	// Clocks differ: a round may begin on the next day of another.
	for today, day := dayOf(w.now()), dayOf(w.now())+1; ; day-- {
		raw, err := w.db.get(evidenceKey(day, sum))
		switch {
		case err != nil:
			return nil, err
		case raw != nil:
			return probe.UnmarshalEvidence(raw)
		case day == 0 || day+uint32(RoundTime/(24*time.Hour)) < today:
			return nil, fmt.Errorf("evidence %.64s: %w", id, ErrNoEvidence)
		}
	}
}

// accuse keeps evidence of this round against a node, and gives it to the node.
func (r *probing) accuse(ctx context.Context, node int) {
	r.lock.Lock()
	list := slices.Clone(r.evidence[node])
	r.lock.Unlock()
	for _, e := range list {
		info, fresh, err := r.watch.keepEvidence(e, r.watch.cfg.Self, r.number)
		if err != nil {
			r.cfg.Logger.Warn("keep evidence", "err", err)
		}
		raw, bad := e.Marshal()
		if err != nil || bad != nil || !fresh {
			continue
		}
		short, cancel := context.WithTimeout(ctx, putTime)
		err = r.cfg.Swarm.PutFault(short, info.Node, raw)
		cancel()
		if err == nil { // else it learns of it by the attestation
			r.mu.Lock()
			r.status.Told++
			r.mu.Unlock()
		}
	}
}

// receiptsVersion begins the answer to a question for receipts.
const receiptsVersion = 1

// keep writes the receipts of the round, by node: 1 u8 ‖ round.EncodeReceipts ‖ length u16 ‖ their proof ‖ number of
// pieces of evidence u16 ‖ for each: length u32 ‖ evidence.
func (r *probing) keep(receipts []round.Receipt, prove func(round.Key) []byte) error {
	byNode := map[round.Key][]round.Receipt{}
	for _, x := range receipts {
		byNode[x.Node] = append(byNode[x.Node], x)
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	day := dayOf(r.watch.start(r.number))
	var list []pair
	for i, k := range r.v.nodes {
		if len(byNode[k]) == 0 {
			continue
		}
		b := encodeReceipts(byNode[k], prove(k), r.evidence[i])
		key := r.watch.peerKey(keyReceipts, r.number, k.Peer())
		r.watch.mu.Lock()
		room := r.watch.state.spend(string(keyReceipts), day, len(key)+len(b), r.cfg.ReceiptBytes/31)
		r.watch.mu.Unlock()
		if room {
			list = append(list, pair{key, b})
		}
	}
	for ; len(list) > 0; list = list[min(len(list), writeTogether):] {
		if err := r.watch.db.put(list[:min(len(list), writeTogether)]...); err != nil {
			return fmt.Errorf("keep receipts: %w", err)
		}
	}
	return nil
}

func encodeReceipts(receipts []round.Receipt, proof []byte, evidence []*probe.Evidence) []byte {
	b := append([]byte{receiptsVersion}, round.EncodeReceipts(receipts)...)
	b = append(binary.LittleEndian.AppendUint16(b, uint16(len(proof))), proof...)
	at := len(b)
	b = binary.LittleEndian.AppendUint16(b, 0)
	count := 0
	for _, e := range evidence {
		raw, err := e.Marshal()
		if err != nil || len(b)+4+len(raw) > p2p.MaxReceipts {
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(raw)))
		b = append(b, raw...)
		count++
	}
	binary.LittleEndian.PutUint16(b[at:], uint16(count))
	return b
}

// ErrReceipts reports a malformed answer about receipts, and ErrUnproven receipts that are not those of the attested
// round.
var (
	ErrReceipts = errors.New("malformed receipts")
	ErrUnproven = errors.New("receipts that are not those of the attested round")
)

// Receipts of one node in one round, as their monitor shows them.
type Receipts struct {
	List       []*probe.Receipt
	Evidence   []*probe.Evidence // convicts by itself, if probe.Judge says so
	raw, proof []byte            // of List, as in the answer
}

// Verify checks that all receipts are signed by node, and that they are all those of the round whose attestation states
// root. Errors wrap ErrUnproven.
func (r *Receipts) Verify(node peer.ID, root [32]byte) error {
	key, err := round.KeyOf(node)
	if err == nil {
		err = round.VerifyReceipts(root, key, r.raw, r.proof)
	}
	for i := 0; i < len(r.List) && err == nil; i++ {
		if x := r.List[i]; x.Node != node {
			err = fmt.Errorf("one is of %s: want %s", x.Node, node)
		} else {
			err = x.Verify()
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	return nil
}

// ParseReceipts decodes a monitor's answer about its receipts. It verifies nothing: see Receipts.Verify and
// probe.Judge. Errors wrap ErrReceipts.
func ParseReceipts(b []byte) (*Receipts, error) {
	var err error
	cut := func(n int) (part []byte) {
		if err == nil && n > len(b) {
			err = fmt.Errorf("%w: it ends %d bytes early", ErrReceipts, n-len(b))
		}
		if err != nil {
			return make([]byte, 4)
		}
		part, b = b[:n], b[n:]
		return part
	}
	if v := cut(1)[0]; err == nil && v != receiptsVersion {
		return nil, fmt.Errorf("%w: version %d: want %d", ErrReceipts, v, receiptsVersion)
	}
	out, all := new(Receipts), b
	for n := binary.LittleEndian.Uint16(cut(2)); n > 0 && err == nil; n-- {
		cut(2)
		raw := cut(int(binary.LittleEndian.Uint16(cut(2))))
		if err != nil {
			break
		}
		r, bad := probe.UnmarshalReceipt(raw)
		if bad != nil {
			return nil, fmt.Errorf("%w: %w", ErrReceipts, bad)
		}
		out.List = append(out.List, r)
	}
	out.raw = all[:len(all)-len(b)]
	out.proof = cut(int(binary.LittleEndian.Uint16(cut(2))))
	for n := binary.LittleEndian.Uint16(cut(2)); n > 0 && err == nil; n-- {
		size := binary.LittleEndian.Uint32(cut(4))
		if size > probe.MaxEvidence {
			return nil, fmt.Errorf("%w: evidence of %d bytes", ErrReceipts, size)
		}
		raw := cut(int(size))
		if err != nil {
			break
		}
		e, bad := probe.UnmarshalEvidence(raw)
		if bad != nil {
			return nil, fmt.Errorf("%w: %w", ErrReceipts, bad)
		}
		out.Evidence = append(out.Evidence, e)
	}
	if err == nil && len(b) > 0 {
		err = fmt.Errorf("%w: %d bytes too many", ErrReceipts, len(b))
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Backend answers the requests of the monitor protocol.
func (w *Watch) Backend() p2p.RoundBackend { return backend{w} }

type backend struct{ w *Watch }

// Receipts implements p2p.RoundBackend.
func (b backend) Receipts(_ context.Context, _ peer.ID, number uint64, node peer.ID) ([]byte, error) {
	raw, err := b.w.db.get(b.w.peerKey(keyReceipts, number, node))
	if err == nil && raw == nil {
		return nil, fmt.Errorf("%w: no receipts of round %d", p2p.ErrNotFound, number)
	}
	return raw, err
}

// PutFault implements p2p.RoundBackend.
func (b backend) PutFault(_ context.Context, from peer.ID, raw []byte) error {
	e, err := probe.UnmarshalEvidence(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	if e.Receipts[0].Node != b.w.cfg.Self {
		return fmt.Errorf("%w: evidence against %s, which is somebody else", p2p.ErrBadRequest, e.Receipts[0].Node)
	}
	number := round.Number(b.w.now(), b.w.length)
	info, fresh, err := b.w.keepEvidence(e, from, number)
	if err != nil {
		return fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	if !fresh {
		return nil
	}
	outcome := round.Missing
	if info.Verdict == string(probe.KindWrong) {
		outcome = round.Wrong
	}
	event := Event{Round: number, Start: b.w.start(number), Monitor: from, Outcome: outcome, Evidence: &info, Proof: e}
	if v := b.w.current(); v != nil {
		if k, err := round.KeyOf(from); err == nil {
			event.Weight = v.share(k)
		}
	}
	b.w.cfg.tell([]Event{event})
	return nil
}

// Relay implements p2p.RoundBackend.
func (b backend) Relay(ctx context.Context, from peer.ID, number uint64, accuser peer.ID) error {
	b.w.mu.Lock()
	relay := b.w.relay
	b.w.mu.Unlock()
	if relay == nil {
		return fmt.Errorf("%w: this peer relays nothing", p2p.ErrNotOwner)
	}
	return relay(ctx, from, number, accuser)
}

// fetchesPerStep bounds the monitors asked for evidence in one step.
const fetchesPerStep = 8

// fetchTime bounds these questions, which go out together; half of a round does, too.
const fetchTime = 10 * time.Second

// collect fetches the evidence behind attestations that convict others, and keeps it.
func (w *Watch) collect(ctx context.Context) {
	type accusation struct {
		monitor, node peer.ID
		number        uint64
		root          [32]byte
	}
	if w.cfg.Ask == nil {
		return
	}
	var list []accusation
	w.mu.Lock()
	for _, weighs := range []bool{true, false} { // strangers come last: there may be any number of them
		for number, r := range w.recent {
			for k, a := range r.attested {
				v := w.views[a.Epoch]
				if k == w.self || v == nil || r.asked[k] || v.weights[k] > 0 != weighs {
					continue
				}
				for i, res := range a.Results {
					if res.Outcome.Convicts() && len(list) < fetchesPerStep {
						list = append(list, accusation{k.Peer(), v.com.Members()[i].Node, number, a.Receipts})
						if r.asked == nil {
							r.asked = map[round.Key]bool{}
						}
						r.asked[k] = true
					}
				}
			}
		}
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, min(fetchTime, w.length/2))
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for _, a := range list { // at the same time: who does not answer holds up the folding of rounds once, not each time
		all.Go(func() {
			raw, err := w.cfg.Ask(ctx, a.monitor, a.number, a.node)
			if err != nil {
				return // its word counts without it, and another monitor may have some
			}
			shown, err := ParseReceipts(raw)
			if err != nil {
				return
			}
			if err := shown.Verify(a.node, a.root); err != nil {
				unproven(w, a.monitor, a.number, err)
			}
			for _, e := range shown.Evidence { // it convicts by itself, whoever shows it
				if e.Receipts[0].Node == a.node {
					_, _, _ = w.keepEvidence(e, a.monitor, a.number) // what convicts nobody is not kept
				}
			}
		})
	}
}

// unproven notes that a monitor shows receipts that are not of the round that it attested.
func unproven(w *Watch, monitor peer.ID, number uint64, err error) {
	w.cfg.Logger.Debug("a monitor cannot prove its round", "monitor", monitor.String(), "round", number, "err", err)
	k, bad := round.KeyOf(monitor)
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.recent[number]
	if bad != nil || r == nil {
		return
	}
	if r.unproven == nil {
		r.unproven = map[round.Key]bool{}
	}
	r.unproven[k] = true
}

// checkRebuttal checks that a rebuttal's receipt is the node's signed answer to a question that nobody could ask before
// the round after the accusation. w.mu is held: Book calls it.
func (w *Watch) checkRebuttal(r *round.Rebuttal) error {
	receipt, err := probe.UnmarshalReceipt(r.Receipt)
	if err != nil {
		return err
	}
	next := w.recent[r.Round+1]
	switch {
	case next == nil || next.seed == nil:
		return fmt.Errorf("the seed of round %d is not known yet: %w", r.Round+1, round.ErrEpoch)
	case receipt.Node != r.Node.Peer():
		return fmt.Errorf("the receipt is of %s: %w", receipt.Node, round.ErrRebuttal)
	case receipt.Question.Network != w.network:
		return fmt.Errorf("the receipt is of another network: %w", round.ErrRebuttal)
	case receipt.Question.Nonce != probe.Nonce(round.RebuttalNonce(*next.seed, r.Accuser, r.Node)):
		return fmt.Errorf("the receipt answers another question: %w", round.ErrRebuttal)
	case receipt.Code != probe.Answered:
		return fmt.Errorf("the receipt refuses: %w", round.ErrRebuttal)
	}
	return receipt.Verify()
}
