package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PgBouncer starts a PgBouncer in transaction mode in front of the server and returns its DSN.
// It ends with the test. If none is installed, the test is skipped.
func (s *Server) PgBouncer(t testing.TB) string {
	t.Helper()
	config, err := pgx.ParseConfig(s.DSN(t))
	if err != nil {
		t.Fatalf("%s is no DSN", Variable)
	}
	b, ok := unprivileged()
	program := pgBouncerProgram()
	if !ok || program == "" {
		t.Skip("needs PgBouncer: apt-get install -y pgbouncer")
	}
	dsn, stop, err := b.startPgBouncer(program, config)
	if err != nil {
		t.Fatalf("PgBouncer does not start: %v", err)
	}
	t.Cleanup(stop)
	return dsn
}

// pgBouncerProgram looks where PATH leads, and where Debian keeps what only root has there.
func pgBouncerProgram() string {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// pgBouncerSettings have fewer connections to the server than the tests have to
// PgBouncer, so that transactions change connections.
const pgBouncerSettings = `[databases]
postgres = host=%s port=%d dbname=%s
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 10
max_client_conn = 500
`

func (b binaries) startPgBouncer(program string, server *pgx.ConnConfig) (dsn string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "enlacepg")
	if err != nil {
		return "", nil, err
	}
	settings, users := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "users")
	text := fmt.Sprintf(pgBouncerSettings, server.Host, server.Port, server.Database, dir, users)
	err = errors.Join(os.WriteFile(settings, []byte(text), 0o600), os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", server.User, server.Password), 0o600),
		b.chown(settings), b.chown(users), b.chown(dir))
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	ended, stop, err := b.serve(dir, "TERM", program, settings)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	dsn = fmt.Sprintf("host=%s port=6432 user=%s dbname=postgres sslmode=disable", dir, server.User)
	if err := waitUntilReady(dsn, ended); err != nil {
		stop()
		return "", nil, err
	}
	return dsn, stop, nil
}
