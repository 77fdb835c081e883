package mempool

// heap is a binary heap whose items know their places.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	moved func(item T, to int) // tells an item its index
}

func (h *heap[T]) push(item T) {
	h.items = append(h.items, item)
	h.up(len(h.items) - 1)
}

func (h *heap[T]) remove(i int) {
	last := len(h.items) - 1
	h.items[i] = h.items[last]
	var none T
	h.items[last] = none
	if h.items = h.items[:last]; i < last {
		h.fix(i)
	}
}

// fix restores the order after the item at i has changed.
func (h *heap[T]) fix(i int) { h.down(h.up(i)) }

func (h *heap[T]) up(i int) int {
	item := h.items[i]
	for i > 0 && h.less(item, h.items[(i-1)/2]) {
		h.put(i, h.items[(i-1)/2])
		i = (i - 1) / 2
	}
	h.put(i, item)
	return i
}

func (h *heap[T]) down(i int) {
	item := h.items[i]
	for {
		child := 2*i + 1
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if child >= len(h.items) || !h.less(h.items[child], item) {
			break
		}
		h.put(i, h.items[child])
		i = child
	}
	h.put(i, item)
}

func (h *heap[T]) put(i int, item T) {
	h.items[i] = item
	h.moved(item, i)
}

// walk visits the transactions of the lanes in a heap in the order of less, until visit returns false. In each lane it
// begins at first and goes in steps of step. less must agree with the heap on the lanes' first ones, and never put one
// before those nearer to first. It costs time for what it visits, not for what the heap holds.
func walk(h *heap[*lane], less func(a, b *entry) bool, first func(*lane) int, step int, visit func(*entry) bool) {
	type place struct {
		e     *entry
		index int // in the lane
		top   int // in the heap of the lane, if this is the lane's first; else −1
	}
	front := heap[place]{less: func(a, b place) bool { return less(a.e, b.e) }, moved: func(place, int) {}}
	enter := func(i int) {
		if i < len(h.items) {
			l := h.items[i]
			front.push(place{l.entries[first(l)], first(l), i})
		}
	}
	for enter(0); len(front.items) > 0; {
		at := front.items[0]
		front.remove(0)
		if !visit(at.e) {
			return
		}
		if at.top >= 0 {
			enter(2*at.top + 1)
			enter(2*at.top + 2)
		}
		if next, l := at.index+step, at.e.lane; next >= 0 && next < len(l.entries) {
			front.push(place{l.entries[next], next, -1})
		}
	}
}
