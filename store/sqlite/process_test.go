package sqlite_test

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
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/sqlite"
)

// The tests of several processes run this test binary again, with a part to
// play instead of the tests.
const (
	partVariable = "ENLACE_SQLITE_TEST_PART"
	pathVariable = "ENLACE_SQLITE_TEST_PATH"
)

// shortLease is long enough for a busy machine and short enough to wait for.
const shortLease = 300 * time.Millisecond

var parts = map[string]func(s *sqlite.Store, path string) error{
	"count":  func(s *sqlite.Store, path string) error { return count(s, path) },
	"hang":   hang,
	"commit": commit,
}

func TestMain(m *testing.M) {
	part := parts[os.Getenv(partVariable)]
	if part == nil {
		os.Exit(m.Run())
	}
	if err := play(part, os.Getenv(pathVariable)); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func play(part func(*sqlite.Store, string) error, path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{Lease: shortLease})
	if err != nil {
		return err
	}
	return errors.Join(part(s, path), s.Close())
}

// process is a child that plays a part.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	input io.WriteCloser
}

func start(t *testing.T, part, path string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), partVariable+"="+part, pathVariable+"="+path)
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

const countsPerProcess = 25

// count counts up the credential. A file that may exist only once shows that
// nobody else is inside.
func count(s *sqlite.Store, path string) error {
	inside := filepath.Join(filepath.Dir(path), "inside")
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
	path := newPath(t)
	children := []*process{start(t, "count", path), start(t, "count", path)}
	s := open(t, path, sqlite.Options{})
	if err := count(s, path); err != nil {
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
func hang(s *sqlite.Store, _ string) error {
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
	path := newPath(t)
	s := open(t, path, sqlite.Options{Lease: shortLease})
	for _, stored := range []string{"", "old"} {
		if stored != "" {
			if err := s.UpdateCredential(t.Context(), key, value(stored)); err != nil {
				t.Fatal(err)
			}
		}
		child := start(t, "hang", path)
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
func commit(s *sqlite.Store, _ string) error {
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
	for round := range 4 {
		path := newPath(t)
		child := start(t, "commit", path)
		acknowledged := int64(0)
		for range 20 + 13*round {
			n, err := strconv.ParseInt(child.line(), 10, 64)
			if err != nil || n != acknowledged+1 {
				t.Fatalf("line %d after %d: %v", n, acknowledged, err)
			}
			acknowledged = n
		}
		child.kill()

		s := open(t, path, sqlite.Options{})
		cp, err := s.LoadCheckpoint(t.Context(), ref, "deals")
		if err != nil || cp.Version < acknowledged || string(cp.Mark) != strconv.FormatInt(cp.Version, 10) {
			t.Errorf("checkpoint is %+v after %d were acknowledged (%v)", cp, acknowledged, err)
		}
		cred, err := s.LoadCredential(t.Context(), key)
		if err != nil || cred.Version < acknowledged || string(cred.Data) != strconv.FormatInt(cred.Version, 10) {
			t.Errorf("credential is %+v after %d were acknowledged (%v)", cred, acknowledged, err)
		}
		var state string
		if err := s.DB().QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&state); err != nil || state != "ok" {
			t.Errorf("integrity_check says %q (%v)", state, err)
		}
	}
}
