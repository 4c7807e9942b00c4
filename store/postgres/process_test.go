package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

// The tests of several processes run this test binary again, with a part to
// play instead of the tests.
const (
	partVariable   = "ENLACE_POSTGRES_TEST_PART"
	dsnVariable    = "ENLACE_POSTGRES_TEST_DSN"
	schemaVariable = "ENLACE_POSTGRES_TEST_SCHEMA"
	dirVariable    = "ENLACE_POSTGRES_TEST_DIR"
)

var parts = map[string]func() error{
	"count":   withStore(func(s *postgres.Store) error { return count(s, os.Getenv(dirVariable)) }),
	"hang":    withStore(hang),
	"commit":  withStore(commit),
	"migrate": migrate,
}

func openPart() (*postgres.Store, error) {
	return postgres.Open(context.Background(), os.Getenv(dsnVariable),
		postgres.Options{Schema: os.Getenv(schemaVariable), Lease: shortLease})
}

func withStore(part func(*postgres.Store) error) func() error {
	return func() error {
		s, err := openPart()
		if err != nil {
			return err
		}
		return errors.Join(part(s), s.Close())
	}
}

// process is a child that plays a part.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	input io.WriteCloser
}

func start(t *testing.T, part, schema, dir string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), partVariable+"="+part, dsnVariable+"="+server.DSN(t), schemaVariable+"="+schema, dirVariable+"="+dir)
	p.cmd.Stderr = os.Stderr
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(output)
	return p
}

// line is the next line that the process prints, "" after the last.
func (p *process) line() string {
	p.lines.Scan()
	return p.lines.Text()
}

// kill ends the process in the middle of whatever it does (SIGKILL).
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

const countsPerProcess = 15

// count counts up the credential. A file that may exist only once shows that
// nobody else is inside.
func count(s *postgres.Store, dir string) error {
	inside := filepath.Join(dir, "inside")
	for range countsPerProcess {
		err := s.UpdateCredential(context.Background(), key, func(_ context.Context, cur *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
			f, err := os.OpenFile(inside, os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return nil, fmt.Errorf("two are inside: %w", err)
			}
			f.Close()
			n := 0
			if cur != nil {
				n, _ = strconv.Atoi(string(cur.Data))
			}
			return &enlace.Sealed{Data: []byte(strconv.Itoa(n + 1))}, os.Remove(inside)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestProcessesTakeTurns(t *testing.T) {
	t.Parallel()
	schema, dir := server.Schema(t), t.TempDir()
	children := []*process{start(t, "count", schema, dir), start(t, "count", schema, dir)}
	s := open(t, postgres.Options{Schema: schema})
	if err := count(s, dir); err != nil {
		t.Error(err)
	}
	for _, child := range children {
		if line := child.line(); line != "" {
			t.Error(line)
		}
		if err := child.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	got, err := s.LoadCredential(t.Context(), key)
	if want := strconv.Itoa(3 * countsPerProcess); err != nil || string(got.Data) != want {
		t.Errorf("counted to %s, want %s (%v)", got.Data, want, err)
	}
}

// hang says that it is inside, and comes out when it is told to.
func hang(s *postgres.Store) error {
	err := s.UpdateCredential(context.Background(), key, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		fmt.Println("inside")
		_, _ = os.Stdin.Read(make([]byte, 1))
		return &enlace.Sealed{Data: []byte("too late")}, nil
	})
	fmt.Println("conflict:", errors.Is(err, enlace.ErrConflict))
	return nil
}

func TestKilledInsideIsReported(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Options{Schema: server.Schema(t), Lease: shortLease})
	schema := s.Schema()
	for _, stored := range []string{"", "old"} {
		if stored != "" {
			if err := s.UpdateCredential(t.Context(), key, value(stored)); err != nil {
				t.Fatal(err)
			}
		}
		child := start(t, "hang", schema, "")
		if line := child.line(); line != "inside" {
			t.Fatal(line)
		}
		child.kill()
		if got, err := s.LoadCredential(t.Context(), key); string(got.Data) != stored || (stored == "") != errors.Is(err, enlace.ErrNoCredential) {
			t.Errorf("a killed holder leaves %q as it is: got %q, %v", stored, got.Data, err)
		}
		err := s.UpdateCredential(t.Context(), key, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
			if !interrupted || (cur != nil) != (stored != "") {
				t.Errorf("the successor of a killed holder gets %v, interrupted %v", cur, interrupted)
			}
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// commit saves one thing after the other and says so after each.
func commit(s *postgres.Store) error {
	ctx := context.Background()
	for n := int64(0); ; n++ {
		err := errors.Join(
			s.SaveCheckpoint(ctx, ref, "deals", enlace.Checkpoint{Mark: enlace.Cursor(strconv.FormatInt(n+1, 10)), Version: n}),
			s.UpdateCredential(ctx, key, value(strconv.FormatInt(n+1, 10))))
		if err != nil {
			return err
		}
		fmt.Println(n + 1)
	}
}

func TestKilledLosesNothingCommitted(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		s := open(t, postgres.Options{Schema: server.Schema(t)})
		child := start(t, "commit", s.Schema(), "")
		acknowledged := int64(0)
		for range 20 + 13*round {
			n, err := strconv.ParseInt(child.line(), 10, 64)
			if err != nil || n != acknowledged+1 {
				t.Fatalf("line %d after %d: %v", n, acknowledged, err)
			}
			acknowledged = n
		}
		child.kill()
		cp, err := s.LoadCheckpoint(t.Context(), ref, "deals")
		if err != nil || cp.Version < acknowledged || string(cp.Mark) != strconv.FormatInt(cp.Version, 10) {
			t.Errorf("checkpoint is %+v after %d were acknowledged (%v)", cp, acknowledged, err)
		}
		cred, err := s.LoadCredential(t.Context(), key)
		if err != nil || cred.Version < acknowledged || string(cred.Data) != strconv.FormatInt(cred.Version, 10) {
			t.Errorf("credential is %+v after %d were acknowledged (%v)", cred, acknowledged, err)
		}
	}
}

// migrate opens the store when it is told to.
func migrate() error {
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	s, err := openPart()
	if err != nil {
		return err
	}
	err = s.SaveRun(context.Background(), enlace.Run{ID: strconv.Itoa(os.Getpid()), Ref: ref})
	return errors.Join(err, s.Close())
}

func TestProcessesMigrateTogether(t *testing.T) {
	t.Parallel()
	const processes = 4
	schema := server.Schema(t)
	var children []*process
	for range processes {
		child := start(t, "migrate", schema, "")
		if line := child.line(); line != "ready" {
			t.Fatal(line)
		}
		children = append(children, child)
	}
	for _, child := range children {
		child.input.Close()
	}
	for _, child := range children {
		if line := child.line(); line != "" {
			t.Error(line)
		}
		if err := child.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	s := open(t, postgres.Options{Schema: schema})
	appliedOnce(t, s)
	if runs, _, err := s.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"}); err != nil || len(runs) != processes {
		t.Errorf("%d processes wrote %d rows, %v", processes, len(runs), err)
	}
}
