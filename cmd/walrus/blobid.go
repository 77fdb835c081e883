package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"walrus/client/jsonform"
	"walrus/config"
	"walrus/shards"
)

// publicShards is the number of shards of the public Walrus network.
const publicShards = 1000

func blobIDCommand(a *app) *cobra.Command {
	n := shardCount(0)
	c := &cobra.Command{
		Use:   "blob-id FILE",
		Short: "compute the blob ID of a file, offline",
		Long: `Compute the blob ID of a file. Nothing leaves this machine. FILE may be - for standard input.

The ID depends on the network's number of shards. Without --shards the number comes from the configured network.
Without a configuration it is 1000, as on the public Walrus network.

  walrus blob-id photo.jpg
  walrus blob-id --shards 1000 photo.jpg
  walrus blob-id --json photo.jpg      {"blobId","file","unencodedLength","encodingType"}`,
		Args: args(cobra.ExactArgs(1), "one FILE, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := a.withTimeout(c.Context(), 0)
			defer cancel()
			return a.blobID(ctx, args[0], int(n))
		},
	}
	c.Flags().Var(&n, "shards", "`N`umber of shards of the network, 4 to 49155")
	return c
}

// shardCount is a flag with a number of shards; 0 means not given.
type shardCount int

func (s *shardCount) Set(text string) error {
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || fmt.Sprint(n) != text {
		return errors.New("want a number")
	}
	if _, err := shards.NewParams(n); err != nil {
		return fmt.Errorf("want a number from %d to %d", shards.MinShards, shards.MaxShards)
	}
	*s = shardCount(n)
	return nil
}

func (s *shardCount) String() string {
	if *s == 0 {
		return ""
	}
	return fmt.Sprint(int(*s))
}

func (s *shardCount) Type() string { return "N" }

func (a *app) blobID(ctx context.Context, path string, n int) (err error) {
	if n == 0 {
		if n, err = a.configuredShards(); err != nil {
			return err
		}
	}
	params, err := shards.NewParams(n)
	if err != nil {
		return &usageError{err}
	}
	in, err := a.openInput(ctx, path, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	enc, err := shards.NewEncoder(params, in, in.size)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	bars := a.newBars(path)
	defer bars.finish()
	meta, err := enc.Metadata(ctx, bars.encoding())
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, blame(err, in.unchanged))
	}
	bars.finish()
	return a.result(struct {
		BlobID          shards.BlobID `json:"blobId"`
		File            string        `json:"file"`
		UnencodedLength uint64        `json:"unencodedLength"`
		EncodingType    string        `json:"encodingType"`
	}{meta.ID(), path, in.size, jsonform.EncodingType}, "%s\n", meta.ID())
}

// configuredShards returns the number of shards of the configured network, or of the public one without a
// configuration.
func (a *app) configuredShards() (int, error) {
	conf, err := a.loadClient()
	if errors.Is(err, config.ErrNoConfig) {
		return publicShards, nil
	}
	if err != nil {
		return 0, err
	}
	genesis, err := config.LoadGenesis(conf.Genesis)
	if err != nil {
		return 0, err
	}
	return genesis.Shards, nil
}
