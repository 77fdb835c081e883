package dht

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
	"walrus/internal/userfile"
)

// book remembers servers that we reached, with their newest addresses only. On disk it is a JSON bookFile. It is
// replaced as a whole: written to a temporary file, synced, renamed.
type book struct {
	path   string             // constant; "" = memory only
	member func(peer.ID) bool // a node that the ledger knows; constant

	mu      sync.Mutex
	peers   map[peer.ID]bookEntry // guarded by mu
	changed bool                  // since the last save; guarded by mu
}

type bookEntry struct {
	addrs   []multiaddr.Multiaddr // at least one
	seen    time.Time
	network netip.Prefix // network of the first address: the address that we dialled, if any
}

func newBookEntry(addrs []multiaddr.Multiaddr, seen time.Time) bookEntry {
	return bookEntry{addrs, seen, ipgroup.Block(ipgroup.IP(addrs[0]))}
}

type bookFile struct {
	Version int        `json:"version"`
	Peers   []bookPeer `json:"peers"`
}

type bookPeer struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
	Seen  int64    `json:"seen"` // unix seconds of the last connection
}

const bookVersion = 1

func newBook(path string) *book {
	return &book{path: path, member: func(peer.ID) bool { return false }, peers: make(map[peer.ID]bookEntry)}
}

// load reads the file. We wrote every entry, so if one is malformed the file is not ours any more, and all of it is
// rejected. A missing file is an empty book.
func (b *book) load() error {
	if b.path == "" {
		return nil
	}
	raw, err := readBounded(b.path, maxBookBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read address book: %w", err)
	}
	peers, err := parseBook(raw)
	if err != nil {
		return fmt.Errorf("read address book %s: %w", b.path, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers = peers
	return nil
}

// readBounded reads a regular file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	// Stat first: opening a pipe would block for ever.
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return raw, nil
}

// parseBook decodes and checks a whole file.
func parseBook(raw []byte) (map[peer.ID]bookEntry, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var file bookFile
	if err := dec.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("bytes after the end of the list")
	}
	if file.Version != bookVersion {
		return nil, fmt.Errorf("version %d: want %d", file.Version, bookVersion)
	}
	if len(file.Peers) > maxBookPeers {
		return nil, fmt.Errorf("%d peers: want at most %d", len(file.Peers), maxBookPeers)
	}
	peers := make(map[peer.ID]bookEntry, len(file.Peers))
	for i, p := range file.Peers {
		id, err := peer.Decode(p.ID)
		if err != nil {
			return nil, fmt.Errorf("peer %d: %w", i, err)
		}
		if len(p.Addrs) == 0 || len(p.Addrs) > maxPeerAddrs {
			return nil, fmt.Errorf("peer %d: %d addresses: want 1 to %d", i, len(p.Addrs), maxPeerAddrs)
		}
		addrs := make([]multiaddr.Multiaddr, 0, len(p.Addrs))
		for _, s := range p.Addrs {
			if len(s) > maxAddrBytes {
				return nil, fmt.Errorf("peer %d: address of %d bytes: want at most %d", i, len(s), maxAddrBytes)
			}
			a, err := multiaddr.NewMultiaddr(s)
			if err != nil {
				return nil, fmt.Errorf("peer %d: %w", i, err)
			}
			addrs = append(addrs, a)
		}
		peers[id] = newBookEntry(addrs, time.Unix(p.Seen, 0))
	}
	return peers, nil
}

// remember replaces the entry of id. If the book is full it drops another.
func (b *book) remember(id peer.ID, addrs []multiaddr.Multiaddr, now time.Time) {
	addrs = slices.Clone(addrs)
	addrs = slices.DeleteFunc(addrs, func(a multiaddr.Multiaddr) bool { return len(a.String()) > maxAddrBytes })
	addrs = addrs[:min(len(addrs), maxPeerAddrs)]
	if len(addrs) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.peers[id]; !known && len(b.peers) >= maxBookPeers {
		drop := b.victim()
		if drop == "" && !b.member(id) {
			return // the book is full of members, and id is not a member
		}
		if drop == "" {
			drop = b.oldest(func(peer.ID, bookEntry) bool { return true })
		}
		delete(b.peers, drop)
	}
	b.peers[id] = newBookEntry(addrs, now)
	b.changed = true
}

// victim returns a stranger of the network with the most strangers: the one not seen for longest. It returns "" if
// there are only members. The caller holds mu.
func (b *book) victim() peer.ID {
	strangers := make(map[netip.Prefix]int)
	for id, e := range b.peers {
		if !b.member(id) {
			strangers[e.network]++
		}
	}
	var most netip.Prefix
	for network, n := range strangers {
		if n > strangers[most] {
			most = network
		}
	}
	if strangers[most] == 1 { // no network has more than another
		return b.oldest(func(id peer.ID, _ bookEntry) bool { return !b.member(id) })
	}
	return b.oldest(func(id peer.ID, e bookEntry) bool { return !b.member(id) && e.network == most })
}

// oldest returns, of the peers that among accepts, the one not seen for longest. The caller holds mu.
func (b *book) oldest(among func(peer.ID, bookEntry) bool) (oldest peer.ID) {
	for id, e := range b.peers {
		if among(id, e) && (oldest == "" || e.seen.Before(b.peers[oldest].seen)) {
			oldest = id
		}
	}
	return oldest
}

// addrs returns the remembered addresses of id, if any.
func (b *book) addrs(id peer.ID) []multiaddr.Multiaddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.peers[id].addrs)
}

// sample returns up to n remembered peers, members first. Otherwise they are in map order, hence at random, so that
// many restarting peers do not all dial the same one.
func (b *book) sample(n int) []peer.AddrInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	var members, strangers []peer.AddrInfo
	for id, e := range b.peers {
		p := peer.AddrInfo{ID: id, Addrs: slices.Clone(e.addrs)}
		if b.member(id) {
			members = append(members, p)
		} else {
			strangers = append(strangers, p)
		}
	}
	out := append(members, strangers...)
	return out[:min(n, len(out))]
}

// members returns the remembered members.
func (b *book) members() (out []peer.AddrInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, e := range b.peers {
		if b.member(id) {
			out = append(out, peer.AddrInfo{ID: id, Addrs: slices.Clone(e.addrs)})
		}
	}
	return out
}

// save writes the book if it has changed. After an error the change stays pending. Only Run calls it.
func (b *book) save() error {
	file, pending := b.snapshot()
	if b.path == "" || !pending {
		return nil
	}
	raw, err := json.MarshalIndent(file, "", " ")
	if err == nil {
		err = userfile.Replace(b.path, raw)
	}
	if err != nil {
		b.mu.Lock()
		b.changed = true
		b.mu.Unlock()
		return fmt.Errorf("write address book: %w", err)
	}
	return nil
}

// snapshot returns the content for disk, last seen first, and whether it has changed since the last snapshot.
func (b *book) snapshot() (bookFile, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	file := bookFile{Version: bookVersion}
	for id, e := range b.peers {
		p := bookPeer{ID: id.String(), Seen: e.seen.Unix()}
		for _, a := range e.addrs {
			p.Addrs = append(p.Addrs, a.String())
		}
		file.Peers = append(file.Peers, p)
	}
	slices.SortFunc(file.Peers, func(x, y bookPeer) int { return cmp.Compare(y.Seen, x.Seen) })
	changed := b.changed
	b.changed = false
	return file, changed
}
