package solve

import "math/bits"

// The functions here sort and heap as GNU libstdc++ does. Where apt leaves the order of equal elements to the
// library, its answer depends on these steps, so they are taken in the same order.

const smallRun = 16

// sortFunc is an introspective sort that is not stable: median of three, partition, insertion sort of short runs.
func sortFunc[T any](a []T, less func(x, y T) bool) {
	if len(a) < 2 {
		return
	}
	introsort(a, 2*(bits.Len(uint(len(a)))-1), less)
	if len(a) <= smallRun {
		insertionSort(a, less)
		return
	}
	insertionSort(a[:smallRun], less)
	for i := smallRun; i < len(a); i++ {
		sink(a, i, less)
	}
}

func introsort[T any](a []T, depth int, less func(x, y T) bool) {
	for len(a) > smallRun {
		if depth == 0 {
			makeHeap(a, less)
			for n := len(a); n > 1; n-- {
				popHeap(a[:n], less)
			}
			return
		}
		depth--
		medianFirst(a, 1, len(a)/2, len(a)-1, less)
		cut := partition(a, less)
		introsort(a[cut:], depth, less)
		a = a[:cut]
	}
}

// medianFirst swaps the median of three elements to the front.
func medianFirst[T any](a []T, x, y, z int, less func(x, y T) bool) {
	m := x
	switch {
	case less(a[x], a[y]):
		if less(a[y], a[z]) {
			m = y
		} else if less(a[x], a[z]) {
			m = z
		}
	case less(a[x], a[z]):
	case less(a[y], a[z]):
		m = z
	default:
		m = y
	}
	a[0], a[m] = a[m], a[0]
}

// partition splits a[1:] around a[0] and returns where the upper part starts.
func partition[T any](a []T, less func(x, y T) bool) int {
	i, j := 1, len(a)
	for {
		for less(a[i], a[0]) {
			i++
		}
		j--
		for less(a[0], a[j]) {
			j--
		}
		if i >= j {
			return i
		}
		a[i], a[j] = a[j], a[i]
		i++
	}
}

func insertionSort[T any](a []T, less func(x, y T) bool) {
	for i := 1; i < len(a); i++ {
		if less(a[i], a[0]) {
			x := a[i]
			copy(a[1:i+1], a[:i])
			a[0] = x
		} else {
			sink(a, i, less)
		}
	}
}

// sink moves a[i] down to its place; there must be one that is not behind the start.
func sink[T any](a []T, i int, less func(x, y T) bool) {
	x := a[i]
	for i > 0 && less(x, a[i-1]) {
		a[i] = a[i-1]
		i--
	}
	a[i] = x
}

func makeHeap[T any](a []T, less func(x, y T) bool) {
	for i := (len(a) - 2) / 2; i >= 0 && len(a) > 1; i-- {
		adjustHeap(a, i, a[i], less)
	}
}

// pushHeap moves the last element of a, which is a heap but for it, to its place.
func pushHeap[T any](a []T, less func(x, y T) bool) {
	raise(a, len(a)-1, 0, a[len(a)-1], less)
}

// popHeap moves the greatest element to the end; the rest stays a heap.
func popHeap[T any](a []T, less func(x, y T) bool) {
	if n := len(a) - 1; n > 0 {
		x := a[n]
		a[n] = a[0]
		adjustHeap(a[:n], 0, x, less)
	}
}

func raise[T any](a []T, hole, top int, x T, less func(x, y T) bool) {
	for hole > top {
		parent := (hole - 1) / 2
		if !less(a[parent], x) {
			break
		}
		a[hole] = a[parent]
		hole = parent
	}
	a[hole] = x
}

// adjustHeap lets the hole fall to the bottom along the greater children, then raises x from there.
func adjustHeap[T any](a []T, hole int, x T, less func(x, y T) bool) {
	top, child := hole, hole
	for child < (len(a)-1)/2 {
		child = 2*child + 2
		if less(a[child], a[child-1]) {
			child--
		}
		a[hole] = a[child]
		hole = child
	}
	if len(a)%2 == 0 && child == (len(a)-2)/2 {
		child = 2*child + 1
		a[hole] = a[child]
		hole = child
	}
	raise(a, hole, top, x, less)
}
