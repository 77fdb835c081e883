package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/engine/app"
	"walrus/ledger/engine/badgerdb"
)

// Blocks are kept for 30 days, and at least for two epochs, unless the node is an archive.
func TestRetention(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		epoch time.Duration
		set   func(*Config)
		want  app.Retention
	}{
		"default":     {14 * day, func(*Config) {}, app.Retention{Time: 30 * day, Heights: 3000}},
		"long epochs": {28 * day, func(*Config) {}, app.Retention{Time: 56 * day, Heights: 3000}},
		"archive":     {14 * day, func(c *Config) { c.Archive = true }, app.Retention{}},
		"few": {time.Second, func(c *Config) { c.Retain, c.SnapshotEvery = time.Minute, 20 },
			app.Retention{Time: time.Minute, Heights: 60}},
	} {
		cfg := Config{Genesis: &ledger.Genesis{EpochDuration: c.epoch}}
		if c.set(&cfg); cfg.Retention() != c.want {
			t.Errorf("%s: %+v, want %+v", name, cfg.Retention(), c.want)
		}
	}
}

// entries counts what a node keeps for each block: in CometBFT's stores, the log and the indexes.
func (s *fleet) entries(i int) (count int) {
	s.t.Helper()
	for _, space := range []string{"comet-blockstore", "comet-state", "comet-evidence", "ledger"} {
		for _, r := range []badgerdb.Range{{To: []byte{'k'}}, {From: []byte{'n'}, To: []byte{'s'}}, {From: []byte{'s' + 1}}} {
			if space != "ledger" { // without its state and snapshots
				r = badgerdb.Range{}
			}
			r.Limit = 1 << 24
			pairs, err := s.nodes[i].db.Space(space).Scan(r)
			must(s.t, err)
			if count += len(pairs); space != "ledger" {
				break
			}
		}
	}
	return count
}

// With retention a node holds the same after 150 and after 450 blocks, and says from where on; an archive holds all. A
// header or receipt that is gone is refused with the height that is kept.
func TestRetain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		s.retain, s.every = time.Second, 20
		s.adjust = func(i int, c *Config) { c.Archive = i == 1 }
		defer s.closeAll()
		s.open(0, 1)
		<-s.nodes[0].Ready()
		paid := s.pay(0, 1, 2)
		var held, archived [2]int
		for k, height := range []uint64{150, 450} {
			s.reach(0, height, time.Hour)
			s.reach(1, height, time.Hour)
			held[k], archived[k] = s.entries(0), s.entries(1)
		}
		t.Logf("entries after 150 and 450 blocks: %v, archive %v", held, archived)
		if held[1] > held[0]+held[0]/10 {
			t.Errorf("%d entries after 150 blocks, %d after 450: it grows", held[0], held[1])
		}
		if archived[1] < 2*archived[0] {
			t.Errorf("archive: %d entries after 150 blocks, %d after 450", archived[0], archived[1])
		}
		if _, err := s.nodes[0].app.Receipt(paid.ID); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("receipt of block %d: %v", paid.Height, err)
		}
		if _, err := s.nodes[1].app.Receipt(paid.ID); err != nil {
			t.Errorf("archive: receipt of block %d: %v", paid.Height, err)
		}
		head, _ := s.nodes[0].Head()
		kept, at, err := s.nodes[0].app.Kept()
		if err != nil || kept < head-80 || kept > head-59 || time.Since(at) > time.Minute {
			t.Errorf("kept since %d of %v, %v, at height %d", kept, at, err, head)
		}
		if status := s.nodes[0].Status(); status.Kept < kept || status.KeptSince.Before(at) {
			t.Errorf("status: kept since %d of %v", status.Kept, status.KeptSince)
		}
		client, host := s.client(2)
		defer host.Close()
		if _, err = client.Block(t.Context(), paid.Height); err != nil { // the archive has it
			t.Errorf("block %d: %v", paid.Height, err)
		}
	})
}

// A node that is near enough to fetch block by block, but whose next block nobody keeps any more, joins by a snapshot.
// CometBFT would believe that it has caught up, and wait for ever.
func TestNextBlockPruned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		s.retain, s.every = time.Second, 20
		defer s.closeAll()
		s.open(0, 1)
		<-s.nodes[0].Ready()
		<-s.nodes[1].Ready()
		s.pay(0, 1, 2)
		s.close(1)
		height, _ := s.nodes[0].Head()
		s.reach(0, height+150, time.Hour)
		if kept, _, _ := s.nodes[0].app.Kept(); kept <= height+1 {
			t.Fatalf("blocks are kept from height %d on: the test is of no use", kept)
		}
		s.open(1)
		_, moved := s.nodes[1].state()
		select {
		case <-moved:
		case <-time.After(time.Minute):
			t.Fatalf("it has not joined by a snapshot: %+v", s.nodes[1].Status())
		}
		<-s.nodes[1].Ready()
		s.same(0, 1)
		s.pay(1, 3, 4)
	})
}

// A running node that was cut off until nobody kept its next block joins by a snapshot, too.
func TestNextBlockPrunedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		s.retain, s.every = time.Second, 20
		defer s.closeAll()
		s.open(0, 1)
		<-s.nodes[0].Ready()
		<-s.nodes[1].Ready()
		s.net.Isolate(1)
		height, _ := s.nodes[0].Head()
		s.reach(0, height+150, time.Hour)
		s.net.Heal()
		_, moved := s.nodes[1].state()
		select {
		case <-moved:
		case <-time.After(3 * time.Minute):
			t.Fatalf("it has not joined by a snapshot: %+v", s.nodes[1].Status())
		}
		s.reach(1, height+150, time.Minute)
	})
}
