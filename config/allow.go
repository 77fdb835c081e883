package config

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// maxAllowed bounds the entries of an allow list in a configuration; longer lists belong in a file.
const maxAllowed = 1024

// locateAllow makes the paths among the entries of an allow list absolute. Entries are peer IDs or files.
func locateAllow(file string, list []string) error {
	if len(list) > maxAllowed {
		return fmt.Errorf("%s: key \"allow\": %d entries: at most %d; put them in a file, one a line, and name that", file, len(list), maxAllowed)
	}
	for i, entry := range list {
		if _, err := peer.Decode(entry); err == nil {
			continue
		}
		if entry == "" {
			return fmt.Errorf("%s: key \"allow\": an entry is empty: want a peer ID or a file of peer IDs", file)
		}
		if err := locate(file, pathKey{"allow", &list[i]}); err != nil {
			return err
		}
	}
	return nil
}

// admitted returns the peers of a private network: those that list and its files name, the members in the genesis, the
// bootstrap peers, and own. An empty list is an open network, and the result nil.
func admitted(list []string, g *ledger.Genesis, bootstrap []string, own ...peer.ID) (func(peer.ID) bool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	allowed := map[peer.ID]bool{}
	for _, entry := range list {
		if id, err := peer.Decode(entry); err == nil {
			allowed[id] = true
			continue
		}
		if err := readAllowed(entry, allowed); err != nil {
			return nil, fmt.Errorf("key \"allow\": %w", err)
		}
	}
	for i := range g.Members {
		allowed[g.Members[i].Node] = true
	}
	for _, s := range bootstrap {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("key \"bootstrap\": %q: %w", s, err)
		}
		allowed[info.ID] = true
	}
	for _, id := range own {
		allowed[id] = true
	}
	return func(id peer.ID) bool { return allowed[id] }, nil
}

// readAllowed adds the peers of a file: a peer ID a line, perhaps with a comment that # begins.
func readAllowed(path string, to map[peer.ID]bool) error {
	raw, err := readFile(path, maxFileSize)
	if err != nil {
		return fmt.Errorf("%s is no peer ID and no file that can be read: %w", filepath.Base(path), err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, maxFileSize+1)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		id, err := peer.Decode(text)
		if err != nil {
			return fmt.Errorf("%s:%d: %q is not a peer ID: write one a line, such as 12D3Koo…, and # before comments", path, n, text)
		}
		to[id] = true
	}
	return lines.Err()
}

// IdentityKey reads the identity of the client, which fixes its peer ID; the first call makes it. Without Identity it
// returns nil: a fresh identity for each process.
func (c *Client) IdentityKey() (ed25519.PrivateKey, error) {
	if c.Identity == "" {
		return nil, nil
	}
	return ownKey(c.Identity)
}

// Allowed returns the peers of a private network, nil for an open one. genesis is the network's.
func (c *Client) Allowed(genesis *ledger.Genesis) (func(peer.ID) bool, error) {
	allow, err := admitted(c.Allow, genesis, c.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	return allow, nil
}

// Allowed returns the peers of a private network, nil for an open one. genesis is the network's. The operator of the
// node, who has its key, is among them.
func (n *Node) Allowed(genesis *ledger.Genesis, operator peer.ID) (func(peer.ID) bool, error) {
	allow, err := admitted(n.Allow, genesis, n.Bootstrap, operator)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(n.Home, NodeFile), err)
	}
	return allow, nil
}
