package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/monitor/round"
	"walrus/p2p"
)

const (
	// RawTime: the signed messages of monitors are kept for so long.
	RawTime = 24 * time.Hour
	// RoundTime: folded rounds, receipts and evidence are kept for so long.
	RoundTime = 30 * 24 * time.Hour
	// HourTime: summaries of hours are kept for so long.
	HourTime = 366 * 24 * time.Hour
	// rawPerDay bounds the signed messages kept of one day, in bytes. 1,000 monitors of 1,000 nodes send 84 MB.
	rawPerDay = 40 << 20
	// evidencePerDay bounds the evidence kept of one day, in bytes.
	evidencePerDay = 8 << 20
	// evidencePerNode bounds what is kept of one day against one node: some hundred pieces.
	evidencePerNode = evidencePerDay / 8
	// patience: trouble is logged when it has lasted for so long.
	patience = time.Minute
	// keptEpochs: the weights of so many epochs are remembered. Rounds of the last ones are not folded yet.
	keptEpochs = 4
	// lookTime bounds one reading of the ledger.
	lookTime = 20 * time.Second
	// foldAfter: a round is folded when so many have begun after it: rebuttals may come until then.
	foldAfter = round.RebuttalRounds + 1
	// freshRounds: what was said in the last so many rounds is data; what is older is none.
	freshRounds = foldAfter + 2
)

// Config of a Watch.
type Config struct {
	// Dir is the folder of the database; in memory if it is empty.
	Dir string
	// Genesis gives the network and the length of rounds. Required.
	Genesis *ledger.Genesis
	// Self is the peer ID of this process. Required.
	Self peer.ID
	// Chain reads the ledger. Required.
	Chain Chain
	// Network returns the group of addresses from which a peer is seen to connect; the zero Prefix if nobody knows. nil:
	// nobody does.
	Network func(peer.ID) netip.Prefix
	// Ask fetches the receipts of a monitor. nil: evidence that others hold is not fetched.
	Ask func(ctx context.Context, monitor peer.ID, number uint64, node peer.ID) ([]byte, error)
	// Tell learns of what concerns this node. It must not block. nil: nobody does.
	Tell func(Event)
	// Logger receives what an operator can act on. Required.
	Logger *slog.Logger
}

// Watch observes the monitors of a network: it validates what they gossip, keeps it, and computes scores. It may be
// used concurrently.
type Watch struct {
	pace
	cfg     Config // constant, as the next four
	network certs.NetworkID
	self    round.Key
	db      *database
	risks   *risks

	mu   sync.Mutex
	book *round.Book // guarded by mu, as the rest
	tallies
	hour    *hourRecord                         // of state.Hour; nil: not loaded
	unsent  []pair                              // messages to write
	publish func(context.Context, []byte) error // nil before Run
	closed  bool
	silence
	faults map[faultKey]EvidenceInfo // kept lately
	ahead  time.Duration             // this machine's clock before the network's
}

// Open opens the database of a Watch and reads what it kept. It reads no ledger yet. Close releases it.
func Open(cfg Config) (*Watch, error) {
	if cfg.Genesis == nil || cfg.Chain == nil || cfg.Logger == nil {
		return nil, errors.New("monitor: a genesis, a chain and a logger are required")
	}
	self, err := round.KeyOf(cfg.Self)
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	w := &Watch{
		cfg: cfg, network: cfg.Genesis.NetworkID(), self: self,
		pace:    pace{round.Length(cfg.Genesis.EpochDuration, len(cfg.Genesis.Members))},
		tallies: tallies{recent: map[uint64]*recent{}, views: map[uint32]*view{}}, faults: map[faultKey]EvidenceInfo{},
		silence: silence{wake: make(chan struct{}, 1), accused: make(chan struct{}, 1)},
	}
	w.book = round.NewBook(w.network, w.length, w.checkRebuttal)
	if w.db, err = openDatabase(cfg.Dir, cfg.Logger); err != nil {
		return nil, fmt.Errorf("monitor: open %s: %w", cfg.Dir, err)
	}
	w.risks = &risks{db: w.db}
	if err := errors.Join(w.load(), w.risks.load()); err != nil {
		return nil, errors.Join(fmt.Errorf("monitor: open %s: %w", cfg.Dir, err), w.db.close())
	}
	return w, nil
}

// Close writes what was not written yet, and releases the database. Run must have returned.
func (w *Watch) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	return errors.Join(w.flush(), w.db.sync(), w.db.close())
}

// current returns the view of the ledger; nil before it was read.
func (w *Watch) current() *view {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view
}

// now is the time by the network's clock.
func (w *Watch) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nowLocked()
}

// nowLocked is now while w.mu is held.
func (w *Watch) nowLocked() time.Time { return time.Now().Add(-w.ahead) }

// Topic returns the topic of gossip to join.
func (w *Watch) Topic() p2p.TopicConfig { return p2p.Attestations(w.validate) }

// validate judges a message and takes it in.
func (w *Watch) validate(_ context.Context, _ peer.ID, data []byte) (p2p.Verdict, any) {
	w.mu.Lock()
	if w.view == nil || w.closed { // nobody is known yet
		w.mu.Unlock()
		return p2p.Ignore, nil
	}
	d := w.book.Step(w.nowLocked(), data)
	events := w.take(&d, data)
	w.mu.Unlock()
	w.cfg.tell(events)
	switch d.Verdict {
	case round.Accept:
		return p2p.Accept, d.Proof
	case round.Reject:
		return p2p.Reject, nil
	}
	return p2p.Ignore, nil
}

// deliver publishes what a message has proven.
func deliver(ctx context.Context, w *Watch, m p2p.Message) {
	proof, _ := m.Decoded.(*round.Equivocation)
	if proof == nil || round.Kind(m.Data[0]) == round.KindEquivocation {
		return // nothing, or it is the message itself
	}
	w.cfg.Logger.Warn("a monitor signed two different attestations for one round; it counts no more for a month",
		"monitor", proof.First.Monitor.String(), "round", proof.First.Round)
	_ = w.Publish(ctx, proof) // others may have been quicker
}

// Publish gossips a message of this process. It fails before Run, and if the message is not valid here.
func (w *Watch) Publish(ctx context.Context, m round.Message) error {
	w.mu.Lock()
	publish := w.publish
	w.mu.Unlock()
	if publish == nil {
		return errors.New("publish: gossip does not run yet")
	}
	raw, err := m.Encode()
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return publish(ctx, raw)
}

// Run takes messages from gossip and folds rounds until ctx ends. The host must have joined topic, which is Topic.
func (w *Watch) Run(ctx context.Context, topic *p2p.Topic) error {
	w.mu.Lock()
	w.publish = topic.Publish
	w.mu.Unlock()
	ended := make(chan error, 1)
	go func() { ended <- topic.Run(ctx, func(m p2p.Message) { deliver(ctx, w, m) }) }()
	var failing time.Time // since when steps fail; zero: the last one did not
	told := false
	for ctx.Err() == nil {
		err := w.step(ctx)
		switch {
		case err == nil:
			failing, told = time.Time{}, false
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > patience && !told && ctx.Err() == nil: // while a node starts, it cannot read the ledger
			w.cfg.Logger.Warn("what monitors say cannot be followed", "err", err)
			told = true
		}
		w.rest(ctx, w.until(w.now(), err != nil))
	}
	return <-ended
}

// rest waits for d. Meanwhile it reads seeds as soon as accusations need them.
func (w *Watch) rest(ctx context.Context, d time.Duration) {
	for end := time.Now().Add(d); !pause.Until(ctx, time.Until(end), w.silence.wake) && ctx.Err() == nil; {
		if now := w.now(); now.Before(w.start(round.Number(now, w.length)).Add(w.settle())) {
			continue // not everybody can know the seed yet; the next step comes when they can
		}
		if err := w.seeds(ctx); err != nil { // the next step tries again, and complains
			pause.For(ctx, time.Until(end))
			return
		}
	}
}

// until is the pause to the next step: shortly after the next round begins, or soon after an error.
func (p pace) until(now time.Time, failed bool) time.Duration {
	if failed {
		return min(p.length, settle)
	}
	return p.start(round.Number(now, p.length) + 1).Add(p.settle()).Sub(now)
}

// step reads the ledger, folds what is over, writes, and removes what is too old.
func (w *Watch) step(ctx context.Context) error {
	looked := w.look(ctx)
	if w.current() != nil {
		w.collect(ctx)
	}
	folded := errors.Join(w.seeds(ctx), w.fold(ctx))
	return errors.Join(looked, folded, w.flush(), w.age())
}

// look reads clock, committee and bonds.
func (w *Watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	ahead := w.cfg.Chain.Ahead(ctx)
	epoch, all, err := w.cfg.Chain.Committees(ctx)
	if err != nil {
		return fmt.Errorf("read the committee: %w", err)
	}
	bonds, err := w.cfg.Chain.Bonds(ctx)
	if err != nil {
		return fmt.Errorf("read the bonds: %w", err)
	}
	v, err := newView(epoch, all, bonds, w.cfg.Network)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead = ahead
	if w.view == nil || w.view.epoch != epoch {
		for e := max(epoch, ledger.FirstEpoch+1) - 1; e <= epoch; e++ {
			com, err := all.At(e)
			if err != nil {
				continue
			}
			w.book.SetCommittee(e, keysOf(com))
			if before, err := newView(e, all, bonds, w.cfg.Network); err == nil && w.views[e] == nil {
				w.views[e] = before
			}
		}
	}
	first := w.view == nil
	w.view, w.views[epoch] = v, v
	for e := range w.views {
		if e+keptEpochs <= epoch {
			delete(w.views, e)
		}
	}
	w.book.SetMonitors(v.monitors)
	if first {
		w.replay()
	}
	return nil
}
