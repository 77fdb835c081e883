package treehash

import "golang.org/x/sys/cpu"

//go:generate sh -c "cd asm && go run . -out ../lanes_amd64.s -stubs ../stubs_amd64.go -pkg treehash"

// The assembly that the processor can run. Tests switch it off in turn.
var (
	hasAVX512 = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2
	hasAVX2   = cpu.X86.HasAVX2
)

func absorb(l Leaves, data [][]byte, length int, before, total uint64) {
	if !hasAVX512 {
		absorbStaged(l, data, length, before, total)
		return
	}
	blocks := length / blockSize
	if before+uint64(length)+1 == total {
		blocks++ // the prefix adds a byte
	}
	if blocks == 0 {
		return
	}
	tail := 0
	if rest := int(total-before) - (blocks-1)*blockSize; rest <= blockSize/2 && blocks <= maxTailed {
		tail = rest
	}
	for first := 0; first < len(data); first += batch {
		end := min(first+batch, len(data))
		absorb512(l.Slice(first, end), data[first:end], length, blocks, tail, before, total)
	}
}

const (
	// maxTailed: leaves of at most this many blocks get a short last block in a second pass over the batch's data. For
	// longer leaves that pass costs more than it saves.
	maxTailed = 4
	// batch is the number of leaves whose full blocks are hashed before their tails, a multiple of lanes. The two
	// loops do not fit the instruction cache together.
	batch = 64 * lanes
)

// absorb512 adds blocks to leaves. If tail is not 0, the last block has only tail bytes, at most half a block.
func absorb512(l Leaves, data [][]byte, length, blocks, tail int, before, total uint64) {
	whole := len(data) / lanes * lanes
	if length == 0 {
		whole = 0
	}
	if tail > 0 {
		blocks--
	}
	for i := 0; i < whole && blocks > 0; i += lanes {
		leaves16AVX512(&l.states[i/octetSize][0][0], &data[i], &l.lead[i], blocks, before, total)
	}
	if tail > 0 {
		for i := 0; i < whole; i += lanes {
			tails16AVX512(&l.states[i/octetSize][0][0], &data[i], &l.lead[i], blocks*blockSize, tail, total)
		}
		blocks++
	}
	for i := whole; i < len(data); i += lanes {
		rest512(l.states[i/octetSize:], data[i:min(i+lanes, len(data))], l.lead[i:], blocks, before, total)
	}
}

// rest512 adds blocks to at most as many leaves as there are lanes; there may be fewer, or no data.
func rest512(states []octet, data [][]byte, lead []byte, blocks int, before, total uint64) {
	var none [1]byte
	var parts [lanes][]byte
	for i := range parts {
		parts[i] = data[0] // spare lanes may compute anything
		if i < len(data) {
			parts[i] = data[i]
		}
		if len(parts[i]) == 0 {
			parts[i] = none[:]
		}
	}
	if len(data) <= octetSize {
		leaves8AVX512(&states[0][0][0], &parts[0], &lead[0], blocks, before, total)
	} else {
		leaves16AVX512(&states[0][0][0], &parts[0], &lead[0], blocks, before, total)
	}
}

func digests(dst []Hash, step int, states []octet, count int) {
	if !hasAVX512 {
		digestsEach(dst, step, states, count)
		return
	}
	octets := count / octetSize
	if octets > 0 {
		digestsAVX512(&dst[0][0], step*Size, &states[0][0][0], octets)
	}
	if done := octets * octetSize; done < count {
		digestsEach(dst[done*step:], step, states[octets:], count-done)
	}
}

func parents(dst, left, right []Hash, step, jump int) {
	if !hasAVX512 {
		parentsStaged(dst, left, right, step, jump)
		return
	}
	groups := len(dst) / lanes
	if groups > 0 {
		parentsAVX512(&dst[0][0], &left[0][0], &right[0][0], step*Size, jump*Size, groups)
	}
	if rest := len(dst) % lanes; rest > 0 {
		var in [2][lanes]Hash
		var out [lanes]Hash
		from := groups * lanes
		for i := range rest {
			at := place(from+i, step, jump)
			in[0][i], in[1][i] = left[at], right[at]
		}
		parentsAVX512(&out[0][0], &in[0][0][0], &in[1][0][0], Size, 0, 1)
		copy(dst[from:], out[:rest])
	}
}

// compress is compressEach with four lanes at a time where possible.
func compress(states []octet, count int, stage []byte, stride, blocks int, before, total uint64) {
	if !hasAVX2 {
		compressEach(states, count, stage, stride, blocks, before, total)
		return
	}
	const width = 4
	for first := 0; first < count; first += width {
		var parts [width][]byte
		for i := range parts { // stage has room for all lanes
			parts[i] = stage[(first+i)*stride:]
		}
		compressAVX2(&states[first/octetSize][0][first%octetSize], &parts[0], blocks, before, total)
	}
}
