package bitrix24_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
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

// TestCallsAreDocumented: whatever makes requests says where the portal's side of it is
// described, and what can go wrong, or names something that does.
func TestCallsAreDocumented(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || !takesConn(f) {
				continue
			}
			calls++
			text := strings.Join(strings.Fields(f.Doc.Text()), " ")
			refers := strings.Contains(text, "[")
			if !strings.Contains(text, "sheet ") && !refers {
				t.Errorf("%s does not say where it is described", f.Name)
			}
			if !strings.Contains(text, "rror") && !strings.Contains(text, "Err") && !refers {
				t.Errorf("%s does not say what can go wrong", f.Name)
			}
		}
	}
	if calls < 30 {
		t.Errorf("%d calls", calls)
	}
}

func takesConn(f *ast.FuncDecl) bool {
	return slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
		pointer, ok := p.Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		selector, ok := pointer.X.(*ast.SelectorExpr)
		return ok && selector.Sel.Name == "Conn"
	})
}
