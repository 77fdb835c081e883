package shards

import "walrus/shards/fft16"

// The bytes of a symbol are groups of 64: 32 low bytes, then the 32 high bytes, of 32 field elements; what is left over, t
// bytes, is t/2 low then t/2 high bytes. The arithmetic wants full groups only. A packed vector is the same elements
// in the same order, without the seams: those of many symbols, or of one, in full groups, zero-padded at the end.

const (
	groupSize     = fft16.GroupSize
	groupElements = groupSize / 2
)

// packedSize is the size of a packed vector of size bytes.
func packedSize(size int) int { return (size + groupSize - 1) / groupSize * groupSize }

// pack fills dst with the elements of symbols of width bytes each, which lie in src one after the other. dst is
// packedSize(len(src)) bytes.
func pack(dst, src []byte, width int) {
	if width%groupSize == 0 {
		copy(dst, src)
		return
	}
	if len(src) == width {
		packTail(dst[copy(dst, src[:width/groupSize*groupSize]):], src[width/groupSize*groupSize:])
		return
	}
	if tail := len(src) % groupSize; tail != 0 {
		clear(dst[len(src)-tail:])
	}
	element := 0
	for symbol := 0; symbol < len(src); symbol += width {
		for at := symbol; at < symbol+width; at += groupSize {
			half := min(groupSize, symbol+width-at) / 2
			for low, high := src[at:at+half], src[at+half:at+2*half]; len(low) > 0; {
				run := dst[element/groupElements*groupSize+element%groupElements:]
				n := min(len(low), groupElements-element%groupElements)
				copyShort(run[:n], low)
				copyShort(run[groupElements:groupElements+n], high)
				low, high, element = low[n:], high[n:], element+n
			}
		}
	}
}

// copyShort is copy(dst, src[:len(dst)]), faster if that is a few bytes.
func copyShort(dst, src []byte) {
	if len(dst) > 6 {
		copy(dst, src)
		return
	}
	for i := range dst {
		dst[i] = src[i]
	}
}

// packTail fills group with the elements of the end of a symbol, less than a group.
func packTail(group, tail []byte) {
	clear(group)
	copy(group, tail[:len(tail)/2])
	copy(group[groupElements:], tail[len(tail)/2:])
}

// unpack is the inverse of pack.
func unpack(dst, src []byte, width int) {
	if width%groupSize == 0 {
		copy(dst, src)
		return
	}
	if len(dst) == width {
		full := width / groupSize * groupSize
		half := (width - full) / 2
		copy(dst[:full], src)
		copy(dst[full:full+half], src[full:])
		copy(dst[full+half:], src[full+groupElements:])
		return
	}
	element := 0
	for symbol := 0; symbol < len(dst); symbol += width {
		for at := symbol; at < symbol+width; at += groupSize {
			half := min(groupSize, symbol+width-at) / 2
			for low, high := dst[at:at+half], dst[at+half:at+2*half]; len(low) > 0; {
				run := src[element/groupElements*groupSize+element%groupElements:]
				n := min(len(low), groupElements-element%groupElements)
				copyShort(low[:n], run)
				copyShort(high[:n], run[groupElements:])
				low, high, element = low[n:], high[n:], element+n
			}
		}
	}
}

// unpackInPlace turns a slot that holds one symbol into its width bytes, at the start of the slot.
func unpackInPlace(slot []byte, width int) []byte {
	if tail := width % groupSize; tail != 0 {
		at := width - tail
		copy(slot[at+tail/2:], slot[at+groupElements:][:tail/2])
	}
	return slot[:width]
}
