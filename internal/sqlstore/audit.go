package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	auditList     = "audit"
	auditHeadList = "audit heads"

	// Locked, so that the next one to append waits for the end of the transaction.
	selectAuditHead = `SELECT tenant, seq, hash FROM enlace.audit_heads WHERE tenant = ? {for_update}`

	listAuditHeads = `SELECT tenant, seq, hash FROM enlace.audit_heads WHERE tenant > ? OR ? ORDER BY tenant LIMIT ?`

	insertAuditHead = `INSERT INTO enlace.audit_heads (seq, hash, tenant) VALUES (?, ?, ?) ON CONFLICT (tenant) DO NOTHING`

	updateAuditHead = `UPDATE enlace.audit_heads SET seq = ?, hash = ? WHERE tenant = ? AND seq = ? AND hash = ?`

	auditColumns = `tenant, seq, at, actor, address, request, action, integration, target, fields, result, kind, previous, hash`

	insertAudit = `INSERT INTO enlace.audit (` + auditColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// AuditHead implements [enlace.AuditStore].
func (s *Store) AuditHead(ctx context.Context, tenant string) (enlace.AuditHead, error) {
	head, found, err := selectOne(ctx, s, "audit head", scanAuditHead, selectAuditHead, tenant)
	if err == nil && !found {
		head.Tenant = tenant
	}
	return head, err
}

// AuditHeads implements [enlace.AuditStore].
func (s *Store) AuditHeads(ctx context.Context, cursor string, limit int) ([]enlace.AuditHead, string, error) {
	after := ""
	if cursor != "" {
		var err error
		if after, err = page.Decode(auditHeadList, cursor); err != nil {
			return nil, "", err
		}
	}
	size := page.Size(limit)
	rows, err := selectAll(ctx, s, "audit heads", scanAuditHead, listAuditHeads, after, cursor == "", size+1)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, auditHeadList, func(h enlace.AuditHead) string { return h.Tenant })
	return rows, next, nil
}

// AppendAudit implements [enlace.AuditStore].
func (s *Store) AppendAudit(ctx context.Context, e enlace.AuditEntry) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		statement, args := insertAuditHead, []any{e.Seq, e.Hash[:], e.Tenant}
		if e.Seq > 1 {
			statement, args = updateAuditHead, append(args, e.Seq-1, e.Previous[:])
		}
		moved, err := s.exec(ctx, "append audit", statement, args...)
		if err != nil {
			return err
		}
		if moved == 0 {
			return enlace.ErrConflict
		}
		_, err = s.exec(ctx, "append audit", insertAudit, e.Tenant, e.Seq, e.At.UnixMicro(), e.Actor.ID, e.Actor.Address, e.Actor.Request,
			e.Action, e.Integration, e.Target, toJSON(e.Fields), string(e.Result), e.Kind, e.Previous[:], e.Hash[:])
		return err
	})
}

// AuditEntries implements [enlace.AuditStore].
func (s *Store) AuditEntries(ctx context.Context, q enlace.AuditQuery) ([]enlace.AuditEntry, string, error) {
	statement, args, err := auditQuery(q)
	if err != nil {
		return nil, "", err
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "audit", scanAudit, statement, append(args, size+1)...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, auditList, func(e enlace.AuditEntry) string { return strconv.FormatInt(e.Seq, 10) })
	return rows, next, nil
}

// auditQuery is the statement for q but for the limit.
func auditQuery(q enlace.AuditQuery) (statement string, args []any, err error) {
	var b strings.Builder
	b.WriteString(`SELECT ` + auditColumns + ` FROM enlace.audit WHERE tenant = ?`)
	args = []any{q.Tenant}
	where := func(condition string, arg any) {
		b.WriteString(" AND " + condition)
		args = append(args, arg)
	}
	for _, equal := range []struct{ column, value string }{
		{"actor", q.Actor}, {"integration", q.Integration}, {"target", q.Target}, {"request", q.Request}, {"result", string(q.Result)},
	} {
		if equal.value != "" {
			where(equal.column+" = ?", equal.value)
		}
	}
	if subject, ok := strings.CutSuffix(q.Action, "."); ok {
		where("action > ?", q.Action)
		where("action < ?", subject+"/") // the byte behind the point
	} else if q.Action != "" {
		where("action = ?", q.Action)
	}
	if !q.From.IsZero() {
		where("at >= ?", q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		where("at < ?", q.To.UnixMicro())
	}
	if q.After > 0 {
		where("seq > ?", q.After)
	}
	order, behind := "DESC", "<"
	if q.OldestFirst {
		order, behind = "ASC", ">"
	}
	if q.Cursor != "" {
		position, err := page.Decode(auditList, q.Cursor)
		if err != nil {
			return "", nil, err
		}
		seq, err := strconv.ParseInt(position, 10, 64)
		if err != nil {
			return "", nil, page.ErrCursor
		}
		where("seq "+behind+" ?", seq)
	}
	b.WriteString(" ORDER BY seq " + order + " LIMIT ?")
	return b.String(), args, nil
}

func scanAuditHead(row Row) (enlace.AuditHead, error) {
	var h enlace.AuditHead
	err := row.Scan(&h.Tenant, &h.Seq, asHash{&h.Hash})
	return h, err
}

func scanAudit(row Row) (enlace.AuditEntry, error) {
	var e enlace.AuditEntry
	err := row.Scan(&e.Tenant, &e.Seq, instant{&e.At}, &e.Actor.ID, &e.Actor.Address, &e.Actor.Request, &e.Action, &e.Integration,
		&e.Target, asJSON{&e.Fields}, &e.Result, &e.Kind, asHash{&e.Previous}, asHash{&e.Hash})
	return e, err
}

// asHash scans a column of 32 bytes.
type asHash struct{ hash *enlace.AuditHash }

// Scan implements sql.Scanner.
func (h asHash) Scan(column any) error {
	data, ok := column.([]byte)
	if !ok || len(data) != len(h.hash) {
		return fmt.Errorf("a hash is stored as %T", column)
	}
	copy(h.hash[:], data)
	return nil
}
