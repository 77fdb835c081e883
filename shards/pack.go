package shards

import "walrus/shards/fft16"

// The bytes of a symbol are groups of 64, each with the 32 low bytes and then the 32 high bytes of 32 field elements.
// The remaining t bytes are t/2 low then t/2 high bytes. The arithmetic needs full groups. A packed vector has the
// elements of one or many symbols in the same order, without gaps in full groups, zero-padded at the end.

const (
	groupSize     = fft16.GroupSize
	groupElements = groupSize / 2
)

// packedSize is the size of a packed vector of size bytes.
func packedSize(size int) int { return (size + groupSize - 1) / groupSize * groupSize }

// pack fills dst with the elements of symbols of width bytes each, which lie in src one after the other. dst has
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

// copyShort does copy(dst, src[:len(dst)]), faster for a few bytes.
func copyShort(dst, src []byte) {
	if len(dst) > 6 {
		copy(dst, src)
		return
	}
	for i := range dst {
		dst[i] = src[i]
	}
}

// packTail fills group with the last elements of a symbol, less than a group.
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

// unpackInPlace converts a slot with one symbol into the symbol's width bytes, at the start of the slot.
func unpackInPlace(slot []byte, width int) []byte {
	if tail := width % groupSize; tail != 0 {
		at := width - tail
		copy(slot[at+tail/2:], slot[at+groupElements:][:tail/2])
	}
	return slot[:width]
}
