package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"walrus/monitor/score"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

const (
	// samplers: about so many monitors sample a blob in a round, however many there are.
	samplers = 8
	// maxSample bounds the symbols of one sample, in bytes: blobs with larger columns are not sampled.
	maxSample = 4 << 20
	// maxRisks bounds the blobs whose last sample is kept.
	maxRisks = 1024
	// sampleAtOnce bounds the nodes asked at the same time for one sample.
	sampleAtOnce = 32
	// toldPerSample bounds the nodes that are asked once more, with a signature, because of one sample.
	toldPerSample = 8
)

// risks keeps the last sample of each blob.
type risks struct {
	db *database

	mu   sync.Mutex
	last map[shards.BlobID]BlobRisk // guarded by mu
}

func (r *risks) load() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = map[shards.BlobID]BlobRisk{}
	return r.db.each([]byte{keyRisk}, []byte{keyRisk + 1}, func(_, v []byte) (bool, error) {
		var b BlobRisk
		if err := json.Unmarshal(v, &b); err != nil {
			return false, fmt.Errorf("%w: a sample: %w", errDatabase, err)
		}
		r.last[b.Blob] = b
		return true, nil
	})
}

// note keeps a sample, instead of the oldest if there are too many.
func (r *risks) note(b BlobRisk) error {
	r.mu.Lock()
	var gone []shards.BlobID
	if _, known := r.last[b.Blob]; !known && len(r.last) >= maxRisks {
		oldest := b
		for _, other := range r.last {
			if other.At.Before(oldest.At) {
				oldest = other
			}
		}
		gone = append(gone, oldest.Blob)
	}
	for id, other := range r.last {
		if b.At.Sub(other.At) > RoundTime {
			gone = append(gone, id)
		}
	}
	for _, id := range gone {
		delete(r.last, id)
	}
	r.last[b.Blob] = b
	r.mu.Unlock()
	raw, err := json.Marshal(&b)
	if err != nil {
		return err
	}
	for _, id := range gone {
		if err := r.db.remove(append([]byte{keyRisk}, id[:]...)); err != nil {
			return err
		}
	}
	return r.db.put(pair{append([]byte{keyRisk}, b.Blob[:]...), raw})
}

// Risk tells of the blobs that this process sampled.
func (w *Watch) Risk() (out Risk) {
	r := w.risks
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []score.Sample[*BlobRisk]
	for _, b := range r.last {
		if w.now().Sub(b.At) <= RoundTime {
			list = append(list, score.Sample[*BlobRisk]{Blob: &b, Answered: b.Rows, Round: uint64(b.At.Unix())})
			out.Shards, out.Least = b.Shards, b.Least
		}
	}
	out.Sampled = len(list)
	histogram, nearest := score.Histogram(list, out.Shards, out.Least, MaxNearest)
	out.Lost, out.Histogram = histogram.Lost, histogram.Buckets
	for _, s := range nearest {
		out.Nearest = append(out.Nearest, *s.Blob)
	}
	return out
}

// sampleSometimes samples a blob in the background, in so many rounds that all monitors with weight together take a few
// samples.
func (p *Prober) sampleSometimes(ctx context.Context, r *probing) {
	params := r.v.com.Params()
	fits := slices.DeleteFunc(slices.Clone(r.blobs), func(k *known) bool {
		return params.SymbolSize(k.meta.Length)*int64(params.Shards()) > maxSample
	})
	if len(fits) == 0 || r.v.weights[p.self] == 0 || mrand.IntN(max(len(r.v.monitors), samplers)) >= samplers {
		return
	}
	k := fits[mrand.IntN(len(fits))] // they were drawn by bytes
	p.puts.Go(func() {
		if err := r.sample(ctx, k); err != nil && ctx.Err() == nil {
			p.cfg.Logger.Debug("sample a blob", "blob", k.id.String(), "err", err)
		}
	})
}

// sample asks every member for one symbol of each of its rows, all of one column, as the repair of that column does.
// The column is rebuilt and compared with its root; then it is known which rows answered rightly.
func (r *probing) sample(ctx context.Context, k *known) error {
	params := k.meta.Params()
	column := mrand.IntN(params.Shards())
	got := make([]shards.Symbol, params.Shards()) // by row; empty: none came
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(sampleAtOnce)
	for i := range r.v.com.Members() {
		rows := r.rowsOf(k, i)
		for part := range slices.Chunk(rows, p2p.MaxSlivers) {
			g.Go(func() error {
				list, err := r.symbols(ctx, k, i, part, column)
				if err != nil {
					return nil //nolint:nilerr // they count as lost
				}
				mu.Lock()
				defer mu.Unlock()
				for n := range list {
					got[part[n]] = list[n]
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	right, err := rightRows(k.meta, column, got)
	if err != nil {
		return err
	}
	sample := BlobRisk{Blob: k.id, Bytes: k.bytes, At: r.watch.now(), Shards: params.Shards(), Least: params.Rows()}
	for _, ok := range right {
		if ok {
			sample.Rows++
		}
	}
	sample.Margin = sample.Rows - sample.Least
	if err := r.watch.risks.note(sample); err != nil {
		return err
	}
	r.tellOwners(ctx, k, column, right)
	return nil
}

// rowsOf lists the rows of a blob on a member's shards.
func (r *probing) rowsOf(k *known, member int) (rows []int) {
	params := k.meta.Params()
	for _, shard := range r.v.com.Members()[member].Shards {
		rows = append(rows, params.SliverOfPair(shards.Primary, params.PairOnShard(k.id, shard)))
	}
	return rows
}

// symbols asks a member for the symbols of rows in a column, without proofs.
func (r *probing) symbols(ctx context.Context, k *known, member int, rows []int, column int) ([]shards.Symbol, error) {
	params := k.meta.Params()
	size := params.SymbolSize(k.meta.Length)
	ctx, cancel := context.WithTimeout(ctx, r.patience.Whole)
	defer cancel()
	to := r.v.com.Members()[member].Node
	if err := r.cfg.Swarm.Connect(ctx, to); err != nil {
		return nil, err
	}
	return r.cfg.Swarm.SymbolParts(ctx, to, p2p.SymbolQuery{
		Blob: k.id, Axis: shards.Primary, Slivers: rows, Targets: []int{column}, SymbolSize: size, Length: size,
		Nonce: r.fill(probe.Question{}).Nonce, Height: r.height,
	})
}

// rightRows tells which rows gave the right symbol of a column. Rows of zeros behind the end of a short blob need no
// holder.
func rightRows(meta *shards.Metadata, column int, got []shards.Symbol) (right []bool, err error) {
	params := meta.Params()
	right = make([]bool, len(got))
	from, to := meta.ZeroRows()
	have := map[int][]byte{}
	order := mrand.Perm(len(got))
	for row := from; row < to; row++ {
		right[row] = true
	}
	for tries := 0; tries < sampleTries; tries++ {
		clear(have)
		for _, row := range order {
			if row >= from && row < to {
				have[row] = make([]byte, params.SymbolSize(meta.Length))
			} else if len(got[row].Data) > 0 {
				have[row] = got[row].Data
			}
			if len(have) == params.Rows() {
				break
			}
		}
		if len(have) < params.Rows() {
			return right, nil // nothing can be compared: the blob is as good as lost
		}
		// a liar among them: try others
		mrand.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		sliver, err := meta.Rebuild(shards.Secondary, column, have)
		if err != nil {
			continue
		}
		targets := make([]int, len(got))
		for i := range targets {
			targets[i] = i
		}
		all, err := meta.ExtractSymbols(shards.Secondary, column, bytes.NewReader(sliver), targets)
		if err != nil {
			return nil, err
		}
		for row := range got {
			right[row] = right[row] || len(got[row].Data) > 0 && bytes.Equal(got[row].Data, all[row].Data)
		}
		return right, nil
	}
	return nil, fmt.Errorf("column %d of %s: no choice of symbols gives it", column, meta.ID())
}

// sampleTries bounds the choices of rows from which a column is rebuilt.
const sampleTries = 8

// tellOwners asks the owners of rows that did not answer rightly once more, with a signature. What they sign convicts
// them, and evidence tells them to repair.
func (r *probing) tellOwners(ctx context.Context, k *known, column int, right []bool) {
	told := 0
	for i := range r.v.com.Members() {
		for _, row := range r.rowsOf(k, i) {
			if right[row] || told == toldPerSample {
				continue
			}
			told++
			size := k.meta.Params().SymbolSize(k.meta.Length)
			q := r.fill(probe.Question{
				Blob: k.id, Axis: shards.Primary, Slivers: []int{row}, Targets: []int{column}, SymbolSize: size, Length: size,
			})
			r.ask(ctx, i, &drawn{q, k}, sampleNumber)
			r.accuse(ctx, i)
			break // one row is enough to tell
		}
	}
}

// sampleNumber begins the numbers of receipts that come from a sample.
const sampleNumber = 100
