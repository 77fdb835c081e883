// Package keeper does a storage node's duty: it stores blobs, confirms them, repairs missing slivers and drops ended
// blobs. It opens and closes nothing: package node hands it the disk, the other nodes and the ledger. Start with
// Keeper, which makes the parts and lists their tasks. The fields of a part are constant after New, unless it says
// otherwise. Each part has a file of its own:
//
//	seat        which shards are ours, and in which epoch; nothing else knows
//	ledger      a blob's registration, on the ledger's copy here
//	shelf       which of our slivers are on the disk
//	receiver    uploads; tokens: who may upload; uploads: what they may take; pending: uploads that come before their
//	            registration
//	confirmer   signed confirmations
//	library     answers to reads: metadata, slivers
//	symbols     answers to repair: symbols of expanded slivers; lines: those kept; shares: who gets CPU and memory
//	book        certificates, and the count of what is owed for them; clerk: certificates from clients and gossip
//	verdict     whether a certificate is good and new: pure decisions
//	debts       which blobs lack slivers, and when each is due
//	risk        which blob is most urgent, how fast repair goes; budget: the pace of repair; doubts: members that lied
//	plan        in which steps a blob is rebuilt, by cost: pure decisions; repairer takes debts, rebuild does the steps;
//	            sources collects the symbols
//	crossing    comparing our own rows and columns of a blob; checker: comparing them with other members'
//	notary      which answers are signed
//	openings    answers to that: hashes of symbols
//	refuter     line proofs: that a line cannot be what the metadata has
//	invalid     blobs proved to be encoded wrongly
//	witness     slivers that are not as the node believes: others doubt them, or it finds them gone
//	damage      slivers found corrupt; scrub: reading everything back
//	kept        what a restart must know: debts, and how far the ledger was followed
//	inventory   comparing all blobs with the ledger, in the background
//	syncer      comparing certificates with other members
//	follower    events of the ledger; lease: extended, deleted and ended blobs
//	life        joining, syncing, serving; admission: whether others reach the node
//	room        the disk space, and a full disk
//	status      the answer to operators
package keeper

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// Parts of the node that its duty needs. The node closes them after the tasks have returned.
type Parts struct {
	Self       peer.ID
	Identity   ed25519.PrivateKey // of Self
	Committees certs.Committees
	Store      *store.Store
	Peers      Peers
	Checks     Checks
	Network    Network
	Ledger     Ledger
	// NotAdmitted returns why the node must not serve as a member: take uploads, and confirm. nil: it may.
	NotAdmitted func() error
	// Lost is told of slivers that the node has found gone or damaged. It must not block. nil: nobody is.
	Lost func(Loss)
	Pins Pins // nil: repairs ask members only
}

// Keeper keeps the slivers of this node's shards. Its parts are constant after New.
type Keeper struct {
	cfg      Config
	admitted *admission
	shelf    *shelf
	gauge    *gauge
	chain    chain
	debts    *debts
	damage   *damage
	life     *life
	pending  *pending
	clerk    *clerk
	repairer *repairer
	checker  *checker
	follower *follower
	syncer   *syncer
	scrubber *scrubber
	meters   *meters
	answers
}

// answers are the parts that answer peers, by Backend.
type answers struct {
	receiver  *receiver
	confirmer *confirmer
	library   *library
	expander  *expander
	notary    *notary
	invalids  *invalids
	refuter   *refuter
	book      *book
}

// New makes a keeper and asks the host to keep room for the committee. It starts nothing.
func New(cfg Config, p Parts) (*Keeper, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	params, err := shards.NewParams(cfg.Genesis.Shards)
	if err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	log, swarm := cfg.Logger, swarm{p.Peers, p.Checks, p.Network}
	k := &Keeper{
		cfg: cfg, chain: chain{p.Ledger, newProven()}, debts: newDebts(), life: newLife(log.With("name", cfg.Name)),
		pending: newPending(), meters: newMeters(),
	}
	k.admitted = &admission{refusal: p.NotAdmitted}
	k.shelf = &shelf{Store: p.Store, seats: &seats{p.Self, p.Committees, k.chain}, params: params}
	k.gauge = &gauge{shelf: k.shelf}
	k.gauge.measure() // an error comes with the first status
	kept := newKept(k.shelf, cfg.Genesis.NetworkID().String(), log)
	k.book = &book{shelf: k.shelf, chain: k.chain, debts: k.debts, kept: kept, reach: newReach(),
		resync: newBell(), fresh: newBell(), log: log}
	seen := &witness{shelf: k.shelf, chain: k.chain, book: k.book, tell: p.Lost}
	k.damage = &damage{shelf: k.shelf, book: k.book, log: log, refs: map[store.Ref]bool{},
		tell: func(ref store.Ref) { seen.report(ref, true) }}
	k.scrubber = &scrubber{shelf: k.shelf, note: k.damage.note, period: cfg.Scrub, log: log}
	k.library = &library{shelf: k.shelf, chain: k.chain, debts: k.debts, damage: k.damage, meters: k.meters, witness: seen}
	seen.expand = k.library.prove
	k.notary = &notary{
		shelf: k.shelf, chain: k.chain, network: cfg.Genesis.NetworkID(),
		young: young{grace: owedGrace(cfg.Genesis.EpochDuration)},
	}
	k.book.young = k.notary.young.add
	k.expander = newExpander(k.library, k.notary)
	leases := &leases{shelf: k.shelf, chain: k.chain, book: k.book, debts: k.debts, damage: k.damage, log: log}
	k.doubt(p.Identity, swarm, leases)
	k.receiver = &receiver{
		shelf: k.shelf, chain: k.chain, book: k.book, debts: k.debts, damage: k.damage, pending: k.pending, meters: k.meters,
		tokens:   &tokens{cfg.Genesis.NetworkID(), k.chain, params, k.pending.recent, p.Peers.Recognize},
		admitted: k.admitted, uploads: newUploads(cfg.UploadMemory), leaves: k.expander.leaves, log: log,
	}
	k.confirmer = &confirmer{admitted: k.admitted, shelf: k.shelf, chain: k.chain, pending: k.pending, leases: leases, checker: k.checker,
		key: cfg.Key, meters: k.meters}
	k.clerk = &clerk{self: p.Self, book: k.book, pending: k.pending, grace: cfg.Repair.Grace, log: log}
	k.repairer = &repairer{
		cfg: cfg.Repair, shelf: k.shelf, chain: k.chain, book: k.book, debts: k.debts, damage: k.damage, library: k.library,
		swarm: swarm, pins: p.Pins, refuter: k.refuter, memory: semaphore.NewWeighted(cfg.Repair.Memory), doubts: newDoubts(),
		reach: k.book.reach, progress: &progress{}, quiet: &quiet{}, meters: k.meters, log: log,
		budget: &budget{rate: cfg.Repair.Rate, users: func() bool { return k.debts.uploading() || k.library.reading() }},
	}
	inventory := &inventory{
		shelf: k.shelf, chain: k.chain, book: k.book, leases: leases, life: k.life, witness: seen,
		period: cfg.Scrub, wake: newBell(), log: log, damaged: map[string]bool{},
	}
	kept.doubt = inventory.note
	k.follower = &follower{
		shelf: k.shelf, chain: k.chain, book: k.book, kept: kept, inventory: inventory, leases: leases, pending: k.pending,
		invalids: k.invalids, life: k.life, peers: p.Peers, grace: cfg.Repair.Grace, log: log,
	}
	k.syncer = &syncer{
		cfg: &k.cfg, shelf: k.shelf, chain: k.chain, book: k.book, inventory: inventory, swarm: swarm, life: k.life, log: log,
	}
	k.follower.guard() // before anybody connects: strangers must not be there first
	err = kept.load(func(id shards.BlobID, slivers int) {
		k.book.young(id) // its upload may have been under way when the node stopped
		k.debts.set(id, slivers, time.Now())
	})
	if err == nil {
		err = inventory.open()
	}
	if err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	return k, nil
}

// doubt makes the parts that find, prove and mark blobs that were encoded wrongly.
func (k *Keeper) doubt(identity ed25519.PrivateKey, swarm swarm, leases *leases) {
	cfg, log := &k.cfg, k.cfg.Logger
	k.invalids = &invalids{
		shelf: k.shelf, chain: k.chain, leases: leases, swarm: swarm, key: identity, network: cfg.Genesis.NetworkID(),
		news: newBell(), log: log,
	}
	k.refuter = &refuter{
		shelf: k.shelf, chain: k.chain, swarm: swarm, key: cfg.Key, invalids: k.invalids, log: log,
		made: map[shards.BlobID]*lineProof{}, turns: newTurns(maxVerifying, verifyTime),
	}
	k.invalids.renew = k.refuter.renew
	k.checker = &checker{
		shelf: k.shelf, chain: k.chain, swarm: swarm, expander: k.expander,
		crossings: &crossings{k.shelf, k.library, k.expander.leaves},
		invalids:  k.invalids, period: cfg.Scrub, meters: k.meters, log: log,
		wake: newBell(), known: map[shards.BlobID]bool{},
	}
	k.book.check = k.checker.later
}

// Fresh delivers when certificates have been recorded since the last time. It is for one reader.
func (k *Keeper) Fresh() <-chan struct{} { return k.book.fresh }

// Backend answers peers, for p2p.Backend; package node adds the status and the history.
type Backend struct {
	*receiver
	*confirmer
	*library
	*expander
	*notary
	*invalids
	*refuter
	*book
	publisher
}

// Certificates configures the topic of certificates.
func (k *Keeper) Certificates() p2p.TopicConfig { return p2p.Certificates(k.clerk.validate) }

// Backend answers peers; it publishes new certificates in topic.
func (k *Keeper) Backend(topic Topic) Backend {
	return Backend{
		k.receiver, k.confirmer, k.library, k.expander, k.notary, k.invalids, k.refuter, k.book, publisher{k.clerk, topic},
	}
}

// Tasks returns the work to run, by name. Each task returns when its ctx has ended; an error must end the node.
func (k *Keeper) Tasks(topic Topic) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"news":         func(ctx context.Context) error { return k.pending.run(ctx, k.chain) },
		"follow":       k.follower.run,
		"certificates": func(ctx context.Context) error { return topic.Run(ctx, k.clerk.take) },
		"ready":        func(ctx context.Context) error { return k.life.runReady(ctx, k.cfg.Ready) },
		"serving":      func(ctx context.Context) error { return k.life.runServing(ctx, k.admitted.wait) },
		"sync":         k.syncer.run,
		"keep":         func(ctx context.Context) error { return k.book.kept.run(ctx, k.book.verifyWhole) },
		"inventory":    k.follower.inventory.run,
		"repair":       k.repairer.run,
		"check":        k.checker.run,
		"invalid":      k.invalids.run,
		"scrub":        func(ctx context.Context) error { return k.scrubber.run(ctx, k.life.scrubbed.set) },
		"tend":         func(ctx context.Context) error { return k.shelf.Tend(ctx, k.damage.note) },
		"room":         func(ctx context.Context) error { return k.gauge.run(ctx, k.cfg.Logger) },
	}
}

// Ready is closed once the node serves, or after Config.Ready if it does not serve by then. The node then answers
// requests.
func (k *Keeper) Ready() <-chan struct{} { return k.life.ready.done }

// Serving is closed once the node has counted what it owes and serves.
func (k *Keeper) Serving() <-chan struct{} { return k.life.serving.done }

// Collectors returns the meters of the node's work.
func (k *Keeper) Collectors() []prometheus.Collector { return k.meters.collectors() }
