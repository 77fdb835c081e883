package monitor

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/monitor/round"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

// Swarm asks storage nodes. Errors wrap the sentinels of p2p.
type Swarm interface {
	// Connect finds a node's addresses and dials it, unless connected.
	Connect(ctx context.Context, node peer.ID) error
	// Probe puts a question and returns the node's signed answer, or refusal.
	Probe(ctx context.Context, to peer.ID, q probe.Question) (probe.Receipt, error)
	// Metadata fetches the unverified metadata of a blob, at most most bytes.
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, most int) ([]byte, error)
	// Certificates fetches unverified certificates in the order of their blob IDs.
	Certificates(ctx context.Context, to peer.ID, after shards.BlobID, limit int) ([][]byte, bool, error)
	// SymbolParts fetches unverified symbols.
	SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) ([]shards.Symbol, error)
	// PutFault gives a node evidence that convicts it.
	PutFault(ctx context.Context, to peer.ID, evidence []byte) error
}

// ProberConfig configures a Prober.
type ProberConfig struct {
	// Key of the process's peer ID: it signs the attestations. Required.
	Key ed25519.PrivateKey
	// Swarm asks nodes. Required.
	Swarm Swarm
	// ReceiptBytes bounds the receipts kept of 30 days. Default 1 GiB.
	ReceiptBytes int64
	// Logger receives what an operator can act on. Required.
	Logger *slog.Logger
}

const (
	// DefaultReceiptBytes bounds receipts: six of each of 31 nodes in each round of a month take 130 MB.
	DefaultReceiptBytes = 1 << 30
	// probesAtOnce bounds the nodes that are probed at the same time. Each takes a few KiB.
	probesAtOnce = 64
	// answerBy: answers are awaited until this part of the next round has passed, in percent.
	answerBy = 40
	// chooseBy: blobs are chosen until this part of the round has passed, in percent. Those that were found by then do.
	chooseBy = 50
)

// Prober makes the rounds of one monitor.
type Prober struct {
	cfg    ProberConfig // constant, as the next three
	watch  *Watch
	self   round.Key
	secret [32]byte // decides when a node is probed, and for what; fresh at each start
	pool   *pool
	puts   sync.WaitGroup // work that outlives its round

	mu     sync.Mutex
	status ProberStatus // guarded by mu
}

// ProberStatus tells what a Prober did.
type ProberStatus struct {
	Monitor peer.ID `json:"monitor"`
	// Idle: nothing certified is known in the network, so nothing is probed.
	Idle  bool `json:"idle"`
	Blobs int  `json:"blobs"` // known, from which questions are drawn
	// Rounds attested since the start, and the last of them with its outcomes.
	Rounds     uint64    `json:"rounds"`
	LastRound  uint64    `json:"lastRound"`
	LastAt     time.Time `json:"lastAt,omitzero"`
	Outcomes   Counts    `json:"outcomes"`
	Void       bool      `json:"void"`
	Questions  uint64    `json:"questions"`  // asked since the start, as the next three
	Convicted  uint64    `json:"convicted"`  // answers that convict
	Told       uint64    `json:"told"`       // pieces of evidence that the accused took
	VoidRounds uint64    `json:"voidRounds"` // rounds in which too few nodes were reached
	// Trouble says why the last round was not attested; empty if it was.
	Trouble string `json:"trouble,omitempty"`
}

// NewProber makes a Prober that publishes through w and keeps its receipts there.
func NewProber(w *Watch, cfg ProberConfig) (*Prober, error) {
	if len(cfg.Key) != ed25519.PrivateKeySize || cfg.Swarm == nil || cfg.Logger == nil {
		return nil, errors.New("monitor: a key, a swarm and a logger are required")
	}
	if cfg.ReceiptBytes <= 0 {
		cfg.ReceiptBytes = DefaultReceiptBytes
	}
	p := &Prober{cfg: cfg, watch: w}
	copy(p.self[:], cfg.Key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	if p.self != w.self {
		return nil, errors.New("monitor: the key is not that of the Watch's peer ID")
	}
	if _, err := rand.Read(p.secret[:]); err != nil {
		return nil, err
	}
	var err error
	if p.pool, err = newPool(w, cfg.Swarm); err != nil {
		return nil, err
	}
	p.status.Monitor = w.cfg.Self
	return p, nil
}

// Status tells what the Prober did.
func (p *Prober) Status() ProberStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Blobs = p.pool.size()
	return s
}

// Run makes rounds until ctx ends: from the first one on that begins after the call.
func (p *Prober) Run(ctx context.Context) error {
	var rounds sync.WaitGroup
	defer p.puts.Wait()
	defer rounds.Wait()
	for {
		next := round.Number(p.watch.now(), p.watch.length) + 1
		if !pause.For(ctx, p.watch.start(next).Sub(p.watch.now())+p.watch.settle()/2) {
			return nil
		}
		if round.Number(p.watch.now(), p.watch.length) != next {
			continue // the clock was set, or this machine slept
		}
		rounds.Go(func() {
			if err := p.round(ctx, next); err != nil && ctx.Err() == nil {
				p.trouble(err)
			}
		})
	}
}

// trouble notes and logs why a round was not attested, once.
func (p *Prober) trouble(err error) {
	p.mu.Lock()
	same := p.status.Trouble == err.Error()
	p.status.Trouble = err.Error()
	p.mu.Unlock()
	if !same {
		p.cfg.Logger.Warn("a round was not attested", "err", err)
	}
}

// round probes the nodes that are this monitor's in a round, and attests.
func (p *Prober) round(ctx context.Context, number uint64) error {
	begin := p.watch.start(number)
	v := p.watch.current()
	if v == nil {
		return errors.New("the ledger was not read yet")
	}
	until := func(percent time.Duration) time.Time {
		return time.Now().Add(begin.Add(p.watch.length * percent / 100).Sub(p.watch.now()))
	}
	ctx, cancel := context.WithDeadline(ctx, until(2*100)) // later, nobody takes the attestation
	defer cancel()
	asking, end := context.WithDeadline(ctx, until(100+answerBy))
	defer end()
	limit, questions := perRound, round.Questions
	if v.weights[p.self] == 0 { // there may be any number of its kind
		limit, questions = round.StrangerBlobs, round.StrangerQuestions
	}
	choosing, chosen := context.WithDeadline(ctx, until(chooseBy))
	defer chosen()
	blobs, err := p.pool.choose(choosing, v, limit)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.status.Idle = len(blobs) == 0
	p.mu.Unlock()
	if len(blobs) == 0 {
		return nil
	}
	r := &probing{
		Prober: p, v: v, number: number, blobs: blobs, questions: questions, patience: round.PatienceOf(p.watch.length),
		evidence: map[int][]*probe.Evidence{},
	}
	if r.height, err = p.watch.cfg.Chain.Height(ctx); err != nil {
		return err
	}
	r.height -= min(r.height, probe.Lag)
	seed, err := p.watch.Seed(ctx, number)
	if err != nil {
		return err
	}
	plan := round.Assign(seed, v.monitors, v.nodes).Plan(p.self, p.secret, number, p.watch.length)
	p.sampleSometimes(asking, r)
	r.results = make([]round.Result, len(v.nodes))
	if err := r.visitAll(asking, plan); err != nil {
		return err
	}
	p.await(ctx, number)
	if err := ctx.Err(); err != nil { // this process stops: what it has not asked says nothing of others
		return err
	}
	return r.attest(ctx)
}

// await waits for the end of a round.
func (p *Prober) await(ctx context.Context, number uint64) {
	pause.For(ctx, p.watch.start(number+1).Sub(p.watch.now()))
}

// attest signs and publishes what was found out. The number of the round is on the disk before: whatever happens, no
// second attestation of it is ever signed.
func (r *probing) attest(ctx context.Context) error {
	a := &round.Attestation{Round: r.number, Epoch: r.v.epoch, Results: r.results, Void: round.Void(r.results)}
	raw, err := r.watch.db.get([]byte{keySigned})
	if err != nil {
		return err
	}
	if len(raw) == 8 && binary.BigEndian.Uint64(raw) >= r.number {
		return fmt.Errorf("round %d was attested before: is this computer's clock right, or does another process use this key?", r.number)
	}
	r.lock.Lock()
	receipts := slices.Clone(r.receipts) // a sample may still add some
	r.lock.Unlock()
	tree := round.ReceiptTree(receipts)
	a.Receipts, a.Count = tree.Root(), uint16(min(len(receipts), 1<<16-1))
	if err := a.Sign(r.watch.network, r.cfg.Key); err != nil {
		return err
	}
	if err := r.keep(receipts, func(k round.Key) []byte {
		p, _ := tree.Prove(k[:]) // in memory, it cannot fail
		return p.Marshal()
	}); err != nil {
		return err
	}
	if err := r.watch.db.put(pair{[]byte{keySigned}, binary.BigEndian.AppendUint64(nil, r.number)}); err != nil {
		return err
	}
	if err := r.watch.db.sync(); err != nil {
		return err
	}
	if err := r.watch.Publish(ctx, a); err != nil {
		return fmt.Errorf("attest round %d: %w", r.number, err)
	}
	if err := r.watch.flush(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.status
	s.Rounds, s.LastRound, s.LastAt, s.Void, s.Trouble = s.Rounds+1, r.number, r.watch.start(r.number), a.Void, ""
	s.Outcomes = Counts{}
	for _, res := range r.results {
		s.Outcomes.add(res.Outcome)
	}
	if a.Void {
		s.VoidRounds++
	}
	return nil
}
