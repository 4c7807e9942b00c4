package mapping_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/mapping"
)

func TestShadow(t *testing.T) {
	base := mapping.Mapping{Name: "n", Version: 1, Filters: []mapping.Filter{{Reason: "x", If: mapping.Condition{Path: "x", Exists: mapping.Yes()}}},
		Fields: []mapping.Field{
			{From: "a", To: "a"}, {From: "n", To: "n", Type: mapping.Integer},
			{From: "l", To: "l", Each: []mapping.Field{{From: "v", To: "v.w"}}},
		}}
	next := mapping.Mapping{Name: "n", Version: 2,
		Filters: []mapping.Filter{{Reason: "xx", If: mapping.Condition{Path: "x", Equals: mapping.Of(1)}}, {Reason: "y", If: mapping.Condition{Path: "y", Exists: mapping.Yes()}}},
		Fields: []mapping.Field{
			{From: "l", To: "l", Each: []mapping.Field{{From: "v", To: "v.w", Type: mapping.Text}}},
			{From: "n", To: "n", Type: mapping.Text}, {From: "l[0].v", To: "a", Required: true, Or: []string{"a"}}, {From: "b", To: `b\.c`},
		}}
	payloads := samples(
		`{"a":"same"}`,
		`{"a":"A","n":null}`,             // the same in another order
		`{"a":"Old","l":[{"v":"Ana1"}]}`, // changed
		`{"a":"Old","l":[{"v":1},{"v":22},{}],"b":1}`,
		`{"a":1,"x":1}`, `{"a":1,"x":2}`, `{"a":1,"y":1}`, // other reason, no longer skipped, newly skipped
		`{}`, `{"a":1,"n":"z"}`, `{"n":"z"}`, // newly refused, no longer refused, refused by both
		`{"l":7,"a":1}`)
	report := mapping.Shadow(must(base), must(next), slices.Values(payloads), mapping.ShadowOptions{})
	want := mapping.ShadowReport{
		Payloads: 11, Same: 4, Changed: 2, NewlySkipped: 1, NoLongerSkipped: 1, OtherReason: 1, NewlyRefused: 1, NoLongerRefused: 1,
		Fields: []mapping.FieldDiff{
			{Path: "a", Changed: 2, Samples: []mapping.Sample{{2, `"Xxx"`, `"Xxx0"`}, {3, `"Xxx"`, `0`}}},
			{Path: "l[].v.w", Changed: 2, Samples: []mapping.Sample{{3, "0", `"0"`}, {3, "00", `"00"`}}},
			{Path: `b\.c`, Added: 1, Samples: []mapping.Sample{{3, "", "0"}}},
		},
		Faults: []mapping.FaultCount{{Field: "a", Reason: mapping.ReasonRequired, Count: 1}},
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	same := mapping.Shadow(must(next), must(next), slices.Values(payloads), mapping.ShadowOptions{})
	if same.Same != len(payloads) || same.Fields != nil {
		t.Errorf("%+v", same)
	}
}

// Before the first mapping there is nothing, and every value is new.
func TestShadowOfTheFirstMapping(t *testing.T) {
	first := must(mapping.Mapping{Name: "n", When: &mapping.Condition{Path: "b", Exists: mapping.No()},
		Fields: []mapping.Field{{From: "a", To: "x.a", Type: mapping.Integer}}})
	got := mapping.Shadow(nil, first, slices.Values(samples(`{"a":1}`, `{}`, `{"b":1}`, `{"a":"x"}`)), mapping.ShadowOptions{})
	want := mapping.ShadowReport{Payloads: 4, Changed: 2, NewlySkipped: 1, NewlyRefused: 1,
		Fields: []mapping.FieldDiff{{Path: "", Added: 1, Samples: []mapping.Sample{{1, "", "{}"}}}, {Path: "x.a", Added: 1, Samples: []mapping.Sample{{0, "", "0"}}}},
		Faults: []mapping.FaultCount{{Field: "x.a", Reason: mapping.ReasonType, Count: 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestShadowIsBounded(t *testing.T) {
	pass := func(from string) *mapping.Compiled {
		return must(mapping.Mapping{Name: "n", Version: 1, Fields: []mapping.Field{{From: from, To: "r"}, {From: from + "q", To: "q", Type: mapping.Integer}}})
	}
	endless := func(yield func(json.RawMessage) bool) {
		for i := 0; yield(json.RawMessage(fmt.Sprintf(`{"a":{"k%d":"João"},"b":{"k%d":1.5},"bq":%s}`, i, i, []string{"1", `"x"`}[i%2]))); i++ {
		}
	}
	o := mapping.ShadowOptions{MaxPayloads: 50, MaxFields: 3, MaxSamples: 1, Redact: mapping.Show}
	report := mapping.Shadow(pass("a"), pass("b"), endless, o)
	if !report.Cut || report.Payloads != 50 || report.Changed != 25 || report.NewlyRefused != 25 || len(report.Fields) != 3 {
		t.Errorf("%+v", report)
	}
	if s := report.Fields[0].Samples; len(s) != 1 {
		t.Errorf("%+v", s)
	}
	o.MaxSamples = -1
	for _, f := range mapping.Shadow(pass("a"), pass("b"), endless, o).Fields {
		if f.Samples != nil {
			t.Error("samples, though none were wanted")
		}
	}
	long := `{"a":"` + strings.Repeat("é", 1<<16) + `","b":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}`
	report = mapping.Shadow(pass("a"), pass("b"), slices.Values(samples(long)), mapping.ShadowOptions{})
	for _, f := range report.Fields {
		if len(f.Path) > 100 || len(f.Samples[0].Old) > 5000 || len(f.Samples[0].New) > 5000 {
			t.Errorf("%.200s", f.Path)
		}
	}
}

func TestMask(t *testing.T) {
	for value, want := range map[string]string{
		`"João Ávila 4²"`: `"Xxxx Xxxxx 00"`, `-12.5e3`: `-00.0x0`, "true": "true", "null": "null", `"日本\n"`: `"xx\x"`, "\xc3": "x", "": "",
	} {
		if got := mapping.Mask("p", json.RawMessage(value)); got != want {
			t.Errorf("%s is %s, want %s", value, got, want)
		}
	}
}

// A compiled mapping serves many goroutines.
func TestConcurrentUse(t *testing.T) {
	m, record := thirty()
	c := must(m)
	want, _ := c.Apply(record)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if got, err := c.Apply(record); err != nil || string(got.Data) != string(want.Data) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
