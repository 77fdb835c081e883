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
	epoch  uint32 // of the segment
	after  []byte // the key read last, or the number of the index table
}

type stage uint8

// Stages, in their order. The last two come again for each segment, the latest epoch first.
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

// MarshalBinary encodes a position of a scrub of everything: stage u8 ‖ epoch u32, big-endian ‖ the rest.
func (p Position) MarshalBinary() ([]byte, error) {
	if p.newest {
		return nil, errors.New("position among the newest writes is not kept")
	}
	return append(binary.BigEndian.AppendUint32([]byte{byte(p.stage)}, p.epoch), p.after...), nil
}

// UnmarshalBinary decodes a position.
func (p *Position) UnmarshalBinary(b []byte) error {
	if len(b) < 5 || len(b) > 5+extentKeySize || stage(b[0]) > stageDone {
		return errors.New("no position of a scrub")
	}
	*p = Position{stage: stage(b[0]), epoch: binary.BigEndian.Uint32(b[1:]), after: slices.Clone(b[5:])}
	if len(p.after) == 0 {
		p.after = nil
	}
	return nil
}
