package p2p

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"walrus/p2p/internal/wire"
)

// HistoryPoint is what a node says of itself over a time: about five minutes of the last day, or two hours of the last month.
// None of it is proven.
type HistoryPoint struct {
	End      time.Time     // of the time, in whole seconds
	Length   time.Duration // in whole seconds
	Up       time.Duration // how much of it the node ran
	Disk     uint64        // bytes of stored data at its end
	Owed     uint64        // slivers at its end
	Received uint64        // bytes of requests and answers with other nodes and with clients; not those of the ledger
	Sent     uint64        // likewise
	Repaired uint64        // slivers
}

// MarshalHistory writes points in the form in which they are sent.
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

// maxPointSeconds bounds the time of one point, which is two hours or so: MaxHistory of them do not overflow a Duration.
const maxPointSeconds = 1 << 22

// UnmarshalHistory reads points from anybody: they are in order, and no number is so large that sums overflow.
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
