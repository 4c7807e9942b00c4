package postgres

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

// insertDeliveries takes a column in each parameter: its text is the same for any number
// of rows, and the server has little to parse. What was done with deliveries is the same
// for all that come in, and each array costs the server a pass of its own.
const insertDeliveries = `INSERT INTO enlace.deliveries (tenant, id, integration, provider, dedupe_key, signed, signed_at, received_at, key_id, data,
		state, attempts, replays, edited, next_at, finished_at, types, lanes, kind, error)
	SELECT *, $11::text, $12::int, $13::int, $14::boolean, $15::bigint, $16::bigint, $17::text, $18::text, $19::text, $20::text
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bytea[])
	ON CONFLICT (tenant, integration, dedupe_key) DO NOTHING RETURNING id`

// progress is what was done with a delivery, as its columns have it.
type progress struct {
	state                    string
	attempts, replays        int
	edited                   bool
	nextAt, finishedAt       int64
	types, lanes, kind, text string
}

func progressOf(d *enlace.StoredDelivery) progress {
	return progress{string(d.State), d.Attempts, d.Replays, d.Edited, micros(d.NextAt), micros(d.FinishedAt), toJSON(d.Types), toJSON(d.Lanes), d.Kind, d.Error}
}

// InsertDeliveries implements [enlace.InboxStore]. It is the hot path of webhooks, and so
// has a statement of its own, one for all deliveries that have come as far.
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []enlace.StoredDelivery) ([]string, error) {
	if len(deliveries) == 0 {
		return nil, nil
	}
	first, alike := progressOf(&deliveries[0]), 1
	for alike < len(deliveries) && progressOf(&deliveries[alike]) == first {
		alike++
	}
	if alike == len(deliveries) {
		return s.insertAlike(ctx, deliveries, first)
	}
	var inserted []string
	err := s.Transact(ctx, func(ctx context.Context) (err error) {
		if inserted, err = s.insertAlike(ctx, deliveries[:alike], first); err != nil {
			return err
		}
		others, err := s.InsertDeliveries(ctx, deliveries[alike:])
		inserted = append(inserted, others...)
		return err
	})
	return inserted, err
}

func (s *Store) insertAlike(ctx context.Context, deliveries []enlace.StoredDelivery, p progress) ([]string, error) {
	n := len(deliveries)
	texts, numbers := make([]string, 5*n), make([]int64, 3*n)
	text := func(column int) []string { return texts[column*n : (column+1)*n : (column+1)*n] }
	number := func(column int) []int64 { return numbers[column*n : (column+1)*n : (column+1)*n] }
	tenants, ids, integrations, providers, keys := text(0), text(1), text(2), text(3), text(4)
	signedAt, receivedAt, keyIDs := number(0), number(1), number(2)
	signed, data := make([]bool, n), make([][]byte, n)
	for i := range deliveries {
		d := &deliveries[i]
		tenants[i], ids[i], integrations[i], providers[i], keys[i] = d.Ref.Tenant, d.ID, d.Ref.ID, d.Provider, d.DedupeKey
		signed[i], signedAt[i], receivedAt[i] = d.Signed, micros(d.SignedAt), micros(d.ReceivedAt)
		keyIDs[i], data[i] = int64(d.Sealed.KeyID), d.Sealed.Data
	}
	return selectAll(ctx, s, "insert deliveries", func(row scanner) (id string, err error) { err = row.Scan(&id); return id, err },
		insertDeliveries, tenants, ids, integrations, providers, keys, signed, signedAt, receivedAt, keyIDs, data,
		p.state, p.attempts, p.replays, p.edited, p.nextAt, p.finishedAt, p.types, p.lanes, p.kind, p.text)
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
