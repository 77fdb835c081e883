package app

import (
	"testing"

	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/machine"
)

// putState writes pairs into the database, without a tree.
func putState(t testing.TB, a *App, pairs []machine.Change) {
	t.Helper()
	var b badgerdb.Batch
	for _, p := range pairs {
		b.Set(a.space, stateKey(p.Key), record(p.Key, p.Value))
		list, err := listed(p.Key, p.Value)
		check(t, err)
		if list != nil {
			b.Set(a.space, list, p.Key[:1])
		}
	}
	check(t, a.db.Write(&b))
}

// sealState makes the tree of what putState wrote, and its head.
func sealState(t testing.TB, a *App) {
	t.Helper()
	root, keys, err := a.disk.index()
	check(t, err)
	v := a.View()
	writeHead(t, a, head{height: v.Height, time: v.Time, root: root, kept: a.kept.Load(), keys: keys}.marshal())
}
