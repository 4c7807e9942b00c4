package bench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace/mapping"
)

// TestMapping compares what a mapping costs with the code that a host would write
// in its place: decode the record into a typed struct by encoding/json, convert, and
// encode the host's struct again. Both sides read the same 30 fields of the same record
// of 1 KB and write the same result. The figures are a ratio of two loops in one run, so
// the machine's speed and load cancel out.
func TestMapping(t *testing.T) {
	const (
		atMost = 0.5 // of the time of the code by hand
		rounds = 15
		each   = 3000
	)
	m, record := thirtyFields()
	compiled, err := mapping.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := compiled.Apply(record)
	if err != nil {
		t.Fatal(err)
	}
	typed, err := convertByHand(record)
	if err != nil {
		t.Fatal(err)
	}
	if string(mapped.Data) != string(typed) {
		t.Fatalf("the two sides differ:\n%s\n%s", mapped.Data, typed)
	}
	best := func(fn func() error) time.Duration {
		started := time.Now()
		for range each {
			if err := fn(); err != nil {
				t.Fatal(err)
			}
		}
		return time.Since(started)
	}
	mapping, byHand := time.Duration(1<<62), time.Duration(1<<62)
	for range rounds { // in turns, so that a disturbance meets both; the best of each counts
		mapping = min(mapping, best(func() error { _, err := compiled.Apply(record); return err }))
		byHand = min(byHand, best(func() error { _, err := convertByHand(record); return err }))
	}
	ratio := float64(mapping) / float64(byHand)
	t.Logf("%d bytes, 30 fields: mapping %v, typed structs with encoding/json %v, ratio %.2f", len(record), mapping/each, byHand/each, ratio)
	if ratio > atMost {
		t.Errorf("a mapping takes %.2f of the time of typed structs, want at most %.2f", ratio, atMost)
	}
}

const customFields = 24

// thirtyFields returns a mapping of 30 fields and a record of them and about 1 KB.
func thirtyFields() (mapping.Mapping, json.RawMessage) {
	m := mapping.Mapping{Name: "contacts", FromZone: "America/Sao_Paulo", Fields: []mapping.Field{
		{From: "id", To: "id", Type: mapping.ID, ToFormat: "number", Required: true},
		{From: "amount", To: "amount", Type: mapping.Decimal, ToFormat: "number"},
		{From: "closed", To: "closed", Type: mapping.Boolean, FromFormat: "Y/N"},
		{From: "born", To: "born", Type: mapping.Date, FromFormat: "02/01/2006"},
		{From: "updated", To: "updated", Type: mapping.Time},
		{From: "stage", To: "stage", Values: []mapping.Pair{{From: mapping.Of("NEW"), To: mapping.Of("open")}, {From: mapping.Of("WON"), To: mapping.Of("won")}}},
	}}
	var record strings.Builder
	record.WriteString(`{"id":9007199254740993,"amount":"1234.50","closed":"N","born":"17/05/1990","updated":"2026-01-30T21:00:00-03:00","stage":"NEW"`)
	for i := range customFields {
		fmt.Fprintf(&record, `,"ufCrm_%d":"text of field number %d"`, i, i)
		m.Fields = append(m.Fields, mapping.Field{From: fmt.Sprintf("ufCrm_%d", i), To: fmt.Sprintf("field_%d", i), Type: mapping.Text})
	}
	record.WriteString("}")
	return m, json.RawMessage(record.String())
}

// remoteContact is the record as a host's programmer would declare it.
type remoteContact struct {
	ID      json.Number `json:"id"`
	Amount  json.Number `json:"amount"`
	Closed  string      `json:"closed"`
	Born    string      `json:"born"`
	Updated time.Time   `json:"updated"`
	Stage   string      `json:"stage"`
	remoteCustom
}

type remoteCustom struct {
	F0  string `json:"ufCrm_0"`
	F1  string `json:"ufCrm_1"`
	F2  string `json:"ufCrm_2"`
	F3  string `json:"ufCrm_3"`
	F4  string `json:"ufCrm_4"`
	F5  string `json:"ufCrm_5"`
	F6  string `json:"ufCrm_6"`
	F7  string `json:"ufCrm_7"`
	F8  string `json:"ufCrm_8"`
	F9  string `json:"ufCrm_9"`
	F10 string `json:"ufCrm_10"`
	F11 string `json:"ufCrm_11"`
	F12 string `json:"ufCrm_12"`
	F13 string `json:"ufCrm_13"`
	F14 string `json:"ufCrm_14"`
	F15 string `json:"ufCrm_15"`
	F16 string `json:"ufCrm_16"`
	F17 string `json:"ufCrm_17"`
	F18 string `json:"ufCrm_18"`
	F19 string `json:"ufCrm_19"`
	F20 string `json:"ufCrm_20"`
	F21 string `json:"ufCrm_21"`
	F22 string `json:"ufCrm_22"`
	F23 string `json:"ufCrm_23"`
}

// localContact is the host's own.
type localContact struct {
	ID      json.Number `json:"id"`
	Amount  json.Number `json:"amount"`
	Closed  bool        `json:"closed"`
	Born    string      `json:"born"`
	Updated time.Time   `json:"updated"`
	Stage   string      `json:"stage"`
	localCustom
}

// localCustom has the fields of remoteCustom, so that one converts to the other.
type localCustom struct {
	F0  string `json:"field_0"`
	F1  string `json:"field_1"`
	F2  string `json:"field_2"`
	F3  string `json:"field_3"`
	F4  string `json:"field_4"`
	F5  string `json:"field_5"`
	F6  string `json:"field_6"`
	F7  string `json:"field_7"`
	F8  string `json:"field_8"`
	F9  string `json:"field_9"`
	F10 string `json:"field_10"`
	F11 string `json:"field_11"`
	F12 string `json:"field_12"`
	F13 string `json:"field_13"`
	F14 string `json:"field_14"`
	F15 string `json:"field_15"`
	F16 string `json:"field_16"`
	F17 string `json:"field_17"`
	F18 string `json:"field_18"`
	F19 string `json:"field_19"`
	F20 string `json:"field_20"`
	F21 string `json:"field_21"`
	F22 string `json:"field_22"`
	F23 string `json:"field_23"`
}

var stages = map[string]string{"NEW": "open", "WON": "won"}

func convertByHand(record json.RawMessage) ([]byte, error) {
	var remote remoteContact
	if err := json.Unmarshal(record, &remote); err != nil {
		return nil, err
	}
	born, err := time.Parse("02/01/2006", remote.Born)
	if err != nil {
		return nil, err
	}
	stage, known := stages[remote.Stage]
	if !known {
		return nil, fmt.Errorf("unknown stage")
	}
	return json.Marshal(localContact{ID: remote.ID, Amount: remote.Amount, Closed: remote.Closed == "Y", Born: born.Format(time.DateOnly),
		Updated: remote.Updated.UTC(), Stage: stage, localCustom: localCustom(remote.remoteCustom)})
}
