package probe

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// MaxEvidenceJSON bounds the JSON form of evidence, in bytes.
const MaxEvidenceJSON = 4 * MaxEvidence

// The JSON form of evidence, for people. Hashes, nonces and signatures are hexadecimal.
type (
	jsonEvidence struct {
		Version  int           `json:"version"`
		Receipts []jsonReceipt `json:"receipts"`
		Cell     *jsonCell     `json:"cell,omitempty"` // only about a wrong symbol
	}
	jsonReceipt struct {
		Node      string       `json:"node"` // peer ID
		Question  jsonQuestion `json:"question"`
		Code      Code         `json:"code"`
		Lacks     *int         `json:"lacks,omitempty"`
		Cells     []jsonAnswer `json:"cells,omitempty"`
		Signature text         `json:"signature"`
	}
	jsonQuestion struct {
		Network    text          `json:"network"`
		Shards     int           `json:"shards"`
		Blob       shards.BlobID `json:"blobId"`
		Axis       string        `json:"axis"`
		Slivers    []int         `json:"slivers"`
		Targets    []int         `json:"targets"`
		SymbolSize int64         `json:"symbolSize"`
		Offset     int64         `json:"offset"`
		Length     int64         `json:"length"`
		ProofLen   int           `json:"proofLen"`
		Nonce      text          `json:"nonce"`
		Height     uint64        `json:"height"`
	}
	jsonAnswer struct {
		Leaf  text   `json:"leaf,omitempty"`
		Proof []text `json:"proof,omitempty"`
	}
	jsonCell struct {
		Sliver int         `json:"sliver"`
		Target int         `json:"target"`
		Line   jsonLine    `json:"line"`
		Right  *jsonAnswer `json:"right,omitempty"`
	}
	jsonLine struct {
		Length uint64 `json:"unencodedLength"`
		Root   text   `json:"root"`
		Other  text   `json:"otherRoot"`
		Path   []text `json:"path"`
	}
)

// text is bytes in hexadecimal.
type text []byte

func (t text) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(t)), nil }

func (t *text) UnmarshalText(b []byte) (err error) {
	*t, err = hex.DecodeString(string(b))
	return err
}

// MarshalJSON returns the JSON form of evidence that Marshal has a form for.
func (e *Evidence) MarshalJSON() ([]byte, error) {
	if _, err := e.Marshal(); err != nil {
		return nil, err
	}
	out := jsonEvidence{Version: evidenceVersion}
	for i := range e.Receipts {
		r := &e.Receipts[i]
		q := &r.Question
		j := jsonReceipt{Node: r.Node.String(), Code: r.Code, Signature: r.Signature[:], Question: jsonQuestion{
			Network: q.Network[:], Shards: q.Shards, Blob: q.Blob, Axis: q.Axis.String(), Slivers: q.Slivers, Targets: q.Targets,
			SymbolSize: q.SymbolSize, Offset: q.Offset, Length: q.Length, ProofLen: q.ProofLen, Nonce: q.Nonce[:], Height: q.Height,
		}}
		if r.Code != Answered {
			j.Lacks = &r.Lacks
		}
		for k := range r.Cells {
			c := jsonAnswer{Proof: texts(r.Cells[k].Proof)}
			if q.Length > 0 {
				c.Leaf = r.Cells[k].Leaf[:]
			}
			j.Cells = append(j.Cells, c)
		}
		out.Receipts = append(out.Receipts, j)
	}
	if e.Line != nil {
		l := e.Line
		out.Cell = &jsonCell{Sliver: e.Sliver, Target: e.Target, Line: jsonLine{l.Length, l.Root[:], l.Pair.Other[:], texts(l.Pair.Path)}}
		if e.Right != nil {
			out.Cell.Right = &jsonAnswer{e.Right.Leaf[:], texts(e.Right.Path)}
		}
	}
	return json.Marshal(out)
}

func texts(list []shards.Hash) (out []text) {
	for i := range list {
		out = append(out, list[i][:])
	}
	return out
}

// UnmarshalJSON decodes the JSON form, at most MaxEvidenceJSON bytes. It judges nothing. Errors wrap ErrReceipt,
// ErrQuestion or ErrTooLarge.
func (e *Evidence) UnmarshalJSON(b []byte) error {
	if len(b) > MaxEvidenceJSON {
		return fmt.Errorf("%w: %d bytes of JSON: the limit is %d", ErrTooLarge, len(b), MaxEvidenceJSON)
	}
	var in jsonEvidence
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one JSON value", ErrReceipt)
	}
	if in.Version != evidenceVersion {
		return fmt.Errorf("%w: version %d: want %d", ErrReceipt, in.Version, evidenceVersion)
	}
	var out Evidence
	for i := range in.Receipts {
		r, err := in.Receipts[i].receipt()
		if err != nil {
			return fmt.Errorf("receipt %d: %w", i+1, err)
		}
		out.Receipts = append(out.Receipts, r)
	}
	if c := in.Cell; c != nil {
		var f fixed
		out.Sliver, out.Target = c.Sliver, c.Target
		out.Line = &shards.LineOpening{Length: c.Line.Length, Root: f.hash(c.Line.Root)}
		out.Line.Pair.Other, out.Line.Pair.Path = f.hash(c.Line.Other), f.hashes(c.Line.Path)
		if c.Right != nil {
			out.Right = &shards.Opening{Leaf: f.hash(c.Right.Leaf), Path: f.hashes(c.Right.Proof)}
		}
		if f.err != nil {
			return f.err
		}
	}
	if _, err := out.Marshal(); err != nil { // the rules are those of the binary form
		return err
	}
	*e = out
	return nil
}

func (j *jsonReceipt) receipt() (r Receipt, err error) {
	var f fixed
	q := &j.Question
	axis := shards.Primary
	if q.Axis != axis.String() {
		axis = shards.Secondary
	}
	if q.Axis != axis.String() {
		return r, fmt.Errorf("%w: axis %q: want primary or secondary", ErrReceipt, q.Axis)
	}
	r = Receipt{Code: j.Code, Question: Question{
		Shards: q.Shards, Blob: q.Blob, Axis: axis, Slivers: q.Slivers, Targets: q.Targets,
		SymbolSize: q.SymbolSize, Offset: q.Offset, Length: q.Length, ProofLen: q.ProofLen, Height: q.Height,
	}}
	f.copy(r.Question.Network[:], q.Network)
	f.copy(r.Question.Nonce[:], q.Nonce)
	f.copy(r.Signature[:], j.Signature)
	if r.Node, err = peer.Decode(j.Node); err != nil {
		return r, fmt.Errorf("%w: peer ID %q: %w", ErrReceipt, j.Node, err)
	}
	if (j.Lacks != nil) == (j.Code == Answered) {
		return r, fmt.Errorf("%w: lacks: only with a code other than %d", ErrReceipt, Answered)
	}
	if j.Lacks != nil {
		r.Lacks = *j.Lacks
	}
	for _, c := range j.Cells {
		cell := Cell{Proof: f.hashes(c.Proof)}
		if q.Length > 0 || len(c.Leaf) > 0 {
			cell.Leaf = f.hash(c.Leaf)
		}
		r.Cells = append(r.Cells, cell)
	}
	if f.err != nil {
		return r, f.err
	}
	_, err = r.check()
	return r, err
}

// fixed copies bytes to fields of fixed size, and keeps the first error.
type fixed struct{ err error }

func (f *fixed) copy(to []byte, from text) {
	if len(from) != len(to) && f.err == nil {
		f.err = fmt.Errorf("%w: %d bytes in hexadecimal: want %d", ErrReceipt, len(from), len(to))
	}
	copy(to, from)
}

func (f *fixed) hash(from text) (h shards.Hash) {
	f.copy(h[:], from)
	return h
}

func (f *fixed) hashes(list []text) (out []shards.Hash) {
	for _, t := range list {
		out = append(out, f.hash(t))
	}
	return out
}
