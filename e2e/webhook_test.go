package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/sqlite"
)

const hookSecret = "the secret of these webhooks"

// hookAdapter takes signed deliveries of one event each.
type hookAdapter struct{}

func (hookAdapter) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "hooked", Title: "Hooked", Version: "1.0.0", BaseURL: "https://hooked.example.com/", Features: []enlace.Feature{enlace.FeatureWebhooks},
		Auth: []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}}}
}

func (hookAdapter) Verifier() enlace.Verifier { return enlace.GitHubVerifier() }

func (hookAdapter) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	var e struct{ ID, Record string }
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return nil, err
	}
	return []enlace.Event{{ID: e.ID, Type: "happened", Record: enlace.Record{Entity: "things", ID: e.Record}}}, nil
}

// count is how the receiver's handler counts effects: in the host's own table, by the
// transaction that marks the delivery done.
func (e environment) count(ctx context.Context, id string) error {
	const statement = `INSERT INTO effects (id, times) VALUES ('%s', 1) ON CONFLICT (id) DO UPDATE SET times = effects.times + 1`
	switch store := e.store.(type) {
	case *sqlite.Store:
		tx, ok := store.Tx(ctx)
		if !ok {
			return errors.New("no transaction")
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf(statement, id))
		return err
	case *postgres.Store:
		tx, ok := store.Tx(ctx)
		if !ok {
			return errors.New("no transaction")
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(strings.ReplaceAll(statement, "INTO effects", "INTO "+e.Address[1]+".effects"), id))
		return err
	}
	return errors.New("no such store")
}

// receiver serves webhooks and works on them until it is killed.
func receiver(ctx context.Context, e environment) error {
	if err := e.receive(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if e.Mode == "faults" && e.Store == "sqlite" {
		go disturbSQLite(e.store.(*sqlite.Store))
	}
	go func() { _ = e.service.Run(ctx) }()
	if err := report(listener.Addr().String()); err != nil {
		return err
	}
	server := &http.Server{Handler: e.service.WebhookHandler(), ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

// receive makes the service of a receiver.
func (e *environment) receive() error {
	key, err := enlace.ParseKey(enlace.NewSecret(e.Key))
	if err != nil {
		return err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return err
	}
	e.service, err = enlace.New(enlace.Config{Registry: enlace.NewRegistry(hookAdapter{}), Store: e.store, Keys: keys,
		Webhooks: enlace.WebhookConfig{Lease: time.Second, PerSecond: -1, Processors: []enlace.Processor{{
			HandleTx: func(ctx context.Context, ev enlace.ReceivedEvent) error { return e.count(ctx, ev.ID) }}}}})
	return err
}

// disturbSQLite holds the file's lock for longer than anybody waits for it, and takes the
// disk away: now and then no file can grow.
func disturbSQLite(store *sqlite.Store) {
	signal.Ignore(syscall.SIGXFSZ)
	for {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		if rand.IntN(10) == 0 {
			if tx, err := store.DB().Begin(); err == nil {
				time.Sleep(time.Duration(rand.IntN(6000)) * time.Millisecond)
				_ = tx.Rollback()
			}
			continue
		}
		var limit syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit) != nil {
			continue
		}
		full := limit
		full.Cur = 64 << 10
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full)
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
	}
}

// postgresFaults has writes of deliveries fail as on a full disk while somebody holds an
// advisory lock.
const postgresFaults = `
	CREATE FUNCTION %[1]s.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NOT pg_try_advisory_xact_lock_shared(4711) THEN
			RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER full_disk AFTER INSERT OR UPDATE ON %[1]s.deliveries FOR EACH STATEMENT EXECUTE FUNCTION %[1]s.full_disk()`

// disturbPostgres ends connections of the store at random, lets the disk be full, and holds
// the inbox's lock for longer than anybody waits for it.
func disturbPostgres(ctx context.Context, dsn, schema string) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			continue
		}
		switch rand.IntN(10) {
		case 0:
			if tx, err := conn.Begin(ctx); err == nil {
				_, _ = tx.Exec(ctx, `LOCK TABLE `+schema+`.deliveries`)
				time.Sleep(time.Duration(rand.IntN(6000)) * time.Millisecond)
				_ = tx.Rollback(ctx)
			}
		case 1, 2, 3, 4:
			_, _ = conn.Exec(ctx, `SELECT pg_advisory_lock(4711)`)
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		default:
			_, _ = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() AND random() < 0.5`)
		}
		_ = conn.Close(ctx)
	}
}

// Whatever is acknowledged has its effect exactly once, however often the process is
// killed, the disk is full, the file locked or the connection lost.
//
// ENLACE_E2E_DELIVERIES and ENLACE_E2E_KILLS make it larger; the full size is 100,000
// and 50.
func TestKilledWebhooks(t *testing.T) {
	deliveries, kills := numberFrom(t, "ENLACE_E2E_DELIVERIES", 1_000), numberFrom(t, "ENLACE_E2E_KILLS", 3)
	for _, mode := range []string{"", "faults"} {
		t.Run("mode "+mode, func(t *testing.T) {
			eachStore(t, func(t *testing.T, e environment) {
				e.Mode = mode
				killWebhooks(t, e, deliveries, kills)
			})
		})
	}
}

func numberFrom(t *testing.T, name string, standard int) int {
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

func killWebhooks(t *testing.T, e environment, deliveries, kills int) {
	e.prepareEffects(t)
	var address atomic.Value
	c := e.startReceiver(t, &address)
	ctx, stopDisturbing := context.WithCancel(t.Context())
	var disturbing sync.WaitGroup
	if e.Mode == "faults" && e.Store == "postgres" {
		e.execute(t, fmt.Sprintf(postgresFaults, e.Address[1]))
		disturbing.Go(func() { disturbPostgres(ctx, e.Address[0], e.Address[1]) })
	}
	defer disturbing.Wait()
	defer stopDisturbing()
	began := time.Now()
	s := &sender{address: &address, path: "/" + e.Ref.ID + "/webhook", total: deliveries}
	var sending sync.WaitGroup
	for range 16 {
		sending.Go(s.send)
	}
	for k := range kills {
		// At random, and spread over all of the deliveries.
		for at := int64((k*deliveries + rand.IntN(deliveries)) / kills); s.acknowledged.Load() < at && s.acknowledged.Load() < int64(deliveries); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		c.kill()
		c = e.startReceiver(t, &address)
	}
	sending.Wait()
	sent := time.Since(began)
	stopDisturbing()
	if e.Mode == "faults" { // what is left is done in peace
		c.kill()
		e.Mode = ""
		c = e.startReceiver(t, &address)
	}
	e.waitUntilDone(t)
	c.kill()
	exact, wrong := e.effects(t)
	t.Logf("%d deliveries acknowledged after %v, %d of them sent twice, %d refused or cut (%d by 503), %d kills; all effects after %v",
		s.acknowledged.Load(), sent.Round(time.Millisecond), s.twice.Load(), s.again.Load(), s.unavailable.Load(), kills, time.Since(began).Round(time.Millisecond))
	if exact != deliveries || wrong != 0 {
		t.Errorf("%d effects are there once, want %d; %d are there more than once", exact, deliveries, wrong)
	}
}

// startReceiver starts a receiver; one that was cut off from its database tries again.
func (e environment) startReceiver(t *testing.T, address *atomic.Value) *child {
	t.Helper()
	for range 20 {
		c := e.start(t, "receiver")
		var listens string
		text, err := c.out.ReadBytes('\n')
		if err == nil && json.Unmarshal(text, &listens) == nil {
			address.Store(listens)
			return c
		}
		c.kill()
	}
	t.Fatal("the receiver does not start")
	return nil
}

// sender delivers until everything is acknowledged.
type sender struct {
	address                    *atomic.Value
	path                       string
	total                      int
	next                       atomic.Int64
	acknowledged, twice, again atomic.Int64
	unavailable                atomic.Int64 // answers of 503
}

func (s *sender) send() {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for {
		i := s.next.Add(1)
		if i > int64(s.total) {
			return
		}
		body := fmt.Sprintf(`{"id":"event-%d","record":"%d","padding":"%s"}`, i, i%997, strings.Repeat("x", 2000))
		s.deliver(client, body)
		s.acknowledged.Add(1)
		if i%10 == 0 {
			s.twice.Add(1)
			s.deliver(client, body)
		}
	}
}

func (s *sender) deliver(client *http.Client, body string) {
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	for {
		r, err := http.NewRequest("POST", "http://"+s.address.Load().(string)+s.path, strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusOK:
				return
			case http.StatusServiceUnavailable:
				s.unavailable.Add(1)
			}
		}
		s.again.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// prepareEffects makes the host's table and the integration.
func (e *environment) prepareEffects(t *testing.T) {
	t.Helper()
	var err error
	if e.store, err = stores[e.Store].open(t.Context(), e.Address, e.Lease); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.store.Close() })
	e.execute(t, `CREATE TABLE effects (id TEXT PRIMARY KEY, times INTEGER NOT NULL)`)
	if err := e.receive(); err != nil {
		t.Fatal(err)
	}
	in, err := e.service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "hooked", Credential: &enlace.Credential{Scheme: "api_key",
		Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("key")}, WebhookSecrets: []enlace.Secret{enlace.NewSecret(hookSecret)}}})
	if err != nil {
		t.Fatal(err)
	}
	e.Ref = in.Ref
}

// query runs a statement of the host and returns its rows' first two columns.
func (e environment) query(t *testing.T, statement string) (rows [][2]int) {
	t.Helper()
	statement = e.hostStatement(statement)
	scan := func(next func() bool, scan func(...any) error) {
		for next() {
			var row [2]int
			if err := scan(&row[0], &row[1]); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
	}
	if store, ok := e.store.(*sqlite.Store); ok {
		found, err := store.DB().QueryContext(t.Context(), statement)
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		scan(found.Next, found.Scan)
		return rows
	}
	found, err := e.connect(t).Query(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	scan(found.Next, found.Scan)
	return rows
}

func (e environment) execute(t *testing.T, statement string) {
	t.Helper()
	var err error
	if store, ok := e.store.(*sqlite.Store); ok {
		_, err = store.DB().ExecContext(t.Context(), statement)
	} else {
		_, err = e.connect(t).Exec(t.Context(), e.hostStatement(statement))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hostStatement names the host's table in the schema of this test.
func (e environment) hostStatement(statement string) string {
	if e.Store == "postgres" {
		return strings.ReplaceAll(statement, " effects", " "+e.Address[1]+".effects")
	}
	return statement
}

func (e environment) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.Address[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// waitUntilDone waits until the inbox has nothing to do any more. What has failed by a
// fault is due at once, as if its pause of minutes or hours were over.
func (e environment) waitUntilDone(t *testing.T) {
	t.Helper()
	for range 6000 {
		due, next, err := e.store.DueDeliveries(t.Context(), e.Ref, 1)
		if err == nil && len(due) == 0 && next.IsZero() {
			return
		}
		failed, _ := e.store.FailedDeliveries(t.Context(), e.Ref, 1000)
		for _, d := range failed {
			if d.NextAt.After(time.Now().Add(time.Second)) {
				d.NextAt = time.Time{}
				_ = e.store.UpdateDelivery(t.Context(), d, enlace.DeliveryFailed)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the inbox does not come to its end")
}

func (e environment) effects(t *testing.T) (exact, wrong int) {
	t.Helper()
	var row [2]int
	for range 10 { // a connection may be among those that are ended
		if rows := e.query(t, `SELECT count(CASE WHEN times = 1 THEN 1 END), count(CASE WHEN times <> 1 THEN 1 END) FROM effects`); len(rows) == 1 {
			row = rows[0]
			break
		}
	}
	return row[0], row[1]
}
