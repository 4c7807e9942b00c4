package enlace

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"
)

// The stored form of a chunk is its points one behind the other: the number of the
// step within the chunk, the counters that are not zero (a bit for each, then the
// values), the histogram's buckets that are not zero (how many, then gap and
// count of each), and the failures by kind (how many, then label and count of each). All
// numbers are varints.

// appendSample appends the point of one step to a chunk.
func appendSample(chunk []byte, step int, s *sample) []byte {
	chunk = binary.AppendUvarint(chunk, uint64(step))
	var set uint64
	values := s.counts.each()
	for i, v := range values {
		if *v != 0 {
			set |= 1 << i
		}
	}
	chunk = binary.AppendUvarint(chunk, set)
	for _, v := range values {
		if *v != 0 {
			chunk = binary.AppendVarint(chunk, *v)
		}
	}
	used := 0
	for _, n := range s.latency {
		if n != 0 {
			used++
		}
	}
	chunk = binary.AppendUvarint(chunk, uint64(used))
	last := -1
	for bucket, n := range s.latency {
		if n != 0 {
			chunk = binary.AppendUvarint(chunk, uint64(bucket-last))
			chunk = binary.AppendUvarint(chunk, uint64(n))
			last = bucket
		}
	}
	chunk = binary.AppendUvarint(chunk, uint64(len(s.kinds)))
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		chunk = binary.AppendUvarint(chunk, uint64(len(kind)))
		chunk = append(chunk, kind...)
		chunk = binary.AppendVarint(chunk, s.kinds[kind])
	}
	return chunk
}

var errChunk = errors.New("a stored chunk of metrics is not of a known form")

// readChunk adds each point of a chunk to the sample that pick names for its step,
// and passes over those for which it names none.
func readChunk(chunk []byte, pick func(step int) *sample) error {
	r := chunkReader{rest: chunk}
	var dropped sample
	for len(r.rest) > 0 {
		into := pick(int(r.number() & (1<<31 - 1)))
		if into == nil {
			into = &dropped
		}
		set := r.number()
		for i, v := range into.counts.each() {
			if set&(1<<i) != 0 {
				*v += r.signed()
			}
		}
		bucket := -1
		for range r.length() {
			bucket += int(min(r.number(), buckets+1))
			n := r.number()
			if bucket < 0 || bucket >= buckets {
				return errChunk
			}
			into.latency[bucket] += uint32(n)
		}
		for range r.length() {
			label := r.text()
			into.addKind(label, r.signed())
		}
		if r.bad || set>>countFields != 0 {
			return errChunk
		}
	}
	return nil
}

// chunkReader reads numbers; bad says that they ended too early.
type chunkReader struct {
	rest []byte
	bad  bool
}

func (r *chunkReader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	return v + r.skip(n)
}

func (r *chunkReader) signed() int64 {
	v, n := binary.Varint(r.rest)
	return v + int64(r.skip(n))
}

// skip goes past n bytes; n is not positive if there was no number. It returns 0.
func (r *chunkReader) skip(n int) uint64 {
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return 0
}

// length is a number of things that follow, each of which takes a byte at least.
func (r *chunkReader) length() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return 0
	}
	return int(n)
}

func (r *chunkReader) text() string {
	n := r.length()
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

// metricResolution is one of the lengths of stored points.
type metricResolution struct {
	step time.Duration // of a point
	span time.Duration // of a chunk
	keep time.Duration // how long chunks are kept
}

// The resolutions, finest first.
var metricResolutions = [3]metricResolution{
	{step: time.Minute, span: time.Hour, keep: 25 * time.Hour},
	{step: time.Hour, span: 24 * time.Hour, keep: 32 * 24 * time.Hour},
	{step: 24 * time.Hour, span: 32 * 24 * time.Hour, keep: 762 * 24 * time.Hour},
}

// start is the beginning of the chunk in which t lies.
func (r metricResolution) start(t time.Time) time.Time { return floorTime(t, r.span) }

// floorTime rounds down to a multiple of d since 1970, UTC.
func floorTime(t time.Time, d time.Duration) time.Time {
	return time.UnixMicro(t.UnixMicro() - t.UnixMicro()%d.Microseconds()).UTC()
}
