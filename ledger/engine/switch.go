package engine

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/libs/service"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cosmos/gogoproto/proto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"walrus/certs"
)

// sw connects CometBFT's reactors to the other members' reactors, with one stream to each over the shared libp2p host.
// It replaces CometBFT's own switch, which never runs.
type sw struct {
	service.BaseService // never started: run does its work

	switchConfig                   // constant after newSwitch, as are all but peers
	links        map[peer.ID]*link // to all members with whom we exchange blocks
	votes        bool              // we are a validator
	slots        chan struct{}     // one for each stream of a follower; nil for a validator
	dials        chan struct{}     // one for each dial in progress; see dialers
	info         p2p.NodeInfo
	pulse        pulse // has its own lock, as voices has
	voices       voices
	hear         func(proto.Message) // gets every message of a peer; may be nil
	late         func() bool         // a block is due
	fail         func(error) bool    // called when this node cannot go on
	total        int64               // shards of all members
	attached

	mu    sync.RWMutex
	peers map[p2p.ID]*remote // guarded by mu
}

var (
	_ p2p.Switcher = (*sw)(nil)
	_ p2p.IPeerSet = (*sw)(nil)
)

// attached holds a switch's reactors and their channels. Constant after the last attach.
type attached struct {
	reactors  map[string]p2p.Reactor // by name
	order     []p2p.Reactor
	channels  []*p2p.ChannelDescriptor
	receivers map[byte]p2p.Reactor
	messages  map[byte]proto.Message
}

// switchConfig sets which peers a switch connects, and how.
type switchConfig struct {
	host     host.Host
	protocol protocol.ID
	network  certs.NetworkID
	members  []member
	flush    time.Duration                        // small packets wait this long for more
	connect  func(context.Context, peer.ID) error // finds and dials a peer
	log      *slog.Logger
}

// self returns the member whose key our host has; nil if none.
func (c *switchConfig) self() *member {
	for i := range c.members {
		if c.members[i].id == c.host.ID() {
			return &c.members[i]
		}
	}
	return nil
}

// validators counts the members that vote.
func (c *switchConfig) validators() int { return len(c.voters()) }

// voters lists the members that vote.
func (c *switchConfig) voters() (list []peer.ID) {
	for i := range c.members {
		if c.members[i].votes() {
			list = append(list, c.members[i].id)
		}
	}
	return list
}

// follows returns the number of validators to which a follower keeps streams: one more than may be faulty, but at most
// maxFollows.
func (c *switchConfig) follows() int {
	n := c.validators()
	return min(n, max(3, (n-1)/3+1), maxFollows)
}

// peers estimates the number of streams: a validator has one to each neighbor and to its share of the followers.
func (c *switchConfig) peers() int {
	self := c.self()
	if self == nil || !self.votes() {
		return c.follows()
	}
	n := c.validators()
	return min(n, maxMesh) - 1 + (len(c.members)-n)*c.follows()/n
}

func newSwitch(cfg switchConfig, logger log.Logger) (*sw, error) {
	s := &sw{
		switchConfig: cfg, links: map[peer.ID]*link{}, dials: make(chan struct{}, dialers), peers: map[p2p.ID]*remote{},
		attached: attached{reactors: map[string]p2p.Reactor{}, receivers: map[byte]p2p.Reactor{},
			messages: map[byte]proto.Message{}},
	}
	s.BaseService = *service.NewBaseService(logger, "Switch", s)
	s.late = func() bool { return false }
	s.voices.know(cfg.members)
	self := cfg.self()
	for i := range cfg.members {
		s.total += cfg.members[i].shares
	}
	if s.votes = self != nil && self.votes(); !s.votes {
		s.slots = make(chan struct{}, cfg.follows())
	}
	near := neighbors(cfg.network, cfg.voters(), cfg.host.ID())
	for _, m := range cfg.members {
		if m.id == cfg.host.ID() || !s.votes && !m.votes() { // two followers have nothing for each other
			continue
		}
		key, err := cometID(m.id)
		if err != nil {
			return nil, err
		}
		s.links[m.id] = &link{
			sw: s, id: m.id, key: key, name: m.name, shares: m.shares, follower: !m.votes(),
			spare: s.votes && m.votes() && !near[m.id], called: make(chan struct{}, 1),
			incoming: make(chan network.Stream), wake: make(chan struct{}, 1),
		}
	}
	return s, nil
}

// attach adds a reactor to this switch. bound sets the limits of its channels.
func (s *sw) attach(name string, r p2p.Reactor, bound func(*p2p.ChannelDescriptor)) {
	for _, d := range r.GetChannels() {
		c := *d
		bound(&c)
		s.channels = append(s.channels, &c)
		s.receivers[c.ID], s.messages[c.ID] = r, c.MessageType
	}
	s.reactors[name] = r
	s.order = append(s.order, r)
	r.SetSwitch(s)
}

// run connects to the other members until ctx ends. Start the reactors before it and stop them after it: a peer that
// connects before its reactors run would never hear from them.
func (s *sw) run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed := func(_ network.Network, c network.Conn) {
		if l := s.links[c.RemotePeer()]; l != nil {
			l.poke()
		}
	}
	watch := &network.NotifyBundle{ConnectedF: changed, DisconnectedF: changed}
	s.host.Network().Notify(watch)
	defer s.host.Network().StopNotify(watch)
	for _, l := range s.links {
		if !l.spare {
			s.host.ConnManager().Protect(l.id, protectTag)
			defer s.host.ConnManager().Unprotect(l.id, protectTag)
		}
		tasks.Go(func() { l.run(ctx) })
	}
	tasks.Go(func() { s.keepEnough(ctx, s.late) })
	var handlers sync.WaitGroup
	defer handlers.Wait()
	var mu sync.Mutex // handlers that begin after the end are not counted
	s.host.SetStreamHandler(s.protocol, func(st network.Stream) {
		mu.Lock()
		ended := ctx.Err() != nil
		if !ended {
			handlers.Add(1)
		}
		mu.Unlock()
		if ended {
			st.Reset()
			return
		}
		defer handlers.Done()
		s.accept(ctx, st)
	})
	<-ctx.Done()
	s.host.RemoveStreamHandler(s.protocol)
	mu.Lock() // handlers that begin after this see that ctx has ended
	defer mu.Unlock()
}

// protectTag marks connections to members, which libp2p must not close.
const protectTag = "consensus"

// accept handles a stream that a peer has opened. It keeps the stream if opening it is up to the peer; otherwise it
// only sends our network ID.
func (s *sw) accept(ctx context.Context, st network.Stream) {
	l := s.links[st.Conn().RemotePeer()]
	limited := st.Conn().Stat().Limited
	if l != nil && l.opens() { // a knock
		l.poke()
		introduce(st, s.network)
		return
	}
	if l == nil && !limited { // perhaps a member with another genesis
		introduce(st, s.network)
		return
	}
	if limited || !l.greeting.CompareAndSwap(false, true) {
		s.log.Debug("consensus stream refused", "peer", st.Conn().RemotePeer())
		st.Reset()
		return
	}
	defer l.greeting.Store(false)
	if err := greet(ctx, st, s.network); err != nil {
		l.complain(err)
		st.Reset()
		return
	}
	select {
	case l.incoming <- st:
	case <-ctx.Done():
		st.Reset()
	}
}

// peer returns the peer connected as a member; nil without a stream.
func (s *sw) peer(id peer.ID) p2p.Peer {
	l := s.links[id]
	if l == nil {
		return nil
	}
	return s.Get(l.key)
}

// set adds a peer; unset removes it.
func (s *sw) set(r *remote) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[r.key] = r
}

func (s *sw) unset(r *remote) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, r.key)
}

// String implements service.Service.
func (s *sw) String() string { return "switch over libp2p" }

// NodeInfo implements p2p.Switcher.
func (s *sw) NodeInfo() p2p.NodeInfo { return s.info }

// Log implements p2p.Switcher.
func (s *sw) Log() log.Logger { return s.Logger }

// Reactor implements p2p.Switcher.
func (s *sw) Reactor(name string) (p2p.Reactor, bool) {
	r, ok := s.reactors[name]
	return r, ok
}

// StopPeerForError implements p2p.Switcher.
func (s *sw) StopPeerForError(p p2p.Peer, reason any) {
	if r, ok := p.(*remote); ok {
		r.drop(reason)
	}
}

// StopPeerGracefully implements p2p.Switcher.
func (s *sw) StopPeerGracefully(p p2p.Peer) { s.StopPeerForError(p, "no longer needed") }

// BroadcastAsync implements p2p.Switcher.
func (s *sw) BroadcastAsync(e p2p.Envelope) { s.broadcast(e, true) }

// TryBroadcast implements p2p.Switcher.
func (s *sw) TryBroadcast(e p2p.Envelope) { s.broadcast(e, false) }

// broadcast queues a message for every peer. If a queue is full, it waits for room in the background, or skips that
// peer.
func (s *sw) broadcast(e p2p.Envelope, wait bool) {
	b, err := encode(e.Message)
	if err != nil {
		s.Logger.Error("encode message", "err", err)
		return
	}
	for _, p := range s.all() {
		if !p.mux.TrySend(e.ChannelID, b) && wait {
			go p.send(e.ChannelID, b) // ends with the peer
		}
	}
	s.pulse.message(e.ChannelID)
}

func (s *sw) all() []*remote {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.peers))
}
