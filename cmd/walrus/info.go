package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"walrus/certs"
	"walrus/client"
	"walrus/client/jsonform"
	"walrus/config"
	"walrus/ledger"
	"walrus/shards"
)

func infoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "show the network: epoch, prices, capacity, nodes, costs of storing",
		Long: `Show the configured network, as proven by its ledger: the current epoch and its length, prices and capacity, the supply
of WAL, the encoding, the nodes and their shards, and the size and cost of example blobs. walrus health shows whether the
nodes are up.

If the ledger does not answer, only the values of the genesis are shown, and the exit code is 1.

  walrus info
  walrus info --json`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.info(c.Context()) },
	}
}

// info prints the ledger's parameters, or the genesis's if the ledger cannot be asked.
func (a *app) info(ctx context.Context) error {
	conf, err := a.loadClient()
	if err != nil {
		return err
	}
	genesis, err := config.LoadGenesis(conf.Genesis)
	if err != nil {
		return err
	}
	info, failure := a.askInfo(ctx, conf)
	if failure != nil {
		com, err := genesis.Committee()
		if err != nil {
			return err
		}
		info = &client.Info{Params: genesis.Params(), Committee: com}
	}
	r := newInfoReport(genesis, info)
	if failure != nil {
		r.Epoch, r.Supply = nil, nil
	}
	if a.global.json {
		err = a.printJSON(r)
	} else {
		err = a.printInfo(r, info)
	}
	if failure != nil {
		failure = fmt.Errorf("the ledger does not answer, so only the values of the genesis are shown: %w", failure)
	}
	return errors.Join(failure, err)
}

func (a *app) askInfo(ctx context.Context, conf *config.Client) (info *client.Info, err error) {
	ctx, s, err := a.join(ctx, askTimeout, conf, nil)
	if err != nil {
		return nil, err
	}
	defer s.close(&err)
	return s.Info(ctx)
}

func (a *terminal) printInfo(r *infoReport, info *client.Info) error {
	b, c, p := r.BFT, r.Committee, info.Params
	rows := [][]string{{"network", r.Network.Name}, {"network ID", r.Network.ID}}
	if e := r.Epoch; e != nil {
		left := max(time.Until(info.EpochEnd), 0).Round(time.Second)
		rows = append(rows, []string{"epoch", fmt.Sprintf("%d, ends in %s; each lasts %s", e.CurrentEpoch,
			left, p.EpochDuration)})
	}
	rows = append(rows, [][]string{
		{"storage nodes", fmt.Sprint(r.Storage.NNodes)},
		{"shards", fmt.Sprintf("%d: up to %d may be lost, %d must confirm a blob", b.NShards, b.MaxFaultyShards,
			b.QuorumThreshold)},
		{"encoding", fmt.Sprintf("%s, %d rows of %d symbols", jsonform.EncodingType, c.NPrimarySourceSymbols,
			c.NSecondarySourceSymbols)},
		{"largest blob", byteSize(r.Size.MaxBlobSize)},
		{"price", fmt.Sprintf("%s for each epoch and %s for writing, per MiB of encoded size; storage is sold up to %s ahead",
			p.StoragePrice, p.WritePrice, plural(p.MaxEpochsAhead, "epoch"))},
		{"fees", fmt.Sprintf("%s per transaction, %s for each of its bytes, and %s for each microsecond of its work",
			p.FeeTx, p.FeeByte, p.FeePerWork)},
	}...)
	if s := r.Supply; s != nil {
		rows = append(rows, [][]string{
			{"capacity", fmt.Sprintf("%s of encoded size, %s of it sold in this epoch", byteSize(p.Capacity),
				byteSize(info.Sold))},
			{"rewards", fmt.Sprintf("%s so far, paid out at the end of this epoch", info.Rewards)},
			{"supply", fmt.Sprintf("%s, and %s burned", ledger.TotalSupply-info.Burned, info.Burned)},
		}...)
	}
	if err := table(a.stdout, "", rows); err != nil {
		return err
	}
	rows = [][]string{{"blob", "encoded, on all nodes", "cost of one epoch", "of each further epoch"}}
	for _, e := range r.Price.Examples {
		rows = append(rows, []string{
			byteSize(e.UnencodedSize), byteSize(e.EncodedSize), (e.StoragePrice + e.WritePrice).String(),
			e.StoragePrice.String(),
		})
	}
	if err := table(a.stdout, "  ", rows); err != nil {
		return err
	}
	rows = [][]string{{"node", "shards", "peer ID"}}
	for _, n := range c.CurrentStorageNodes {
		rows = append(rows, []string{n.Name, shardList(n.ShardIDs), n.NodeID})
	}
	return table(a.stdout, "  ", rows)
}

// infoReport is the JSON output of info.
type infoReport struct {
	Network struct {
		Name string `json:"name"`
		ID   string `json:"id"`
	} `json:"networkInfo"`
	Epoch   *epochInfo `json:"epochInfo,omitempty"`
	Storage struct {
		NShards  int    `json:"nShards"`
		NNodes   int    `json:"nNodes"`
		Capacity uint64 `json:"capacity"` // bytes of encoded size
	} `json:"storageInfo"`
	Size struct {
		StorageUnitSize uint64 `json:"storageUnitSize"`
		MaxBlobSize     uint64 `json:"maxBlobSize"`
	} `json:"sizeInfo"`
	Price struct {
		Storage  ledger.Amount `json:"storagePricePerUnitSize"` // FROST per unit and epoch
		Write    ledger.Amount `json:"writePricePerUnitSize"`   // FROST per unit
		FeeTx    ledger.Amount `json:"feeTxFrost"`
		FeeByte  ledger.Amount `json:"feeByteFrost"`
		FeeWork  ledger.Amount `json:"feePerWorkFrost"`
		Examples []exampleBlob `json:"exampleBlobs"`
	} `json:"priceInfo"`
	Supply *supplyInfo `json:"supplyInfo,omitempty"`
	BFT    struct {
		NShards          int `json:"nShards"`
		MaxFaultyShards  int `json:"maxFaultyShards"`
		MinCorrectShards int `json:"minCorrectShards"`
		QuorumThreshold  int `json:"quorumThreshold"`
	} `json:"bftInfo"`
	Committee struct {
		NPrimarySourceSymbols   int        `json:"nPrimarySourceSymbols"`
		NSecondarySourceSymbols int        `json:"nSecondarySourceSymbols"`
		MetadataStorageSize     int        `json:"metadataStorageSize"`
		CurrentStorageNodes     []infoNode `json:"currentStorageNodes"`
	} `json:"committeeInfo"`
}

type epochInfo struct {
	CurrentEpoch   uint32            `json:"currentEpoch"`
	StartOfCurrent map[string]string `json:"startOfCurrentEpoch"`
	EndOfCurrent   time.Time         `json:"endOfCurrentEpoch"`
	EpochDuration  jsonDuration      `json:"epochDuration"`
	MaxEpochsAhead uint32            `json:"maxEpochsAhead"`
}

type jsonDuration struct {
	Secs  int64 `json:"secs"`
	Nanos int64 `json:"nanos"`
}

type supplyInfo struct {
	Total   ledger.Amount `json:"totalFrost"`
	Burned  ledger.Amount `json:"burnedFrost"`
	Rewards ledger.Amount `json:"epochRewardsFrost"`
	Sold    uint64        `json:"soldBytes"` // of encoded size, in this epoch
}

type exampleBlob struct {
	UnencodedSize uint64        `json:"unencodedSize"`
	EncodedSize   int64         `json:"encodedSize"`
	StoragePrice  ledger.Amount `json:"storagePrice"` // FROST per epoch
	WritePrice    ledger.Amount `json:"writePrice"`   // FROST, once
}

type infoNode struct {
	Name      string          `json:"name"`
	NodeID    string          `json:"nodeId"`
	PublicKey certs.PublicKey `json:"publicKey"`
	NShards   int             `json:"nShards"`
	ShardIDs  []int           `json:"shardIds"`
}

func newInfoReport(genesis *ledger.Genesis, info *client.Info) *infoReport {
	com, params := info.Committee, info.Params
	p := com.Params()
	r := &infoReport{}
	r.Network.Name, r.Network.ID = genesis.Network, com.Network().String()
	r.Epoch = &epochInfo{
		CurrentEpoch: info.Epoch, EndOfCurrent: info.EpochEnd.UTC(), MaxEpochsAhead: params.MaxEpochsAhead,
		StartOfCurrent: map[string]string{"DateTime": info.EpochEnd.Add(-params.EpochDuration).UTC().Format(
			time.RFC3339Nano)},
		EpochDuration: jsonDuration{int64(params.EpochDuration / time.Second), int64(params.EpochDuration % time.Second)},
	}
	r.Supply = &supplyInfo{ledger.TotalSupply, info.Burned, info.Rewards, info.Sold}
	r.Storage.NShards, r.Storage.NNodes, r.Storage.Capacity = p.Shards(), len(com.Members()), params.Capacity
	r.Size.StorageUnitSize, r.Size.MaxBlobSize = ledger.UnitSize, shards.MaxLength
	r.Price.Storage, r.Price.Write = params.StoragePrice, params.WritePrice
	r.Price.FeeTx, r.Price.FeeByte, r.Price.FeeWork = params.FeeTx, params.FeeByte, params.FeePerWork
	for _, size := range []uint64{1 << 10, 1 << 20, 64 << 20, 1 << 30} {
		e := exampleBlob{UnencodedSize: size, EncodedSize: p.EncodedSize(size)}
		storage, err := params.StorageCost(uint64(e.EncodedSize), 1)
		if err != nil {
			continue // exceeds the supply: no example
		}
		write, err := params.WriteCost(uint64(e.EncodedSize))
		if err != nil {
			continue
		}
		e.StoragePrice, e.WritePrice = storage, write
		r.Price.Examples = append(r.Price.Examples, e)
	}
	r.BFT.NShards, r.BFT.MaxFaultyShards = p.Shards(), p.Faulty()
	r.BFT.MinCorrectShards, r.BFT.QuorumThreshold = p.Shards()-p.Faulty(), com.Quorum()
	r.Committee.NPrimarySourceSymbols, r.Committee.NSecondarySourceSymbols = p.Rows(), p.Columns()
	r.Committee.MetadataStorageSize = p.MetadataSize()
	for _, m := range com.Members() {
		r.Committee.CurrentStorageNodes = append(r.Committee.CurrentStorageNodes,
			infoNode{m.Name, m.Node.String(), m.Key, len(m.Shards), m.Shards})
	}
	return r
}
