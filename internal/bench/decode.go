package bench

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"walrus/shards"
)

// rows returns the number of source rows with bytes of the blob.
func (b *blob) rows() int {
	size := b.params.Layout(shards.Primary, b.length()).Size()
	return int((int64(len(b.data)) + size - 1) / size)
}

// systematicTask verifies the source rows and puts their bytes in order.
func systematicTask(ctx context.Context, b *blob) (*task, error) {
	rows := b.rows()
	m, slivers, err := b.slivers(ctx, shards.Primary, 0, rows)
	if err != nil {
		return nil, err
	}
	layout := m.Layout(shards.Primary)
	out := make([]byte, int64(rows)*layout.Size())
	work := b.params.VerifyWork(shards.Primary, b.length(), rows)
	return &task{bytes: int64(len(b.data)), work: work, run: func(ctx context.Context) error {
		return each(ctx, rows, func(i int) error {
			v, err := shards.NewVerifier(m, shards.Primary, i)
			if err != nil {
				return err
			}
			row := out[int64(i)*layout.Size():][:layout.Size()]
			for t := range layout.Strips() {
				offset, size := layout.Strip(t)
				strip := slivers[i][offset:][:size]
				if err := v.WriteStrip(strip); err != nil {
					return err
				}
				layout.Scatter(row, t, strip)
			}
			return v.Close()
		})
	}}, nil
}

// worstTask verifies rows of which none is a source row, decodes from them, verifies the decoded rows and puts their
// bytes in order.
func worstTask(ctx context.Context, b *blob) (*task, error) {
	p, count := b.params, b.params.Rows()
	first := p.Shards() - count
	m, slivers, err := b.slivers(ctx, shards.Primary, first, p.Shards())
	if err != nil {
		return nil, err
	}
	indices := make([]int, count)
	for k := range indices {
		indices[k] = first + k
	}
	work := p.VerifyWork(shards.Primary, b.length(), count+b.rows()).Plus(p.DecodeWork(b.length()))
	out := make([]byte, int64(b.rows())*m.Layout(shards.Primary).Size())
	return &task{bytes: int64(len(b.data)), work: work, run: func(ctx context.Context) error {
		err := each(ctx, count, func(k int) error { return m.VerifySliver(shards.Primary, indices[k], slivers[k]) })
		if err != nil {
			return err
		}
		d, err := shards.NewDecoder(p, shards.Primary, indices)
		if err != nil {
			return err
		}
		return decodeRows(ctx, d, m, slivers, out)
	}}, nil
}

// decodeRows decodes slivers strip by strip to the source rows in out, and verifies them.
func decodeRows(ctx context.Context, d *shards.Decoder, m *shards.Metadata, slivers [][]byte, out []byte) error {
	layout := m.Layout(shards.Primary)
	rows := int(int64(len(out)) / layout.Size())
	checks := make([]*shards.Verifier, rows)
	for i := range checks {
		var err error
		if checks[i], err = shards.NewVerifier(m, shards.Primary, i); err != nil {
			return err
		}
	}
	in, strips := make([][]byte, len(slivers)), make([][]byte, len(slivers))
	_, size := layout.Strip(0)
	buf := make([]byte, rows*size)
	for t := range layout.Strips() {
		offset, size := layout.Strip(t)
		for k := range in {
			in[k] = slivers[k][offset:][:size]
		}
		for i := range rows {
			strips[i] = buf[i*size : (i+1)*size]
		}
		if err := d.Strip(layout.StripWidth(t), in, strips); err != nil {
			return err
		}
		err := each(ctx, rows, func(i int) error {
			layout.Scatter(out[int64(i)*layout.Size():][:layout.Size()], t, strips[i])
			return checks[i].WriteStrip(strips[i])
		})
		if err != nil {
			return err
		}
	}
	return each(ctx, rows, func(i int) error { return checks[i].Close() })
}

// each calls work for 0…count−1, on all processors, until one call fails.
func each(ctx context.Context, count int, work func(i int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), count) {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := work(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
