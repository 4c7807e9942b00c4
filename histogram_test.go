package enlace

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsFollowEachOther(t *testing.T) {
	for i := range buckets {
		lower, next := bucketStart(i), bucketStart(i+1)
		if next <= lower {
			t.Fatalf("bucket %d begins at %v and the next one at %v", i, lower, next)
		}
		if got := bucketOf(lower); got != i {
			t.Errorf("%v is counted in bucket %d, want %d", lower, got, i)
		}
		if got := bucketOf(next - 1); got != i {
			t.Errorf("%v is counted in bucket %d, want %d", next-1, got, i)
		}
		if i >= 4 && float64(next-lower)/float64(lower) > 0.2501 {
			t.Errorf("bucket %d from %v to %v is too wide", i, lower, next)
		}
	}
	for d, want := range map[time.Duration]int{-time.Second: 0, 0: 0, time.Hour: buckets - 1, 1<<63 - 1: buckets - 1} {
		if got := bucketOf(d); got != want {
			t.Errorf("%v is counted in bucket %d, want %d", d, got, want)
		}
	}
}

func TestQuantilesAreNearTheTruth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var counts histogram
		var all []time.Duration
		for range 5000 {
			d := time.Duration(random.ExpFloat64() * float64(80*time.Millisecond))
			if random.IntN(10) == 0 {
				d *= 20
			}
			all = append(all, d)
			counts.add(d)
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95, 0.99} {
			truth := all[int(q*float64(len(all)))]
			got := counts.quantile(q)
			if off := float64(got-truth) / float64(truth); off > 0.125 || off < -0.125 {
				t.Errorf("quantile %v is %v, in truth %v", q, got, truth)
			}
		}
	}
	var none histogram
	if none.quantile(0.5) != 0 {
		t.Error("nothing was counted, and there is a quantile")
	}
}

func TestMergeIsCountingTogether(t *testing.T) {
	var a, b, both histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond * 50
		both.add(d)
		if i%3 == 0 {
			a.add(d)
		} else {
			b.add(d)
		}
	}
	a.merge(&b)
	if a != both || a.total() != 1000 {
		t.Error("merged counts differ from those counted together")
	}
}
