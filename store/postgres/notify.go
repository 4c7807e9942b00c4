package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
)

const (
	// listenCheck is how often a connection that hears nothing is asked whether it lives.
	listenCheck = 30 * time.Second
	// listenAgain is the pause before the next connection after one that broke.
	listenAgain = time.Second
)

// Notify implements [enlace.Notifier] by NOTIFY on a channel with the schema's name.
// PostgreSQL commits transactions that notify one after the other: whoever adds
// notifications of his own to many transactions makes them wait.
func (s *Store) Notify(ctx context.Context, text string) error {
	_, err := s.exec(ctx, "notify", `SELECT pg_notify($1, $2)`, s.schema, text)
	return err
}

// Listen implements [enlace.Notifier] on a connection of its own, beside those of the
// pool. With [Options.PollOnly] it returns [enlace.ErrUnsupported].
func (s *Store) Listen(ctx context.Context, heard func(text string)) error {
	if s.pollOnly {
		return enlace.ErrUnsupported
	}
	for {
		_ = s.listen(ctx, heard) // whatever it is, the next connection may be better
		timer := time.NewTimer(listenAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// listen is Listen until the connection breaks.
func (s *Store) listen(ctx context.Context, heard func(text string)) error {
	config := s.pool.Config()
	if before := config.BeforeConnect; before != nil { // such as a fresh password
		if err := before(ctx, config.ConnConfig); err != nil {
			return err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{s.schema}.Sanitize(), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	heard("") // nobody has listened until now
	for {
		text, err := waitFor(ctx, conn)
		switch {
		case err == nil:
			heard(text)
		case ctx.Err() != nil || conn.IsClosed():
			return err
		default:
			if err := limited(ctx, tryTimeout, conn.Ping); err != nil {
				return err
			}
		}
	}
}

func waitFor(ctx context.Context, conn *pgx.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, listenCheck)
	defer cancel()
	n, err := conn.WaitForNotification(ctx)
	if err != nil {
		return "", err
	}
	return n.Payload, nil
}
