package memory

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	auditList     = "audit"
	auditHeadList = "audit heads"
)

// AuditHead implements [enlace.AuditStore].
func (s *Store) AuditHead(ctx context.Context, tenant string) (enlace.AuditHead, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.AuditHead{}, err
	}
	defer s.end(ctx)
	return s.auditHead(tenant), nil
}

func (s *Store) auditHead(tenant string) enlace.AuditHead {
	entries := s.audit.value(tenant)
	if len(entries) == 0 {
		return enlace.AuditHead{Tenant: tenant}
	}
	last := entries[len(entries)-1]
	return enlace.AuditHead{Tenant: tenant, Seq: last.Seq, Hash: last.Hash}
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
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var heads []enlace.AuditHead
	for _, tenant := range slices.Sorted(maps.Keys(maps.Collect(s.audit.all()))) {
		if cursor == "" || tenant > after {
			heads = append(heads, s.auditHead(tenant))
		}
	}
	heads, next := page.Cut(heads, page.Size(limit), auditHeadList, func(h enlace.AuditHead) string { return h.Tenant })
	return heads, next, nil
}

// AppendAudit implements [enlace.AuditStore].
func (s *Store) AppendAudit(ctx context.Context, e enlace.AuditEntry) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if head := s.auditHead(e.Tenant); head.Seq != e.Seq-1 || head.Hash != e.Previous {
		return enlace.ErrConflict
	}
	e.At, e.Fields = instant(e.At), slices.Clone(e.Fields)
	s.audit.set(s.undo, e.Tenant, append(s.audit.value(e.Tenant), e))
	return nil
}

// AuditEntries implements [enlace.AuditStore].
func (s *Store) AuditEntries(ctx context.Context, q enlace.AuditQuery) ([]enlace.AuditEntry, string, error) {
	var behind int64
	if q.Cursor != "" {
		position, err := page.Decode(auditList, q.Cursor)
		if err != nil {
			return nil, "", err
		}
		if behind, err = strconv.ParseInt(position, 10, 64); err != nil {
			return nil, "", page.ErrCursor
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.AuditEntry
	for _, e := range s.audit.value(q.Tenant) {
		past := q.Cursor == "" || (q.OldestFirst && e.Seq > behind) || (!q.OldestFirst && e.Seq < behind)
		if past && e.Seq > q.After && auditMatches(e, q) {
			e.Fields = slices.Clone(e.Fields)
			rows = append(rows, e)
		}
	}
	if !q.OldestFirst {
		slices.Reverse(rows)
	}
	rows, next := page.Cut(rows, page.Size(q.Limit), auditList, func(e enlace.AuditEntry) string { return strconv.FormatInt(e.Seq, 10) })
	return rows, next, nil
}

func auditMatches(e enlace.AuditEntry, q enlace.AuditQuery) bool {
	for _, pair := range [][2]string{{q.Actor, e.Actor.ID}, {q.Integration, e.Integration}, {q.Target, e.Target},
		{q.Request, e.Actor.Request}, {string(q.Result), string(e.Result)}} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	if strings.HasSuffix(q.Action, ".") {
		if !strings.HasPrefix(e.Action, q.Action) {
			return false
		}
	} else if q.Action != "" && q.Action != e.Action {
		return false
	}
	return (q.From.IsZero() || !e.At.Before(q.From)) && (q.To.IsZero() || e.At.Before(q.To))
}
