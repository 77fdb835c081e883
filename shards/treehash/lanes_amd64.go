package treehash

import "golang.org/x/sys/cpu"

//go:generate sh -c "cd asm && go run . -out ../lanes_amd64.s -stubs ../stubs_amd64.go -pkg treehash"

// Which assembly the processor can run. Tests switch them off in turn.
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
		blocks++ // the prefix is one byte more
	}
	if blocks == 0 {
		return
	}
	for len(data) > 0 {
		count := min(lanes, len(data))
		leaves512(l.Slice(0, count), data[:count], blocks, before, total)
		l, data = l.Slice(count, l.Len()), data[count:]
	}
}

// leaves512 adds blocks to at most as many leaves as there are lanes.
func leaves512(l Leaves, data [][]byte, blocks int, before, total uint64) {
	var none [1]byte
	var pointers [lanes]*byte
	for i := range pointers {
		d := data[0] // lanes that are left over compute the first one's hash once more
		if i < len(data) {
			d = data[i]
		}
		if pointers[i] = &none[0]; len(d) > 0 {
			pointers[i] = &d[0]
		}
	}
	switch len(data) {
	case lanes:
		leaves16AVX512((*[8]uint64)(&l.states[0]), &pointers[0], &l.lead[0], blocks, before, total)
	case lanes / 2:
		leaves8AVX512((*[8]uint64)(&l.states[0]), &pointers[0], &l.lead[0], blocks, before, total)
	default:
		var states [lanes]state
		var lead [lanes]byte
		copy(states[:], l.states)
		copy(lead[:], l.lead)
		if len(data) < lanes/2 { // no variable for the two: what is passed to one escapes
			leaves8AVX512((*[8]uint64)(&states[0]), &pointers[0], &lead[0], blocks, before, total)
		} else {
			leaves16AVX512((*[8]uint64)(&states[0]), &pointers[0], &lead[0], blocks, before, total)
		}
		copy(l.states, states[:])
	}
}

func parents(dst, left, right []Hash, step int) {
	if !hasAVX512 {
		parentsStaged(dst, left, right, step)
		return
	}
	groups := len(dst) / lanes
	if groups > 0 {
		parentsAVX512(&dst[0][0], &left[0][0], &right[0][0], step*Size, groups)
	}
	if rest := len(dst) % lanes; rest > 0 {
		var in [2][lanes]Hash
		var out [lanes]Hash
		from := groups * lanes
		for i := range rest {
			in[0][i], in[1][i] = left[(from+i)*step], right[(from+i)*step]
		}
		parentsAVX512(&out[0][0], &in[0][0][0], &in[1][0][0], Size, 1)
		copy(dst[from:], out[:rest])
	}
}

// compress is compressEach, four lanes at a time if possible.
func compress(states []state, stage []byte, stride, blocks int, before, total uint64) {
	if !hasAVX2 {
		compressEach(states, stage, stride, blocks, before, total)
		return
	}
	const width = 4
	for first := 0; first < len(states); first += width {
		var pointers [width]*byte
		for i := range pointers {
			pointers[i] = &stage[first*stride]
			if first+i < len(states) {
				pointers[i] = &stage[(first+i)*stride]
			}
		}
		if first+width <= len(states) {
			compressAVX2((*[8]uint64)(&states[first]), &pointers[0], blocks, before, total)
			continue
		}
		var few [width]state
		copy(few[:], states[first:])
		compressAVX2((*[8]uint64)(&few[0]), &pointers[0], blocks, before, total)
		copy(states[first:], few[:])
	}
}
