package treehash

import (
	"encoding/binary"
	"math/bits"
)

// state is the chaining value of one hash; after its last block the first four words are the digest.
type state [8]uint64

var iv = state{
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}

// initial is iv with the parameter block of an unkeyed 32-byte hash.
var initial = state{
	iv[0] ^ 0x01010000 ^ Size, iv[1], iv[2], iv[3], iv[4], iv[5], iv[6], iv[7],
}

// empty holds the states of eight hashes without data.
var empty = func() (o octet) {
	for i := range o {
		for lane := range o[i] {
			o[i][lane] = initial[i]
		}
	}
	return o
}()

// get and put copy the state in one lane.
func (o *octet) get(lane int) (s state) {
	for i := range s {
		s[i] = o[i][lane]
	}
	return s
}

func (o *octet) put(lane int, s *state) {
	for i := range s {
		o[i][lane] = s[i]
	}
}

func (s *state) digest(d *Hash) {
	for i := range Size / 8 {
		binary.LittleEndian.PutUint64(d[8*i:], s[i])
	}
}

// sigma is the order of the message words in each round; rounds 10 and 11 repeat 0 and 1.
var sigma = [10][16]uint8{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}

const rounds = 12

// compress adds one block. counter is the number of bytes up to and including it; last is all ones for the final block.
func (s *state) compress(block *[blockSize]byte, counter, last uint64) {
	var m [16]uint64
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(block[8*i:])
	}
	v := [16]uint64{
		s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7],
		iv[0], iv[1], iv[2], iv[3], iv[4] ^ counter, iv[5], iv[6] ^ last, iv[7],
	}
	for r := range rounds {
		o := &sigma[r%len(sigma)]
		mix(&v[0], &v[4], &v[8], &v[12], m[o[0]], m[o[1]])
		mix(&v[1], &v[5], &v[9], &v[13], m[o[2]], m[o[3]])
		mix(&v[2], &v[6], &v[10], &v[14], m[o[4]], m[o[5]])
		mix(&v[3], &v[7], &v[11], &v[15], m[o[6]], m[o[7]])
		mix(&v[0], &v[5], &v[10], &v[15], m[o[8]], m[o[9]])
		mix(&v[1], &v[6], &v[11], &v[12], m[o[10]], m[o[11]])
		mix(&v[2], &v[7], &v[8], &v[13], m[o[12]], m[o[13]])
		mix(&v[3], &v[4], &v[9], &v[14], m[o[14]], m[o[15]])
	}
	for i := range s {
		s[i] ^= v[i] ^ v[i+8]
	}
}

func mix(a, b, c, d *uint64, x, y uint64) {
	*a += *b + x
	*d = bits.RotateLeft64(*d^*a, -32)
	*c += *d
	*b = bits.RotateLeft64(*b^*c, -24)
	*a += *b + y
	*d = bits.RotateLeft64(*d^*a, -16)
	*c += *d
	*b = bits.RotateLeft64(*b^*c, -63)
}

// compressEach adds blocks to each of the first count hashes. It does lane by lane what the assembly does for all
// lanes at once.
func compressEach(states []octet, count int, stage []byte, stride, blocks int, before, total uint64) {
	for i := range count {
		s := states[i/octetSize].get(i % octetSize)
		for b := range blocks {
			block := (*[blockSize]byte)(stage[i*stride+b*blockSize:])
			counter, last := before+uint64(b+1)*blockSize, uint64(0)
			if counter >= total {
				counter, last = total, ^uint64(0)
			}
			s.compress(block, counter, last)
		}
		states[i/octetSize].put(i%octetSize, &s)
	}
}

// digestsEach copies the first count hashes out of states to dst[0], dst[step] and so on.
func digestsEach(dst []Hash, step int, states []octet, count int) {
	for i := range count {
		s := states[i/octetSize].get(i % octetSize)
		s.digest(&dst[i*step])
	}
}
