package enlace_test

import (
	"crypto/rand"
	"testing"
)

// TestMain asks for randomness before the first bubble of testing/synctest: under
// GODEBUG=fips140=only the first generator is seeded by the jitter of a clock that stands
// still there.
func TestMain(m *testing.M) {
	_ = rand.Text()
	m.Run()
}
