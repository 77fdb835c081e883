package store

import "math/rand/v2"

// life tells what was stored of a blob before it was dropped from what was stored after. Each blob gets a random one
// with its record, and each place of the blob names it. What a segment holds of another life is dead, so a drop has
// nothing to do in segments. Life 0 stands for any: of what formats before 4 have stored, and of what has lost its
// record.
type life uint32

func newLife() life { return life(1 + rand.Uint32N(1<<32-1)) }

// accepts reports whether something of life other belongs to a place of this life.
func (l life) accepts(other life) bool { return l == 0 || l == other }

// newWrite returns the number of a new write of this life.
func (l life) newWrite() uint64 { return uint64(l)<<32 | uint64(rand.Uint32()) }
