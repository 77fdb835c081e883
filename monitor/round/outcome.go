package round

import (
	"fmt"
	"math/bits"
	"time"
)

// Outcome of all questions that a monitor put to a node in a round.
type Outcome uint8

// The outcomes, in three bits. 7 is not used.
const (
	NotAsked    Outcome = iota // not assigned, or busy with something else
	OK                         // every answer was right and quick
	Slow                       // every answer was right, after SlowAfter or at the second try
	Missing                    // it lacks a sliver that it owes, signed or not
	Wrong                      // signed, and not what the blob has
	Timeout                    // connected, but an answer did not come
	Unreachable                // no connection
	outcomes                   // number of them
)

var outcomeNames = [outcomes]string{"notAsked", "ok", "slow", "missing", "wrong", "timeout", "unreachable"}

func (o Outcome) String() string {
	if o >= outcomes {
		return fmt.Sprintf("outcome %d", uint8(o))
	}
	return outcomeNames[o]
}

// MarshalText returns the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name. Errors wrap ErrFormat.
func (o *Outcome) UnmarshalText(b []byte) error {
	for i, name := range outcomeNames {
		if name == string(b) {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("%w: outcome %.20q is unknown", ErrFormat, b)
}

// Answered reports whether the node sent a signed answer, right or wrong.
func (o Outcome) Answered() bool { return o >= OK && o <= Wrong }

// Silent reports whether the node did not answer, or was not reached.
func (o Outcome) Silent() bool { return o == Timeout || o == Unreachable }

// Convicts reports whether the monitor may hold receipts that prove the outcome to everybody. Missing may be unsigned.
func (o Outcome) Convicts() bool { return o == Missing || o == Wrong }

// Result of a node in a round, as a monitor attests it. RTT and Rate are 0 unless the node answered.
type Result struct {
	Outcome Outcome
	RTT     Code // from question to first byte, in steps over MinRTT; at least 1 if it answered
	Rate    Code // bytes per second, in steps over MinRate; 0 if too little came to tell
}

// Code is a quantity in 8 bits: 0 for none, else least · 2^((code−1)/12). Twelve steps double it, so one is 5.9 %. Code
// 255 is 2.3 million times the least.
type Code uint8

const (
	// MinRTT is the round trip of code 1; code 255 is 235 s.
	MinRTT = 100 * time.Microsecond
	// MinRate is the rate of code 1, in bytes per second; code 255 is 2.4 GB/s.
	MinRate = 1024
	// RateSize: an answer of fewer bytes tells nothing of the rate.
	RateSize = 64 << 10

	stepsPerOctave = 12
)

// steps are 2^(k/12) · 2^32, rounded to nearest.
var steps = [stepsPerOctave]uint64{4294967296, 4550359342, 4820937788, 5107605667, 5411319705, 5733093519, 6074001000,
	6435179895, 6817835604, 7223245206, 7652761717, 8107818609}

// value of the code over a least value, rounded down.
func (c Code) value(least uint64) uint64 {
	if c == 0 {
		return 0
	}
	hi, lo := bits.Mul64(least<<((c-1)/stepsPerOctave), steps[(c-1)%stepsPerOctave])
	return hi<<32 | lo>>32
}

// codeOf returns the greatest code whose value is at most v, but at least 1.
func codeOf(v, least uint64) Code {
	low, high := Code(1), Code(255)
	for low < high {
		if mid := low + (high-low+1)/2; mid.value(least) <= v {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}

// RTTOf returns the code of a round trip: at least 1.
func RTTOf(d time.Duration) Code { return codeOf(uint64(max(d, 0)), uint64(MinRTT)) }

// RTT returns the round trip of a code, 0 for none.
func (c Code) RTT() time.Duration { return time.Duration(c.value(uint64(MinRTT))) }

// RateOf returns the code of size bytes in d: 0 below RateSize.
func RateOf(size int64, d time.Duration) Code {
	if size < RateSize {
		return 0
	}
	hi, lo := bits.Mul64(uint64(size), uint64(time.Second))
	if den := uint64(max(d, 1)); hi < den {
		q, _ := bits.Div64(hi, lo, den)
		return codeOf(q, MinRate)
	}
	return 255
}

// Rate returns the bytes per second of a code, 0 for none.
func (c Code) Rate() uint64 { return c.value(MinRate) }
