package engine

import (
	"flag"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
)

var crowds = flag.String("engine.validators", "", "sizes of the committees that TestCrowd compares, such as 4,16,50,100")

// crowdBlocks is the number of transactions, one after the other, that a committee commits while it is measured.
const crowdBlocks = 10

// cost of a committee: what one node spends on one block.
type cost struct {
	cpu   time.Duration
	bytes int64         // sent
	took  time.Duration // virtual, from Submit to the receipt
}

// measure lets a committee of validators commit transactions over links of 100 ms.
func measure(t *testing.T, validators int) (c cost) {
	synctest.Test(t, func(t *testing.T) {
		net := swarmtest.NewNetwork(1)
		s := newFleet(t, net, validators, nil)
		s.timing = DefaultTiming()
		net.SetLatency(func(a, b int) time.Duration { return 50 * time.Millisecond })
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		s.pay(0, 0, 1)
		time.Sleep(time.Second)
		began, used, sent := time.Now(), processTime(t), net.Total()
		first, _ := s.nodes[0].Head()
		for i := range crowdBlocks {
			s.pay(i%validators, i, i+1)
		}
		c.took = time.Since(began) / crowdBlocks
		last, _ := s.nodes[0].Head()
		blocks := int64(last - first)
		c.cpu = (processTime(t) - used) / time.Duration(blocks) / time.Duration(validators)
		c.bytes = (net.Total() - sent) / blocks / int64(validators)
		t.Logf("%3d validators: %2d blocks; a node and block: %8v of CPU, %7d bytes sent; a transaction takes %v", validators,
			blocks, c.cpu.Round(time.Microsecond), c.bytes, c.took.Round(time.Millisecond))
	})
	return c
}

func processTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestCrowd compares committees of several sizes. Above maxMesh, a node's bytes for a block grow no faster than the
// number of validators: it gets the votes of all, each from several neighbors.
func TestCrowd(t *testing.T) {
	sizes := *crowds
	if sizes == "" {
		t.Skip("part of make sim")
	}
	least := int64(0) // bytes for each validator of the first committee above maxMesh
	for _, size := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		each := measure(t, n).bytes / int64(n)
		switch {
		case n <= maxMesh:
		case least == 0:
			least = each
		case 2*each > 3*least:
			t.Errorf("%d validators: %d bytes for each of them, %d in a smaller committee", n, each, least)
		}
	}
}
