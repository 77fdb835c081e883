package pages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"walrus/ledger"
	"walrus/shards"
)

// hostile is a name that would break out of any place of a page that does not escape it.
const hostile = `"'></title><script>alert(1)</script><img src=x onerror=alert(2)>`

// start is when the fixture's numbers are from.
var start = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// fixture is a network that stands still. A field is changed before the pages ask.
type fixture struct {
	network   *Network
	nodes     map[string]*Node
	blobs     map[shards.BlobID]*Blob
	records   map[ledger.ObjectID]shards.BlobID
	err       error // of everything, if set
	stored    []byte
	upload    Upload
	storedErr error
}

func peerName(i int) string { return fmt.Sprintf("12D3KooWNode%040d", i) }

func blobID(b byte) (id shards.BlobID) {
	for i := range id {
		id[i] = b * byte(i+1)
	}
	return id
}

// newFixture is a network of 7 nodes and 100 shards, one of which is away and one not well, with some blobs.
func newFixture() *fixture {
	committee := Committee{Members: 7, Shards: 100, Faulty: 33, Quorum: 67}
	f := &fixture{nodes: map[string]*Node{}, blobs: map[shards.BlobID]*Blob{}, records: map[ledger.ObjectID]shards.BlobID{}}
	f.network = &Network{
		ID: "27dd4287", Time: start, Epoch: &Epoch{Number: 12, End: start.Add(3*time.Hour + 25*time.Minute), Duration: 24 * time.Hour},
		Prices:    &Prices{Storage: 100_000, Write: 20_000, FeeTx: 1000, FeeByte: 10, MaxEpochs: 53},
		Capacity:  &Capacity{Total: 1 << 50, Sold: 3 << 40},
		Supply:    &Supply{Burned: 12_345_678_900, Rewards: 4_250_000_000},
		Committee: committee,
		Ledger:    LedgerState{Live: true, Height: 81234, Reachable: 85},
		Storage:   Storage{Blobs: 1842, DiskBytes: 52 << 30, Owed: 37},
	}
	for i := range 7 {
		n := &Node{
			NodeSummary: NodeSummary{
				Name: fmt.Sprintf("node-%d", i), Peer: peerName(i), Reachable: true, OK: true, State: "serving",
				Blobs: 1842, DiskBytes: 8 << 30, Epoch: 12, Height: 81234 - uint64(i), Version: "v0.5.0",
			},
			Time: start, Weight: committee, Slivers: 52000, Uptime: 50 * time.Hour, Peers: 6, Ledger: "goes on",
			Earnings: &Earnings{Pot: 4_250_000_000, Burn: 127_500_000, Share: 577_150_000, Epoch: 12, EpochEnd: f.network.Epoch.End},
		}
		for s := i; s < 100; s += 7 {
			n.ShardIDs = append(n.ShardIDs, s)
		}
		n.Shards = len(n.ShardIDs)
		f.nodes[n.Peer], f.nodes[n.Name] = n, n
	}
	f.nodes["node-3"].OK, f.nodes["node-3"].Why, f.nodes["node-3"].Owed = false, "owes 37 slivers", 37
	f.nodes["node-3"].Incidents = []string{"2026-03-14T14:00:00Z sliver 12 of a blob was damaged: repaired"}
	away := f.nodes["node-5"]
	*away = Node{NodeSummary: NodeSummary{Name: away.Name, Peer: away.Peer, Shards: away.Shards, Why: "refused the connection: it is not running"},
		Time: start, Weight: committee, ShardIDs: away.ShardIDs, Earnings: away.Earnings}
	for i := range 7 {
		f.network.Nodes = append(f.network.Nodes, f.nodes[fmt.Sprintf("node-%d", i)].NodeSummary)
	}
	for i := range 60 {
		x := float64(i)
		f.network.Throughput = append(f.network.Throughput, Sample{
			Time: start.Add(time.Duration(i-60) * 5 * time.Second), Stored: 3e6 * (1 + math.Sin(x/6)), Read: 8e6 * (1 + math.Cos(x/9)), Blobs: 1800 + uint64(i), Height: 81000 + uint64(i),
		})
	}
	f.addBlobs()
	return f
}

// addBlobs adds a certified image (1), a text (2), a video (3), one that is only registered (4), and one with hostile
// text everywhere (5).
func (f *fixture) addBlobs() {
	end := f.network.Epoch.At(19)
	for i, kind := range []string{"image/png", "text/plain; charset=utf-8", "video/mp4", "", "text/html"} {
		id := blobID(byte(i + 1))
		b := &Blob{
			ID: id, Status: StatusCertified, Size: 1_500_000, SizeKnown: true, EncodedSize: 7_900_000, Time: start, ContentType: kind,
			Ledger: BlobLedger{Epoch: 12, EndEpoch: 19, EndTime: end, CertifiedEpoch: 11, Deletable: []Ending{{EndEpoch: 19, EndTime: end, Registered: 2, Certified: 1}}},
		}
		for s := range 100 {
			n := f.nodes[fmt.Sprintf("node-%d", s%7)]
			sh := Shard{Index: s, Pair: (s + 31) % 100, Name: n.Name, Peer: n.Peer, Primary: SliverStored, Secondary: SliverStored}
			switch {
			case !n.Reachable:
				sh.Primary, sh.Secondary = Unreachable, Unreachable
			case s == 10:
				sh.Secondary = Corrupt
			case n.Name == "node-3" && s%3 == 0:
				sh.Primary, sh.Secondary = Repairing, Missing
			}
			b.Shards = append(b.Shards, sh)
		}
		b.Bad = []BadNode{{Name: "node-5", Peer: peerName(5), Reason: "refused the connection: it is not running"}}
		b.Certificate = &Certificate{Epoch: 11, Weight: 86, Quorum: 67, Of: 100, Verified: true, Absent: []string{"node-5"}}
		for _, j := range []int{0, 1, 2, 3, 4, 6} {
			n := f.network.Nodes[j]
			b.Certificate.Signers = append(b.Certificate.Signers, Signer{Name: n.Name, Peer: n.Peer, Shards: n.Shards})
		}
		f.blobs[id] = b
	}
	object := ledger.ObjectID{7, 7}
	f.records[object] = blobID(1)
	f.blobs[blobID(1)].Ledger.Records = []Record{{
		Object: object.String(), Owner: "0x" + fmt.Sprintf("%064x", 99), Deletable: true, Registered: 11, Certified: 11, EndEpoch: 19, EndTime: end,
		Attributes: []ledger.Attribute{{Key: "content-type", Value: "image/png"}, {Key: "title", Value: "A walrus on the ice"}},
	}}
	f.blobs[blobID(2)].Head = "The time has come, the walrus said,\nto talk of many things.\n"
	four, five := f.blobs[blobID(4)], f.blobs[blobID(5)]
	four.Status, four.SizeKnown, four.Certificate, four.Ledger.CertifiedEpoch = StatusRegistered, false, nil, 0
	five.Head, five.Bad[0].Reason, five.Shards[0].Name, five.Certificate.Signers[0].Name = hostile, hostile, hostile, hostile
	five.Ledger.Records = []Record{{Object: object.String(), Attributes: []ledger.Attribute{{Key: hostile, Value: hostile}, {Key: "content-type", Value: "text/html"}}}}
}

func (f *fixture) Network(context.Context) (*Network, error) { return f.network, f.err }

func (f *fixture) Node(_ context.Context, key string) (*Node, error) {
	if n := f.nodes[key]; n != nil || f.err != nil {
		return n, f.err
	}
	return nil, fmt.Errorf("node %.100s: %w", key, ErrNotFound)
}

func (f *fixture) Blob(_ context.Context, id shards.BlobID) (*Blob, error) {
	if b := f.blobs[id]; b != nil || f.err != nil {
		return b, f.err
	}
	return nil, fmt.Errorf("blob %s: %w: its last registration ended with epoch 9", id, ErrNotFound)
}

func (f *fixture) Record(_ context.Context, object ledger.ObjectID) (shards.BlobID, error) {
	if id, ok := f.records[object]; ok || f.err != nil {
		return id, f.err
	}
	return shards.BlobID{}, fmt.Errorf("record %s: %w", object, ErrNotFound)
}

func (f *fixture) Price(_ context.Context, size uint64, epochs uint32) (*Price, error) {
	if epochs > f.network.Prices.MaxEpochs {
		return nil, fmt.Errorf("%d epochs: %w", epochs, ErrRange)
	}
	return &Price{Size: size, EncodedSize: 5 * size, Epochs: epochs, Storage: 3, Write: 2, Fees: 1, Total: 6, Text: ledger.Amount(6).String(), End: start}, f.err
}

func (f *fixture) Store(_ context.Context, u Upload) (*Stored, error) {
	if f.storedErr != nil {
		return nil, f.storedErr
	}
	b, err := io.ReadAll(io.NewSectionReader(u.File, 0, int64(u.Size)))
	if err != nil {
		return nil, err
	}
	f.stored, f.upload = b, u
	return &Stored{ID: blobID(1), Cost: 6}, nil
}

// errNetwork is what the network says when it says nothing.
var errNetwork = errors.New("the ledger stands still")
