package monitor

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
)

// folded is a round that is over: what the monitors said of each member, by weighted median.
//
//	epoch u32 ‖ roster u32 ‖ flags u8 ‖ number of members u16 ‖ for each: outcome u8 ‖ rtt u8 ‖ rate u8
type folded struct {
	epoch  uint32
	roster uint32 // names the list of members
	nodes  []round.Result
}

func (f *folded) marshal() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 10+3*len(f.nodes)), f.epoch)
	b = binary.BigEndian.AppendUint32(b, f.roster)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.nodes)))
	for _, r := range f.nodes {
		b = append(b, byte(r.Outcome), byte(r.RTT), byte(r.Rate))
	}
	return b
}

func unmarshalFolded(b []byte) (f folded, err error) {
	if len(b) < 10 || len(b) != 10+3*int(binary.BigEndian.Uint16(b[8:])) {
		return f, fmt.Errorf("%w: a round of %d bytes", errDatabase, len(b))
	}
	f.epoch, f.roster = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	for b = b[10:]; len(b) > 0; b = b[3:] {
		f.nodes = append(f.nodes, round.Result{Outcome: round.Outcome(b[0]), RTT: round.Code(b[1]), Rate: round.Code(b[2])})
	}
	return f, nil
}

// hourRecord sums up an hour: a cell for each member of one committee. If the members change within an hour, it has
// those of its last round.
type hourRecord struct {
	number uint32 // hours since 1970; in the key
	roster uint32
	cells  []hourCell
}

// hourCell is one node's part of an hour.
type hourCell struct {
	counts    Counts
	lines     [3]uint8 // durability, reachability, speed, 0 to 100; unknownLine for unknown
	rtt, rate round.Code
}

// unknownLine stands for a score that nobody knows.
const unknownLine = 255

// marshal writes roster u32 ‖ number of cells u16 ‖ for each cell: a byte of bits that tell which counts follow, these
// as varints in the order of badness, the three lines, round trip and rate.
func (h *hourRecord) marshal() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 6+8*len(h.cells)), h.roster)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.cells)))
	for i := range h.cells {
		c := &h.cells[i]
		at := len(b)
		b = append(b, 0)
		for k, o := range badness {
			if n := *c.counts.of(o); n > 0 {
				b[at] |= 1 << k
				b = binary.AppendUvarint(b, uint64(n))
			}
		}
		b = append(b, c.lines[0], c.lines[1], c.lines[2], byte(c.rtt), byte(c.rate))
	}
	return b
}

// hourReader reads the cells of an hour one after the other.
type hourReader struct {
	roster uint32
	left   int
	b      []byte
}

func newHourReader(b []byte) (r hourReader, err error) {
	if len(b) < 6 {
		return r, fmt.Errorf("%w: an hour of %d bytes", errDatabase, len(b))
	}
	return hourReader{roster: binary.BigEndian.Uint32(b), left: int(binary.BigEndian.Uint16(b[4:])), b: b[6:]}, nil
}

// next reads a cell; false after the last one.
func (r *hourReader) next(c *hourCell) (bool, error) {
	if r.left == 0 {
		return false, nil
	}
	r.left--
	*c = hourCell{}
	if len(r.b) < 1 {
		return false, r.cut()
	}
	mask := r.b[0]
	r.b = r.b[1:]
	for k, o := range badness {
		if mask&(1<<k) == 0 {
			continue
		}
		n, size := binary.Uvarint(r.b)
		if size <= 0 || n > math.MaxInt32 {
			return false, r.cut()
		}
		*c.counts.of(o) = int(n)
		r.b = r.b[size:]
	}
	if len(r.b) < 5 {
		return false, r.cut()
	}
	c.lines, c.rtt, c.rate = [3]uint8(r.b[:3]), round.Code(r.b[3]), round.Code(r.b[4])
	r.b = r.b[5:]
	return true, nil
}

func (r *hourReader) cut() error { return fmt.Errorf("%w: an hour ends within a cell", errDatabase) }

// rosterKey is the key of a list of members.
func rosterKey(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{keyRoster}, n) }

func marshalRoster(nodes []peer.ID) (b []byte) {
	for _, id := range nodes {
		b = append(append(b, byte(len(id))), id...)
	}
	return b
}

func unmarshalRoster(b []byte) (nodes []peer.ID, err error) {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n {
			return nil, fmt.Errorf("%w: a list of members ends within a peer ID", errDatabase)
		}
		nodes, b = append(nodes, peer.ID(b[1:1+n])), b[1+n:]
	}
	return nodes, nil
}
