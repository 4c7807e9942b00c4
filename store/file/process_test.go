//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package file_test

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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/file"
)

const (
	childRole = "ENLACE_FILE_TEST_ROLE"
	childDir  = "ENLACE_FILE_TEST_DIR"
)

// TestMain is the main of the tests, and of the processes that they start.
func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := roles[role](os.Getenv(childDir)); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	counts     = 40 // of each process that counts
	shortLease = 300 * time.Millisecond
)

// roles are what a process can do, which it reports line by line.
var roles = map[string]func(dir string) error{
	// hang is inside fn for ever.
	"hang": func(dir string) error {
		return with(dir, time.Hour, func(s *file.Store) error {
			return s.UpdateCredential(context.Background(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
				fmt.Println("inside")
				select {}
			})
		})
	},
	// write is between writing the result and putting it in its place, for ever.
	"write": func(dir string) error {
		return with(dir, time.Hour, func(s *file.Store) error {
			s.BeforeRename(func() {
				fmt.Println("written")
				select {}
			})
			return s.UpdateCredential(context.Background(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
				return &enlace.Sealed{Data: []byte("half done")}, nil
			})
		})
	},
	// count counts the value up, and watches that nobody else is inside.
	"count": func(dir string) error {
		return with(dir, time.Hour, func(s *file.Store) error {
			for range counts {
				if err := s.UpdateCredential(context.Background(), account, countAlone(dir)); err != nil {
					return err
				}
			}
			fmt.Println("done")
			return nil
		})
	},
	// acknowledge counts the value up for ever, and tells each version that is stored.
	"acknowledge": func(dir string) error {
		return with(dir, time.Hour, func(s *file.Store) error {
			for {
				var stored int64
				err := s.UpdateCredential(context.Background(), account, func(_ context.Context, cur *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
					if cur != nil {
						stored = cur.Version
					}
					return &enlace.Sealed{Data: []byte(strconv.FormatInt(stored+1, 10))}, nil
				})
				if err != nil {
					return err
				}
				fmt.Println(stored + 1)
			}
		})
	},
	// late is inside fn until a line comes in, and then has a result.
	"late": func(dir string) error {
		return with(dir, shortLease, func(s *file.Store) error {
			err := s.UpdateCredential(context.Background(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
				fmt.Println("inside")
				_, err := bufio.NewReader(os.Stdin).ReadString('\n')
				return &enlace.Sealed{Data: []byte("too late")}, err
			})
			fmt.Println("conflict:", errors.Is(err, enlace.ErrConflict))
			return nil
		})
	},
}

func with(dir string, lease time.Duration, do func(s *file.Store) error) error {
	s, err := file.Open(dir, file.Options{Lease: lease})
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// countAlone fails if another fn runs at the same time, in any process.
func countAlone(dir string) func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
	return func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		inside := filepath.Join(dir, "inside")
		f, err := os.OpenFile(inside, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		n := 0
		if cur != nil {
			n, err = strconv.Atoi(string(cur.Data))
		}
		if interrupted {
			err = errors.New("interrupted, and nobody was")
		}
		return &enlace.Sealed{Data: []byte(strconv.Itoa(n + 1))}, errors.Join(err, f.Close(), os.Remove(inside))
	}
}

// child is a process with a role.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Writer
	lines *bufio.Scanner
}

func start(t *testing.T, role, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &child{t, cmd, in, bufio.NewScanner(out)}
}

// says is the next line that the process reports.
func (c *child) says() string {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("the process ended: %v", c.lines.Err())
	}
	return c.lines.Text()
}

func (c *child) expect(want string) {
	c.t.Helper()
	if got := c.says(); got != want {
		c.t.Fatalf("the process says %q, want %q", got, want)
	}
}

// kill ends the process as kill -9 does, and waits for the end.
func (c *child) kill() {
	c.t.Helper()
	must(c.t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

// told stores next, or nothing if it is "", and checks what fn is told.
func told(t *testing.T, s *file.Store, cur string, interrupted bool, next string) {
	t.Helper()
	must(t, s.UpdateCredential(t.Context(), account, func(_ context.Context, value *enlace.Sealed, was bool) (*enlace.Sealed, error) {
		if string(value.Data) != cur || was != interrupted {
			t.Errorf("fn gets %q, interrupted %v; want %q, %v", value.Data, was, cur, interrupted)
		}
		if next == "" {
			return nil, nil
		}
		return &enlace.Sealed{Data: []byte(next)}, nil
	}))
}

// The kernel says at once that a holder is dead: nobody waits for its lease,
// which is an hour here.
func TestKilledInsideFn(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, time.Hour)
	put(t, s, account, "old", 1)
	c := start(t, "hang", dir)
	c.expect("inside")

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err := s.UpdateCredential(ctx, account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		t.Error("a second fn began while another process was inside")
		return nil, nil
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits for another process gets %v, want its own deadline", err)
	}
	c.kill()
	told(t, s, "old", true, "")
	told(t, s, "old", true, "new")
	told(t, s, "new", false, "")
}

func TestKilledBeforeRename(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, time.Hour)
	put(t, s, account, "old", 1)
	c := start(t, "write", dir)
	c.expect("written")
	c.kill()
	if n := len(paths(t, dir, ".tmp")); n != 1 {
		t.Fatalf("the process left %d temporary files, want 1", n)
	}
	if got := load(t, s, account); got != "old" {
		t.Errorf("the value is %q after a write that did not come to its end", got)
	}
	keys := 0
	for _, err := range s.Credentials(t.Context(), account.Tenant) {
		must(t, err)
		keys++
	}
	if keys != 1 {
		t.Errorf("%d keys with a temporary file beside the value, want 1", keys)
	}
	told(t, s, "old", true, "new")
	told(t, s, "new", false, "")
	if left := append(paths(t, dir, ".tmp"), paths(t, dir, ".lease")...); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}

	c = start(t, "write", dir)
	c.expect("written")
	c.kill()
	must(t, s.DeleteCredential(t.Context(), account))
	if left := append(paths(t, dir, ".tmp"), paths(t, dir, ".lease")...); len(left) > 0 {
		t.Errorf("files are left after the deletion: %v", left)
	}
}

// What a process has acknowledged is there after it was killed, whenever that was.
func TestKilledAtAnyTime(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, time.Hour)
	for round := range 12 {
		c := start(t, "acknowledge", dir)
		var acknowledged int64
		for range 1 + round {
			n, err := strconv.ParseInt(c.says(), 10, 64)
			must(t, err)
			acknowledged = n
		}
		c.kill()
		value, err := s.LoadCredential(t.Context(), account)
		must(t, err)
		if value.Version < acknowledged || string(value.Data) != strconv.FormatInt(value.Version, 10) {
			t.Fatalf("version %d with the value %q, after version %d was acknowledged", value.Version, value.Data, acknowledged)
		}
	}
}

func TestProcessesTakeTurns(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, time.Hour)
	first, second := start(t, "count", dir), start(t, "count", dir)
	for range counts {
		must(t, s.UpdateCredential(t.Context(), account, countAlone(dir)))
	}
	first.expect("done")
	second.expect("done")
	value, err := s.LoadCredential(t.Context(), account)
	must(t, err)
	if string(value.Data) != strconv.Itoa(3*counts) || value.Version != 3*counts {
		t.Errorf("three processes counted to %s in %d versions, want %d", value.Data, value.Version, 3*counts)
	}
}

// A holder that is stopped keeps the kernel's lock, and loses its lease all the same.
func TestStoppedPastItsLease(t *testing.T) {
	t.Parallel() // it waits for a lease to end
	dir := t.TempDir()
	s := openStore(t, dir, shortLease)
	put(t, s, account, "old", 1)
	c := start(t, "late", dir)
	c.expect("inside")
	must(t, c.cmd.Process.Signal(syscall.SIGSTOP))
	told(t, s, "old", true, "successor's")
	must(t, c.cmd.Process.Signal(syscall.SIGCONT))
	_, err := io.WriteString(c.in, "\n")
	must(t, err)
	c.expect("conflict: true")
	if got := load(t, s, account); got != "successor's" {
		t.Errorf("the value is %q, want the successor's", got)
	}
	if strings.Join(paths(t, dir, ".lease"), "") != "" {
		t.Error("a lease is left")
	}
}
