package shards

import "sync"

// The field is GF(2^16) modulo x¹⁶+x⁵+x³+x²+1. An element is written in the Cantor basis below, not in powers of x:
// the 16 bits of v stand for Σ v_i·β_i, where β_0 = 1 and β_(i+1)² + β_(i+1) = β_i. In this basis the polynomial that
// vanishes on the first 2^i elements maps element v to element v>>i, so the additive FFT needs no table of constants.
const (
	fieldPolynomial = 0x1002D
	fieldOrder      = 1 << 16
	fieldModulus    = fieldOrder - 1 // of exponents
)

var cantorBasis = [16]uint16{
	0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012,
	0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E,
}

// fieldTables hold logarithms to one primitive element. log[0] is 0 so that a product over "all but itself" is a sum.
type fieldTables struct {
	log [fieldOrder]uint16
	exp [fieldOrder]uint16
}

var field = sync.OnceValue(func() *fieldTables {
	t := new(fieldTables)
	var power [fieldOrder]uint16 // exponent of each element in the polynomial basis
	x := uint32(1)
	for i := range fieldModulus {
		power[x] = uint16(i)
		if x <<= 1; x >= fieldOrder {
			x ^= fieldPolynomial
		}
	}
	for v := 1; v < fieldOrder; v++ {
		var sum uint16
		for i, b := range cantorBasis {
			if v>>i&1 == 1 {
				sum ^= b
			}
		}
		t.log[v] = power[sum]
		t.exp[power[sum]] = uint16(v)
	}
	t.exp[fieldModulus] = t.exp[0]
	return t
})

// mul is the product of two elements.
func (t *fieldTables) mul(a, b uint16) uint16 {
	if a == 0 || b == 0 {
		return 0
	}
	return t.exp[(uint32(t.log[a])+uint32(t.log[b]))%fieldModulus]
}

// inv is the inverse of a non-zero element.
func (t *fieldTables) inv(a uint16) uint16 { return t.exp[fieldModulus-uint32(t.log[a])] }
