package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

// sealedColumn is a column of sealed data, whose rows the key columns tell apart,
// after tenant and integration. The columns of name, joined by slashes, are the
// Name of the place.
type sealedColumn struct {
	kind, table, data, keyID string
	key, name                []string
}

// sealedColumns are all of them, but for the credentials.
var sealedColumns = []sealedColumn{
	{"base", "records", "base", "base_key_id", []string{"entity", "id"}, []string{"entity", "id"}},
	{"conflict", "sync_conflicts", "payload", "payload_key", []string{"id"}, []string{"id"}},
	{"delivery", "deliveries", "data", "key_id", []string{"id"}, []string{"id"}},
	{"journal", "push_journal", "image", "image_key", []string{"run_id", "number"}, []string{"run_id", "entity", "local_id"}},
	{"outgoing", "outgoing_changes", "payload", "payload_key", []string{"entity", "local_id"}, []string{"entity", "local_id"}},
	{"refused", "refused_records", "payload", "payload_key", []string{"entity", "id"}, []string{"entity", "id"}},
}

// sealedHeader is how many bytes tell one sealed value from every other: up to the
// end of its random salt.
const sealedHeader = 48

// keyColumns are the columns that tell rows apart.
func (c sealedColumn) keyColumns() []string {
	return append([]string{"tenant", "integration"}, c.key...)
}

// position is where a walk through the sealed columns stands.
type position struct {
	Column int   `json:"c"`
	Row    []any `json:"r"` // the key of the last row; nil before the first
}

func parsePosition(text string) (position, error) {
	var p position
	if text == "" {
		return p, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&p); err != nil || p.Column < 0 || p.Column >= len(sealedColumns) ||
		len(p.Row) != len(sealedColumns[p.Column].keyColumns()) {
		return p, page.ErrCursor
	}
	for i, value := range p.Row {
		if number, ok := value.(json.Number); ok {
			p.Row[i], _ = number.Int64()
		}
	}
	return p, nil
}

// RecordsNotSealedBy implements [enlace.RecordResealer], in order of the kinds and
// within them of the primary keys.
func (s *Store) RecordsNotSealedBy(ctx context.Context, keyID uint64, after string, limit int) ([]enlace.StoredRecord, error) {
	from, err := parsePosition(after)
	if err != nil {
		return nil, err
	}
	var all []enlace.StoredRecord
	for ; from.Column < len(sealedColumns) && len(all) < limit; from = (position{Column: from.Column + 1}) {
		found, err := s.notSealedBy(ctx, keyID, from, limit-len(all))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (s *Store) notSealedBy(ctx context.Context, keyID uint64, from position, limit int) ([]enlace.StoredRecord, error) {
	c := sealedColumns[from.Column]
	key := c.keyColumns()
	where, args := "", []any{int64(keyID)}
	if from.Row != nil {
		where = " AND (" + strings.Join(key, ", ") + ") > (" + placeholders(len(key)) + ")"
		args = append(args, from.Row...)
	}
	statement := "SELECT " + strings.Join(key, ", ") + ", " + strings.Join(c.name, " || '/' || ") + ", " + c.data + ", " + c.keyID +
		" FROM enlace." + c.table + " WHERE " + c.keyID + " <> ? AND " + c.data + " IS NOT NULL" + where +
		" ORDER BY " + strings.Join(key, ", ") + " LIMIT ?"
	scan := func(row Row) (enlace.StoredRecord, error) {
		r, values, id := enlace.StoredRecord{}, make([]any, len(key)), int64(0)
		dest := make([]any, 0, len(key)+3)
		for i := range values {
			dest = append(dest, &values[i])
		}
		if err := row.Scan(append(dest, &r.Place.Name, &r.Data, &id)...); err != nil {
			return r, err
		}
		tenant, _ := values[0].(string)
		integration, _ := values[1].(string)
		r.Place.Ref, r.Place.Kind, r.KeyID = enlace.Ref{Tenant: tenant, ID: integration}, c.kind, uint64(id)
		r.Position = toJSON(position{from.Column, values})
		return r, nil
	}
	return selectAll(ctx, s, "list sealed records", scan, statement, append(args, limit)...)
}

// ResealRecords implements [enlace.RecordResealer], in one transaction.
func (s *Store) ResealRecords(ctx context.Context, old, anew []enlace.StoredRecord) (replaced int, err error) {
	err = s.db.Transact(ctx, func(ctx context.Context) error {
		for i, r := range old {
			at, err := parsePosition(r.Position)
			if err != nil {
				return err
			}
			c := sealedColumns[at.Column]
			statement := "UPDATE enlace." + c.table + " SET " + c.data + " = ?, " + c.keyID + " = ? WHERE (" +
				strings.Join(c.keyColumns(), ", ") + ") = (" + placeholders(len(at.Row)) + ") AND substr(" + c.data + ", 1, ?) = ?"
			header := bytes.Clone(r.Data[:min(len(r.Data), sealedHeader)])
			args := append([]any{anew[i].Data, int64(anew[i].KeyID)}, at.Row...)
			n, err := s.exec(ctx, "reseal records", statement, append(args, sealedHeader, header)...)
			if err != nil {
				return err
			}
			replaced += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return replaced, nil
}

// IsSealed says whether the column is one of those that RecordsNotSealedBy walks.
func IsSealed(table, column string) bool {
	return slices.ContainsFunc(sealedColumns, func(c sealedColumn) bool { return c.table == table && c.data == column })
}
