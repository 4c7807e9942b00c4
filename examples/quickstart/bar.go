package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/enlace-go/enlace"
)

// bar shows progress on a terminal, and nothing where the output is not one.
type bar struct {
	out      *os.File
	terminal bool
	open     bool
	entity   string
}

func newBar(out *os.File) *bar {
	info, err := out.Stat()
	return &bar{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (b *bar) show(p enlace.Progress) {
	if !b.terminal {
		return
	}
	if b.open && b.entity != p.Entity {
		fmt.Fprintln(b.out)
	}
	b.open, b.entity = true, p.Entity
	const width = 40
	filled, of := 0, ""
	if p.Total > 0 {
		filled = min(width, width*p.Read/p.Total)
		of = fmt.Sprintf(" of %d", p.Total)
	}
	fmt.Fprintf(b.out, "\r%-9s [%s%s] %d%s ", p.Entity, strings.Repeat("=", filled), strings.Repeat(" ", width-filled), p.Read, of)
}

func (b *bar) end() {
	if b.open {
		fmt.Fprintln(b.out)
		b.open = false
	}
}
