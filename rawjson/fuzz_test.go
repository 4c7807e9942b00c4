package rawjson_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/enlace-go/enlace/rawjson"
)

var documents = []string{
	``, ` `, `null`, `true`, `false`, `nul`, `0`, `-0.0e-0`, `01`, `1e400`, `-`, `""`, `"\u12`, `"\ud83d\ude00"`, `"Анна"`,
	"\"\xff\"", "\"a\x00b\"", "\"abcdefgh\\\"ijklmnop\"", "\"\\\\\\\\\\\\\\\\\"", `{}`, `[]`, `[[],{},[[{}]]]`, `{"a":1,"a":2}`,
	`{"a":{"b":[1,2,{"c":"d"}]},"e":"f"}`, ` { "a" : [ 1 , 2 ] , "\u0061" : null } `, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a" 1}`,
	`{"result":{"items":[{"id":"1","updatedTime":"2024-05-17T08:00:31+03:00"},{"id":2}]},"total":0,"time":{"start":1.5}}`,
	`[`, `{"`, `]`, `}{`, "\ufeff1", `[1]x`,
}

func nesting(data []byte) int {
	depth, deepest, inText := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case !inText && (c == '[' || c == '{'):
			depth++
			deepest = max(deepest, depth)
		case !inText && (c == ']' || c == '}'):
			depth--
		}
	}
	return deepest
}

// agree fails unless Valid says the same as encoding/json, but for UTF-8 and depth.
func agree(t *testing.T, data []byte) {
	t.Helper()
	want := json.Valid(data) && utf8.Valid(data) && nesting(data) <= rawjson.MaxDepth
	if err := rawjson.Valid(data); (err == nil) != want {
		t.Errorf("Valid(%q) = %v, want valid = %v", data, err, want)
	}
}

func TestMutatedPagesAgreeWithEncodingJSON(t *testing.T) {
	const hostile = "\"\\{}[]:,0-+.eE \t\n\x00\x1f\x7f\x80\xd0\xffutrnalsf/"
	page := pageOf(1)
	random := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		data := append([]byte(nil), page...)
		for range 1 + random.IntN(2) {
			at := random.IntN(len(data))
			c := hostile[random.IntN(len(hostile))]
			switch random.IntN(3) {
			case 0:
				data[at] = c
			case 1:
				data = append(data[:at], data[at+1:]...)
			case 2:
				data = append(data[:at+1], data[at:]...)
				data[at] = c
			}
		}
		if agree(t, data); t.Failed() {
			return
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data) })
}

// FuzzWalk checks that it makes no difference for the verdict how a document is walked: each value
// is taken whole, walked, left alone, or walked with a break, as choices says.
func FuzzWalk(f *testing.F) {
	for i, doc := range documents {
		f.Add([]byte(doc), uint64(i)*0x9e3779b97f4a7c15)
	}
	f.Fuzz(func(t *testing.T, data []byte, choices uint64) {
		s := rawjson.NewScanner(data)
		walkBy(t, s, rand.New(rand.NewPCG(choices, 0)))
		got, want := s.End(), rawjson.Valid(data)
		if (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
			t.Errorf("walk of %q: %v, Valid: %v", data, got, want)
		}
	})
}

func walkBy(t *testing.T, s *rawjson.Scanner, choices *rand.Rand) {
	start, kind := s.Offset(), s.Kind()
	leaveAfter := -1
	switch choices.IntN(4) {
	case 0:
		if raw := s.Value(); raw != nil && (!json.Valid(raw) || rawjson.NewScanner(raw).Kind() != kind) {
			t.Errorf("Value = %q, of kind %v", raw, kind)
		}
		return
	case 1:
		return
	case 2:
		leaveAfter = choices.IntN(3)
	}
	switch kind {
	case rawjson.KindObject:
		for range s.Object() {
			walkBy(t, s, choices)
			if leaveAfter--; leaveAfter == 0 {
				break
			}
		}
	case rawjson.KindArray:
		next := 0
		for index := range s.Array() {
			if index != next {
				t.Errorf("index %d, want %d", index, next)
			}
			next++
			walkBy(t, s, choices)
			if leaveAfter--; leaveAfter == 0 {
				break
			}
		}
	default:
		return
	}
	if raw := s.Since(start); raw != nil && !json.Valid(raw) {
		t.Errorf("Since = %q", raw)
	}
}

func FuzzGet(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc), "a")
		f.Add([]byte(doc), "result")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		if rawjson.Valid(data) != nil {
			if raw, err := rawjson.Get(data, name); raw != nil || err == nil {
				t.Errorf("Get from %q = %q, %v", data, raw, err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			members = nil // valid, but no object
		}
		got, err := rawjson.Get(data, name)
		if err != nil || string(got) != string(members[name]) {
			t.Errorf("Get %q from %q = %q, %v, want %q", name, data, got, err, members[name])
		}
	})
}

func FuzzString(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want string
		var anything any
		valid := utf8.Valid(raw) && json.Unmarshal(raw, &anything) == nil
		if valid {
			want, valid = anything.(string)
		}
		if got, ok := rawjson.String(raw); got != want || ok != valid {
			t.Errorf("String(%q) = %q, %v, want %q, %v", raw, got, ok, want, valid)
		}
		n, ok := rawjson.Int(raw)
		if _, isID := rawjson.ID(raw); ok && !isID {
			t.Errorf("Int(%q) = %d, but ID refuses it", raw, n)
		}
	})
}
