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

// hostile is a name that breaks out of any place of a page that does not escape it.
var hostile = `"'></title><script>alert(1)</script><img src=x onerror=alert(2)>`

// start is the time of the fixture's numbers.
var start = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// fixture is a network that does not change by itself. Change its fields before the pages ask.
type fixture struct {
	network   *Network
	nodes     map[string]*Node
	blobs     map[shards.BlobID]*Blob
	records   map[ledger.ObjectID]*RecordDetail
	txs       []Transaction // newest first
	owner     *Owner
	err       error // returned for everything, if set
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

// newFixture makes a network of 7 nodes and 100 shards, with one node away and one not well, and some blobs.
func newFixture() *fixture {
	committee := Committee{Members: 7, Shards: 100, Faulty: 33, Quorum: 67}
	f := &fixture{nodes: map[string]*Node{}, blobs: map[shards.BlobID]*Blob{},
		records: map[ledger.ObjectID]*RecordDetail{}}
	f.network = &Network{
		ID: "27dd4287", Time: start, Epoch: &Epoch{Number: 12, End: start.Add(3*time.Hour + 25*time.Minute),
			Duration: 24 * time.Hour},
		Prices:    &Prices{Storage: 100_000, Write: 20_000, FeeTx: 1000, FeeByte: 10, FeeWork: 10, MaxEpochs: 53},
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
			Time: start, Weight: committee, Slivers: 52000, Uptime: 50 * time.Hour, Peers: 6, Ledger: "running",
			History: newHistory(),
			Limit:   20 << 30, Free: 100 << 30, Reserve: 256 << 20, Addresses: []string{fmt.Sprintf("/ip4/192.0.2.%d/tcp/4001", i),
				fmt.Sprintf("/ip4/192.0.2.%d/udp/4001/quic-v1", i)},
			Earnings: &Earnings{Pot: 4_250_000_000, Burn: 127_500_000, Share: 577_150_000, Epoch: 12,
				EpochEnd: f.network.Epoch.End},
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
	*away = Node{NodeSummary: NodeSummary{Name: away.Name, Peer: away.Peer, Shards: away.Shards,
		Why: "refused the connection: it is not running"},
		Seen: start.Add(-40 * time.Minute), History: away.History, Time: start, Weight: committee, ShardIDs: away.ShardIDs,
		Earnings: away.Earnings}
	for i := range 7 {
		f.network.Nodes = append(f.network.Nodes, f.nodes[fmt.Sprintf("node-%d", i)].NodeSummary)
	}
	for i := range 60 {
		x := float64(i)
		f.network.Throughput = append(f.network.Throughput, Sample{
			Time: start.Add(time.Duration(i-60) * 5 * time.Second), Stored: 3e6 * (1 + math.Sin(x/6)),
			Read: 8e6 * (1 + math.Cos(x/9)), Blobs: 1800 + uint64(i), Height: 81000 + uint64(i),
		})
	}
	f.addBlobs()
	f.addLedger()
	return f
}

// newHistory returns a month in which a node was down for some hours.
func newHistory() *NodeHistory {
	h := &NodeHistory{Told: start}
	for i := range 360 {
		if i > 200 && i < 205 {
			continue
		}
		h.Points = append(h.Points, HistoryPoint{
			End: start.Add(time.Duration(i-648) * time.Hour), Length: 2 * time.Hour, Up: 2 * time.Hour,
			Disk: 7<<30 + uint64(i)<<20, Received: 3 << 30, Sent: 9 << 30,
		})
	}
	for i := range 288 {
		x := float64(i)
		h.Points = append(h.Points, HistoryPoint{
			End: start.Add(time.Duration(i-287) * 5 * time.Minute), Length: 5 * time.Minute, Up: 5 * time.Minute,
			Disk:     8<<30 + uint64(i)<<18,
			Received: uint64(1e8 * (1 + math.Sin(x/30))), Sent: uint64(3e8 * (1 + math.Cos(x/20))),
		})
	}
	h.Day = HistorySum{Span: 24 * time.Hour, Up: 24 * time.Hour, Received: 28 << 30, Sent: 80 << 30, Repaired: 12}
	h.Month = HistorySum{Span: 20 * 24 * time.Hour, Up: 19*24*time.Hour + 12*time.Hour, Received: 900 << 30,
		Sent: 3 << 40, Repaired: 48}
	return h
}

// Pins has a page with a pin in each state, and an end where no process runs.
func (f *fixture) Pins(_ context.Context, before time.Time) (*PinList, error) {
	if f.err != nil {
		return nil, f.err
	}
	if !before.IsZero() {
		return &PinList{Time: start, Pins: []Pin{}}, nil
	}
	id := func(b byte) string { return blobID(b).String() }
	return &PinList{
		Time: start, Peer: peerName(77), Running: true, Requests: 5, Pinned: 2, Waiting: 2, Failing: 1, Disk: 4 << 30, Limit: 10 << 30, Served: 7 << 30, Today: 1 << 20,
		Pins: []Pin{
			{ID: "r5", CID: "bahlybqabuds", Blob: id(1), Name: hostile, Status: "pinned", Percent: 100, Size: 1_500_000, SizeKnown: true, Created: start, Verified: start.Add(-time.Hour), Served: 3 << 20},
			{ID: "r4", CID: "bahlybqabudt", Blob: id(2), Status: "pinning", Percent: 41, Size: 4000, SizeKnown: true, Created: start.Add(-time.Minute)},
			{ID: "r3", CID: "bahlybqabudu", Blob: id(3), Status: "queued", Created: start.Add(-2 * time.Minute)},
			{ID: "r2", CID: "bahlybqabudv", Blob: id(4), Status: "failed", Reason: "only 3 of 34 rows", NextTry: start.Add(10 * time.Minute), Created: start.Add(-3 * time.Minute)},
			{ID: "r1", CID: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", Status: "failed", Reason: "not of a Walrus blob", Created: start.Add(-4 * time.Minute)},
		},
		Next: "2026-03-14T15:00:00Z",
	}, nil
}

// addLedger adds some transactions: one that registered a blob, one that certified it, a transfer that failed.
func (f *fixture) addLedger() {
	owner := ledger.Address{0x99}
	for i, x := range []Transaction{
		{Operations: []string{"certifyBlob"}, Events: []ledger.Event{{Kind: ledger.EventCertified, Blob: blobID(1),
			Object: ledger.ObjectID{7, 7}, End: 19, Epoch: 12}}},
		{Operations: []string{"transfer"}, Code: "balance", Log: hostile, Events: []ledger.Event{}},
		{Operations: []string{"buyStorage", "registerBlob", "registerBlob"}, Spent: 7_900_000, Events: []ledger.Event{
			{Kind: ledger.EventStorageBought, To: owner, Amount: 7_800_000, Object: ledger.ObjectID{8}, Bytes: 8 << 20},
			{Kind: ledger.EventRegistered, Blob: blobID(1), Object: ledger.ObjectID{7, 7}, Size: 1_500_000,
				End: 19, Deletable: true},
		}},
	} {
		x.ID, x.Height, x.Index, x.Time, x.Sender, x.Nonce, x.Fee = ledger.TxID{0xaa, byte(i)}, 81234-uint64(i), 0, start.Add(
			-time.Duration(i)*time.Minute), owner, uint64(9-i), 5000
		if x.Code == "" {
			x.Code = "ok"
		}
		f.txs = append(f.txs, x)
	}
	f.owner = &Owner{
		Address: owner, Balance: 2_500_000_000, Nonce: 10, Epoch: 12,
		Blobs: []OwnedBlob{{ledger.ObjectID{7, 7}, ledger.Blob{Owner: owner, BlobID: blobID(1), Size: 1_500_000,
			Deletable: true, Registered: 11, Certified: 11, End: 19, Bytes: 8 << 20}},
			{ledger.ObjectID{7, 8}, ledger.Blob{BlobID: blobID(2), Size: 40_000, End: 12}}},
		Storages: []OwnedStorage{{ledger.ObjectID{8}, ledger.Storage{Bytes: 8 << 20, Start: 12, End: 19}}},
	}
	f.records[ledger.ObjectID{7, 7}] = &RecordDetail{OwnedBlob: f.owner.Blobs[0], Epoch: 12,
		EndTime: f.network.Epoch.At(19)}
	f.records[ledger.ObjectID{7, 7}].Attributes = []ledger.Attribute{{Key: "title", Value: hostile}}
}

func (f *fixture) Transactions(_ context.Context, before string) (*TransactionList, error) {
	if before != "" && before != "81233.0.0" {
		return nil, fmt.Errorf("before: %w", ErrRange)
	}
	return &TransactionList{Transactions: f.txs, Next: "81233.0.0"}, f.err
}

func (f *fixture) Transaction(_ context.Context, id ledger.TxID) (*Transaction, error) {
	for i := range f.txs {
		if f.txs[i].ID == id {
			return &f.txs[i], f.err
		}
	}
	return nil, fmt.Errorf("transaction %s: %w", id, ErrNotFound)
}

func (f *fixture) block(height uint64) Block {
	return Block{Height: height, Time: start, Hash: fmt.Sprintf("%064x", height), Empty: height%2 == 1, Proposer: "node-2",
		Peer: peerName(2), Signed: 86, Of: 100}
}

func (f *fixture) Blocks(context.Context, uint64) (*BlockList, error) {
	return &BlockList{Blocks: []Block{f.block(81234), f.block(81233)}, Next: 81233}, f.err
}

func (f *fixture) Block(_ context.Context, height uint64) (*BlockDetail, error) {
	if height > 81234 {
		return nil, fmt.Errorf("block %d: %w", height, ErrNotFound)
	}
	d := &BlockDetail{Block: f.block(height), Head: 81234}
	if !d.Empty {
		d.Transactions = f.txs[:1]
	}
	return d, f.err
}

func (f *fixture) Owner(_ context.Context, a ledger.Address, _ string) (*Owner, error) {
	if a != f.owner.Address {
		return nil, fmt.Errorf("owner %s: %w", a, ErrNotFound)
	}
	o := *f.owner
	o.TransactionList = TransactionList{Transactions: f.txs, Next: "81233.0.7", Oldest: 0}
	return &o, f.err
}

// addBlobs adds a certified image (1), a text (2), a video (3), a blob that is only registered (4), one with hostile
// text everywhere (5), and a quilt (6).
func (f *fixture) addBlobs() {
	end := f.network.Epoch.At(19)
	for i, kind := range []string{"image/png", "text/plain; charset=utf-8", "video/mp4", "", "text/html",
		"application/x-walrus-quilt", "image/png"} {
		id := blobID(byte(i + 1))
		b := &Blob{
			ID: id, Status: StatusCertified, Size: 1_500_000, SizeKnown: true, EncodedSize: 7_900_000,
			Time: start, ContentType: kind,
			Ledger: BlobLedger{Epoch: 12, EndEpoch: 19, EndTime: end, CertifiedEpoch: 11,
				Deletable: []Ending{{EndEpoch: 19, EndTime: end, Registered: 2, Certified: 1}}},
		}
		if i == 1 {
			b.Pinners = []Pinner{{Peer: peerName(77), Since: start.Add(-time.Hour)}}
		}
		for s := range 100 {
			n := f.nodes[fmt.Sprintf("node-%d", s%7)]
			sh := Shard{Index: s, Pair: (s + 31) % 100, Name: n.Name, Peer: n.Peer, Primary: SliverStored,
				Secondary: SliverStored}
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
	f.blobs[blobID(1)].Ledger.Records = []Record{{
		Object: object.String(), Owner: "0x" + fmt.Sprintf("%064x", 99), Deletable: true, Registered: 11, Certified: 11,
		EndEpoch: 19, EndTime: end,
		Attributes: []ledger.Attribute{{Key: "content-type", Value: "image/png"},
			{Key: "title", Value: "A walrus on the ice"}},
	}}
	f.blobs[blobID(2)].Head = "The time has come, the walrus said,\nto talk of many things.\n"
	f.blobs[blobID(6)].Quilt = []QuiltFile{
		{Identifier: "photos/ice.jpg", PatchID: "AAAA", Columns: 3,
			Tags: map[string]string{"year": "2026", "place": "Svalbard"}}, {Identifier: hostile, PatchID: "BBBB", Columns: 1},
	}
	f.blobs[blobID(8)] = &Blob{ID: blobID(8), Status: StatusPinned, Reason: "its storage has ended, this is epoch 12", Size: 1_500_000,
		SizeKnown: true, EncodedSize: 7_900_000, Time: start, ContentType: "image/png", Pinners: []Pinner{{Peer: peerName(77), Since: start.Add(-time.Hour)}}}
	four, five := f.blobs[blobID(4)], f.blobs[blobID(5)]
	f.blobs[blobID(7)].invalidate()
	four.Status, four.SizeKnown, four.Certificate, four.Ledger.CertifiedEpoch = StatusRegistered, false, nil, 0
	five.Head, five.Bad[0].Reason, five.Shards[0].Name, five.Certificate.Signers[0].Name = hostile, hostile, hostile, hostile
	five.Ledger.Records = []Record{{Object: object.String(), Attributes: []ledger.Attribute{{Key: hostile, Value: hostile},
		{Key: "content-type", Value: "text/html"}}}}
}

// invalidate marks a blob.
func (b *Blob) invalidate() {
	b.Status, b.Certificate = StatusInvalid, nil
	b.Ledger = BlobLedger{Epoch: 12, Deletable: []Ending{}}
	b.Invalid = &Invalid{
		Epoch: 11, Height: 81233, Tx: ledger.TxID{0xaa, 2}.String(),
		Reason:      "row 3 and column 7 have different symbols where they cross",
		Explanation: []string{"The blob ID leads to row 3.", "The blob ID leads to column 7."},
	}
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

func (f *fixture) Record(_ context.Context, object ledger.ObjectID) (*RecordDetail, error) {
	if d, ok := f.records[object]; ok || f.err != nil {
		return d, f.err
	}
	return nil, fmt.Errorf("record %s: %w", object, ErrNotFound)
}

func (f *fixture) Price(_ context.Context, size uint64, epochs uint32) (*Price, error) {
	if epochs > f.network.Prices.MaxEpochs {
		return nil, fmt.Errorf("%d epochs: %w", epochs, ErrRange)
	}
	return &Price{Size: size, EncodedSize: 5 * size, Epochs: epochs, Storage: 3, Write: 2, Fees: 1, Total: 6,
		Text: ledger.Amount(6).String(), End: start}, f.err
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

// errNetwork is the fixture's error for everything.
var errNetwork = errors.New("the ledger is stalled")
