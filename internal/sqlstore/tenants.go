package sqlstore

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/enlace-go/enlace"
)

// tenantTables finds every table that has a column "tenant", so that none can be
// forgotten; one that is added later is among them.
func (s *Store) tenantTables(ctx context.Context) ([]string, error) {
	statement := `SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) p ON p.name = 'tenant'
		WHERE m.type = 'table' AND substr(m.name, 1, 7) = 'enlace_' ORDER BY m.name`
	if s.db.Dialect().RowLocks {
		statement = `SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
			WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'enlace.integrations'::regclass) ORDER BY c.relname`
	}
	scan := func(row Row) (name string, err error) {
		err = row.Scan(&name)
		return strings.TrimPrefix(name, "enlace_"), err
	}
	return selectAll(ctx, s, "tables", scan, statement)
}

// EraseTenant implements [enlace.TenantStore].
func (s *Store) EraseTenant(ctx context.Context, tenant string) (map[string]int, error) {
	removed := map[string]int{}
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		tables, err := s.tenantTables(ctx)
		if err != nil {
			return err
		}
		for _, table := range tables {
			n, err := s.exec(ctx, "erase "+table, "DELETE FROM enlace."+table+" WHERE tenant = ?", tenant)
			if err != nil {
				return err
			}
			if n > 0 {
				removed[table] = int(n)
			}
		}
		return nil
	})
	return removed, err
}

// subjectTables are the tables with rows about single records, and the columns in
// which the record's ids stand.
var subjectTables = []struct{ table, id, localID string }{
	{"records", "id", "local_id"},
	{"push_journal", "remote_id", "local_id"},
	{"outgoing_changes", "", "local_id"},
	{"sync_conflicts", "remote_id", "local_id"},
	{"webhook_records", "record", ""},
	{"refused_records", "id", ""},
}

// EraseSubject implements [enlace.TenantStore].
func (s *Store) EraseSubject(ctx context.Context, tenant string, r enlace.SubjectRecord) (map[string]int, error) {
	removed := map[string]int{}
	err := s.db.Transact(ctx, func(ctx context.Context) error {
		for _, t := range subjectTables {
			statement := "DELETE FROM enlace." + t.table + " WHERE tenant = ? AND entity = ?"
			args := []any{tenant, r.Entity}
			statement, args = ofIntegration(statement, args, r.Integration)
			var which []string
			if t.id != "" && r.ID != "" {
				which, args = append(which, t.id+" = ?"), append(args, r.ID)
			}
			if t.localID != "" && r.LocalID != "" {
				which, args = append(which, t.localID+" = ?"), append(args, r.LocalID)
			}
			if len(which) == 0 {
				continue
			}
			if err := s.erase(ctx, removed, t.table, statement+" AND ("+strings.Join(which, " OR ")+")", args); err != nil {
				return err
			}
		}
		if r.ID == "" {
			return nil
		}
		lane, err := json.Marshal(r.Entity + "/" + r.ID)
		if err != nil {
			return err
		}
		find := "instr(lanes, ?) > 0"
		if s.db.Dialect().RowLocks {
			find = "strpos(CAST(lanes AS text), ?) > 0"
		}
		statement, args := ofIntegration("DELETE FROM enlace.deliveries WHERE tenant = ? AND "+find, []any{tenant, string(lane)}, r.Integration)
		return s.erase(ctx, removed, "deliveries", statement, args)
	})
	return removed, err
}

func ofIntegration(statement string, args []any, integration string) (string, []any) {
	if integration == "" {
		return statement, args
	}
	return statement + " AND integration = ?", append(args, integration)
}

func (s *Store) erase(ctx context.Context, removed map[string]int, table, statement string, args []any) error {
	n, err := s.exec(ctx, "erase "+table, statement, args...)
	if n > 0 {
		removed[table] += int(n)
	}
	return err
}

// KnownEntities implements [enlace.TenantStore].
func (s *Store) KnownEntities(ctx context.Context, ref enlace.Ref) ([]string, error) {
	scan := func(row Row) (name string, err error) {
		err = row.Scan(&name)
		return name, err
	}
	return selectAll(ctx, s, "known entities", scan, `SELECT entity FROM enlace.records WHERE tenant = ? AND integration = ?
		UNION SELECT entity FROM enlace.checkpoints WHERE tenant = ? AND integration = ? ORDER BY entity`, ref.Tenant, ref.ID, ref.Tenant, ref.ID)
}
