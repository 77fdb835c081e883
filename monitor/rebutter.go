package monitor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/monitor/round"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

// Herald carries a Rebutter's questions. Errors wrap the sentinels of p2p.
type Herald interface {
	// Connect finds a node's addresses and dials it, unless connected.
	Connect(ctx context.Context, node peer.ID) error
	// Probe puts a question and returns the node's signed answer, or refusal.
	Probe(ctx context.Context, to peer.ID, q probe.Question) (probe.Receipt, error)
	// Metadata fetches the unverified metadata of a blob, at most most bytes.
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, most int) ([]byte, error)
	// Certificates fetches unverified certificates in the order of their blob IDs.
	Certificates(ctx context.Context, to peer.ID, after shards.BlobID, limit int) ([][]byte, bool, error)
	// Relay asks a member to probe this process and to gossip the answer.
	Relay(ctx context.Context, member peer.ID, number uint64, accuser peer.ID) error
}

// RebutterConfig configures a Rebutter. All fields are required.
type RebutterConfig struct {
	Key    ed25519.PrivateKey // of the node's peer ID
	Herald Herald
	Logger *slog.Logger
}

const (
	// relayTime bounds one relayed probe, from the request to the published rebuttal.
	relayTime = 20 * time.Second
	// relaysAtOnce bounds the probes relayed at the same time; more requests are told to come back.
	relaysAtOnce = 8
	// appealsTime bounds the appeals of one round.
	appealsTime = time.Minute
	// blobTries bounds the blobs that a relayed probe asks for, one after the other: a node may lack one for a good
	// reason.
	blobTries = 4
)

// Rebutter is a committee member's part in rebuttals. It has members rebut that this node was silent; and for others it
// probes the accused and gossips its answer, so that the accusation counts as "slow from there".
type Rebutter struct {
	cfg   RebutterConfig // constant, as the next two
	watch *Watch
	slots chan struct{} // of relaysAtOnce

	mu      sync.Mutex
	relayed map[uint64]map[round.Key]round.Key // guarded by mu: by round and node, the accuser rebutted here
	made    map[uint64][]round.Appeal          // guarded by mu: by round, this node's appeals
}

// NewRebutter makes a Rebutter, to which w hands the requests of others from now on. Call it before w is served.
func NewRebutter(w *Watch, cfg RebutterConfig) (*Rebutter, error) {
	if len(cfg.Key) != ed25519.PrivateKeySize || cfg.Herald == nil || cfg.Logger == nil {
		return nil, errors.New("monitor: a key, a herald and a logger are required to rebut")
	}
	if self := round.Key(cfg.Key[ed25519.SeedSize:]); self != w.self {
		return nil, errors.New("monitor: the key is not that of the Watch's peer ID")
	}
	r := &Rebutter{
		cfg: cfg, watch: w, slots: make(chan struct{}, relaysAtOnce),
		relayed: map[uint64]map[round.Key]round.Key{}, made: map[uint64][]round.Appeal{},
	}
	w.mu.Lock()
	w.relay = r.relay
	w.mu.Unlock()
	return r, nil
}

// Run appeals against accusations until ctx ends. Without any it does nothing.
func (r *Rebutter) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.watch.accused:
		}
		if !pause.For(ctx, r.appealTime().Sub(r.watch.now())) {
			return
		}
		r.appeal(ctx)
	}
}

// appeal appeals against the accusations of the rounds that may be rebutted still.
func (r *Rebutter) appeal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, appealsTime)
	defer cancel()
	current := round.Number(r.watch.now(), r.watch.length)
	var all sync.WaitGroup
	defer all.Wait()
	for number := current - min(current, round.RebuttalRounds); number < current; number++ {
		accusers, nodes := r.accusers(number)
		if len(accusers) == 0 {
			continue
		}
		seed, err := r.watch.Seed(ctx, number+1)
		if err != nil {
			r.cfg.Logger.Debug("appeal against silence", "round", number, "err", err)
			continue
		}
		r.mu.Lock()
		list := round.Appeals(seed, r.watch.self, accusers, nodes, r.made[number])
		r.made[number] = append(r.made[number], list...)
		forget(r.made, current)
		r.mu.Unlock()
		for _, a := range list {
			all.Go(func() { r.ask(ctx, number, a) })
		}
	}
}

// forget drops rounds that are past rebuttal.
func forget[V any](rounds map[uint64]V, current uint64) {
	for n := range rounds {
		if n+round.RebuttalRounds < current {
			delete(rounds, n)
		}
	}
}

// ask asks the members of an appeal, one after the other, until one has rebutted.
func (r *Rebutter) ask(ctx context.Context, number uint64, a round.Appeal) {
	var err error
	for _, m := range a.Members {
		short, cancel := context.WithTimeout(ctx, relayTime)
		if err = r.cfg.Herald.Connect(short, m.Peer()); err == nil {
			err = r.cfg.Herald.Relay(short, m.Peer(), number, a.Accuser.Peer())
		}
		cancel()
		if err == nil {
			r.cfg.Logger.Debug("a member rebutted that this node was silent", "round", number, "accuser", a.Accuser.String(), "member", m.String())
			return
		}
	}
	r.cfg.Logger.Debug("no member rebutted that this node was silent", "round", number, "accuser", a.Accuser.String(), "err", err)
}

// relay probes a node that a monitor did not reach, and gossips its answer. It implements p2p.RoundBackend.Relay.
func (r *Rebutter) relay(ctx context.Context, from peer.ID, number uint64, accuser peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, relayTime)
	defer cancel()
	v := r.watch.current()
	if v == nil {
		return fmt.Errorf("%w: the ledger was not read yet", p2p.ErrUnavailable)
	}
	node, err := r.rebuttable(v, from, number, accuser)
	if err != nil {
		return err
	}
	by, err := round.KeyOf(accuser)
	if err != nil {
		return fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	if known, err := r.claim(number, v.nodes[node], by); known || err != nil {
		return err
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
		err = r.rebut(ctx, v, node, number, by)
	default:
		err = fmt.Errorf("%w: %d probes are being relayed", p2p.ErrBusy, relaysAtOnce)
	}
	if err != nil {
		r.mu.Lock()
		delete(r.relayed[number], v.nodes[node])
		r.mu.Unlock()
	}
	return err
}

// claim takes the one rebuttal that this member makes for a node in a round. known: it is the same one again.
func (r *Rebutter) claim(number uint64, node, accuser round.Key) (known bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	forget(r.relayed, round.Number(r.watch.now(), r.watch.length))
	list := r.relayed[number]
	if list == nil {
		list = map[round.Key]round.Key{}
		r.relayed[number] = list
	}
	if other, taken := list[node]; taken {
		if other != accuser {
			return false, fmt.Errorf("%w: this member has rebutted another accusation of the node in round %d", p2p.ErrBusy, number)
		}
		return true, nil
	}
	list[node] = accuser
	return false, nil
}

// rebut probes a node and publishes what it signed.
func (r *Rebutter) rebut(ctx context.Context, v *view, node int, number uint64, accuser round.Key) error {
	seed, err := r.watch.Seed(ctx, number+1)
	if err != nil {
		return fmt.Errorf("%w: %w", p2p.ErrUnavailable, err)
	}
	receipt, err := r.answer(ctx, v, node, probe.Nonce(round.RebuttalNonce(seed, accuser, v.nodes[node])))
	if err != nil {
		return fmt.Errorf("%w: probe the node: %w", p2p.ErrUnavailable, err)
	}
	m := &round.Rebuttal{Round: number, Epoch: v.epoch, Accuser: accuser, Node: v.nodes[node], Receipt: receipt.Append(nil)}
	if err := m.Sign(r.watch.network, r.cfg.Key); err != nil {
		return err
	}
	if err := r.watch.Publish(ctx, m); err != nil {
		return fmt.Errorf("%w: publish the rebuttal: %w", p2p.ErrUnavailable, err)
	}
	return nil
}

// answer gets a right answer with a nonce from a node. The nonce decides which blobs are asked for: some that the node
// itself lists after a place in the order of IDs.
func (r *Rebutter) answer(ctx context.Context, v *view, node int, nonce probe.Nonce) (receipt probe.Receipt, err error) {
	to := v.com.Members()[node].Node
	seed := blake2b.Sum256(nonce[:])
	height, err := r.watch.cfg.Chain.Height(ctx)
	if err != nil {
		return receipt, err
	}
	list, more, err := r.cfg.Herald.Certificates(ctx, to, shards.BlobID(seed), blobTries)
	if err == nil && !more && len(list) < blobTries { // the end of the IDs: go on at their beginning
		var rest [][]byte
		rest, _, err = r.cfg.Herald.Certificates(ctx, to, shards.BlobID{}, blobTries-len(list))
		list = append(list, rest...)
	}
	if err != nil {
		return receipt, err
	}
	err = fmt.Errorf("%w: the node lists no blobs", p2p.ErrNotFound)
	for _, raw := range list[:min(len(list), blobTries)] {
		if receipt, err = r.question(ctx, v, node, raw, seed, nonce, height-min(height, probe.Lag)); err == nil {
			return receipt, nil
		}
	}
	return receipt, err
}

// question asks for a cell of the blob that a certificate names.
func (r *Rebutter) question(ctx context.Context, v *view, node int, certificate []byte, seed [32]byte, nonce probe.Nonce,
	height uint64) (receipt probe.Receipt, err error) {
	to, params := v.com.Members()[node], v.com.Params()
	cert, err := certs.UnmarshalCertificate(certificate)
	if err != nil {
		return receipt, err
	}
	raw, err := r.cfg.Herald.Metadata(ctx, to.Node, cert.Blob, params.MetadataSize())
	if err != nil {
		return receipt, err
	}
	meta, err := shards.UnmarshalMetadata(params, cert.Blob, raw)
	if err != nil {
		return receipt, err
	}
	q, ok := probe.Draw(seed, params, probe.Blob{ID: cert.Blob, Length: meta.Length}, to.Shards)
	if !ok {
		return receipt, fmt.Errorf("%w: the node has no shards", p2p.ErrNotOwner)
	}
	q.Network, q.Nonce, q.Height = r.watch.network, nonce, height
	receipt, err = r.cfg.Herald.Probe(ctx, to.Node, q)
	if err == nil && receipt.Code != probe.Answered {
		err = fmt.Errorf("%w: it signed: %s", p2p.ErrNotFound, receipt.Code)
	}
	return receipt, err
}
