//go:build !amd64

package treehash

func absorb(l Leaves, data [][]byte, length int, before, total uint64) {
	absorbStaged(l, data, length, before, total)
}

func parents(dst, left, right []Hash, step, jump int) {
	parentsStaged(dst, left, right, step, jump)
}

func digests(dst []Hash, step int, states []octet, count int) {
	digestsEach(dst, step, states, count)
}

func compress(states []octet, count int, stage []byte, stride, blocks int, before, total uint64) {
	compressEach(states, count, stage, stride, blocks, before, total)
}
