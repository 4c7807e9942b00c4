package rawjson_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/rawjson"
)

func TestValueReturnsBytesWithoutSpaceAround(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `-12.50e+3`, `1E9`, `""`, `"Анна \"\u0041\\"`, `[]`, `{}`, `[ 1 , [ ] ]`,
		`{ "a" : { "b" : [ null ] } }`,
	} {
		s := rawjson.NewScanner([]byte(" \t\r\n" + text + "\n "))
		if got := s.Value(); string(got) != text || cap(got) != len(got) {
			t.Errorf("Value of %s = %s, capacity %d", text, got, cap(got))
		}
		if err := s.End(); err != nil {
			t.Errorf("End after %s: %v", text, err)
		}
	}
}

func TestKindDoesNotConsume(t *testing.T) {
	kinds := map[string]rawjson.Kind{
		`null`: rawjson.KindNull, `true`: rawjson.KindBool, `false`: rawjson.KindBool, `-1`: rawjson.KindNumber,
		`9`: rawjson.KindNumber, `"x"`: rawjson.KindString, `[1]`: rawjson.KindArray, `{}`: rawjson.KindObject,
		`?`: rawjson.KindInvalid, ``: rawjson.KindInvalid,
	}
	for text, want := range kinds {
		s := rawjson.NewScanner([]byte(text))
		if got := s.Kind(); got != want || s.Kind() != want {
			t.Errorf("Kind of %q = %v, want %v", text, got, want)
		}
		if want == rawjson.KindInvalid {
			continue
		}
		if s.Value(); s.Kind() != rawjson.KindInvalid {
			t.Errorf("Kind after the value of %q = %v, want invalid", text, s.Kind())
		}
	}
	if got := rawjson.KindObject.String() + rawjson.Kind(200).String(); got != "objectinvalid" {
		t.Errorf("names of kinds = %q", got)
	}
}

func TestObjectAndArrayYieldEverythingInOrder(t *testing.T) {
	doc := []byte(` { "a" : 1 , "" : [ "x" , { "q" : 2 } ] , "a" : {} , "\u0062\n" : null } `)
	var got []string
	s := rawjson.NewScanner(doc)
	for name := range s.Object() {
		got = append(got, "name "+string(name)+" "+s.Kind().String())
		if s.Kind() == rawjson.KindArray {
			for i := range s.Array() {
				got = append(got, string(rune('0'+i))+" "+string(s.Value()))
			}
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	want := []string{"name a number", "name  array", `0 "x"`, `1 { "q" : 2 }`, "name a object", "name b\n null"}
	if !slices.Equal(got, want) {
		t.Errorf("walk = %q\nwant   %q", got, want)
	}
}

func TestBreakLeavesScannerBehindTheContainer(t *testing.T) {
	doc := []byte(`[{"a":1,"b":[2,{"c":3}],"d":"]}"},[4,5,6],7]`)
	// consume says what the body does with the value before it breaks.
	for what, consume := range map[string]func(*rawjson.Scanner){
		"nothing": func(*rawjson.Scanner) {},
		"value":   func(s *rawjson.Scanner) { s.Value() },
	} {
		s := rawjson.NewScanner(doc)
		var got []string
		for range s.Array() {
			start := s.Offset()
			switch s.Kind() {
			case rawjson.KindObject:
				for range s.Object() {
					consume(s)
					break
				}
			case rawjson.KindArray:
				for range s.Array() {
					consume(s)
					break
				}
			}
			got = append(got, string(s.Since(start)))
		}
		if err := s.End(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		// A value not consumed in the body has no bytes yet when the body asks.
		if want := []string{`{"a":1,"b":[2,{"c":3}],"d":"]}"}`, `[4,5,6]`, ``}; !slices.Equal(got, want) {
			t.Errorf("%s: elements %q, want %q", what, got, want)
		}
	}
}

func TestBreakOutOfAllLoopsStillValidatesTheRest(t *testing.T) {
	walk := func(doc string) error {
		s := rawjson.NewScanner([]byte(doc))
	all:
		for range s.Object() {
			for range s.Array() {
				for range s.Object() {
					break all
				}
			}
		}
		return s.End()
	}
	if err := walk(`{"a":[{"b":1,"c":2},3],"d":4}`); err != nil {
		t.Error(err)
	}
	for _, doc := range []string{
		`{"a":[{"b":1,"c":?},3],"d":4}`, `{"a":[{"b":1,"c":2},?],"d":4}`, `{"a":[{"b":1,"c":2},3],"d":?}`,
		`{"a":[{"b":?}]}`, `{"a":[{"b":1}]`, `{"a":[{"b":1}]}?`,
	} {
		if walk(doc) == nil {
			t.Errorf("%s: no error", doc)
		}
	}
}

func TestErrorStopsTheWalk(t *testing.T) {
	s := rawjson.NewScanner([]byte(`[[1],{"a":tru,"b":2},3]`))
	var yields int
	start := s.Offset()
	for range s.Array() {
		yields++
		if s.Kind() == rawjson.KindObject {
			for range s.Object() {
				yields++
				first, second := s.Value(), s.Value()
				if first != nil || second != nil || s.Kind() != rawjson.KindInvalid || s.Since(start) != nil {
					t.Error("something is handed out after the error")
				}
				for range s.Object() {
					t.Error("loop runs after the error")
				}
				for range s.Array() {
					t.Error("loop runs after the error")
				}
			}
		}
	}
	if yields != 3 {
		t.Errorf("%d rounds, want 3", yields)
	}
	wantError(t, s.Err(), 13)
	wantError(t, s.End(), 13)
	wantError(t, s.End(), 13)
}

func TestMisuseIsAnError(t *testing.T) {
	for name, walk := range map[string]func(*rawjson.Scanner){
		"value twice":            func(s *rawjson.Scanner) { s.Value(); s.Value() },
		"object as array":        func(s *rawjson.Scanner) { loopArray(s) },
		"sequence used twice":    func(s *rawjson.Scanner) { q := s.Object(); drain(q); drain(q) },
		"member twice":           func(s *rawjson.Scanner) { loopObject(s, func() { s.Value(); s.Value() }) },
		"member, then as object": func(s *rawjson.Scanner) { loopObject(s, func() { s.Value(); drain(s.Object()) }) },
		"member, then as array":  func(s *rawjson.Scanner) { loopObject(s, func() { s.Value(); loopArray(s) }) },
		"array as object":        func(s *rawjson.Scanner) { loopObject(s, func() { drain(s.Object()) }) },
	} {
		s := rawjson.NewScanner([]byte(`{"a":[1,2],"b":[3]}`))
		walk(s)
		if s.Err() == nil || s.End() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := rawjson.NewScanner([]byte(`1`)).Since(-1); got != nil {
		t.Errorf("Since(-1) = %s", got)
	}
	if got := rawjson.NewScanner([]byte(`1`)).Since(1); got != nil {
		t.Errorf("Since beyond the cursor = %s", got)
	}
}

func loopArray(s *rawjson.Scanner) {
	for range s.Array() {
	}
}

func loopObject(s *rawjson.Scanner, body func()) {
	for range s.Object() {
		body()
	}
}

func drain(names func(func([]byte) bool)) {
	for range names {
	}
}

func TestErrorsGiveTheOffsetAndNothingOfTheDocument(t *testing.T) {
	tests := []struct {
		doc    string
		offset int64
		early  bool
	}{
		{``, 0, true}, {`  `, 2, true}, {`{`, 1, true}, {`{"a`, 3, true}, {`{"a"`, 4, true}, {`{"a":`, 5, true},
		{`{"a":1`, 6, true}, {`{"a":1,`, 7, true}, {`[`, 1, true}, {`[1`, 2, true}, {`[1,`, 3, true}, {`-`, 1, true},
		{`1.`, 2, true}, {`1e`, 2, true}, {`1e+`, 3, true}, {`tr`, 2, true}, {`"\`, 2, true}, {`"\u00`, 5, true},
		{`"abcdefghijk`, 12, true}, {"\"\xd0", 2, true},
		{`x`, 0, false}, {`nulL`, 3, false}, {`01`, 1, false}, {`1.x`, 2, false}, {`1ex`, 2, false}, {`+1`, 0, false},
		{`.5`, 0, false}, {`-x`, 1, false}, {`{a:1}`, 1, false}, {`{"a" 1}`, 5, false}, {`{"a":1,}`, 7, false},
		{`{,}`, 1, false}, {`[,]`, 1, false}, {`[1,]`, 3, false}, {`[1 2]`, 3, false}, {`[1}`, 2, false},
		{`{"a":1]`, 6, false}, {`]`, 0, false}, {`{"a":1} x`, 8, false}, {`1 2`, 2, false}, {`{}{}`, 2, false},
		{`"\x"`, 2, false}, {`"\u00g0"`, 5, false}, {`"\u123"`, 6, false}, {`"\u123g"`, 6, false}, {"\"a\nb\"", 2, false}, {"\"abcdefgh\x00\"", 9, false},
		{"\"abcdefgh\x1fabcdefgh\"", 9, false}, {"\"ab\xffcd\"", 3, false}, {"\"Ан\xd0\"", 5, false},
		{"\"abcdefghij\xc0\xafklmnopqr\"", 11, false}, {"{\"\xed\xa0\x80\":1}", 2, false},
		{"\xef\xbb\xbf{}", 0, false}, {"\u00a01", 0, false}, {"\v1", 0, false}, {`'a'`, 0, false}, {`NaN`, 0, false},
		{`// c`, 0, false}, {"\x00", 0, false}, {"1\x00", 1, false},
	}
	for _, test := range tests {
		err := rawjson.Valid([]byte(test.doc))
		wantError(t, err, test.offset)
		if got := errors.Is(err, io.ErrUnexpectedEOF); got != test.early {
			t.Errorf("%q: ends early = %v, want %v", test.doc, got, test.early)
		}
	}
	err := rawjson.Valid([]byte(`{"password":"hunter2",hunter3}`))
	if err == nil || err.Error() != "rawjson: byte that does not belong here at byte 22" {
		t.Errorf("error text: %v", err)
	}
}

func wantError(t *testing.T, err error, offset int64) {
	t.Helper()
	syntax, ok := errors.AsType[*rawjson.SyntaxError](err)
	if !ok || syntax.Offset != offset || syntax.Reason == "" {
		t.Errorf("error = %v, want a SyntaxError at byte %d", err, offset)
	}
}

func TestTruncatedPageIsAlwaysAnError(t *testing.T) {
	page := pageOf(2)
	if _, err := cut(page, nil); err != nil {
		t.Fatal(err)
	}
	for end := range page {
		_, err := cut(page[:end:end], nil)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at byte %d: %v", end, err)
		}
		wantError(t, err, int64(end))
	}
}

func TestEveryByteOfAStringIsSeen(t *testing.T) {
	// A stop, or a byte that is not ASCII, at every place of a word and at every length.
	for length := range 40 {
		for at := range length {
			for c := range 256 {
				doc := []byte(`"` + strings.Repeat("a", length) + `"`)
				doc[1+at] = byte(c)
				valid := c >= ' ' && c < 0x80 && c != '"' && c != '\\'
				if err := rawjson.Valid(doc); (err == nil) != valid {
					// A backslash before the letters of an escape cannot happen: they are all "a".
					t.Fatalf("byte %#x at %d of %d: %v", c, at, length, err)
				}
			}
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	nest := func(depth int) []byte {
		return []byte(strings.Repeat(`[{"a":`, depth/2) + "1" + strings.Repeat(`}]`, depth/2))
	}
	nestObjects := func(depth int) []byte {
		return []byte(strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat(`}`, depth))
	}
	var walk func(s *rawjson.Scanner)
	walk = func(s *rawjson.Scanner) {
		switch s.Kind() {
		case rawjson.KindArray:
			for range s.Array() {
				walk(s)
			}
		case rawjson.KindObject:
			for range s.Object() {
				walk(s)
			}
		}
	}
	for depth, ok := range map[int]bool{rawjson.MaxDepth: true, rawjson.MaxDepth + 2: false, 1_000_000: false} {
		doc := nest(depth)
		if err := rawjson.Valid(doc); (err == nil) != ok {
			t.Errorf("depth %d, skipped: %v", depth, err)
		}
		s := rawjson.NewScanner(doc)
		walk(s)
		if err := s.End(); (err == nil) != ok {
			t.Errorf("depth %d, walked: %v", depth, err)
		}
		s = rawjson.NewScanner(doc)
		for range s.Array() { // half walked, half skipped
			for range s.Object() {
				s.Value()
			}
		}
		if err := s.End(); (err == nil) != ok {
			t.Errorf("depth %d, mixed: %v", depth, err)
		}
	}
	for depth, ok := range map[int]bool{rawjson.MaxDepth: true, rawjson.MaxDepth + 1: false, 1_000_000: false} {
		doc := nestObjects(depth)
		if err := rawjson.Valid(doc); (err == nil) != ok {
			t.Errorf("objects to depth %d, skipped: %v", depth, err)
		}
		s := rawjson.NewScanner(doc)
		walk(s)
		if err := s.End(); (err == nil) != ok {
			t.Errorf("objects to depth %d, walked: %v", depth, err)
		}
	}
	// Containers side by side are not inside one another.
	if err := rawjson.Valid([]byte("[" + strings.Repeat("[{}],", 3*rawjson.MaxDepth) + "[]]")); err != nil {
		t.Error(err)
	}
	s := rawjson.NewScanner([]byte("[" + strings.Repeat(`[{"a":1},2],`, 3*rawjson.MaxDepth) + "[]]"))
	for range s.Array() {
		for range s.Array() {
			loopObjectOnce(s)
			break
		}
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
}

func loopObjectOnce(s *rawjson.Scanner) {
	for range s.Object() {
		break
	}
}

func TestCutDoesNotAllocate(t *testing.T) {
	page := pageOf(pageSize)
	records := make([]record, 0, pageSize)
	allocations := testing.AllocsPerRun(10, func() {
		records, _ = cut(page, records[:0])
	})
	if len(records) != pageSize || allocations != 0 {
		t.Errorf("%d records, %v allocations a page, want %d and 0", len(records), allocations, pageSize)
	}
}

func TestCutAgreesWithEncodingJSON(t *testing.T) {
	page := pageOf(pageSize)
	var want struct {
		Result struct{ Items []json.RawMessage }
	}
	if err := json.Unmarshal(page, &want); err != nil {
		t.Fatal(err)
	}
	records, err := cut(page, nil)
	if err != nil || len(records) != len(want.Result.Items) {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, r := range records {
		var members struct{ ID, UpdatedTime json.RawMessage }
		if err := json.Unmarshal(want.Result.Items[i], &members); err != nil {
			t.Fatal(err)
		}
		if string(r.data) != string(want.Result.Items[i]) || string(r.id) != string(members.ID) ||
			string(r.updated) != string(members.UpdatedTime) {
			t.Errorf("record %d differs: %s", i, r.data)
		}
	}
}
