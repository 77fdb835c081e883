package shards

import "walrus/shards/fft16"

// fill is the state of pass two.
type fill struct {
	e      *Encoder
	layout Layout
	live   int
	window *window
	feed   *feed // nil if the blob is used in place; otherwise its rows are extended when they are read
}

func (e *Encoder) newFill() *fill {
	p := e.src.Params
	f := &fill{e: e, layout: p.Layout(Primary, uint64(e.src.length)), live: e.src.live()}
	f.window = newWindow(&e.src, f.live, f.layout.StripWidth(0))
	if f.window.place {
		return f
	}
	parts := batches(f.window.reach, f.window.unit)
	f.feed = newFeed(e.takeSlab(), parts, p.rowsSize(f.window.unit), e.putSlab)
	f.window.refill = f.feed.take
	return f
}

// close returns the parts that belong to no strip.
func (f *fill) close() {
	if f.feed == nil {
		return
	}
	for _, part := range f.window.parts {
		if part != nil {
			f.feed.put(part)
		}
	}
	f.feed.close()
}

// strip computes strip t. Ask for strips in order.
func (f *fill) strip(t int) (*Strip, error) {
	at, width := int64(t)*int64(f.layout.Width), f.layout.StripWidth(t)
	if !f.window.has(at, width) {
		if err := f.read(at, width); err != nil {
			return nil, err
		}
	}
	p, memory := f.e.src.Params, f.e.take()
	s := &Strip{index: t, params: p, width: width}
	columns, source := growLarge(&memory.columns, p.columnsSize(width)), f.window.plane(at)
	if f.feed == nil {
		s.divide(growLarge(&memory.rows, p.rowsSize(width)), columns)
		s.release = func() { f.e.giveBack(memory) }
	} else {
		part := &f.window.parts[int(at-f.window.from)/f.window.unit]
		rows := *part
		*part = nil // now owned by the strip
		s.divide(rows, columns)
		s.release = func() {
			f.e.giveBack(memory)
			f.feed.put(rows)
		}
	}
	s.clearDead(f.live)
	if width < leastUnpacked {
		s.fillPacked(source, f.live, f.feed != nil)
	} else {
		f.complete(s, source)
	}
	return s, nil
}

// complete computes the rest of a strip of wide symbols.
func (f *fill) complete(s *Strip, source plane) {
	p := s.params
	_, inRow := s.cut(p.code(Primary))
	_, inColumn := s.cut(p.code(Secondary))
	rows := batches(f.live, inRow)
	if f.feed != nil {
		rows = 0
	}
	parallel(rows+batches(p.Columns(), inColumn), func(ws *workspace, t int) {
		if t < rows {
			s.fillRows(ws, t, source, f.live)
		} else {
			s.fillColumns(ws, t-rows, source, f.live)
		}
	})
}

// read fills the window, and extends each row while it is in cache.
func (f *fill) read(at int64, width int) error {
	c := f.e.src.code(Primary)
	return f.window.load(at, width, func(ws *workspace, i int) {
		for q := 0; q < len(f.window.parts); {
			q += f.extendRow(ws, c, i, q)
		}
		fft16.Fence()
	})
}

// extendRow extends row i in part q of the window, together with the same row in as many later parts as share a slot.
// It returns the number of parts.
func (f *fill) extendRow(ws *workspace, c code, i, q int) int {
	p, w := f.e.src.Params, f.window
	width := w.partWidth(q)
	if width < leastUnpacked {
		return 1 // narrow symbols are packed later
	}
	slot, count, step := slotWidth(2*c.m, groupSize), 1, 0
	if width%groupSize == 0 {
		count, step = w.run(q, max(1, slot/width))
	}
	source := p.Rows() * p.Columns() * width
	for from := 0; from < width; from += slot {
		part := min(slot, width-from)
		in := fft16.Strided{
			Buf: together(w.parts[q], count, i*p.Columns()*width+from), Stride: width, Parts: count, Step: step, Width: part,
		}
		if i < w.whole {
			in = w.inBlob(w.from+int64(q*w.unit)).row(i, from, count*part, 1)
		}
		out := fft16.Strided{
			Buf: together(w.parts[q], count, source+i*width+from), Stride: p.Rows() * width, Parts: count,
			Step: step, Width: part,
		}
		c.extend(ws.vectors(c.span(), count*packedSize(part)), operands(in, c.k), out, true)
	}
	return count
}
