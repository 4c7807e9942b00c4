package adaptertest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
)

// UpdateVariable is the environment variable with which [Documented] writes the
// part of the file anew instead of comparing it.
const UpdateVariable = "ENLACE_UPDATE_DOCS"

// Documented fails unless the file has, between the lines
//
//	<!-- begin NAME -->
//	<!-- end NAME -->
//
// with the adapter's name, the tables that are made of its descriptor: how to sign
// in, settings, entities, limits. So the documentation cannot lag behind.
func Documented(t *testing.T, a enlace.IntegrationAdapter, file string) {
	t.Helper()
	if err := documented(a, file, os.Getenv(UpdateVariable) != ""); err != nil {
		t.Error(err)
	}
}

func documented(a enlace.IntegrationAdapter, file string, update bool) error {
	d := a.Describe()
	begin, end := "<!-- begin "+d.Name+" -->\n", "<!-- end "+d.Name+" -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begun := strings.Cut(string(text), begin)
	old, after, ended := strings.Cut(rest, end)
	tables := describe(d, enlace.CapabilitiesOf(a))
	switch {
	case !begun || !ended:
		return fmt.Errorf("%s has no lines %q and %q", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	case old == tables:
		return nil
	case update:
		return os.WriteFile(file, []byte(before+begin+tables+end+after), 0o600)
	default:
		return fmt.Errorf("%s does not say what the descriptor of %s says; write it by %s=1 go test", file, d.Name, UpdateVariable)
	}
}

// describe makes the tables, in Markdown.
func describe(d enlace.Descriptor, can enlace.Capability) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n`%s`, version %s. Features: %s. Capabilities: %s.\n", d.Name, d.Version, list(d.Features), strings.ReplaceAll(can.String(), ",", ", "))
	table(&b, "sign in by", "as", "secrets")
	for _, scheme := range d.Auth {
		var secrets []string
		for _, f := range scheme.SecretFields() {
			secrets = append(secrets, code(f.Name))
		}
		row(&b, code(scheme.Scheme()), strings.TrimPrefix(fmt.Sprintf("%T", scheme), "enlace."), strings.Join(secrets, ", "))
	}
	if len(d.Settings) > 0 {
		table(&b, "setting", "default", "allowed", "what it does")
		for _, f := range d.Settings {
			row(&b, code(f.Name), code(f.Default), allowed(f), f.Help)
		}
	}
	table(&b, "entity", "operations", "a run by change finds", "a create with a key")
	for _, e := range d.Entities {
		found := map[enlace.Incremental]string{enlace.IncrementalNone: "no such run", enlace.IncrementalUpdates: "creations and updates",
			enlace.IncrementalFull: "creations, updates and deletions"}[e.Incremental]
		once := ""
		if e.Can(enlace.OpCreate) {
			once = "is left open if its answer is lost"
			if e.CreateOnce {
				once = "is carried out once"
			}
		}
		row(&b, code(e.Name), list(e.Operations), found, once)
	}
	fmt.Fprintf(&b, "\nRequests are spread to %s.\n\n", pace(d.Limits))
	return b.String()
}

func table(b *strings.Builder, heads ...string) {
	b.WriteByte('\n')
	row(b, heads...)
	b.WriteString(strings.Repeat("|---", len(heads)) + "|\n")
}

func row(b *strings.Builder, cells ...string) {
	for _, cell := range cells {
		b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func list[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// allowed is what a setting may be.
func allowed(f enlace.Field) string {
	switch {
	case len(f.Choices) > 0:
		return strings.Join(f.Choices, ", ")
	case f.Min != 0 || f.Max != 0:
		return fmt.Sprintf("%d to %d", f.Min, f.Max)
	case f.Pattern != "":
		return code(f.Pattern)
	case f.Kind == enlace.FieldText:
		return "text"
	default:
		return string(f.Kind)
	}
}

// pace is how many requests an account gets.
func pace(l enlace.Limits) string {
	if l.PerSecond == 0 {
		return "no limit of enlace's; the adapter keeps the provider's own"
	}
	return fmt.Sprintf("%g a second, %d at once", l.PerSecond, max(l.Burst, 1))
}
