package mapping_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/mapping"
)

// thirty returns a mapping of 30 fields and a record of 30 members and about 1 KB.
func thirty() (mapping.Mapping, json.RawMessage) {
	m := mapping.Mapping{Name: "contacts", Version: 1, FromZone: "America/Sao_Paulo"}
	var record strings.Builder
	record.WriteString(`{"id":9007199254740993,"amount":"1234.50","closed":"N","born":"17/05/1990","updated":"2026-01-30T21:00:00-03:00","stage":"NEW"`)
	m.Fields = []mapping.Field{
		{From: "id", To: "id", Type: mapping.ID, Required: true},
		{From: "amount", To: "amount", Type: mapping.Decimal},
		{From: "closed", To: "closed", Type: mapping.Boolean, FromFormat: "Y/N"},
		{From: "born", To: "person.born", Type: mapping.Date, FromFormat: "02/01/2006"},
		{From: "updated", To: "updated", Type: mapping.Time},
		{From: "stage", To: "stage", Values: []mapping.Pair{{From: mapping.Of("NEW"), To: mapping.Of("open")}}},
	}
	for i := range 24 {
		fmt.Fprintf(&record, `,"ufCrm_%d":"text of field number %d"`, i, i)
		m.Fields = append(m.Fields, mapping.Field{From: fmt.Sprintf("ufCrm_%d", i), To: fmt.Sprintf("custom.field_%d", i), Type: mapping.Text})
	}
	record.WriteString("}")
	return m, json.RawMessage(record.String())
}

func BenchmarkApply(b *testing.B) {
	m, record := thirty()
	c := must(m)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Apply(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	m, _ := thirty()
	b.ReportAllocs()
	for b.Loop() {
		must(m)
	}
}

func BenchmarkSuggest(b *testing.B) {
	var local, account mapping.Schema
	for i := range 60 {
		local.Fields = append(local.Fields, mapping.SchemaField{Path: fmt.Sprintf("customer.field_name%d", i)})
		account.Fields = append(account.Fields, mapping.SchemaField{Path: fmt.Sprintf("cliente.nome_campo%d", i)})
	}
	b.ReportAllocs()
	for b.Loop() {
		mapping.Suggest(local, account)
	}
}
