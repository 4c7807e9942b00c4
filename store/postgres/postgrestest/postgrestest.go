// Package postgrestest finds a PostgreSQL server for tests, or starts one.
//
//	var server postgrestest.Server
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		store, err := postgres.Open(t.Context(), server.DSN(t), postgres.Options{Schema: server.Schema(t)})
//		...
//	}
//
// The server is the one that the environment variable ENLACE_TEST_POSTGRES names
// by a DSN, whose role may make schemas; it should lead to the server itself, not
// to a pooler. Without it, a private cluster is started from the binaries that are
// installed, in a temporary directory, without network and without durability; it
// ends with the test binary, however that ends.
// Without either, tests that ask for a server are skipped.
package postgrestest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Variable is the environment variable with the DSN of a running server.
const Variable = "ENLACE_TEST_POSTGRES"

const skipped = "needs PostgreSQL: apt-get install -y postgresql, or set " + Variable

// Server is the server that the tests of one test binary share. The zero value
// is ready; nothing is started before the first test asks for it. Its methods
// are safe for concurrent use.
type Server struct {
	once sync.Once
	dsn  string
	skip bool  // there is none
	err  error // there should be one
	stop func()
}

// Main runs the tests, ends the server if one was started, and returns the exit
// code. It is for TestMain.
func (s *Server) Main(m *testing.M) int {
	code := m.Run()
	if s.stop != nil {
		s.stop()
	}
	return code
}

// DSN is where the server is. If there is none, the test is skipped; if it does
// not start, the test fails.
func (s *Server) DSN(t testing.TB) string {
	t.Helper()
	s.once.Do(s.find)
	if s.skip {
		t.Skip(skipped)
	}
	if s.err != nil {
		t.Fatalf("PostgreSQL does not start; set %s to use another one: %v", Variable, s.err)
	}
	return s.dsn
}

func (s *Server) find() {
	if s.dsn = os.Getenv(Variable); s.dsn != "" {
		return
	}
	binaries, found := findBinaries()
	if !found {
		s.skip = true
		return
	}
	s.dsn, s.stop, s.err = start(binaries)
}

// Schema is a new name for a schema. The schema is dropped when the test ends,
// if it exists then; close what uses it by t.Cleanup after the call.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	dsn := s.DSN(t)
	name := "test_" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		if err := drop(dsn, name); err != nil {
			t.Errorf("drop schema: %v", err)
		}
	})
	return name
}

func drop(dsn, schema string) error {
	ctx := context.Background() // the test's has ended
	conn, err := connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "SET LOCAL client_min_messages = warning; DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE")
	return err
}

// connect opens a connection that works through any pooler.
func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("%s is no DSN", Variable) // the text could show the password
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return pgx.ConnectConfig(ctx, config)
}
