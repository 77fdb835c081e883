package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"walrus/certs"
	"walrus/client"
	"walrus/shards"
)

const (
	// mapWidth is the number of shards on one line of the map.
	mapWidth = 50
	// maxMap bounds the shards for which a map is useful.
	maxMap = 2000
)

func blobStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "blob-status BLOB_ID",
		Short: "show a blob's state on the ledger and on every shard",
		Long: `Show the state of a blob. The ledger proves until when the blob is paid for and whether it is certified. Every storage
node reports the state of the two slivers on each of its shards: stored, missing, corrupt or repairing. These reports
are not proven. The slivers of a node that does not answer are unreachable.

  walrus blob-status BLOB_ID
  walrus blob-status BLOB_ID --json

Exit code 3: there is no such blob. Exit code 4: too few nodes answer to tell. --json prints
  {"blobId","status": "certified" or "uncertified","size","encodedLength","endEpoch","initialCertifiedEpoch",
   "permanent": {"endEpoch","isCertified"} or null,"deletableCounts": {"count_deletable_total","count_deletable_certified"},
   "certificate": {"epoch","blobId","persistence","signers","signature"} or null,"certifiedShards",
   "slivers": {"stored","missing","corrupt","repairing","unreachable"},
   "shards": [{"shard","pair","node","name","primary","secondary"}],
   "badNodes": [{"node","name","reason","lied"}]}`,
		Args: args(cobra.ExactArgs(1), "one BLOB_ID"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := parseBlobID(args[0])
			if err != nil {
				return err
			}
			return a.blobStatus(c.Context(), id)
		},
	}
}

func (a *app) blobStatus(ctx context.Context, id shards.BlobID) (err error) {
	ctx, s, err := a.open(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	st, err := s.BlobStatus(ctx, id)
	if err != nil {
		return err
	}
	com, err := s.Committee(ctx)
	if err != nil {
		return err
	}
	if a.global.json {
		return a.printJSON(newStatusReport(st))
	}
	return a.printBlobStatus(com, st)
}

// statusReport is the JSON output of blob-status.
type statusReport struct {
	BlobID          shards.BlobID        `json:"blobId"`
	Status          string               `json:"status"`
	Size            uint64               `json:"size"`
	EncodedLength   int64                `json:"encodedLength"`
	EndEpoch        uint32               `json:"endEpoch"` // 0: the ledger could not be asked
	InitialEpoch    uint32               `json:"initialCertifiedEpoch"`
	Permanent       *permanentStatus     `json:"permanent"`
	Deletable       deletableCounts      `json:"deletableCounts"`
	LedgerError     string               `json:"ledgerError,omitempty"`
	Certificate     *certs.Certificate   `json:"certificate"`
	CertifiedShards int                  `json:"certifiedShards"`
	Slivers         map[string]int       `json:"slivers"`
	Shards          []client.ShardStatus `json:"shards"`
	BadNodes        []client.BadNode     `json:"badNodes"`
}

// permanentStatus sums up the permanent records of a blob.
type permanentStatus struct {
	EndEpoch    uint32 `json:"endEpoch"`
	IsCertified bool   `json:"isCertified"`
}

// deletableCounts counts the deletable records of a blob, under the original's names.
type deletableCounts struct {
	Total     uint32 `json:"count_deletable_total"`
	Certified uint32 `json:"count_deletable_certified"`
}

func newStatusReport(st *client.BlobStatus) statusReport {
	r := statusReport{
		BlobID: st.BlobID, Status: "uncertified", Size: st.Size, EncodedLength: st.EncodedSize, EndEpoch: st.EndEpoch,
		Certificate: st.Certificate, Slivers: countSlivers(st.Shards), Shards: st.Shards,
		BadNodes: append([]client.BadNode{}, st.Bad...),
	}
	if st.CertifiedEnd > 0 {
		r.Status = "certified"
	}
	if st.Certificate != nil {
		r.Status, r.CertifiedShards = "certified", st.Certificate.Weight(st.Signers)
	}
	r.InitialEpoch = st.CertifiedEpoch
	if st.Info.PermanentEnd > st.Epoch {
		r.Permanent = &permanentStatus{st.Info.PermanentEnd, st.Info.PermanentCertifiedEnd > st.Epoch}
	}
	for _, d := range st.Info.Deletable {
		if d.End > st.Epoch {
			r.Deletable.Total += d.Registered
			r.Deletable.Certified += d.Certified
		}
	}
	if st.LedgerErr != nil {
		r.LedgerError = joined(st.LedgerErr)
	}
	return r
}

// countSlivers counts slivers by state, with an entry for every state.
func countSlivers(list []client.ShardStatus) map[string]int {
	count := map[string]int{client.Stored: 0, client.Missing: 0, client.Corrupt: 0, client.Repairing: 0, client.Unreachable: 0}
	for _, s := range list {
		count[s.Primary]++
		count[s.Secondary]++
	}
	return count
}

func (a *terminal) printBlobStatus(com *certs.Committee, st *client.BlobStatus) error {
	state, kept := "not certified: store it again to finish", "unknown"
	switch {
	case st.Certificate != nil:
		state = fmt.Sprintf("certified in epoch %d by %d of %d shards", st.Certificate.Epoch, st.Certificate.Weight(st.Signers), len(st.Shards))
	case st.CertifiedEnd > 0:
		state = fmt.Sprintf("certified in epoch %d", st.CertifiedEpoch)
	}
	if st.LedgerErr != nil {
		a.warn("the ledger does not answer: %s", st.LedgerErr)
	} else {
		kept = endEpoch(st.EndEpoch)
		if !st.Permanent {
			kept += ", unless its owners delete it"
		}
	}
	count := countSlivers(st.Shards)
	var slivers []string
	for _, s := range []string{client.Stored, client.Missing, client.Corrupt, client.Repairing, client.Unreachable} {
		if count[s] > 0 || s == client.Stored {
			slivers = append(slivers, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	err := table(a.stdout, "", [][]string{
		{st.BlobID.String()},
		{"  state", state},
		{"  size", byteSize(st.Size) + ", " + byteSize(st.EncodedSize) + " encoded, on all nodes together"},
		{"  kept until", kept},
		{"  slivers", strings.Join(slivers, ", ")},
	})
	if err != nil {
		return err
	}
	if len(st.Shards) <= maxMap {
		if err := printShardMap(a.stdout, st.Shards); err != nil {
			return err
		}
	}
	rows := [][]string{{"node", "shards", "stored", "not stored", "problem"}}
	bad := make(map[string]string)
	for _, b := range st.Bad {
		bad[b.Node.String()] = b.Reason
	}
	for _, m := range com.Members() {
		var own []client.ShardStatus
		for _, shard := range m.Shards {
			own = append(own, st.Shards[shard])
		}
		stored := countSlivers(own)[client.Stored]
		rows = append(rows, []string{m.Name, shardList(m.Shards), fmt.Sprint(stored), fmt.Sprint(2*len(own) - stored), bad[m.Node.String()]})
	}
	return table(a.stdout, "  ", rows)
}

// printShardMap shows a letter for each shard: the worse of its two slivers.
func printShardMap(w io.Writer, list []client.ShardStatus) error {
	var b strings.Builder
	for at := 0; at < len(list); at += mapWidth {
		fmt.Fprintf(&b, "  %5d ", at)
		for _, s := range list[at:min(at+mapWidth, len(list))] {
			b.WriteByte(shardLetter(s))
		}
		b.WriteByte('\n')
	}
	b.WriteString("        # both slivers stored, + one stored, r repairing, x corrupt, . missing, ? unreachable\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func shardLetter(s client.ShardStatus) byte {
	has := func(state string) bool { return s.Primary == state || s.Secondary == state }
	switch {
	case s.Primary == client.Stored && s.Secondary == client.Stored:
		return '#'
	case has(client.Unreachable):
		return '?'
	case has(client.Corrupt):
		return 'x'
	case has(client.Repairing):
		return 'r'
	case has(client.Stored):
		return '+'
	}
	return '.'
}
