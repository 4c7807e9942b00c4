package enlace

import (
	"math/bits"
	"time"
)

// Durations are counted in buckets that grow with the duration, so that a quantile
// is at most an eighth off, from a quarter of a millisecond to two minutes.
const (
	bucketUnit = 250 * time.Microsecond // width of the smallest buckets
	buckets    = 76                     // the last one takes everything longer
)

// bucketOf is where a duration is counted.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0) / bucketUnit)
	if v < 4 {
		return int(v)
	}
	octave := bits.Len64(v) - 1 // four buckets in each
	return min((octave-1)*4+int(v>>(octave-2))&3, buckets-1)
}

// bucketStart is the shortest duration of a bucket.
func bucketStart(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket) * bucketUnit
	}
	octave := bucket/4 + 1
	return bucketUnit << octave * time.Duration(4+bucket%4) / 4
}

// histogram is how many durations were counted in each bucket.
type histogram [buckets]uint32

// add counts one duration.
func (c *histogram) add(d time.Duration) { c[bucketOf(d)]++ }

// merge adds what other has counted.
func (c *histogram) merge(other *histogram) {
	for i, n := range other {
		c[i] += n
	}
}

// total is how many durations were counted.
func (c *histogram) total() uint64 {
	var total uint64
	for _, n := range c {
		total += uint64(n)
	}
	return total
}

// quantile is the duration that a share q, from 0 to 1, does not exceed; 0 if
// nothing was counted. Inside a bucket it is interpolated.
func (c *histogram) quantile(q float64) time.Duration {
	total := c.total()
	if total == 0 {
		return 0
	}
	rank := q * float64(total)
	seen := 0.0
	for i, n := range c {
		if n == 0 {
			continue
		}
		if seen+float64(n) >= rank {
			inside := max(0, (rank-seen)/float64(n))
			width := bucketStart(i+1) - bucketStart(i)
			return bucketStart(i) + time.Duration(inside*float64(width))
		}
		seen += float64(n)
	}
	return bucketStart(buckets)
}
