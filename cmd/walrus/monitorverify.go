package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"walrus/internal/userfile"
	"walrus/probe"
	"walrus/shards"
)

func monitorVerifyCommand(a monitorApp) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "judge evidence against a storage node, offline",
		Long: `Judge evidence: answers that a storage node signed with the key of its peer ID. Nobody is asked, and nobody is believed:
the signatures, and the hashes from the symbol to the blob ID, decide. FILE is the JSON that monitors and status pages offer,
or the binary form; - reads standard input.

The exit code is 0 if the evidence convicts the node, and 1 if it does not. There are two verdicts:
  wrong     the node signed a symbol or a proof that contradicts the blob ID
  missing   the node signed that it owes a sliver, and that it does not have it or that it is damaged

Compare the network ID and the peer ID with those that you mean: evidence from another network convicts nobody in yours.

  walrus monitor verify evidence.json
  curl -s http://127.0.0.1:31415/v1/monitor/evidence/ID | walrus monitor verify -

--json prints {"convicts","verdict","network","node","blobId","axis","sliver","target","height","reason"}. "target" is left out
with a missing sliver. Evidence that convicts nobody has "convicts" false, and only "reason" beside it.`,
		Args: args(cobra.ExactArgs(1), "one FILE of evidence, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := a.withTimeout(c.Context(), 0)
			defer cancel()
			return a.verify(ctx, args[0])
		},
	}
}

// verdictReport is printed by walrus monitor verify --json.
type verdictReport struct {
	Convicts bool           `json:"convicts"`
	Verdict  probe.Kind     `json:"verdict,omitempty"`
	Network  string         `json:"network,omitempty"`
	Node     string         `json:"node,omitempty"`
	Blob     *shards.BlobID `json:"blobId,omitempty"`
	Axis     string         `json:"axis,omitempty"`
	Sliver   *int           `json:"sliver,omitempty"`
	Target   *int           `json:"target,omitempty"`
	Height   uint64         `json:"height,omitempty"`
	Reason   string         `json:"reason"`
}

// verify judges the evidence in a file.
func (a monitorApp) verify(ctx context.Context, path string) error {
	e, err := a.readEvidence(ctx, path)
	if err != nil {
		return err
	}
	v, err := probe.Judge(e)
	if err != nil {
		if a.global.json {
			if err := a.printJSON(verdictReport{Reason: err.Error()}); err != nil {
				return err
			}
		}
		return fmt.Errorf("evidence %s: %w", path, err)
	}
	if a.global.json {
		return a.printJSON(reportOf(&v))
	}
	place := fmt.Sprintf("%s sliver %d", v.Axis, v.Sliver)
	if v.Kind == probe.KindWrong {
		place = fmt.Sprintf("symbol %d of %s", v.Target, place)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: the evidence convicts the node\nnode     %s\nblob     %s\nplace    %s\nnetwork  %s\nsigned   at height %d of the ledger, or up to %d blocks later\nreason   %s\n",
		v.Kind, v.Node, v.Blob, place, v.Network, v.Height, probe.Window, v.Reason)
	return err
}

func reportOf(v *probe.Verdict) verdictReport {
	r := verdictReport{
		Convicts: true, Verdict: v.Kind, Network: v.Network.String(), Node: v.Node.String(), Blob: &v.Blob, Axis: v.Axis.String(),
		Sliver: &v.Sliver, Height: v.Height, Reason: v.Reason,
	}
	if v.Kind == probe.KindWrong {
		r.Target = &v.Target
	}
	return r
}

// readEvidence reads either form of evidence.
func (a monitorApp) readEvidence(ctx context.Context, path string) (e *probe.Evidence, err error) {
	in := a.stdin
	if path != "-" {
		f, err := userfile.OpenInput(ctx, path)
		if err != nil {
			return nil, err // it says open, the path and the reason
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	var b bytes.Buffer
	if _, err := userfile.CopyUntil(ctx, &b, io.LimitReader(in, probe.MaxEvidenceJSON+1)); err != nil {
		return nil, fmt.Errorf("read evidence %s: %w", path, err)
	}
	if text := bytes.TrimSpace(b.Bytes()); len(text) > 0 && text[0] == '{' {
		e = new(probe.Evidence)
		err = e.UnmarshalJSON(text)
	} else {
		e, err = probe.UnmarshalEvidence(b.Bytes())
	}
	if err != nil {
		return nil, fmt.Errorf("read evidence %s: %w: want the JSON or the binary form that a monitor offers", path, err)
	}
	return e, nil
}
