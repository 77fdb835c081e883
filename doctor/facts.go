// Package doctor finds out how other peers can reach this computer, and what else keeps it from taking part in a
// network. Examine collects the facts: it asks members from which address they see us, has others dial back, asks the
// router, and looks at clock and disk. Judge turns facts into findings and does no I/O. Start with Judge; Facts says
// what it knows.
package doctor

import (
	"net/netip"
	"time"
)

// Role of the process that is examined.
type Role string

// A storage node must be reachable by everybody. The others work behind any router that lets them out; a peer that
// serves others from home must at least be punchable.
const (
	StorageNode Role = "storage node"
	HomePeer    Role = "home peer"
)

// Facts are measurements of one computer. Judge needs nothing else.
type Facts struct {
	Role Role
	// Port is the port to forward in a router. 0 means that it is chosen at each start.
	Port int
	// Own lists this computer's addresses, loopback excluded.
	Own []netip.Addr
	// Paths holds one entry for each transport and IP version that was tried.
	Paths []Path
	// Mapping is the router's answer to a request for a forwarded port.
	Mapping Mapping
	// Hops lists the first routers on the way out, nearest first. An invalid address stands for one that kept silent.
	Hops []netip.Addr
	// Clock is nil if no members compared theirs.
	Clock *time.Duration
	// Files is the limit of open files; 0 means unknown.
	Files uint64
	// Disk is nil for a process that keeps nothing.
	Disk *Disk
	// Version of this program, and the versions that members told.
	Version  string
	Versions []string
	// Twins lists places where another process uses our keys.
	Twins []string
	// Running has the verdicts that a running storage node gives about its own ports, by transport. Nil if none runs. The
	// measurements are then of other ports of the same computer, which the router does not forward.
	Running map[Transport]Verdict
}

// Transport of a path.
type Transport string

// The transports of the network.
const (
	TCP  Transport = "TCP"
	QUIC Transport = "QUIC (UDP)"
)

// Path holds the measurements over one transport and IP version.
type Path struct {
	Transport Transport
	IPv6      bool
	// Asked is the number of members that were dialled. Each has an address of its own.
	Asked int
	// Seen has, for each member that answered, the address from which it saw our one socket.
	Seen []netip.AddrPort
	// Back has the attempts of members to dial us. None of them had been contacted before.
	Back []Back
}

// Back is an attempt to dial this computer from outside.
type Back struct {
	Addr netip.AddrPort
	// Mapped: the router forwards Addr at our request. Announced: the configuration tells it to others.
	Mapped, Announced bool
	OK                bool
}

// Mapping is the result of asking the router for a forwarded port.
type Mapping struct {
	Found    bool       // a router answers such requests
	By       string     // the protocol in which it does: UPnP or NAT-PMP
	External netip.Addr // the router's own outer address, if it told one
	TCP, UDP uint16     // the outer ports it gave; 0 for none
}

// Disk has the measurements of the folder with the data.
type Disk struct {
	Dir   string
	Sync  time.Duration // median time until a small write is safe; 0 if unknown
	Free  uint64        // bytes
	Err   string        // the folder cannot be written
	Limit uint64        // of the store, in bytes; 0 for none
	Used  uint64
}
