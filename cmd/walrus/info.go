package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

func infoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "show the network: epoch, shards, nodes, what storing costs in space",
		Long: `Show the network of your configuration: its epoch, the encoding, who holds which shards, and how much space
blobs take once encoded. It asks no node: whether they are up is what walrus health tells.

  walrus info
  walrus info --json`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := a.withTimeout(c.Context(), askTimeout)
			defer cancel()
			conf, err := a.loadClient()
			if err != nil {
				return err
			}
			control, genesis, err := conf.Control()
			if err != nil {
				return err
			}
			return a.info(ctx, genesis, control)
		},
	}
}

// info shows the committee and the genesis it comes from.
func (a *app) info(ctx context.Context, genesis *ledger.Genesis, control *ledger.Static) error {
	com, err := control.Committee(ctx)
	if err != nil {
		return err
	}
	r := newInfoReport(genesis, com)
	if a.global.json {
		return a.printJSON(r)
	}
	b, c := r.BFT, r.Committee
	err = table(a.stdout, "", [][]string{
		{"network", r.Network.Name},
		{"network ID", r.Network.ID},
		{"epoch", fmt.Sprintf("%d, blobs are kept until: %s", r.Epoch.CurrentEpoch, endEpoch(r.Epoch.EndEpoch))},
		{"storage nodes", fmt.Sprint(r.Storage.NNodes)},
		{"shards", fmt.Sprintf("%d: up to %d may be lost, %d confirm a blob", b.NShards, b.MaxFaultyShards, b.QuorumThreshold)},
		{"encoding", fmt.Sprintf("%s, %d rows of %d symbols", encodingType, c.NPrimarySourceSymbols, c.NSecondarySourceSymbols)},
		{"largest blob", byteSize(r.Size.MaxBlobSize)},
	})
	if err != nil {
		return err
	}
	rows := [][]string{{"blob of", "takes"}}
	for _, e := range r.Size.ExampleBlobs {
		rows = append(rows, []string{byteSize(e.UnencodedSize), byteSize(e.EncodedSize) + " on all nodes together"})
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
	Epoch struct {
		CurrentEpoch uint32 `json:"currentEpoch"`
		EndEpoch     uint32 `json:"endEpoch"`
	} `json:"epochInfo"`
	Storage struct {
		NShards int `json:"nShards"`
		NNodes  int `json:"nNodes"`
	} `json:"storageInfo"`
	Size struct {
		MaxBlobSize  uint64        `json:"maxBlobSize"`
		ExampleBlobs []exampleBlob `json:"exampleBlobs"`
	} `json:"sizeInfo"`
	BFT struct {
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

type exampleBlob struct {
	UnencodedSize uint64 `json:"unencodedSize"`
	EncodedSize   int64  `json:"encodedSize"`
}

type infoNode struct {
	Name      string          `json:"name"`
	NodeID    string          `json:"nodeId"`
	PublicKey certs.PublicKey `json:"publicKey"`
	NShards   int             `json:"nShards"`
	ShardIDs  []int           `json:"shardIds"`
}

func newInfoReport(genesis *ledger.Genesis, com *certs.Committee) *infoReport {
	p := com.Params()
	r := &infoReport{}
	r.Network.Name, r.Network.ID = genesis.Network, com.Network().String()
	r.Epoch.CurrentEpoch, r.Epoch.EndEpoch = com.Epoch(), genesis.EndEpoch
	r.Storage.NShards, r.Storage.NNodes = p.Shards(), len(com.Members())
	r.Size.MaxBlobSize = shards.MaxLength
	for _, size := range []uint64{1 << 10, 1 << 20, 64 << 20, 1 << 30} {
		r.Size.ExampleBlobs = append(r.Size.ExampleBlobs, exampleBlob{size, p.EncodedSize(size)})
	}
	r.BFT.NShards, r.BFT.MaxFaultyShards = p.Shards(), p.Faulty()
	r.BFT.MinCorrectShards, r.BFT.QuorumThreshold = p.Shards()-p.Faulty(), com.Quorum()
	r.Committee.NPrimarySourceSymbols, r.Committee.NSecondarySourceSymbols = p.Rows(), p.Columns()
	r.Committee.MetadataStorageSize = p.MetadataSize()
	for _, m := range com.Members() {
		r.Committee.CurrentStorageNodes = append(r.Committee.CurrentStorageNodes, infoNode{m.Name, m.Node.String(), m.Key, len(m.Shards), m.Shards})
	}
	return r
}
