package transport

import (
	"math/rand/v2"
	"time"
)

const (
	backoffBase  = 250 * time.Millisecond
	backoffCap   = 20 * time.Second
	backoffFloor = 50 * time.Millisecond
	// retryAfterSpread is the part of the provider's own figure that is added at
	// random, so that all who were told the same do not come back together.
	retryAfterSpread = 10 // a tenth
	// minimumTry is what a repetition must have left before the deadline.
	minimumTry = time.Second
)

// backoff is the wait after try n (from 0): full jitter, and at least retryAfter.
func backoff(n int, retryAfter time.Duration) time.Duration {
	ceiling := backoffCap
	if n < 16 { // beyond that the shift would pass the cap by far
		ceiling = min(backoffCap, backoffBase<<n)
	}
	wait := max(rand.N(ceiling), backoffFloor)
	if retryAfter > 0 {
		wait = max(wait, retryAfter+rand.N(retryAfter/retryAfterSpread+1))
	}
	return wait
}
