package enlace

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestRecordingARequestAllocatesNothing(t *testing.T) {
	m := newMeter()
	ref := Ref{Tenant: "acme", ID: "0123456789abcdefghjkmnpqrs"}
	done := RequestDone{Ref: ref, Provider: "crm", Op: "list", Method: "GET", Status: 200, Attempt: 2, Duration: 80 * time.Millisecond, Waited: time.Millisecond}
	failed := done
	failed.Kind = "unavailable"
	s := &Service{meter: m}
	if n := testing.AllocsPerRun(1000, func() {
		s.observeRequest(t.Context(), done)
		s.observeRequest(t.Context(), failed)
	}); n != 0 {
		t.Errorf("%v allocations for two requests", n)
	}
}

func BenchmarkRecordRequest(b *testing.B) {
	m := newMeter()
	s := &Service{meter: m}
	refs := make([]Ref, 1000)
	for i := range refs {
		refs[i] = Ref{Tenant: "acme", ID: newID(time.Now())}
	}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for i := rand.IntN(1000); p.Next(); i++ {
			s.observeRequest(b.Context(), RequestDone{Ref: refs[i%1000], Provider: "crm", Op: "list", Method: "GET", Status: 200, Attempt: 1, Duration: time.Duration(i%400) * time.Millisecond})
		}
	})
}

// every counter has its number and its place in the stored form.
func TestCountersAreInOrder(t *testing.T) {
	var c Counts
	numbers := reflect.TypeFor[Counts]().NumField()
	if numbers != countFields {
		t.Fatalf("Counts has %d fields and countFields is %d", numbers, countFields)
	}
	for i, v := range c.each() {
		*v = int64(i + 1)
	}
	v := reflect.ValueOf(c)
	for i := range numbers {
		if v.Field(i).Int() != int64(i+1) {
			t.Errorf("the place of %s is not that of its declaration", v.Type().Field(i).Name)
		}
	}
	if c.Errors != countErrors+1 || c.Deliveries != countDeliveries+1 || c.Refreshes != countRefreshes+1 {
		t.Error("the constants do not follow the fields")
	}
}

func randomSample(r *rand.Rand) *sample {
	s := &sample{}
	for _, v := range s.counts.each() {
		if r.IntN(3) == 0 {
			*v = r.Int64() >> r.IntN(60)
		}
	}
	for range r.IntN(10) {
		s.latency[r.IntN(buckets)] = uint32(r.IntN(1000))
	}
	for range r.IntN(4) {
		s.addKind(kindLabels[r.IntN(len(kindLabels))], 1+r.Int64N(100))
	}
	return s
}

func TestChunksComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		want := map[int]*sample{}
		var chunk []byte
		for step := range 60 {
			if r.IntN(2) == 0 {
				want[step] = randomSample(r)
				chunk = appendSample(chunk, step, want[step])
			}
		}
		got := map[int]*sample{}
		if err := readChunk(chunk, func(step int) *sample { got[step] = &sample{}; return got[step] }); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("a chunk of %d points comes back with %d", len(want), len(got))
		}
	}
}

func FuzzReadChunk(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	f.Add(appendSample(appendSample(nil, 1, randomSample(r)), 59, randomSample(r)))
	f.Add([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, chunk []byte) {
		points := 0
		var s sample
		_ = readChunk(chunk, func(int) *sample { points++; return &s })
		if points > len(chunk) {
			t.Errorf("%d points in %d bytes", points, len(chunk))
		}
	})
}

func TestMinutesAddUp(t *testing.T) {
	m := newMeter()
	start := time.Date(2026, 3, 1, 10, 58, 0, 0, time.UTC)
	for minute := range 4 { // over the end of an hour
		for i := range 10 {
			ref := Ref{Tenant: fmt.Sprint("t", i%2), ID: fmt.Sprint("i", i)}
			m.request(&RequestDone{Ref: ref, Provider: fmt.Sprint("p", i%3), Attempt: 1, Duration: time.Second, Kind: map[bool]string{true: "auth"}[i == 4]})
		}
		m.cut(start.Add(time.Duration(minute)*time.Minute), func(ref Ref, _ string) bool { return ref.ID != "i9" })
	}
	requests := map[string]int64{}
	for key, data := range m.unsaved {
		if key.Node != m.node || key.Start.Hour() != 10 && key.Start.Hour() != 11 {
			t.Errorf("%+v", key)
		}
		if err := readChunk(data, func(step int) *sample { return &sample{} }); err != nil {
			t.Fatal(err)
		}
		sum := &sample{}
		_ = readChunk(data, func(int) *sample { return sum })
		requests[fmt.Sprintf("%s/%s/%s", key.Scope, key.Tenant, key.Name)] += sum.counts.Requests
	}
	for series, want := range map[string]int64{"all//": 36, "all by provider//p0": 12, "tenant/t0/": 20, "tenant/t1/": 16,
		"provider/t0/p1": 4, "integration/t0/i4": 4, "integration/t1/i9": 0} {
		if requests[series] != want {
			t.Errorf("%s has %d requests, want %d (of %v)", series, requests[series], want, slices.Sorted(maps.Keys(requests)))
		}
	}
	if since := m.since()["p1"]; since.counts.Requests != 12 || since.kinds["auth"] != 4 {
		t.Errorf("since the beginning: %+v", since)
	}
}

func TestIdleSeriesAreForgotten(t *testing.T) {
	m := newMeter()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	keep := func(Ref, string) bool { return true }
	m.request(&RequestDone{Ref: Ref{"a", "x"}, Provider: "p", Attempt: 1})
	for minute := range 200 {
		m.cut(start.Add(time.Duration(minute)*time.Minute), keep)
	}
	if m.lookup(Ref{"a", "x"}) != nil || len(m.series) != 0 {
		t.Errorf("a series of long ago is still in memory: %d open chunks", len(m.series))
	}
}
