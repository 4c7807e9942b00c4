// Package e2e proves promises that take several processes: children of the test
// are killed and stopped while they hold what others wait for.
package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/postgres/postgrestest"
	"github.com/enlace-go/enlace/store/sqlite"
)

// roles are what a child process can be, by the value of E2E_ROLE.
var roles = map[string]func(ctx context.Context, e environment) error{
	"changer":  changer,
	"worker":   worker,
	"callers":  callers,
	"leading":  leading,
	"node":     node,
	"pusher":   pushChild,
	"rotator":  rotator,
	"receiver": receiver,
	"spender":  spender,
	"sweeper":  sweepChild,
	"syncer":   syncer,
	"traffic":  traffic,
}

// server is the PostgreSQL of these tests.
var server postgrestest.Server

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv("E2E_ROLE")]
	if !ok {
		os.Exit(server.Main(m))
	}
	if err := runRole(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runRole(role func(ctx context.Context, e environment) error) error {
	ctx := context.Background()
	var e environment
	if err := json.Unmarshal([]byte(os.Getenv("E2E_ENVIRONMENT")), &e); err != nil {
		return err
	}
	if err := e.open(ctx); err != nil {
		return err
	}
	return role(ctx, e)
}

// environment is what the processes of one test share.
type environment struct {
	Store   string   // a backend of stores
	Address []string // of the backend
	Lease   time.Duration
	Key     string
	Token   string // the provider's token endpoint
	Ref     enlace.Ref
	Number  int // how many callers, credentials or whatever the role does
	Lasting time.Duration
	Mode    string
	Managed bool // managed keys, wrapped by Key

	store   backend
	service *enlace.Service
	keys    *enlace.ManagedKeys
}

// backend is a store as these tests need it.
type backend interface {
	enlace.Store
	enlace.CredentialResealer
	enlace.KeyringStore
	Close() error
}

// stores open a backend; it is the same one for the same address.
var stores = map[string]struct {
	prepare func(t *testing.T) (address []string)
	open    func(ctx context.Context, address []string, lease time.Duration) (backend, error)
}{
	"sqlite": {
		prepare: func(t *testing.T) []string { return []string{filepath.Join(t.TempDir(), "e2e.db")} },
		open: func(ctx context.Context, address []string, lease time.Duration) (backend, error) {
			return sqlite.Open(ctx, address[0], sqlite.Options{Lease: lease})
		},
	},
	"postgres": {
		prepare: func(t *testing.T) []string { return []string{server.DSN(t), server.Schema(t)} },
		open: func(ctx context.Context, address []string, lease time.Duration) (backend, error) {
			return postgres.Open(ctx, address[0], postgres.Options{Schema: address[1], Lease: lease})
		},
	},
}

// open connects this process to the environment.
func (e *environment) open(ctx context.Context) error {
	var err error
	if e.store, err = stores[e.Store].open(ctx, e.Address, e.Lease); err != nil {
		return err
	}
	key, err := enlace.ParseKey(enlace.NewSecret(e.Key))
	if err != nil {
		return err
	}
	var keys enlace.KeySource
	if e.Managed {
		e.keys, err = enlace.NewManagedKeys(enlace.ManagedKeysConfig{Store: e.store, Wrapper: enlace.NewLocalWrapper(key), CacheTime: 200 * time.Millisecond})
		keys = e.keys
	} else {
		keys, err = enlace.NewKeyring(key)
	}
	if err != nil {
		return err
	}
	e.service, err = enlace.New(enlace.Config{Registry: enlace.NewRegistry(adapter{}, limited{}, noter{}, bitrix24.Adapter{}), Store: e.store, Keys: keys,
		OAuth: map[string]enlace.OAuthApp{adapterName: {ClientID: "app", ClientSecret: enlace.NewSecret("app-secret"),
			TokenURL: e.Token}},
		RunLease: 100 * time.Millisecond,
		Egress:   enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	return err
}

// eachStore runs a test on every backend.
func eachStore(t *testing.T, test func(t *testing.T, e environment)) {
	for name, s := range stores {
		t.Run(name, func(t *testing.T) {
			test(t, environment{Store: name, Address: s.prepare(t), Lease: 15 * time.Second, Key: enlace.GenerateKey().Reveal()})
		})
	}
}

// use opens the environment in this process and creates the integration.
func (e *environment) use(t *testing.T, p *provider, cred enlace.Credential) {
	t.Helper()
	e.Token = p.URL + "/token"
	if err := e.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.store.Close() })
	in, err := e.service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: adapterName,
		Settings: map[string]string{"apiUrl": p.URL + "/"}, Credential: &cred})
	if err != nil {
		t.Fatal(err)
	}
	e.Ref = in.Ref
}

// child is a process in a role.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// start runs this test's binary in a role.
func (e environment) start(t *testing.T, role string) *child {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "E2E_ROLE="+role, "E2E_ENVIRONMENT="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return c
}

// line waits for a line that the child prints, as JSON.
func (c *child) line(v any) {
	c.t.Helper()
	text, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		c.t.Fatalf("the child did not report: %v (%s)", err, text)
	}
}

// kill ends the child at once.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func report(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// runs is how often the races are run: ENLACE_E2E_RUNS, or once.
func runs(t *testing.T) int {
	text := os.Getenv("ENLACE_E2E_RUNS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ENLACE_E2E_RUNS is %q, want a number of runs", text)
	}
	return n
}
