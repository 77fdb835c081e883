package bench

import (
	"context"

	"walrus/shards"
)

func (b *blob) length() uint64 { return uint64(len(b.data)) }

func (b *blob) encoder() (*shards.Encoder, error) {
	return shards.NewEncoder(b.params, shards.Bytes(b.data), b.length())
}

// metadataTask does pass one: the blob ID and all roots.
func metadataTask(_ context.Context, b *blob) (*task, error) {
	e, err := b.encoder()
	if err != nil {
		return nil, err
	}
	return &task{bytes: int64(len(b.data)), work: b.params.MetadataWork(b.length()), run: func(ctx context.Context) error {
		_, err := e.Metadata(ctx, nil)
		return err
	}}, nil
}

// encodeTask does both passes: the metadata, and all slivers, a strip at a time.
func encodeTask(_ context.Context, b *blob) (*task, error) {
	e, err := b.encoder()
	if err != nil {
		return nil, err
	}
	work := b.params.MetadataWork(b.length()).Plus(b.params.StripsWork(b.length()))
	return &task{bytes: int64(len(b.data)), work: work, run: func(ctx context.Context) error {
		if _, err := e.Metadata(ctx, nil); err != nil {
			return err
		}
		return e.Strips(ctx, func(s *shards.Strip) error { s.Release(); return nil })
	}}, nil
}

// slivers returns all of the metadata, and the slivers along axis from index first up to end, in strip order.
func (b *blob) slivers(ctx context.Context, axis shards.Axis, first, end int) (*shards.Metadata, [][]byte, error) {
	e, err := b.encoder()
	if err != nil {
		return nil, nil, err
	}
	m, err := e.Metadata(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	layout := m.Layout(axis)
	slivers := make([][]byte, end-first)
	for i := range slivers {
		slivers[i] = make([]byte, 0, layout.Size())
	}
	err = e.Strips(ctx, func(s *shards.Strip) error {
		defer s.Release()
		for i := range slivers {
			slivers[i] = append(slivers[i], s.Sliver(axis, first+i)...)
		}
		return nil
	})
	return m, slivers, err
}
