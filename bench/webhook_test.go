package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	"github.com/enlace-go/enlace/store/postgres/postgrestest"
	"github.com/enlace-go/enlace/store/sqlite"
)

// postgresServer is the PostgreSQL of these benchmarks.
var postgresServer postgrestest.Server

func TestMain(m *testing.M) {
	if target := os.Getenv(attackVariable); target != "" {
		attacker(target)
		return
	}
	os.Exit(postgresServer.Main(m))
}

const (
	hookSecret      = "the secret of these webhooks"
	hookConnections = 64
	hookBody        = 2 << 10
	hookRounds      = 21
	hookRound       = 500 * time.Millisecond
)

// hookAdapter takes signed deliveries.
type hookAdapter struct{}

func (hookAdapter) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "hooked", Title: "Hooked", Version: "1.0.0", BaseURL: "https://hooked.example.com/", Features: []enlace.Feature{enlace.FeatureWebhooks},
		Auth: []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}}}
}

func (hookAdapter) Verifier() enlace.Verifier { return enlace.GitHubVerifier() }

func (hookAdapter) ParseWebhook(context.Context, enlace.Delivery) ([]enlace.Event, error) {
	return nil, nil
}

// BenchmarkWebhookIngest compares the webhook handler with bare handlers over the same store,
// in short rounds that alternate within one run: requests of 2 KiB over 64 connections, the
// client in this process too. The bare one reads the body and does the same insert, of as
// many bytes and with a key as random, committed for a group in the same way, and nothing
// else: no proof, no seal, no limits. The single one commits each request. The last one, for
// PostgreSQL, is what a host would write with pgx alone: a narrow table, and one statement of
// arrays for each group.
//
// It takes a minute. Run it once: -benchtime 1x. cpu-of-bare is by the time that this process
// and PostgreSQL's take of the processors, whatever else the machine does. The private PostgreSQL
// is not durable; for the disk name a durable one on this machine by ENLACE_TEST_POSTGRES.
func BenchmarkWebhookIngest(b *testing.B) {
	for _, backend := range hookStores {
		b.Run(backend.name, func(t *testing.B) {
			store := backend.open(t)
			service, in := hookService(t, store)
			bare := bareHandlers{ref: in.Ref, more: storedMore(t, service, store, in)}
			group := &bareGroup{commit: func(rows []enlace.StoredDelivery) error {
				_, err := store.InsertDeliveries(context.Background(), rows)
				return err
			}}
			contenders := []*contender{
				contend(t, "enlace", service.WebhookHandler(), in.ID),
				contend(t, "bare", bare.handler(group.insert), in.ID),
				contend(t, "single", bare.handler(func(row enlace.StoredDelivery) error {
					_, err := store.InsertDeliveries(context.Background(), []enlace.StoredDelivery{row})
					return err
				}), in.ID),
			}
			if store, ok := store.(*postgres.Store); ok {
				contenders = append(contenders, contend(t, "pgx", bare.handler(bareTable(t, store)), in.ID))
			}
			for _, c := range contenders {
				c.cpuTime = processorTime(t, store)
				c.load(t, hookRound) // warm up
			}
			for range hookRounds {
				for _, c := range contenders {
					rate, cost := c.load(t, hookRound)
					c.rates, c.costs = append(c.rates, rate), append(c.costs, cost)
				}
			}
			for _, c := range contenders {
				t.ReportMetric(median(c.rates), c.name+"/s")
				t.ReportMetric(median(c.costs)*1e6, c.name+"-µs")
			}
			enlaced, bared, single := contenders[0], contenders[1], contenders[2]
			t.ReportMetric(median(enlaced.rates)/median(bared.rates), "of-bare")
			t.ReportMetric(median(enlaced.rates)/median(single.rates), "times-single")
			t.ReportMetric(median(bared.rates)/median(single.rates), "bare-times-single")
			t.ReportMetric(median(bared.costs)/median(enlaced.costs), "cpu-of-bare")
			if len(contenders) > 3 {
				t.ReportMetric(median(enlaced.rates)/median(contenders[3].rates), "of-pgx")
			}
		})
	}
}

var hookStores = []struct {
	name string
	open func(t testing.TB) enlace.Store
}{
	{"sqlite", func(t testing.TB) enlace.Store {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "bench.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}},
	{"postgres", func(t testing.TB) enlace.Store {
		s, err := postgres.Open(t.Context(), postgresServer.DSN(t), postgres.Options{Schema: postgresServer.Schema(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}},
}

func hookService(t testing.TB, store enlace.Store, edit ...func(*enlace.Config)) (*enlace.Service, enlace.Integration) {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	config := enlace.Config{Registry: enlace.NewRegistry(hookAdapter{}), Store: store, Keys: keys, Webhooks: enlace.WebhookConfig{PerSecond: -1}}
	for _, e := range edit {
		e(&config)
	}
	service, err := enlace.New(config)
	if err != nil {
		t.Fatal(err)
	}
	in, err := service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "hooked", Credential: &enlace.Credential{Scheme: "api_key",
		Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("key")}, WebhookSecrets: []enlace.Secret{enlace.NewSecret(hookSecret)}}})
	if err != nil {
		t.Fatal(err)
	}
	return service, in
}

// bareHandlers insert the body as it comes.
type bareHandlers struct {
	ref  enlace.Ref
	more []byte // what a sealed delivery has beside its body
}

func (b bareHandlers) handler(insert func(enlace.StoredDelivery) error) http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		now := time.Now()
		row := enlace.StoredDelivery{ID: fmt.Sprintf("b%016x%09d", now.UnixMicro(), n.Add(1)), Ref: b.ref, Provider: "hooked", State: enlace.DeliveryReceived, Signed: true,
			ReceivedAt: now, DedupeKey: r.Header.Get("X-Hub-Signature-256")[len("sha256="):][:43], Sealed: enlace.Sealed{Data: append(body, b.more...)}}
		if err := insert(row); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

// storedMore is as many bytes as a stored delivery has beside its body.
func storedMore(t testing.TB, service *enlace.Service, store enlace.Store, in enlace.Integration) []byte {
	c := contend(t, "once", service.WebhookHandler(), in.ID)
	if err := c.clients[0].send(); err != nil {
		t.Fatal(err)
	}
	list, _, err := store.Deliveries(t.Context(), enlace.DeliveryQuery{Tenant: in.Tenant})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d deliveries, %v", len(list), err)
	}
	d, err := store.Delivery(t.Context(), in.Tenant, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	more := make([]byte, len(d.Sealed.Data)-hookBody)
	_, _ = rand.Read(more)
	return more
}

// bareGroup is a group commit and nothing else: up to 256 rows, one commit at a time.
type bareGroup struct {
	commit  func(rows []enlace.StoredDelivery) error
	once    sync.Once
	waiting chan *bareRow
}

type bareRow struct {
	row  enlace.StoredDelivery
	done chan error
}

func (g *bareGroup) insert(row enlace.StoredDelivery) error {
	g.once.Do(func() {
		g.waiting = make(chan *bareRow, 1024)
		go g.work()
	})
	b := &bareRow{row: row, done: make(chan error, 1)}
	g.waiting <- b
	return <-b.done
}

func (g *bareGroup) work() {
	for first := range g.waiting {
		batch := []*bareRow{first}
	gather:
		for len(batch) < 256 {
			select {
			case b := <-g.waiting:
				batch = append(batch, b)
			default:
				break gather
			}
		}
		rows := make([]enlace.StoredDelivery, len(batch))
		for i, b := range batch {
			rows[i] = b.row
		}
		err := g.commit(rows)
		for _, b := range batch {
			b.done <- err
		}
	}
}

// bareTable inserts into a table of its own, in groups, by pgx.
func bareTable(t testing.TB, store *postgres.Store) func(enlace.StoredDelivery) error {
	t.Helper()
	table := pgx.Identifier{"bare_" + strings.ToLower(rand.Text())}.Sanitize()
	if _, err := store.Pool().Exec(t.Context(), `CREATE TABLE `+table+` (id text PRIMARY KEY, integration text NOT NULL, dedupe_key text NOT NULL,
		received_at bigint NOT NULL, data bytea NOT NULL, UNIQUE (integration, dedupe_key))`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = store.Pool().Exec(context.Background(), `DROP TABLE `+table) })
	statement := `INSERT INTO ` + table + ` SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[])
		ON CONFLICT (integration, dedupe_key) DO NOTHING`
	group := &bareGroup{commit: func(rows []enlace.StoredDelivery) error {
		n := len(rows)
		ids, integrations, keys, received, data := make([]string, n), make([]string, n), make([]string, n), make([]int64, n), make([][]byte, n)
		for i, row := range rows {
			ids[i], integrations[i], keys[i], received[i], data[i] = row.ID, row.Ref.ID, row.DedupeKey, row.ReceivedAt.UnixMicro(), row.Sealed.Data
		}
		_, err := store.Pool().Exec(context.Background(), statement, ids, integrations, keys, received, data)
		return err
	}}
	return group.insert
}

// contender is a handler with a server of its own, and clients that are connected to it.
type contender struct {
	name         string
	server       *httptest.Server
	clients      []*hookClient
	cpuTime      func() time.Duration
	rates, costs []float64
}

func contend(t testing.TB, name string, h http.Handler, id string) *contender {
	t.Helper()
	c := &contender{name: name, server: httptest.NewServer(h), cpuTime: cpuTime}
	t.Cleanup(c.server.Close)
	for range hookConnections {
		conn, err := net.Dial("tcp", c.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		c.clients = append(c.clients, newHookClient(conn, id))
	}
	return c
}

// load has all clients send for a time. It returns how many requests were answered with 200
// each second, and the seconds of processor time that each took, client included.
func (c *contender) load(t testing.TB, long time.Duration) (rate, cost float64) {
	t.Helper()
	var answered atomic.Int64
	began, before := time.Now(), c.cpuTime()
	until := began.Add(long)
	var sending sync.WaitGroup
	for _, client := range c.clients {
		sending.Go(func() {
			for time.Now().Before(until) {
				if err := client.send(); err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	sending.Wait()
	n := float64(answered.Load())
	return n / time.Since(began).Seconds(), (c.cpuTime() - before).Seconds() / n
}

// hookClient sends signed deliveries over one connection, one after the other. It does as
// little as it can, so that what is measured is the server.
type hookClient struct {
	conn    net.Conn
	answers *bufio.Reader
	mac     hash.Hash
	request []byte
	sum     []byte // within request: where the signature stands
	number  []byte // and the number that makes each body another one
	body    []byte
}

func newHookClient(conn net.Conn, id string) *hookClient {
	c := &hookClient{conn: conn, answers: bufio.NewReader(conn), mac: hmac.New(sha256.New, []byte(hookSecret))}
	const number = "00000000000000000000"
	body := `{"id":"` + number + `","padding":"`
	for len(body) < hookBody { // what is sealed cannot be compressed, and so is this
		body += rand.Text()
	}
	body = body[:hookBody-2] + `"}`
	head := "POST /" + id + "/webhook HTTP/1.1\r\nHost: host.example\r\nUser-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(hookBody) + "\r\nX-Hub-Signature-256: sha256="
	c.request = []byte(head + strings.Repeat("0", 64) + "\r\n\r\n" + body)
	c.sum, c.body = c.request[len(head):][:64], c.request[len(c.request)-hookBody:]
	c.number = c.body[len(`{"id":"`):][:len(number)]
	return c
}

var hookNumber atomic.Int64

// send sends a new delivery and reads its answer, which has no body.
func (c *hookClient) send() error {
	number := strconv.FormatInt(hookNumber.Add(1), 10)
	copy(c.number[len(c.number)-len(number):], number)
	c.mac.Reset()
	c.mac.Write(c.body)
	var sum [sha256.Size]byte
	hex.Encode(c.sum, c.mac.Sum(sum[:0]))
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	status := ""
	for {
		line, err := c.answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case status == "":
			if status = "other"; bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
				status = "200"
			}
		case len(line) == len("\r\n"):
			if status != "200" {
				return errors.New("a delivery was refused")
			}
			return nil
		}
	}
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// processorTime is cpuTime with what the processes of the store's PostgreSQL have used, where
// /proc tells.
func processorTime(t testing.TB, store enlace.Store) func() time.Duration {
	p, ok := store.(*postgres.Store)
	if !ok {
		return cpuTime
	}
	var backend int
	if err := p.Pool().QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		t.Fatal(err)
	}
	postmaster, _ := processOf(fmt.Sprint(backend))
	return func() time.Duration {
		used := cpuTime()
		all, _ := filepath.Glob("/proc/[0-9]*")
		for _, path := range all {
			if parent, cpu := processOf(filepath.Base(path)); postmaster != "" && parent == postmaster {
				used += cpu
			}
		}
		return used
	}
}

// processOf tells the parent of a process and what it has used of the processors.
func processOf(pid string) (parent string, used time.Duration) {
	stat, _ := os.ReadFile("/proc/" + pid + "/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return "", 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return fields[1], time.Duration(user+system) * 10 * time.Millisecond
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// BenchmarkWebhookSlowBodies compares the rate of deliveries with and without 1,000 connections
// that promise a body and send one byte each second, in rounds that alternate within one run;
// cores is what those alone take of a processor in this process, from another one's
// connections that come again when they are cut off.
func BenchmarkWebhookSlowBodies(t *testing.B) {
	store := hookStores[0].open(t)
	service, in := hookService(t, store)
	c := contend(t, "enlace", service.WebhookHandler(), in.ID)
	attack := startAttack(t, c.server.Listener.Addr().String(), "/"+in.ID+"/webhook")
	c.load(t, hookRound)
	var with, without, costWith, costWithout []float64
	for range hookRounds {
		rate, cost := c.load(t, hookRound)
		without, costWithout = append(without, rate), append(costWithout, cost)
		attack.tell(t, "begin")
		rate, cost = c.load(t, hookRound)
		with, costWith = append(with, rate), append(costWith, cost)
		attack.tell(t, "end")
	}
	attack.tell(t, "begin")
	const alone = 15 * time.Second // longer than a body may take
	before := cpuTime()
	time.Sleep(alone)
	t.ReportMetric((cpuTime()-before).Seconds()/alone.Seconds(), "cores")
	t.ReportMetric(median(without), "alone/s")
	t.ReportMetric(median(with), "attacked/s")
	t.ReportMetric(median(with)/median(without), "of-alone")
	t.ReportMetric(median(costWithout)/median(costWith), "cpu-of-alone")
}

// attack is another process, which holds connections as it is told.
type attack struct {
	orders  io.Writer
	answers *bufio.Reader
}

// attackVariable tells this program to attack: "address path".
const attackVariable = "ENLACE_BENCH_ATTACK"

const slowConnections = 1000

func startAttack(t testing.TB, address, path string) attack {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), attackVariable+"="+address+" "+path)
	child.Stderr = os.Stderr
	orders, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = orders.Close()
		_ = child.Wait()
	})
	return attack{orders, bufio.NewReader(answers)}
}

// tell gives an order and waits until it is carried out.
func (a attack) tell(t testing.TB, order string) {
	t.Helper()
	if _, err := fmt.Fprintln(a.orders, order); err != nil {
		t.Fatal(err)
	}
	if _, err := a.answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// attacker carries out orders until there are no more.
func attacker(target string) {
	address, path, _ := strings.Cut(target, " ")
	stop := func() {}
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); fmt.Println("done") {
		switch orders.Text() {
		case "begin":
			stop = slowBodies(address, path)
		case "end":
			stop()
		}
	}
	stop()
}

func slowBodies(address, path string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running, connected sync.WaitGroup
	connected.Add(slowConnections)
	for range slowConnections {
		running.Go(func() {
			first := sync.OnceFunc(connected.Done)
			defer first()
			for ctx.Err() == nil {
				slowBody(ctx, address, path, first)
			}
		})
	}
	connected.Wait()
	return func() {
		cancel()
		running.Wait()
	}
}

// slowBody promises a body and sends a byte of it each second, until it is cut off.
func slowBody(ctx context.Context, address, path string, begun func()) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", path)
	begun()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, err = conn.Write([]byte("x"))
		}
	}
}

// BenchmarkVerifyRatio tells how near verification of 10 KiB comes to the bare HMAC, in short
// rounds that alternate within one run. Run it once: -benchtime 1x.
func BenchmarkVerifyRatio(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 10<<10)
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	sum := mac.Sum(nil)
	delivery := enlace.Delivery{Header: http.Header{"Content-Type": {"application/json"}, "X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sum)}}, Body: body}
	secrets := []enlace.Secret{enlace.NewSecret(hookSecret)}
	verifier := enlace.GitHubVerifier()
	key := []byte(hookSecret)
	bare := func() bool {
		mac := hmac.New(sha256.New, key)
		mac.Write(body)
		return hmac.Equal(mac.Sum(nil), sum)
	}
	verified := func() bool { return verifier.Verify(delivery, secrets) == nil }
	const rounds, each = 201, 300
	timed := func(prove func() bool) float64 {
		began := time.Now()
		for range each {
			if !prove() {
				b.Fatal("refused")
			}
		}
		return time.Since(began).Seconds() / each
	}
	var bares, verifieds []float64
	for range rounds {
		bares, verifieds = append(bares, timed(bare)), append(verifieds, timed(verified))
	}
	b.ReportMetric(median(bares)*1e6, "bare-µs")
	b.ReportMetric(median(verifieds)*1e6, "verified-µs")
	b.ReportMetric(median(bares)/median(verifieds), "of-bare")
}
