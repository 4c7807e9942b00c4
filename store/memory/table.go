package memory

import (
	"errors"
	"iter"
	"maps"
)

var errTransactionDone = errors.New("memory: the transaction has ended")

// undoLog is what a transaction does if it fails, last step first.
type undoLog struct{ steps []func() }

func (u *undoLog) rollBack() {
	for i := len(u.steps) - 1; i >= 0; i-- {
		u.steps[i]()
	}
}

// table is a map whose changes a transaction can take back. Values are replaced
// and never changed in place. The zero value is empty.
type table[K comparable, V any] struct{ rows map[K]V }

func (t *table[K, V]) get(key K) (V, bool) {
	row, ok := t.rows[key]
	return row, ok
}

// value is the row, or the zero value.
func (t *table[K, V]) value(key K) V { return t.rows[key] }

func (t *table[K, V]) len() int { return len(t.rows) }

// all yields the rows in no order.
func (t *table[K, V]) all() iter.Seq2[K, V] { return maps.All(t.rows) }

// set stores a row; undo is the log of the transaction, nil outside of one.
func (t *table[K, V]) set(undo *undoLog, key K, row V) {
	t.remember(undo, key)
	if t.rows == nil {
		t.rows = map[K]V{}
	}
	t.rows[key] = row
}

func (t *table[K, V]) delete(undo *undoLog, key K) {
	t.remember(undo, key)
	delete(t.rows, key)
}

func (t *table[K, V]) remember(undo *undoLog, key K) {
	if undo == nil {
		return
	}
	before, existed := t.rows[key]
	undo.steps = append(undo.steps, func() {
		if existed {
			t.rows[key] = before
		} else {
			delete(t.rows, key)
		}
	})
}
