package pin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"walrus/quilt"
	"walrus/shards"
)

// Files lists the files of a pinned quilt, as the index in its copy has them. Errors: ErrNotFound, ErrInvalid if the
// blob is no quilt, or ErrDamaged.
func (k *Keeper) Files(ctx context.Context, id shards.BlobID) (files []quilt.Patch, err error) {
	r, err := k.record(id)
	if err == nil && r.State != pinned {
		err = fmt.Errorf("blob %s: %w: it is not whole here yet", id, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	c, err := k.openCopy(id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // only read
	x, err := quilt.ReadIndex(k.cfg.Params, c.meta.Length, whileReader{ctx, &columns{c: c}})
	if errors.Is(err, quilt.ErrFormat) {
		return nil, fmt.Errorf("%w: blob %s is no quilt: %w", ErrInvalid, id, err)
	}
	if err != nil {
		return nil, err
	}
	return x.Patches, nil
}

// columns reads the columns of a copy from the first on, each in the plain order of its symbols.
type columns struct {
	c  *copyFile
	at int64 // bytes read
}

func (r *columns) Read(b []byte) (int, error) {
	p := r.c.meta.Params()
	z := r.c.meta.Layout(shards.Secondary).SymbolSize
	symbol := r.at / z
	column, row := symbol/int64(p.Rows()), symbol%int64(p.Rows())
	if column >= int64(p.Columns()) {
		return 0, io.EOF
	}
	off := r.at % z
	b = b[:min(int64(len(b)), z-off)]
	if err := r.c.row(b, row*rowSize(p, r.c.meta.Length)+column*z+off); err != nil {
		return 0, err
	}
	r.at += int64(len(b))
	return len(b), nil
}
