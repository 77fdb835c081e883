//go:build !amd64

package treehash

func absorb(l Leaves, data [][]byte, length int, before, total uint64) {
	absorbStaged(l, data, length, before, total, compressEach)
}

func parents(dst, left, right []Hash, step int) {
	parentsStaged(dst, left, right, step, compressEach)
}
