package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

// wire is the way to the server. Each counter says how many of the next events fail.
type wire struct {
	dials   atomic.Int32 // no new connection
	writes  atomic.Int32 // nothing reaches the server
	answers atomic.Int32 // the server has done it, and nobody learns of it
}

var errWire = &net.OpError{Op: "test", Net: "wire", Err: errors.New("broken by the test")}

func fails(c *atomic.Int32) bool {
	for n := c.Load(); n > 0; n = c.Load() {
		if c.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if fails(&w.dials) {
		return nil, errWire
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &wireConn{conn, w}, err
}

type wireConn struct {
	net.Conn
	wire *wire
}

func (c *wireConn) Write(p []byte) (int, error) {
	if fails(&c.wire.writes) {
		return 0, errors.Join(errWire, c.Close())
	}
	return c.Conn.Write(p)
}

func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && fails(&c.wire.answers) {
		c.Close()
		return 0, io.EOF
	}
	return n, err
}

// overWire returns a store with one connection, which has stored "old".
func overWire(t *testing.T, w *wire) *postgres.Store {
	t.Helper()
	s := overPool(t, postgres.Options{}, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.ConnConfig.DialFunc = w.dial
	})
	for range 2 { // the second time everything is described already
		if err := s.UpdateCredential(t.Context(), key, value("old")); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// stored notes a failure unless the value and its version are those, and the
// credential is free.
func stored(t *testing.T, s *postgres.Store, data string, version int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // shorter than a lease
	defer cancel()
	err := s.UpdateCredential(ctx, key, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		if cur == nil || string(cur.Data) != data || cur.Version != version || interrupted {
			t.Errorf("stored is %+v, interrupted %v; want %q with version %d", cur, interrupted, data, version)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Whatever happens to the connection after fn has returned, its result is stored once.
func TestResultSurvivesConnection(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(w *wire){
		"nothing was sent":       func(w *wire) { w.writes.Store(1) },
		"no connection for some": func(w *wire) { w.writes.Store(1); w.dials.Store(4) },
		"the answer was lost":    func(w *wire) { w.answers.Store(1) },
		"both":                   func(w *wire) { w.answers.Store(1); w.dials.Store(4) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w wire
			s := overWire(t, &w)
			err := s.UpdateCredential(t.Context(), key, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
				fail(&w)
				return &enlace.Sealed{Data: []byte("new")}, nil
			})
			if err != nil {
				t.Errorf("the result was not stored: %v", err)
			}
			if w.writes.Load()+w.dials.Load()+w.answers.Load() > 0 {
				t.Error("the connection did not fail as the test wants it")
			}
			stored(t, s, "new", 3)
		})
	}
}

// The server ends every session while fn runs, as at its restart.
func TestResultSurvivesServer(t *testing.T) {
	t.Parallel()
	schema := server.Schema(t)
	s := overPool(t, postgres.Options{Schema: schema}, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["application_name"] = schema
	})
	other := open(t, postgres.Options{Schema: schema})
	ended := 0
	err := s.UpdateCredential(t.Context(), key, func(ctx context.Context, _ *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		err := other.Pool().QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1`, schema).Scan(&ended)
		return &enlace.Sealed{Data: []byte("new")}, err
	})
	if err != nil || ended == 0 {
		t.Errorf("%d sessions were ended: %v", ended, err)
	}
	stored(t, s, "new", 1)
}

// A lease that was taken without the answer arriving is given back at once.
func TestLostLeaseAnswer(t *testing.T) {
	t.Parallel()
	var w wire
	s := overWire(t, &w)
	w.answers.Store(1)
	err := s.UpdateCredential(t.Context(), key, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		t.Error("fn runs without a lease")
		return nil, nil
	})
	if err == nil {
		t.Error("a failure to take the lease is an error")
	}
	stored(t, s, "old", 2)
}
