package shards

// The bytes of a symbol are groups of 64: 32 low bytes, then the 32 high bytes, of 32 field elements; what is left over, t
// bytes, is t/2 low then t/2 high bytes. The arithmetic wants full groups only. A packed vector is the same elements
// in the same order, without the seams: those of many symbols, or of one, in full groups, zero-padded at the end.

// packedSize is the size of a packed vector of size bytes.
func packedSize(size int) int { return (size + groupSize - 1) / groupSize * groupSize }

// pack fills dst with the elements of symbols of width bytes each, which lie in src one after the other. dst is
// packedSize(len(src)) bytes.
func pack(dst, src []byte, width int) {
	if width%groupSize == 0 {
		copy(dst, src)
		return
	}
	if tail := len(src) % groupSize; tail != 0 {
		clear(dst[len(src)-tail:])
	}
	element := 0
	eachRun(len(src), width, func(low, high, count int) {
		for count > 0 {
			at := element/32*groupSize + element%32
			n := min(count, 32-element%32)
			copy(dst[at:at+n], src[low:])
			copy(dst[at+32:at+32+n], src[high:])
			low, high, count, element = low+n, high+n, count-n, element+n
		}
	})
}

// unpack is the inverse of pack: it fills dst, symbols of width bytes each, with the elements of src from number element.
func unpack(dst, src []byte, width, element int) {
	if width%groupSize == 0 {
		copy(dst, src[2*element:])
		return
	}
	eachRun(len(dst), width, func(low, high, count int) {
		for count > 0 {
			at := element/32*groupSize + element%32
			n := min(count, 32-element%32)
			copy(dst[low:low+n], src[at:])
			copy(dst[high:high+n], src[at+32:])
			low, high, count, element = low+n, high+n, count-n, element+n
		}
	})
}

// eachRun calls run for each group, full or not, of the symbols in size bytes: where its low and its high bytes are
// and how many elements it has.
func eachRun(size, width int, run func(low, high, count int)) {
	for symbol := 0; symbol < size; symbol += width {
		for at := symbol; at < symbol+width; at += groupSize {
			count := min(groupSize, symbol+width-at) / 2
			run(at, at+count, count)
		}
	}
}

// unpackInPlace turns a slot that holds one symbol into its width bytes, at the start of the slot.
func unpackInPlace(slot []byte, width int) []byte {
	if tail := width % groupSize; tail != 0 {
		at := width - tail
		copy(slot[at+tail/2:], slot[at+groupSize/2:][:tail/2])
	}
	return slot[:width]
}
