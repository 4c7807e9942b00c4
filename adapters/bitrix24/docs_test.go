package bitrix24_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
)

// TestGuideAgreesWithTheDescriptor reads the tables of docs/bitrix24.md.
func TestGuideAgreesWithTheDescriptor(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "bitrix24.md"))
	if err != nil {
		t.Fatal(err)
	}
	d := bitrix24.Adapter{}.Describe()
	var entities, settings, features []string
	for _, e := range d.Entities {
		var can []string
		for _, op := range []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpUpsert, enlace.OpDelete} {
			if e.Can(op) {
				can = append(can, string(op))
			}
		}
		entities = append(entities, fmt.Sprintf("| `%s` | %s | %s |", e.Name, strings.Join(can, ", "), e.Incremental))
	}
	for _, f := range d.Settings {
		settings = append(settings, strings.ReplaceAll(fmt.Sprintf("| `%s` | %s |", f.Name, f.Default), "|  |", "| |"))
	}
	for _, f := range d.Features {
		features = append(features, fmt.Sprintf("| `%s` |", f))
	}
	for heading, want := range map[string][]string{"Entities": entities, "Settings": settings, "Features": features} {
		_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		var rows []string
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "| `") {
				rows = append(rows, line)
			}
		}
		if !found || len(rows) != len(want) {
			t.Errorf("%s: %d rows, want %d", heading, len(rows), len(want))
			continue
		}
		for i, row := range rows {
			if !strings.HasPrefix(row, want[i]) {
				t.Errorf("%s: %q, want %q", heading, row, want[i])
			}
		}
	}
	limits := fmt.Sprintf("%v requests per second, %d at once", d.Limits.PerSecond, d.Limits.Burst)
	if !strings.Contains(string(text), limits) {
		t.Errorf("the limits are not %q", limits)
	}
}
