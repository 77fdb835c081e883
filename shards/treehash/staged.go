package treehash

// Where the processor has no masked loads, messages are first assembled, with their prefix, in a small buffer.

// stageBlocks is the number of blocks of each lane assembled at a time.
const stageBlocks = 4

// absorbStaged implements absorb with compress.
func absorbStaged(l Leaves, data [][]byte, length int, before, total uint64) {
	const stride = stageBlocks * blockSize
	var stage [lanes * stride]byte
	for first := 0; first < len(data); first += lanes {
		group := data[first:min(first+lanes, len(data))]
		states := l.states[first/octetSize:]
		for at := 0; ; {
			// The stage starts with the message's byte before data[at].
			end := min(at+stride-1, length)
			if before+uint64(length)+1 < total {
				end = min(end, length-1)
			}
			for i, d := range group {
				message := stage[i*stride : (i+1)*stride]
				if message[0] = l.lead[first+i]; at > 0 {
					message[0] = d[at-1]
				}
				clear(message[1+copy(message[1:], d[at:end]):])
			}
			blocks := (end - at + 1 + blockSize - 1) / blockSize
			compress(states, len(group), stage[:], stride, blocks, before+uint64(at), total)
			at += stride
			if at > length || at == length && before+uint64(length)+1 < total {
				break
			}
		}
	}
}

// parentsStaged implements parents with compress.
func parentsStaged(dst, left, right []Hash, step, jump int) {
	var stage [lanes * blockSize]byte
	var states [lanes / octetSize]octet
	for i := range lanes {
		stage[i*blockSize] = 1
	}
	for first := 0; first < len(dst); first += lanes {
		count := min(lanes, len(dst)-first)
		for i := range count {
			message := stage[i*blockSize+1 : (i+1)*blockSize]
			at := place(first+i, step, jump)
			copy(message[copy(message, left[at][:]):], right[at][:])
		}
		for i := range states {
			states[i] = empty
		}
		compress(states[:], count, stage[:], blockSize, 1, 0, 1+2*Size)
		digestsEach(dst[first:], 1, states[:], count)
	}
}
