package fft16

import "sync"

// An element is written in the Cantor basis below, not in powers of x: the 16 bits of v stand for Σ v_i·β_i, where
// β_0 = 1 and β_(i+1)² + β_(i+1) = β_i. In this basis the polynomial that vanishes on the first 2^i elements maps
// element v to element v>>i, so the transforms need no table of constants.
const (
	polynomial = 0x1002D // x¹⁶+x⁵+x³+x²+1
	// Order is the number of elements.
	Order = 1 << 16
	// Modulus is the modulus of exponents.
	Modulus = Order - 1
)

var cantorBasis = [16]uint16{
	0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012,
	0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E,
}

type tables struct {
	log [Order]uint16
	exp [Order]uint16
}

var field = sync.OnceValue(func() *tables {
	t := new(tables)
	var power [Order]uint16 // exponent of each element in the polynomial basis
	x := uint32(1)
	for i := range Modulus {
		power[x] = uint16(i)
		if x <<= 1; x >= Order {
			x ^= polynomial
		}
	}
	for v := 1; v < Order; v++ {
		var sum uint16
		for i, b := range cantorBasis {
			if v>>i&1 == 1 {
				sum ^= b
			}
		}
		t.log[v] = power[sum]
		t.exp[power[sum]] = uint16(v)
	}
	t.exp[Modulus] = t.exp[0]
	return t
})

// Log returns the exponent, 0…Modulus−1, to which a fixed primitive element must be raised to give a; 0 for a = 0.
// Because Log(0) is 0, a product of x⊕y over all y but x is the sum of Log(x⊕y) over all y.
func Log(a uint16) uint16 { return field().log[a] }

// Exp returns the element with exponent e, 0…Modulus.
func Exp(e uint16) uint16 { return field().exp[e] }

// Mul returns the product of two elements.
func Mul(a, b uint16) uint16 {
	if a == 0 || b == 0 {
		return 0
	}
	t := field()
	return t.exp[(uint32(t.log[a])+uint32(t.log[b]))%Modulus]
}

// Inv returns the inverse of an element other than 0.
func Inv(a uint16) uint16 {
	t := field()
	return t.exp[Modulus-t.log[a]]
}
