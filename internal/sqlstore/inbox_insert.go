package sqlstore

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	// insertDeliveries rolls the whole transaction back where a statement would only take back
	// itself: SQLite would write every page down first, for the statement that ends in its middle.
	insertDeliveries = `INSERT OR ROLLBACK INTO enlace.deliveries (` + deliveryColumns + `, data) VALUES {rows}
		ON CONFLICT (tenant, integration, dedupe_key) DO NOTHING RETURNING id`
	deliveryParameters = 20

	// insertDeliveryArrays has the same text for any number of rows: a server takes longer to read
	// a thousand parameters than to store what is in them.
	insertDeliveryArrays = `INSERT INTO enlace.deliveries (` + deliveryColumns + `, data)
		SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::integer[], ?::integer[], ?::boolean[], ?::boolean[],
			?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bytea[])
		ON CONFLICT (tenant, integration, dedupe_key) DO NOTHING RETURNING id`

	// maxInsertRows is how many deliveries one statement takes where there are no arrays: a power of
	// two, and the rest of a batch is cut into smaller ones, so that few texts stay compiled.
	maxInsertRows = 64
)

// InsertDeliveries implements [enlace.InboxStore].
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []enlace.StoredDelivery) (inserted []string, err error) {
	switch {
	case len(deliveries) == 0:
		return nil, nil
	case s.db.Dialect().Arrays:
		return selectAll(ctx, s, "insert deliveries", scanText, insertDeliveryArrays, deliveryArrays(deliveries)...)
	case len(deliveries) == 1:
		return s.insertRows(ctx, deliveries)
	}
	err = s.db.Transact(ctx, func(ctx context.Context) error {
		inserted = nil
		for rest, n := deliveries, maxInsertRows; len(rest) > 0; rest = rest[n:] {
			for n > len(rest) {
				n /= 2
			}
			ids, err := s.insertRows(ctx, rest[:n])
			if err != nil {
				return err
			}
			inserted = append(inserted, ids...)
		}
		return nil
	})
	return inserted, err
}

func (s *Store) insertRows(ctx context.Context, deliveries []enlace.StoredDelivery) ([]string, error) {
	args := make([]any, 0, len(deliveries)*deliveryParameters)
	for i := range deliveries {
		d := &deliveries[i]
		args = append(args, d.Ref.Tenant, d.ID, d.Ref.ID, d.Provider, d.DedupeKey, string(d.State), d.Attempts, d.Replays, d.Signed, d.Edited,
			micros(d.SignedAt), micros(d.ReceivedAt), micros(d.NextAt), micros(d.FinishedAt), textsJSON(d.Types), textsJSON(d.Lanes), d.Kind, d.Error,
			int64(d.Sealed.KeyID), d.Sealed.Data)
	}
	return selectAll(ctx, s, "insert deliveries", scanText, rowsOf(insertDeliveries, len(deliveries), deliveryParameters), args...)
}

// deliveryArrays are the columns of insertDeliveryArrays.
func deliveryArrays(deliveries []enlace.StoredDelivery) []any {
	texts := func(of func(*enlace.StoredDelivery) string) []string { return column(deliveries, of) }
	times := func(of func(*enlace.StoredDelivery) time.Time) []int64 {
		return column(deliveries, func(d *enlace.StoredDelivery) int64 { return micros(of(d)) })
	}
	return []any{
		texts(func(d *enlace.StoredDelivery) string { return d.Ref.Tenant }),
		texts(func(d *enlace.StoredDelivery) string { return d.ID }),
		texts(func(d *enlace.StoredDelivery) string { return d.Ref.ID }),
		texts(func(d *enlace.StoredDelivery) string { return d.Provider }),
		texts(func(d *enlace.StoredDelivery) string { return d.DedupeKey }),
		texts(func(d *enlace.StoredDelivery) string { return string(d.State) }),
		column(deliveries, func(d *enlace.StoredDelivery) int32 { return int32(d.Attempts) }),
		column(deliveries, func(d *enlace.StoredDelivery) int32 { return int32(d.Replays) }),
		column(deliveries, func(d *enlace.StoredDelivery) bool { return d.Signed }),
		column(deliveries, func(d *enlace.StoredDelivery) bool { return d.Edited }),
		times(func(d *enlace.StoredDelivery) time.Time { return d.SignedAt }),
		times(func(d *enlace.StoredDelivery) time.Time { return d.ReceivedAt }),
		times(func(d *enlace.StoredDelivery) time.Time { return d.NextAt }),
		times(func(d *enlace.StoredDelivery) time.Time { return d.FinishedAt }),
		texts(func(d *enlace.StoredDelivery) string { return textsJSON(d.Types) }),
		texts(func(d *enlace.StoredDelivery) string { return textsJSON(d.Lanes) }),
		texts(func(d *enlace.StoredDelivery) string { return d.Kind }),
		texts(func(d *enlace.StoredDelivery) string { return d.Error }),
		column(deliveries, func(d *enlace.StoredDelivery) int64 { return int64(d.Sealed.KeyID) }),
		column(deliveries, func(d *enlace.StoredDelivery) []byte { return d.Sealed.Data }),
	}
}

// column is one column of rows.
func column[R, T any](rows []R, of func(*R) T) []T {
	all := make([]T, len(rows))
	for i := range rows {
		all[i] = of(&rows[i])
	}
	return all
}

// textsJSON is toJSON of a list that is empty in most rows.
func textsJSON(texts []string) string {
	if texts == nil {
		return "null"
	}
	return toJSON(texts)
}
