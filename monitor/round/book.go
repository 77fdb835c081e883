package round

import (
	"errors"
	"fmt"
	"time"

	"walrus/certs"
)

const (
	// SilenceTime: a monitor that contradicted itself does not count for so long from the beginning of that round.
	SilenceTime = 30 * 24 * time.Hour
	// LongerSilence: a further contradiction of a silenced monitor counts only if it prolongs the silence by so much, so
	// that a monitor which contradicts itself in every round makes others keep and pass on some 30 proofs, not thousands.
	LongerSilence = 24 * time.Hour
	// MaxStrangers bounds the monitors without weight whose attestations of a round are passed on, all together.
	MaxStrangers = 32
	// MaxStrangerChecks bounds the signatures of monitors without weight that are verified for a round.
	MaxStrangerChecks = 2 * MaxStrangers
	// MaxRebuttals bounds the rebuttals for one node and round. More would not count: see package score.
	MaxRebuttals = 8
	// keptRounds: messages of so many rounds before the current one are remembered.
	keptRounds = RebuttalRounds + 1
	// keptEpochs: committees of so many epochs are remembered.
	keptEpochs = 3
)

// Errors of messages that are well formed. Decision says whether the sender is to blame.
var (
	ErrRound    = errors.New("not of the current round, the one before or after")
	ErrEpoch    = errors.New("epoch is not known here")
	ErrVector   = errors.New("vector does not fit the committee")
	ErrUnknown  = errors.New("monitor is not known")
	ErrSilenced = errors.New("monitor contradicted itself and is silenced")
	ErrRepeated = errors.New("known already")
	ErrCrowded  = errors.New("too many of the kind in this round")
	ErrRebuttal = errors.New("nothing to rebut")
)

// Verdict on a gossiped message.
type Verdict uint8

const (
	// Ignore: it is not passed on, and its sender is not blamed.
	Ignore Verdict = iota
	// Accept: it is passed on.
	Accept
	// Reject: it is provably bad. An honest peer would not have passed it on.
	Reject
)

func (v Verdict) String() string { return [...]string{"ignore", "accept", "reject"}[v] }

// Decision about a message, with its effects.
type Decision struct {
	Verdict Verdict
	Err     error   // why it was not accepted; wraps one of the package's errors
	Keep    Message // to be kept on disk and counted; nil if nothing

	// Proof: the message showed that its monitor contradicts itself. The monitor is silenced, and what it attested for
	// the rounds remembered does not count any more. The proof is to be kept, and published if the message was not it.
	Proof *Equivocation
}

// Book validates the messages of the topic: a pure step over what was known and seen before. It is not safe for
// concurrent use. It remembers four rounds, with one attestation of each monitor with weight, of MaxStrangers others,
// and MaxRebuttals rebuttals for each accused node.
type Book struct {
	network certs.NetworkID
	length  time.Duration
	// receipt checks that a rebuttal's receipt is the node's signed and right answer, to a question with the nonce of
	// RebuttalNonce. An error is the member's fault, unless it wraps ErrEpoch.
	receipt func(*Rebuttal) error

	epoch   uint32 // the newest known
	nodes   map[uint32][]Key
	index   map[uint32]map[Key]int
	weights map[Key]uint64
	rounds  map[uint64]*sheet
	silent  map[Key]time.Time // end of the silence
}

// sheet holds the accepted messages of one round.
type sheet struct {
	attested  map[Key]*Attestation
	strangers int
	checks    int // signatures of strangers
	rebutted  map[rebutted]bool
	rebuttals map[Key]int // by node
}

// rebutted: of a node's rebuttals, one for each accuser and one by each member.
type rebutted struct {
	node, by Key
	member   bool // by relayed; else by accused
}

// NewBook returns an empty book of a network with rounds of this length. receipt may be nil: then nothing is rebutted.
func NewBook(network certs.NetworkID, length time.Duration, receipt func(*Rebuttal) error) *Book {
	return &Book{
		network: network, length: length, receipt: receipt,
		nodes: map[uint32][]Key{}, index: map[uint32]map[Key]int{}, weights: map[Key]uint64{},
		rounds: map[uint64]*sheet{}, silent: map[Key]time.Time{},
	}
}

// SetCommittee tells the nodes of an epoch, by index. The newest epoch and the two before it are remembered.
func (b *Book) SetCommittee(epoch uint32, nodes []Key) {
	b.epoch = max(b.epoch, epoch)
	b.nodes[epoch] = nodes
	index := make(map[Key]int, len(nodes))
	for i, k := range nodes {
		index[k] = i
	}
	b.index[epoch] = index
	for e := range b.nodes {
		if e+keptEpochs <= b.epoch {
			delete(b.nodes, e)
			delete(b.index, e)
		}
	}
}

// SetMonitors tells the weights from now on. Monitors that are not listed have none.
func (b *Book) SetMonitors(monitors []Monitor) {
	clear(b.weights)
	for _, m := range monitors {
		if m.Weight > 0 {
			b.weights[m.Key] = m.Weight
		}
	}
}

// Silence restores a silence after a restart: of a monitor, until a time.
func (b *Book) Silence(monitor Key, until time.Time) { b.silent[monitor] = until }

// Silent returns the end of a monitor's silence, and whether it lasts.
func (b *Book) Silent(monitor Key, now time.Time) (until time.Time, silent bool) {
	until = b.silent[monitor]
	return until, now.Before(until)
}

// Step decides about one message of the topic. Cheap facts come before signatures.
func (b *Book) Step(now time.Time, raw []byte) Decision {
	m, err := Parse(raw)
	if err != nil {
		return Decision{Verdict: Reject, Err: err}
	}
	b.forget(now)
	switch m := m.(type) {
	case *Attestation:
		return b.attestation(now, m)
	case *Rebuttal:
		return b.rebuttal(now, m)
	case *Equivocation:
		return b.equivocation(now, m)
	}
	panic("round: a kind of message without a rule")
}

// forget drops rounds that have passed, and silences that have ended.
func (b *Book) forget(now time.Time) {
	current := Number(now, b.length)
	for n := range b.rounds {
		if n+keptRounds < current {
			delete(b.rounds, n)
		}
	}
	for k, until := range b.silent {
		if !now.Before(until) {
			delete(b.silent, k)
		}
	}
}

func (b *Book) sheet(number uint64) *sheet {
	s := b.rounds[number]
	if s == nil {
		s = &sheet{attested: map[Key]*Attestation{}, rebutted: map[rebutted]bool{}, rebuttals: map[Key]int{}}
		b.rounds[number] = s
	}
	return s
}

func ignore(err error) Decision { return Decision{Verdict: Ignore, Err: err} }
func reject(err error) Decision { return Decision{Verdict: Reject, Err: err} }

func (b *Book) attestation(now time.Time, a *Attestation) Decision {
	if current := Number(now, b.length); a.Round+1 < current || a.Round > current+1 {
		return ignore(fmt.Errorf("attestation of round %d in round %d: %w", a.Round, current, ErrRound))
	}
	nodes := b.nodes[a.Epoch]
	switch {
	case nodes == nil:
		return ignore(fmt.Errorf("attestation of epoch %d: %w", a.Epoch, ErrEpoch))
	case len(nodes) != len(a.Results):
		return reject(fmt.Errorf("attestation of %d nodes, epoch %d has %d: %w", len(a.Results), a.Epoch, len(nodes),
			ErrVector))
	}
	if i, member := b.index[a.Epoch][a.Monitor]; member && a.Results[i].Outcome != NotAsked {
		return reject(fmt.Errorf("monitor %s attests itself: %w", a.Monitor, ErrVector))
	}
	if until, silent := b.Silent(a.Monitor, now); silent {
		return ignore(fmt.Errorf("monitor %s until %s: %w", a.Monitor, until.Format(time.RFC3339), ErrSilenced))
	}
	s, stranger := b.sheet(a.Round), b.weights[a.Monitor] == 0
	known := s.attested[a.Monitor]
	if known != nil && (stranger || same(known, a)) {
		return ignore(fmt.Errorf("attestation of %s for round %d: %w", a.Monitor, a.Round, ErrRepeated))
	}
	if stranger {
		if s.strangers >= MaxStrangers || s.checks >= MaxStrangerChecks {
			return ignore(fmt.Errorf("round %d: %w", a.Round, ErrCrowded))
		}
		s.checks++
	}
	if err := a.Verify(b.network); err != nil {
		return reject(err)
	}
	if known != nil {
		proof, err := NewEquivocation(known, a)
		if err != nil {
			return reject(err)
		}
		b.silence(proof)
		return Decision{Verdict: Accept, Proof: proof}
	}
	if stranger {
		s.strangers++
	}
	s.attested[a.Monitor] = a
	return Decision{Verdict: Accept, Keep: a}
}

// same reports whether two attestations of one monitor and round say the same. The signature may differ: a signer can
// make several, and that contradicts nothing.
func same(a, b *Attestation) bool {
	x, err := a.body()
	y, err2 := b.body()
	return err == nil && err2 == nil && string(x) == string(y)
}

// silence applies a proof that was verified.
func (b *Book) silence(e *Equivocation) {
	b.silent[e.First.Monitor] = Start(e.First.Round, b.length).Add(SilenceTime)
	for _, s := range b.rounds {
		delete(s.attested, e.First.Monitor)
	}
}

func (b *Book) equivocation(now time.Time, e *Equivocation) Decision {
	monitor, current := e.First.Monitor, Number(now, b.length)
	if e.First.Round > current+1 || !now.Before(Start(e.First.Round, b.length).Add(SilenceTime)) {
		return ignore(fmt.Errorf("contradiction in round %d, in round %d: %w", e.First.Round, current, ErrRound))
	}
	if b.weights[monitor] == 0 {
		return ignore(fmt.Errorf("contradiction of %s: %w", monitor, ErrUnknown))
	}
	until := Start(e.First.Round, b.length).Add(SilenceTime)
	if known, silent := b.Silent(monitor, now); silent && until.Before(known.Add(LongerSilence)) {
		return ignore(fmt.Errorf("contradiction of %s: %w", monitor, ErrRepeated))
	}
	if err := e.Verify(b.network); err != nil {
		return reject(err)
	}
	b.silence(e)
	return Decision{Verdict: Accept, Keep: e, Proof: e}
}

func (b *Book) rebuttal(now time.Time, r *Rebuttal) Decision {
	if current := Number(now, b.length); r.Round+RebuttalRounds < current || r.Round > current {
		return ignore(fmt.Errorf("rebuttal of round %d in round %d: %w", r.Round, current, ErrRound))
	}
	index := b.index[r.Epoch]
	if index == nil {
		return ignore(fmt.Errorf("rebuttal in epoch %d: %w", r.Epoch, ErrEpoch))
	}
	at, ok := index[r.Node]
	if _, member := index[r.Member]; !ok || !member || r.Member == r.Node || r.Member == r.Accuser {
		return reject(fmt.Errorf("rebuttal for %s by %s: %w", r.Node, r.Member, ErrUnknown))
	}
	s := b.sheet(r.Round)
	accusation := s.attested[r.Accuser]
	if b.receipt == nil || accusation == nil || b.weights[r.Accuser] == 0 || accusation.Epoch != r.Epoch || !accusation.Counts() ||
		!accusation.Results[at].Outcome.Silent() {
		return ignore(fmt.Errorf("rebuttal for %s in round %d: %w", r.Node, r.Round, ErrRebuttal))
	}
	byAccuser, byMember := rebutted{r.Node, r.Accuser, false}, rebutted{r.Node, r.Member, true}
	if s.rebutted[byAccuser] || s.rebutted[byMember] {
		return ignore(fmt.Errorf("rebuttal for %s in round %d: %w", r.Node, r.Round, ErrRepeated))
	}
	if s.rebuttals[r.Node] >= MaxRebuttals {
		return ignore(fmt.Errorf("rebuttal for %s in round %d: %w", r.Node, r.Round, ErrCrowded))
	}
	if err := r.Verify(b.network); err != nil {
		return reject(err)
	}
	if err := b.receipt(r); errors.Is(err, ErrEpoch) {
		return ignore(err)
	} else if err != nil {
		return reject(err)
	}
	s.rebutted[byAccuser], s.rebutted[byMember] = true, true
	s.rebuttals[r.Node]++
	return Decision{Verdict: Accept, Keep: r}
}
