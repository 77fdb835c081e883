//go:build !linux

package shards

func largePages([]byte) {}
