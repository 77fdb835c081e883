package round

import (
	"bytes"
	"cmp"
	"slices"

	"golang.org/x/crypto/blake2b"
)

const (
	// MaxAppeals bounds the accusers of one round against whom a node appeals. Each rebuttal costs all peers a message.
	MaxAppeals = 8
	// AppealTries bounds the members asked to relay one appeal, one after the other.
	AppealTries = 3
)

// Appeal asks members, one after the other until one agrees, to rebut that a node was silent.
type Appeal struct {
	Accuser Key
	Members []Key // 1 to AppealTries
}

const appealDomain = "walrus monitor appeal 1\x00"

// Appeals decides against which accusers of a round the node self appeals, and who is to relay: at most MaxAppeals in a
// round, made included, the accusers with the most weight first. A member rebuts one accusation of a node in a round,
// so no member is named twice; those who accuse the node themselves are not asked. The seed of the next round spreads
// the work: each node and round has another order of the members. Accusers without weight are not worth a message.
func Appeals(seed Seed, self Key, accusers []Monitor, members []Key, made []Appeal) []Appeal {
	used := map[Key]bool{self: true}
	for _, a := range accusers {
		used[a.Key] = true
	}
	done := map[Key]bool{}
	for _, a := range made {
		done[a.Accuser] = true
		for _, m := range a.Members {
			used[m] = true
		}
	}
	heavy := slices.DeleteFunc(slices.Clone(accusers), func(m Monitor) bool { return m.Weight == 0 || done[m.Key] })
	slices.SortFunc(heavy, func(a, b Monitor) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), bytes.Compare(a.Key[:], b.Key[:]))
	})
	free := slices.DeleteFunc(slices.Clone(members), func(m Key) bool { return m == Key{} || used[m] })
	order := make(map[Key][32]byte, len(free))
	for _, m := range free {
		b := append(append([]byte(appealDomain), seed[:]...), self[:]...)
		order[m] = blake2b.Sum256(append(b, m[:]...))
	}
	slices.SortFunc(free, func(a, b Key) int {
		x, y := order[a], order[b]
		return bytes.Compare(x[:], y[:])
	})
	n := min(len(heavy), max(MaxAppeals-len(made), 0), len(free))
	list := make([]Appeal, n)
	for i := range list {
		list[i].Accuser = heavy[i].Key
		for at := i; at < len(free) && len(list[i].Members) < AppealTries; at += n {
			list[i].Members = append(list[i].Members, free[at])
		}
	}
	return list
}
