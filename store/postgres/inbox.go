package postgres

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

// insertDeliveries takes a column in each parameter: its text is the same for any number
// of rows, and the server has little to parse.
const insertDeliveries = `INSERT INTO enlace.deliveries (tenant, id, integration, provider, dedupe_key, state, attempts, replays, signed, edited,
		signed_at, received_at, next_at, finished_at, types, lanes, kind, error, key_id, data)
	SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[], $9::boolean[], $10::boolean[],
		$11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[], $16::text[], $17::text[], $18::text[], $19::bigint[], $20::bytea[])
	ON CONFLICT (tenant, integration, dedupe_key) DO NOTHING RETURNING id`

// InsertDeliveries implements [enlace.InboxStore]. It is the hot path of webhooks, and so
// has a statement of its own.
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []enlace.StoredDelivery) ([]string, error) {
	n := len(deliveries)
	if n == 0 {
		return nil, nil
	}
	texts := make([]string, 10*n)
	text := func(column int) []string { return texts[column*n : (column+1)*n : (column+1)*n] }
	tenants, ids, integrations, providers, keys := text(0), text(1), text(2), text(3), text(4)
	states, types, lanes, kinds, errors := text(5), text(6), text(7), text(8), text(9)
	attempts, replays, signed, edited := make([]int32, n), make([]int32, n), make([]bool, n), make([]bool, n)
	signedAt, receivedAt, nextAt, finishedAt := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	keyIDs, data := make([]int64, n), make([][]byte, n)
	for i := range deliveries {
		d := &deliveries[i]
		tenants[i], ids[i], integrations[i], providers[i], keys[i] = d.Ref.Tenant, d.ID, d.Ref.ID, d.Provider, d.DedupeKey
		states[i], types[i], lanes[i], kinds[i], errors[i] = string(d.State), toJSON(d.Types), toJSON(d.Lanes), d.Kind, d.Error
		attempts[i], replays[i], signed[i], edited[i] = int32(d.Attempts), int32(d.Replays), d.Signed, d.Edited
		signedAt[i], receivedAt[i], nextAt[i], finishedAt[i] = micros(d.SignedAt), micros(d.ReceivedAt), micros(d.NextAt), micros(d.FinishedAt)
		keyIDs[i], data[i] = int64(d.Sealed.KeyID), d.Sealed.Data
	}
	return selectAll(ctx, s, "insert deliveries", func(row scanner) (id string, err error) { err = row.Scan(&id); return id, err },
		insertDeliveries, tenants, ids, integrations, providers, keys, states, attempts, replays, signed, edited,
		signedAt, receivedAt, nextAt, finishedAt, types, lanes, kinds, errors, keyIDs, data)
}

// ParallelCommits implements [enlace.ParallelCommitter]: while one commit waits for the
// disk, the server works on the next.
func (s *Store) ParallelCommits() int { return 2 }

// micros is a time in a column of microseconds; 0 is none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
