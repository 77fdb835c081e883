package store

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Position is a place in the order in which ScrubPart reads a store. The zero Position is the start.
type Position struct {
	stage  stage
	newest bool   // only what was written last before an unclean stop
	order  uint64 // of the segment
	after  []byte // the key read last, or the number of the index table
}

type stage uint8

// Stages, in their order. The last two come again for each segment, the newest segment first.
const (
	stageMeta stage = iota // index tables of meta
	stageBlobs
	stageCertificates
	stageSegment // index tables of a segment
	stageSlivers
	stageDone
)

// Done reports that everything has been read.
func (p Position) Done() bool { return p.stage == stageDone }

// positionFormat marks an encoded position: earlier ones named end epochs.
const positionFormat = 0x30

// MarshalBinary encodes a position of a scrub of everything: 0x30 + stage u8 ‖ order of the segment u64, big-endian ‖
// the rest.
func (p Position) MarshalBinary() ([]byte, error) {
	if p.newest {
		return nil, errors.New("position among the newest writes is not kept")
	}
	return append(binary.BigEndian.AppendUint64([]byte{positionFormat | byte(p.stage)}, p.order), p.after...), nil
}

// UnmarshalBinary decodes a position.
func (p *Position) UnmarshalBinary(b []byte) error {
	const head = 1 + 8
	if len(b) < head || len(b) > head+extentKeySize || b[0] < positionFormat || stage(b[0]-positionFormat) > stageDone {
		return errors.New("no position of a scrub")
	}
	*p = Position{stage: stage(b[0] - positionFormat), order: binary.BigEndian.Uint64(b[1:]), after: slices.Clone(b[head:])}
	if len(p.after) == 0 {
		p.after = nil
	}
	return nil
}
