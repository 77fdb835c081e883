package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"walrus/certs"
	"walrus/client"
	"walrus/client/jsonform"
	"walrus/ledger"
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

A blob whose writer encoded it wrongly has no content. Once somebody has proved that, the ledger marks it as invalid for
ever. This command verifies the proof and explains it.

  walrus blob-status BLOB_ID
  walrus blob-status BLOB_ID --json

A blob whose storage has ended, or that was never stored here, may still be pinned by peers, who keep whole copies. Then this
command names them, and walrus read gives the content.

Exit code 3: there is no such blob, and nobody is found who pins it. Exit code 4: too few nodes answer to tell. --json prints
  {"blobId","status": "certified", "uncertified" or {"invalid": {"event": {"txDigest","eventSeq"}}},"size","encodedLength","endEpoch","initialCertifiedEpoch",
   "permanent": {"endEpoch","isCertified"} or null,"deletableCounts": {"count_deletable_total","count_deletable_certified"},
   "invalid": {"epoch","height","txId","reason","explanation": [],"proof"} if the ledger has marked the blob,
   "certificate": {"epoch","blobId","persistence","signers","signature"} or null,"certifiedShards",
   "slivers": {"stored","missing","corrupt","repairing","unreachable"},
   "shards": [{"shard","pair","node","name","primary","secondary"}],
   "badNodes": [{"node","name","reason","lied"}]}
and for a blob that is only pinned
  {"blobId","status": "pinned","reason","size","encodedLength","pinners": [peer IDs]}`,
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
	if errors.Is(err, client.ErrNotFound) {
		if p := client.FindPinned(ctx, s.Client, id); p != nil {
			return printPinned(a, id, err, p)
		}
	}
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

// pinnedReport is the JSON output of blob-status for a blob that is not stored, but pinned.
type pinnedReport struct {
	BlobID        shards.BlobID `json:"blobId"`
	Status        string        `json:"status"` // "pinned"
	Reason        string        `json:"reason"` // why it is not stored
	Size          uint64        `json:"size"`
	EncodedLength int64         `json:"encodedLength"`
	Pinners       []peer.ID     `json:"pinners"`
}

// printPinned tells that a blob is not stored because of why, and who pins it.
func printPinned(a *app, id shards.BlobID, why error, p *client.Pinned) error {
	reason := client.GoneBecause(why)
	rows := [][]string{
		{id.String()},
		{"  state", "not stored: " + reason},
		{"  size", byteSize(p.Size)},
		{"  pinned by", plural(len(p.Peers), "peer") + ", whose copies walrus read checks row by row"},
	}
	for _, who := range p.Peers {
		rows = append(rows, []string{"", who.String()})
	}
	return a.resultTable(pinnedReport{id, "pinned", reason, p.Size, p.EncodedSize, p.Peers}, rows)
}

// statusReport is the JSON output of blob-status.
type statusReport struct {
	BlobID          shards.BlobID        `json:"blobId"`
	Status          any                  `json:"status"` // text, or an invalidStatus as in the original
	Size            uint64               `json:"size"`
	EncodedLength   int64                `json:"encodedLength"`
	EndEpoch        uint32               `json:"endEpoch"` // 0: the ledger could not be asked
	InitialEpoch    uint32               `json:"initialCertifiedEpoch"`
	Permanent       *permanentStatus     `json:"permanent"`
	Deletable       deletableCounts      `json:"deletableCounts"`
	LedgerError     string               `json:"ledgerError,omitempty"`
	Invalid         *invalidReport       `json:"invalid,omitempty"`
	Certificate     *certs.Certificate   `json:"certificate"`
	CertifiedShards int                  `json:"certifiedShards"`
	Slivers         map[string]int       `json:"slivers"`
	Shards          []client.ShardStatus `json:"shards"`
	BadNodes        []client.BadNode     `json:"badNodes"`
}

// invalidStatus is the original's status of an invalid blob.
type invalidStatus struct {
	Invalid struct {
		Event jsonform.Event `json:"event"`
	} `json:"invalid"`
}

// invalidReport says why a blob is invalid.
type invalidReport struct {
	Epoch       uint32      `json:"epoch"`
	Height      uint64      `json:"height"`
	Tx          ledger.TxID `json:"txId"`
	Reason      string      `json:"reason"`
	Explanation []string    `json:"explanation"`
	Proof       []byte      `json:"proof,omitempty"`       // base64 of a cell proof
	Certificate []byte      `json:"certificate,omitempty"` // base64 of members' signatures
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
	if e := st.Invalid; e != nil {
		var invalid invalidStatus
		invalid.Invalid.Event = jsonform.NewEvent(e.Mark.Tx, int(e.Mark.Event))
		r.Status = invalid
		r.Invalid = &invalidReport{e.Mark.Epoch, e.Mark.Height, e.Mark.Tx, e.Why(), e.Explain(), e.Mark.Proof,
			e.Mark.Certificate}
	}
	if st.LedgerErr != nil {
		r.LedgerError = joined(st.LedgerErr)
	}
	return r
}

// countSlivers counts slivers by state, with an entry for every state.
func countSlivers(list []client.ShardStatus) map[string]int {
	count := map[string]int{client.Stored: 0, client.Missing: 0, client.Corrupt: 0, client.Repairing: 0,
		client.Unreachable: 0}
	for _, s := range list {
		count[s.Primary]++
		count[s.Secondary]++
	}
	return count
}

func (a *terminal) printBlobStatus(com *certs.Committee, st *client.BlobStatus) error {
	if st.Invalid != nil {
		return a.printInvalid(st)
	}
	state, kept := "not certified: store it again to finish", "unknown"
	switch {
	case st.Certificate != nil:
		state = fmt.Sprintf("certified in epoch %d by %d of %d shards", st.Certificate.Epoch,
			st.Certificate.Weight(st.Signers), len(st.Shards))
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
		rows = append(rows, []string{m.Name, shardList(m.Shards), fmt.Sprint(stored), fmt.Sprint(2*len(own) - stored),
			bad[m.Node.String()]})
	}
	return table(a.stdout, "  ", rows)
}

// printInvalid explains why a blob is invalid. Of its slivers only those that are still there are counted.
func (a *terminal) printInvalid(st *client.BlobStatus) error {
	e := st.Invalid
	rows := [][]string{
		{st.BlobID.String()},
		{"  state", "invalid: its writer encoded it wrongly, so it has no content"},
		{"  because", e.Why()},
		{"  marked", fmt.Sprintf("in epoch %d, at height %d, by transaction %s", e.Mark.Epoch, e.Mark.Height, e.Mark.Tx)},
		{"  slivers", fmt.Sprintf("%d stored; nodes drop them", countSlivers(st.Shards)[client.Stored])},
	}
	for i, line := range e.Explain() {
		name := ""
		if i == 0 {
			name = "  proof"
		}
		rows = append(rows, []string{name, line})
	}
	return table(a.stdout, "", rows)
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
