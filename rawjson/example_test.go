package rawjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/enlace-go/enlace/rawjson"
)

// A page is cut into records in one pass. Each record keeps the provider's own bytes; only its id
// and time of change are looked at.
func Example() {
	page := []byte(`{"result":{"items":[
		{"id":"43","title":"Анна \"A\"","updatedTime":"2024-05-17T08:00:31+03:00"},
		{"id":9007199254740993,"updatedTime":"2024-05-18T09:30:00+03:00","tags":["a",{"b":1}]}
	]},"total":2,"time":{"duration":0.5}}`)

	type record struct {
		id, updated string
		data        json.RawMessage
	}
	var records []record
	var total int64

	s := rawjson.NewScanner(page)
	readRecord := func() {
		var r record
		start := s.Offset()
		for name := range s.Object() {
			switch string(name) {
			case "id":
				r.id, _ = rawjson.ID(s.Value())
			case "updatedTime":
				r.updated, _ = rawjson.String(s.Value())
			}
		}
		r.data = s.Since(start)
		records = append(records, r)
	}
	readResult := func() {
		for name := range s.Object() {
			if string(name) != "items" {
				continue // skipped, and validated
			}
			for range s.Array() {
				readRecord()
			}
		}
	}
	for name := range s.Object() {
		switch string(name) {
		case "result":
			readResult()
		case "total":
			total, _ = rawjson.Int(s.Value())
		}
	}
	if err := s.End(); err != nil { // the only check; before it, nothing counts
		fmt.Println(err)
		return
	}
	fmt.Println(total, "records")
	for _, r := range records {
		fmt.Println(r.id, r.updated, len(r.data), "bytes")
	}
	// Output:
	// 2 records
	// 43 2024-05-17T08:00:31+03:00 78 bytes
	// 9007199254740993 2024-05-18T09:30:00+03:00 86 bytes
}

func ExampleGet() {
	body := []byte(`{"result":[],"next":50,"time":{"operating":0.25}}`)
	next, err := rawjson.Get(body, "next")
	if err != nil {
		fmt.Println(err)
		return
	}
	offset, more := rawjson.Int(next)
	fmt.Println(offset, more)

	operating, _ := rawjson.Get(body, "time", "operating")
	missing, err := rawjson.Get(body, "time", "no", "such")
	fmt.Println(string(operating), missing == nil, err)
	// Output:
	// 50 true
	// 0.25 true <nil>
}

func ExampleElements() {
	for element, err := range rawjson.Elements([]byte(`[{"id":1}, {"id":2}, {"id"`)) {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			fmt.Println("cut off:", err)
			return
		}
		fmt.Println(string(element))
	}
	// Output:
	// {"id":1}
	// {"id":2}
	// cut off: rawjson: document ends early at byte 26
}

func ExampleID() {
	for _, raw := range []string{`"43"`, `43`, `9007199254740993`, `"5f8d"`, `null`} {
		fmt.Println(rawjson.ID([]byte(raw)))
	}
	// Output:
	// 43 true
	// 43 true
	// 9007199254740993 true
	// 5f8d true
	//  false
}
