package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/enlace-go/enlace"
)

// SQLSTATE codes that are told from the rest of their class.
const (
	codeUniqueViolation = "23505"
	codeSyntaxError     = "42601"
	codeReadOnly        = "25006" // a server that is no longer the primary
)

var (
	// errNoAnswer stands for the end of a time limit of ours, which is not the caller's.
	errNoAnswer = errors.New("the database did not answer in time")
	errWithheld = errors.New("the driver refused a value; the details are withheld, since they may hold it")
)

// failed says which operation an error belongs to. Statements and arguments are
// left out: they may be anybody's data.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if safe := withoutData(err); safe != nil {
		return fmt.Errorf("postgres: %s: %w", op, safe)
	}
	return fmt.Errorf("postgres: %s: %w", op, errWithheld)
}

// withoutData is err in a form that shows neither SQL nor data, nil if it is not
// known to have one.
func withoutData(err error) error {
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok && errors.Is(e, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %v", errNoAnswer, e) // the limit of connecting, not the caller's
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, errNoAnswer, puddle.ErrClosedPool} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.Is(err, enlace.ErrConflict) || errors.Is(err, enlace.ErrInvalid) || errors.Is(err, ErrSchema) {
		return err // made here
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return serverError(e)
	}
	if lostConnection(err) {
		return err
	}
	return nil
}

// serverError leaves of a server's error what never holds a stored value: Detail,
// Where and some messages quote them.
func serverError(e *pgconn.PgError) error {
	switch {
	case e.Code == codeUniqueViolation || rolledBack(e):
		return fmt.Errorf("%w (SQLSTATE %s)", enlace.ErrConflict, e.Code)
	case class(e) == "22":
		return fmt.Errorf("%w: a value that PostgreSQL cannot keep (SQLSTATE %s)", enlace.ErrInvalid, e.Code)
	}
	safe := &pgconn.PgError{Severity: e.Severity, Code: e.Code, Message: "the server's message is withheld, since it may hold stored values"}
	if slices.Contains([]string{"08", "25", "28", "3D", "3F", "42", "53", "55", "57", "58"}, class(e)) && e.Code != codeSyntaxError {
		safe.Message = e.Message
	}
	return safe
}

// class is the first part of the SQLSTATE code, which says what kind of error it is.
func class(e *pgconn.PgError) string { return e.Code[:min(2, len(e.Code))] }

// rolledBack says whether the server gave up the statement in favour of another one.
func rolledBack(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && class(e) == "40"
}

// lostConnection says whether the way to the server failed. The statement may
// have been carried out.
func lostConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// passing says whether err is a state of the server or of the way to it that may pass.
func passing(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{"08", "40", "53", "55", "57", "58"}, class(e)) || e.Code == codeReadOnly
	}
	return errors.Is(err, errNoAnswer) || lostConnection(err)
}

// limited runs fn with a time limit of its own, whose end is errNoAnswer.
func limited(ctx context.Context, limit time.Duration, fn func(ctx context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := fn(inner)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return errNoAnswer
	}
	return err
}

// retry repeats fn while again says that it may help, until ctx ends.
func retry(ctx context.Context, again func(error) bool, fn func() error) error {
	for {
		err := fn()
		if err == nil || !again(err) || pause(ctx) != nil {
			return err
		}
	}
}

// pause waits 10 to 50 ms, so that those who wait for the same thing spread out.
func pause(ctx context.Context) error {
	timer := time.NewTimer(10*time.Millisecond + rand.N(40*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
