package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	deliveryList = "deliveries"

	deliveryColumns = `tenant, id, integration, provider, dedupe_key, state, attempts, replays, signed, edited,
		signed_at, received_at, next_at, finished_at, types, lanes, kind, error, key_id`

	// Rows of one statement: SQLite takes 32,766 parameters.
	maxRows = 100

	dueIntegration = `SELECT tenant, integration FROM enlace.deliveries
		WHERE finished_at = 0 AND next_at <= {now} AND (tenant, integration) > (?, ?)
		ORDER BY tenant, integration LIMIT 1`

	dueDeliveries = `SELECT ` + deliveryColumns + `, data FROM enlace.deliveries
		WHERE tenant = ? AND integration = ? AND finished_at = 0 AND next_at <= {now}
		ORDER BY id LIMIT ? {for_update}`

	nextDelivery = `SELECT next_at FROM enlace.deliveries
		WHERE tenant = ? AND integration = ? AND finished_at = 0 ORDER BY next_at LIMIT 1`

	failedDeliveries = `SELECT ` + deliveryColumns + ` FROM enlace.deliveries
		WHERE tenant = ? AND integration = ? AND state = 'failed' ORDER BY id LIMIT ?`

	claimDeliveries = `UPDATE enlace.deliveries SET state = 'processing' WHERE tenant = ? AND id IN ({ids})`

	finishDeliveries = `UPDATE enlace.deliveries AS d SET state = 'done', finished_at = {now}, kind = '', error = '',
			types = v.column2, lanes = v.column3, dedupe_key = CASE WHEN d.signed THEN d.dedupe_key ELSE d.id END
		FROM (VALUES {rows}) AS v
		WHERE d.tenant = ? AND d.id = v.column1 AND d.state = 'processing'`

	updateDelivery = `UPDATE enlace.deliveries SET state = ?, attempts = ?, replays = ?, edited = ?, next_at = ?, finished_at = ?,
			types = ?, lanes = ?, kind = ?, error = ?
		WHERE tenant = ? AND id = ? AND state = ?`

	updateDeliveryData = `UPDATE enlace.deliveries SET key_id = ?, data = ? WHERE tenant = ? AND id = ?`

	selectDelivery = `SELECT ` + deliveryColumns + `, data FROM enlace.deliveries WHERE tenant = ? AND id = ?`

	deadLetters = `SELECT integration, kind, count(*), max(received_at) FROM enlace.deliveries
		WHERE tenant = ? AND state = 'dead' AND (? = '' OR integration = ?)
		GROUP BY integration, kind ORDER BY 3 DESC, 1, 2`

	pruneDeliveries = `DELETE FROM enlace.deliveries WHERE (tenant, id) IN
		(SELECT tenant, id FROM enlace.deliveries WHERE finished_at > 0 AND finished_at < ? ORDER BY finished_at LIMIT ?)`
)

// DueIntegrations implements [enlace.InboxStore]. Each step is one seek in the index
// of what is pending, however much of it is due; what is not yet due is passed over there.
func (s *Store) DueIntegrations(ctx context.Context, after enlace.Ref, limit int) ([]enlace.Ref, error) {
	var refs []enlace.Ref
	for len(refs) < limit {
		ref, found, err := selectOne(ctx, s, "due integrations", scanRef, dueIntegration, after.Tenant, after.ID)
		if err != nil || !found {
			return refs, err
		}
		refs, after = append(refs, ref), ref
	}
	return refs, nil
}

// DueDeliveries implements [enlace.InboxStore].
func (s *Store) DueDeliveries(ctx context.Context, ref enlace.Ref, limit int) ([]enlace.StoredDelivery, time.Time, error) {
	due, err := selectAll(ctx, s, "due deliveries", scanSealedDelivery, dueDeliveries, ref.Tenant, ref.ID, limit)
	if err != nil || len(due) > 0 {
		return due, time.Time{}, err
	}
	next, _, err := selectOne(ctx, s, "next delivery", func(row Row) (next time.Time, err error) {
		err = row.Scan(instant{&next})
		return next, err
	}, nextDelivery, ref.Tenant, ref.ID)
	return nil, next, err
}

// FailedDeliveries implements [enlace.InboxStore].
func (s *Store) FailedDeliveries(ctx context.Context, ref enlace.Ref, limit int) ([]enlace.StoredDelivery, error) {
	return selectAll(ctx, s, "failed deliveries", scanDelivery, failedDeliveries, ref.Tenant, ref.ID, limit)
}

// ClaimDeliveries implements [enlace.InboxStore].
func (s *Store) ClaimDeliveries(ctx context.Context, tenant string, ids []string) error {
	args := []any{tenant}
	for _, id := range ids {
		args = append(args, id)
	}
	_, err := s.exec(ctx, "claim deliveries", strings.Replace(claimDeliveries, "{ids}", placeholders(len(ids)), 1), args...)
	return err
}

// FinishDeliveries implements [enlace.InboxStore].
func (s *Store) FinishDeliveries(ctx context.Context, tenant string, deliveries []enlace.StoredDelivery) error {
	args := make([]any, 0, len(deliveries)*3+1)
	for _, d := range deliveries {
		args = append(args, d.ID, toJSON(d.Types), toJSON(d.Lanes))
	}
	_, err := s.exec(ctx, "finish deliveries", rowsOf(finishDeliveries, len(deliveries), 3), append(args, tenant)...)
	return err
}

// UpdateDelivery implements [enlace.InboxStore].
func (s *Store) UpdateDelivery(ctx context.Context, d enlace.StoredDelivery, from enlace.DeliveryState) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		changed, err := s.exec(ctx, "update delivery", updateDelivery, string(d.State), d.Attempts, d.Replays, d.Edited, micros(d.NextAt),
			micros(d.FinishedAt), toJSON(d.Types), toJSON(d.Lanes), d.Kind, d.Error, d.Ref.Tenant, d.ID, string(from))
		if err == nil && changed == 0 {
			err = enlace.ErrConflict
		}
		if err != nil || d.Sealed.Data == nil {
			return err
		}
		_, err = s.exec(ctx, "update delivery", updateDeliveryData, int64(d.Sealed.KeyID), d.Sealed.Data, d.Ref.Tenant, d.ID)
		return err
	})
}

// Delivery implements [enlace.InboxStore].
func (s *Store) Delivery(ctx context.Context, tenant, id string) (enlace.StoredDelivery, error) {
	d, found, err := selectOne(ctx, s, "delivery", scanSealedDelivery, selectDelivery, tenant, id)
	if err == nil && !found {
		err = enlace.ErrNotFound
	}
	return d, err
}

// Deliveries implements [enlace.InboxStore].
func (s *Store) Deliveries(ctx context.Context, q enlace.DeliveryQuery) ([]enlace.StoredDelivery, string, error) {
	statement, args := `SELECT `+deliveryColumns+` FROM enlace.deliveries WHERE tenant = ?`, []any{q.Tenant}
	filter := func(condition string, value string) {
		if value != "" {
			statement, args = statement+condition, append(args, value)
		}
	}
	if q.State == enlace.DeliveryDead {
		statement += ` AND state = 'dead'` // as the index has it
	} else {
		filter(` AND state = ?`, string(q.State))
	}
	filter(` AND integration = ?`, q.Integration)
	filter(` AND kind = ?`, q.Kind)
	if q.Cursor != "" {
		last, err := page.Decode(deliveryList, q.Cursor)
		if err != nil {
			return nil, "", err
		}
		filter(` AND id < ?`, last)
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "deliveries", scanDelivery, statement+` ORDER BY id DESC LIMIT ?`, append(args, size+1)...)
	if err != nil {
		return nil, "", err
	}
	cut, next := page.Cut(rows, size, deliveryList, func(d enlace.StoredDelivery) string { return d.ID })
	return cut, next, nil
}

// DeadDeliveries implements [enlace.InboxStore].
func (s *Store) DeadDeliveries(ctx context.Context, tenant, integration string) ([]enlace.DeadDeliveryGroup, error) {
	return selectAll(ctx, s, "dead letters", func(row Row) (enlace.DeadDeliveryGroup, error) {
		g := enlace.DeadDeliveryGroup{Ref: enlace.Ref{Tenant: tenant}}
		err := row.Scan(&g.Ref.ID, &g.Kind, &g.Count, instant{&g.Latest})
		return g, err
	}, deadLetters, tenant, integration, integration)
}

// PruneInbox implements [enlace.InboxStore].
func (s *Store) PruneInbox(ctx context.Context, before time.Time, limit int) (int, error) {
	total := 0
	for _, statement := range []string{pruneDeliveries, pruneEvents, pruneRecords} {
		n, err := s.exec(ctx, "prune inbox", statement, before.UnixMicro(), limit)
		if err != nil {
			return total, err
		}
		total += int(n)
	}
	return total, nil
}

// DeleteInbox implements [enlace.InboxStore].
func (s *Store) DeleteInbox(ctx context.Context, ref enlace.Ref) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, table := range []string{"webhook_endpoints", "deliveries", "webhook_events", "webhook_records"} {
			_, err := s.exec(ctx, "delete inbox", `DELETE FROM enlace.`+table+` WHERE tenant = ? AND integration = ?`, ref.Tenant, ref.ID)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func scanDelivery(row Row) (enlace.StoredDelivery, error) { return scanDeliveryAnd(row) }

func scanSealedDelivery(row Row) (enlace.StoredDelivery, error) {
	var data []byte
	d, err := scanDeliveryAnd(row, &data)
	d.Sealed.Data = data
	return d, err
}

func scanDeliveryAnd(row Row, more ...any) (enlace.StoredDelivery, error) {
	var d enlace.StoredDelivery
	var keyID int64
	err := row.Scan(append([]any{&d.Ref.Tenant, &d.ID, &d.Ref.ID, &d.Provider, &d.DedupeKey, &d.State, &d.Attempts, &d.Replays, &d.Signed, &d.Edited,
		instantOrZero{&d.SignedAt}, instantOrZero{&d.ReceivedAt}, instantOrZero{&d.NextAt}, instantOrZero{&d.FinishedAt},
		asJSON{&d.Types}, asJSON{&d.Lanes}, &d.Kind, &d.Error, &keyID}, more...)...)
	d.Sealed.KeyID = uint64(keyID)
	return d, err
}

func scanRef(row Row) (enlace.Ref, error) {
	var ref enlace.Ref
	err := row.Scan(&ref.Tenant, &ref.ID)
	return ref, err
}

func scanText(row Row) (text string, err error) {
	err = row.Scan(&text)
	return text, err
}

// rowsOf puts n rows of parameters in the place of {rows}.
func rowsOf(statement string, n, columns int) string {
	row := "(" + placeholders(columns) + ")"
	return strings.Replace(statement, "{rows}", strings.TrimSuffix(strings.Repeat(row+", ", n), ", "), 1)
}

// micros is a time as a column has it; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instantOrZero scans what micros has made.
type instantOrZero struct{ t *time.Time }

// Scan implements sql.Scanner.
func (i instantOrZero) Scan(column any) error {
	if micros, ok := column.(int64); ok && micros == 0 {
		*i.t = time.Time{}
		return nil
	}
	return instant(i).Scan(column)
}
