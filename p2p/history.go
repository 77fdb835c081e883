package p2p

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"walrus/p2p/internal/wire"
)

// HistoryPoint holds a node's claims about a period: about five minutes of the last day, or two hours of the last
// month. None of them is proven.
type HistoryPoint struct {
	End      time.Time     // of the period, in whole seconds
	Length   time.Duration // of the period, in whole seconds
	Up       time.Duration // part of the period in which the node ran
	Disk     uint64        // bytes of stored data at the end
	Owed     uint64        // slivers owed at the end
	Received uint64        // bytes of the stream protocols of package p2p, without the ledger's
	Sent     uint64        // as Received
	Repaired uint64        // slivers repaired in the period
}

// MarshalHistory encodes points for the wire.
func MarshalHistory(points []HistoryPoint) []byte {
	b := make([]byte, 0, len(points)*wire.HistoryPointSize)
	for i := range points {
		p := &points[i]
		for _, v := range []uint64{
			uint64(p.End.Unix()), uint64(p.Length / time.Second), uint64(p.Up / time.Second), p.Disk, p.Owed, p.Received, p.Sent, p.Repaired,
		} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	return b
}

// maxPointSeconds bounds the period of one point, about two hours. Even MaxHistory such periods fit a Duration.
const maxPointSeconds = 1 << 22

// UnmarshalHistory decodes points from a stranger. It refuses points out of order, and numbers whose sums may overflow.
func UnmarshalHistory(b []byte) ([]HistoryPoint, error) {
	if len(b)%wire.HistoryPointSize != 0 || len(b) > MaxHistory*wire.HistoryPointSize {
		return nil, fmt.Errorf("node history of %d bytes: want at most %d points of %d", len(b), MaxHistory, wire.HistoryPointSize)
	}
	points := make([]HistoryPoint, len(b)/wire.HistoryPointSize)
	var last uint64
	for i := range points {
		var v [wire.HistoryPointSize / 8]uint64
		for j := range v {
			v[j] = binary.LittleEndian.Uint64(b[i*wire.HistoryPointSize+8*j:])
		}
		end, length, up := v[0], v[1], v[2]
		if end < last || end > math.MaxUint32 || length > maxPointSeconds || up > length {
			return nil, fmt.Errorf("node history: point %d ends at %d after %d s, up for %d s; the one before ended at %d", i, end, length, up, last)
		}
		for _, n := range v[3:] {
			if n > maxStated {
				return nil, fmt.Errorf("node history: point %d has the number %d", i, n)
			}
		}
		last = end
		points[i] = HistoryPoint{
			End: time.Unix(int64(end), 0).UTC(), Length: time.Duration(length) * time.Second, Up: time.Duration(up) * time.Second,
			Disk: v[3], Owed: v[4], Received: v[5], Sent: v[6], Repaired: v[7],
		}
	}
	return points, nil
}
