//go:build !amd64

package treehash

func absorb(l Leaves, data [][]byte, length int, before, total uint64) {
	absorbStaged(l, data, length, before, total)
}

func parents(dst, left, right []Hash, step int) {
	parentsStaged(dst, left, right, step)
}

func compress(states []state, stage []byte, stride, blocks int, before, total uint64) {
	compressEach(states, stage, stride, blocks, before, total)
}
