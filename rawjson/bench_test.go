package rawjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/rawjson"
)

// pageOf returns a page of contacts like a CRM sends: 30 text members and 1,067 bytes a record,
// one escape and some Cyrillic in each, ids and total as that provider writes them.
func pageOf(records int) []byte {
	const size = 1067
	words := []string{"", "N", "new", "phone call", "web form", "partner", "https://crm.example/contact",
		"returning customer", "conference in autumn", "wholesale, pays in advance"}
	random := rand.New(rand.NewPCG(1, 2)) // the same page each time, of lengths that cannot be predicted
	var page strings.Builder
	page.WriteString(`{"result":{"items":[`)
	for i := range records {
		if i > 0 {
			page.WriteByte(',')
		}
		var record strings.Builder
		fmt.Fprintf(&record, `{"id":"%d","createdTime":"2024-03-01T10:%02d:00+03:00","updatedTime":"2024-05-17T08:%02d:31+03:00"`,
			100000+i, i%60, i%60)
		fmt.Fprintf(&record, `,"name":"Анна","lastName":"Кузнецова","comments":"said \"yes\" on the phone"`)
		for field := range 23 {
			fmt.Fprintf(&record, `,"ufCrm_%d":"%s %d"`, field, words[random.IntN(len(words))], random.IntN(1<<(1+field)))
		}
		fill := max(0, size-record.Len()-len(`,"sourceDescription":""}`))
		fmt.Fprintf(&record, `,"sourceDescription":"%s"}`, strings.Repeat("x", fill))
		page.WriteString(record.String())
	}
	page.WriteString(`]},"total":0,"time":{"start":1715930911.4,"finish":1715930911.9,"duration":0.5,"operating":0.31}}`)
	return []byte(page.String())
}

const pageSize = 50

// record is what an adapter keeps of a record: its bytes and the two members it looks at.
type record struct {
	data        json.RawMessage
	id, updated json.RawMessage
}

// cut cuts a page the way an adapter does.
func cut(page []byte, records []record) ([]record, error) {
	s := rawjson.NewScanner(page)
	for name := range s.Object() {
		if string(name) != "result" {
			continue
		}
		for name := range s.Object() {
			if string(name) != "items" {
				continue
			}
			for range s.Array() {
				var r record
				start := s.Offset()
				for name := range s.Object() {
					switch string(name) {
					case "id":
						r.id = s.Value()
					case "updatedTime":
						r.updated = s.Value()
					}
				}
				r.data = s.Since(start)
				records = append(records, r)
			}
		}
	}
	return records, s.End()
}

func startPages(b *testing.B) []byte {
	page := pageOf(pageSize)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	return page
}

func reportRecords(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pageSize), "ns/record")
}

func BenchmarkCutPage(b *testing.B) {
	page := startPages(b)
	records := make([]record, 0, pageSize)
	for b.Loop() {
		var err error
		records, err = cut(page, records[:0])
		if err != nil || len(records) != pageSize {
			b.Fatal(len(records), err)
		}
	}
	reportRecords(b)
}

func BenchmarkValid(b *testing.B) {
	page := startPages(b)
	for b.Loop() {
		if err := rawjson.Valid(page); err != nil {
			b.Fatal(err)
		}
	}
	reportRecords(b)
}

// BenchmarkBareSplit finds the records' ends and nothing else: it counts brackets outside strings.
// It validates nothing and finds no member, so it is the limit for reading byte by byte.
func BenchmarkBareSplit(b *testing.B) {
	page := startPages(b)
	records := make([][]byte, 0, pageSize)
	for b.Loop() {
		records = bareSplit(page, records[:0])
		if len(records) != pageSize {
			b.Fatal(len(records))
		}
	}
	reportRecords(b)
}

func bareSplit(page []byte, records [][]byte) [][]byte {
	const recordDepth = 4
	depth, start := 0, 0
	for i := 0; i < len(page); i++ {
		switch page[i] {
		case '"':
			for i++; page[i] != '"'; i++ {
				if page[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth == recordDepth {
				start = i
			}
		case '}', ']':
			if depth == recordDepth {
				records = append(records, page[start:i+1])
			}
			depth--
		}
	}
	return records
}

// BenchmarkBareSplitIndex is the same with the standard library's assembly for the strings' ends.
func BenchmarkBareSplitIndex(b *testing.B) {
	page := startPages(b)
	records := make([][]byte, 0, pageSize)
	for b.Loop() {
		records = records[:0]
		depth, start := 0, 0
		for i := 0; i < len(page); i++ {
			switch page[i] {
			case '"':
				i++
				for {
					i += bytes.IndexByte(page[i:], '"')
					if page[i-1] != '\\' {
						break
					}
					i++
				}
			case '{', '[':
				if depth++; depth == 4 {
					start = i
				}
			case '}', ']':
				if depth == 4 {
					records = append(records, page[start:i+1])
				}
				depth--
			}
		}
		if len(records) != pageSize {
			b.Fatal(len(records))
		}
	}
	reportRecords(b)
}

func BenchmarkEncodingJSONRaw(b *testing.B) {
	page := startPages(b)
	for b.Loop() {
		var envelope struct {
			Result struct{ Items []json.RawMessage }
		}
		if err := json.Unmarshal(page, &envelope); err != nil || len(envelope.Result.Items) != pageSize {
			b.Fatal(err)
		}
	}
	reportRecords(b)
}

// BenchmarkEncodingJSONMembers does with encoding/json all that BenchmarkCutPage does.
func BenchmarkEncodingJSONMembers(b *testing.B) {
	page := startPages(b)
	for b.Loop() {
		var envelope struct {
			Result struct{ Items []json.RawMessage }
		}
		if err := json.Unmarshal(page, &envelope); err != nil {
			b.Fatal(err)
		}
		for _, item := range envelope.Result.Items {
			var members struct{ ID, UpdatedTime json.RawMessage }
			if err := json.Unmarshal(item, &members); err != nil || members.ID == nil {
				b.Fatal(err)
			}
		}
	}
	reportRecords(b)
}
