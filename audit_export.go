package enlace

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"
)

// AuditFormat is a form in which the audit log is exported.
type AuditFormat string

// The forms of an export.
const (
	AuditJSONLines AuditFormat = "jsonl" // one JSON object per line, as AuditEntry marshals
	AuditCSV       AuditFormat = "csv"   // one header line; cells that a spreadsheet would calculate get an apostrophe in front
)

// ExportAudit writes the entries that match q to w, oldest first, whatever the
// limit of q; the export itself is written into the audit log before anything is
// given out. Errors: ErrInvalid (an unknown format), ErrStore, and those of w.
func (s *Service) ExportAudit(ctx context.Context, q AuditQuery, format AuditFormat, w io.Writer) error {
	var write func(AuditEntry) error
	var header []string // written with what is first read, so that until then a failure can be told
	switch format {
	case AuditJSONLines:
		encoder := json.NewEncoder(w)
		write = func(e AuditEntry) error { return encoder.Encode(e) }
	case AuditCSV:
		header = auditColumns
		write = func(e AuditEntry) error { return writeCSV(w, auditRow(e)) }
	default:
		return &ValidationError{Faults: []Fault{{Field: "format", Problem: "unknown", Allowed: "jsonl or csv"}}}
	}
	entry := AuditEntry{Tenant: q.Tenant, Integration: q.Integration, Action: "audit.export", Target: string(format), Result: AuditDone}
	if err := s.RecordAudit(ctx, entry); err != nil {
		return err
	}
	q.OldestFirst, q.Limit = true, 1000
	for {
		entries, next, err := s.store.AuditEntries(ctx, q)
		if err != nil {
			return wrap("export audit", ErrStore, err)
		}
		if header != nil {
			if err := writeCSV(w, header); err != nil {
				return err
			}
			header = nil
		}
		for _, e := range entries {
			if err := write(e); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		q.Cursor = next
	}
}

var auditColumns = []string{"tenant", "seq", "at", "actor", "address", "request", "action", "integration", "target", "fields", "result", "kind", "previous", "hash"}

func auditRow(e AuditEntry) []string {
	row := []string{e.Tenant, strconv.FormatInt(e.Seq, 10), e.At.Format(time.RFC3339Nano), e.Actor.ID, e.Actor.Address, e.Actor.Request,
		e.Action, e.Integration, e.Target, strings.Join(e.Fields, " "), string(e.Result), e.Kind, e.Previous.String(), e.Hash.String()}
	for i, cell := range row {
		row[i] = spreadsheetText(cell)
	}
	return row
}

// spreadsheetText keeps a spreadsheet from taking a cell for a formula.
func spreadsheetText(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// writeCSV writes one line (RFC 4180) with every cell in quotes. encoding/csv is
// one package more than importing this one may cost.
func writeCSV(w io.Writer, row []string) error {
	var b strings.Builder
	for i, cell := range row {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.ReplaceAll(cell, `"`, `""`) + `"`)
	}
	b.WriteString("\r\n")
	_, err := io.WriteString(w, b.String())
	return err
}
