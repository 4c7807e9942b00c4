package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	maxTests        = 500 // remembered, of all tenants
	maxRunningTests = 8   // at a time, of all tenants
	maxTestSteps    = 200
	maxTestLines    = 500
	testTimeout     = 2 * time.Minute
	simulationLimit = 50 // records of each entity that a simulation reads unless it is told otherwise
)

// testKinds are what the console can do, in the order in which it shows them.
var testKinds = []string{"health", "auth", "sync", "webhook.inbound", "webhook.outbound", "validate"}

// test is one run of the console: an object on the server, so that closing the
// page does not stop it and its address can be passed on.
type test struct {
	id, tenant, user, kind string
	integration            enlace.Integration // zero for what is not saved
	provider               string
	entities               []string
	limit                  int
	webhook                enlace.WebhookTest
	cancel                 context.CancelFunc

	mu       sync.Mutex
	state    string // "running", "succeeded", "failed", "canceled"
	started  time.Time
	finished time.Time
	steps    []testStep
	lines    []testLine
	requests []requestTiming
	verdict  string // key of the catalog's "verdict.…"
	failure  string // KindLabel
	message  string // of the failure, redacted
	entity   []entityRow
	preview  *preview              // of a simulation; not changed once it is here
	report   *enlace.WebhookReport // of a test of webhooks
	account  enlace.ConnectionAccount
}

type testStep struct {
	Name    string
	State   string // "ok", "failed", "skipped", "running"
	Elapsed time.Duration
	Detail  string
	Kind    string // KindLabel of the failure
	Reason  string // of a test of webhooks: key of the catalog's "reason.…"
}

// Took says whether the step took a time worth telling.
func (s testStep) Took() bool { return s.Elapsed >= 100*time.Microsecond }

// testLine is a line of a test's log.
type testLine struct {
	At     time.Time
	Level  string
	Text   string
	Offset time.Duration
}

// requestTiming is where the time of one request went.
type requestTiming struct {
	Op, Method                    string
	Status, Attempt               int
	Start                         time.Duration // since the test began
	Waited                        time.Duration // for the rate limit, before it
	DNS, Connect, TLS, Wait, Read time.Duration
	Total                         time.Duration
	Reused                        bool
	Kind                          string
}

// tests are the runs of the console. They are in memory: what a host must keep
// longer is in its audit trail.
type tests struct {
	mu      sync.Mutex
	byID    map[string]*test
	order   []*test // newest last
	running int
}

func newTests() *tests { return &tests{byID: map[string]*test{}} }

// add takes a new test in, or says why it may not run.
func (t *tests) add(c *call, n *test) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running >= maxRunningTests {
		return newProblem(c, "rate_limited")
	}
	for _, other := range t.order {
		if n.integration.ID != "" && other.integration.Ref == n.integration.Ref && other.running() {
			return newProblem(c, "already_running")
		}
	}
	t.running++
	t.byID[n.id] = n
	t.order = append(t.order, n)
	for len(t.order) > maxTests {
		delete(t.byID, t.order[0].id)
		t.order = slices.Delete(t.order, 0, 1)
	}
	return nil
}

func (t *tests) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
}

// find is one of the tenant's tests.
func (t *tests) find(tenant, id string) (*test, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.byID[id]
	return found, ok && found.tenant == tenant
}

// list are the tenant's tests, newest first.
func (t *tests) list(tenant, integration string, limit int) []*test {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*test
	for i := len(t.order) - 1; i >= 0 && len(found) < limit; i-- {
		if n := t.order[i]; n.tenant == tenant && (integration == "" || n.integration.ID == integration) {
			found = append(found, n)
		}
	}
	return found
}

func (n *test) running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state == "running"
}

// testRequest is what somebody wants to try.
type testRequest struct {
	kind        string
	integration string // id; empty for what is not saved
	unsaved     enlace.ConnectionTest
	entities    []string
	limit       int
	webhook     enlace.WebhookTest
}

// startTest begins a test and returns it. It goes on when the request has ended.
func (a *Admin) startTest(ctx context.Context, c *call, want testRequest) (*test, error) {
	n := &test{id: "run_" + rand.Text(), tenant: c.access.Tenant, user: c.access.User, kind: want.kind, state: "running", started: time.Now(),
		provider: want.unsaved.Provider, entities: want.entities, limit: cmp.Or(want.limit, simulationLimit), webhook: want.webhook}
	if want.integration != "" {
		in, err := a.service.Get(ctx, c.integrationRef(want.integration))
		if err != nil {
			return nil, err
		}
		n.integration, n.provider = in, in.Provider
		want.unsaved = enlace.ConnectionTest{Ref: in.Ref}
	}
	adapter, err := a.service.Registry().Lookup(n.provider)
	if err != nil {
		return nil, err
	}
	if reason := cannotTest(adapter, n.kind); reason != "" {
		return nil, newProblem(c, "capability_unsupported")
	}
	if n.webhook.Keep && !c.may(GrantReplay) {
		return nil, newProblem(c, "forbidden")
	}
	if err := a.tests.add(c, n); err != nil {
		return nil, err
	}
	running, cancel := context.WithTimeout(a.stopping, testTimeout)
	n.cancel = cancel
	running = a.asActor(context.WithValue(running, testKey{}, n), c)
	a.work.Go(func() {
		defer cancel()
		defer a.tests.ended()
		a.carryOut(n.traced(running), n, want)
		a.tellTest(n)
	})
	return n, nil
}

// cannotTest is the key of the reason why an adapter does not offer a test, or "".
func cannotTest(adapter enlace.IntegrationAdapter, kind string) string {
	if kind == "sync" && !enlace.CapabilitiesOf(adapter).Has(enlace.CanPull) {
		return "console.cannot.pull"
	}
	if strings.HasPrefix(kind, "webhook.") && !enlace.CapabilitiesOf(adapter).Has(enlace.CanReceiveWebhooks) {
		return "console.cannot.webhook"
	}
	return ""
}

func (a *Admin) carryOut(ctx context.Context, n *test, want testRequest) {
	n.log("info", "test "+n.kind+" of "+n.provider)
	var err error
	defer func() {
		if cause := recover(); cause != nil { // of the adapter
			a.logger.Error("a test panicked", "provider", n.provider, "kind", n.kind, "panic", cause, "stack", string(debug.Stack()))
			n.end(ctx, &enlace.Error{Provider: n.provider, Op: "test", Kind: enlace.ErrProtocol, Message: "the adapter panicked"})
		}
	}()
	switch n.kind {
	case "sync":
		err = a.simulate(ctx, n)
	case "webhook.inbound", "webhook.outbound":
		err = a.testWebhook(ctx, n)
	case "validate":
		err = n.step("settings", func() (string, error) { return "", a.service.Validate(ctx, want.unsaved) })
	default:
		err = a.testConnection(ctx, n, want.unsaved)
	}
	n.end(ctx, err)
}

// testConnection tries settings, authentication and, for a health check, a sample.
func (a *Admin) testConnection(ctx context.Context, n *test, t enlace.ConnectionTest) error {
	report, err := a.service.TestConnection(ctx, t)
	n.mu.Lock()
	n.account = report.Account
	n.mu.Unlock()
	for _, s := range report.Steps {
		step := testStep{Name: s.Name, State: "ok", Elapsed: s.Elapsed, Detail: s.Detail, Kind: enlace.KindLabel(s.Err)}
		switch {
		case s.Err != nil:
			step.State, err = "failed", errors.Join(err, s.Err)
		case s.Skipped:
			step.State = "skipped"
		}
		n.addStep(step)
	}
	return err
}

const english1 = translator(english) // log lines are not translated

func (n *test) step(name string, try func() (string, error)) error {
	started := time.Now()
	detail, err := try()
	s := testStep{Name: name, State: "ok", Elapsed: time.Since(started), Detail: detail, Kind: enlace.KindLabel(err)}
	if err != nil {
		s.State = "failed"
	}
	n.addStep(s)
	return err
}

func (n *test) addStep(s testStep) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.steps) < maxTestSteps {
		n.steps = append(n.steps, s)
	}
}

func (n *test) log(level, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logLocked(level, text)
}

func (n *test) logLocked(level, text string) {
	if len(n.lines) < maxTestLines {
		now := time.Now()
		n.lines = append(n.lines, testLine{At: now, Level: level, Text: short(text, 500), Offset: now.Sub(n.started)})
	}
}

// end writes down how it came out.
func (n *test) end(ctx context.Context, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.finished = time.Now()
	switch {
	case err == nil:
		n.state, n.verdict = n.outcome()
	case errors.Is(ctx.Err(), context.Canceled):
		n.state, n.verdict = "canceled", "verdict.canceled"
	default:
		n.state, n.failure, n.message = "failed", enlace.KindLabel(err), short(err.Error(), 500)
		n.logLocked("error", err.Error())
	}
	n.logLocked("info", "end: "+n.state)
}

// tellTest lets the pages know.
func (a *Admin) tellTest(n *test) { a.hub.publish(n.tenant, signal{Topic: "tests", Run: n.id}) }

// testView is a test as pages and API show it, at one moment.
type testView struct {
	ID, Kind, Provider, User string
	Integration, Name        string
	State, Verdict           string
	Failure, Message         string
	Started, Finished        time.Time
	Elapsed                  time.Duration
	Steps                    []testStep
	Lines                    []testLine
	Requests                 []requestTiming
	Entities                 []entityRow
	Preview                  *preview
	Limit                    int
	Asked                    []string // entities of a simulation; empty is all
	Webhook                  enlace.WebhookTest
	Report                   *enlace.WebhookReport
	Account                  enlace.ConnectionAccount
	Running                  bool
}

func (n *test) view() testView {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := testView{ID: n.id, Kind: n.kind, Provider: n.provider, User: n.user, Integration: n.integration.ID, Name: cmp.Or(n.integration.Name, n.provider),
		State: n.state, Verdict: n.verdict, Failure: n.failure, Message: n.message, Started: n.started, Finished: n.finished,
		Steps: slices.Clone(n.steps), Lines: slices.Clone(n.lines), Requests: slices.Clone(n.requests), Entities: slices.Clone(n.entity), Preview: n.preview, Limit: n.limit, Asked: n.entities,
		Webhook: n.webhook, Report: n.report, Account: n.account, Running: n.state == "running"}
	v.Webhook.Body = "" // what somebody has pasted may hold anything; the report has it redacted
	if n.report != nil && n.webhook.Body != "" {
		v.Webhook.Body = n.report.Body
	}
	end := n.finished
	if end.IsZero() {
		end = time.Now()
	}
	v.Elapsed = end.Sub(n.started)
	return v
}

// testTable is a table of tests in any page.
type testTable struct {
	Root string
	Rows []testView
}

// curlBody is the body with which the API makes the same test.
func curlBody(v testView) string {
	body := map[string]any{"integrationId": v.Integration}
	switch v.Kind {
	case "sync":
		body["limit"] = v.Limit
		if len(v.Asked) > 0 {
			body["entities"] = v.Asked
		}
	case "health", "auth":
		body["kind"] = v.Kind
	case "webhook.inbound", "webhook.outbound":
		body["direction"] = strings.TrimPrefix(v.Kind, "webhook.")
		for name, value := range map[string]string{"type": v.Webhook.Type, "record": v.Webhook.Record, "fault": string(v.Webhook.Fault),
			"payload": v.Webhook.Body, "contentType": v.Webhook.ContentType} {
			if value != "" && (name != "contentType" || v.Webhook.Body != "") {
				body[name] = value
			}
		}
		if v.Webhook.Keep {
			body["keep"] = true
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return "{}"
	}
	return string(text)
}

// curlPath is where the API makes the same test.
func curlPath(kind string) string {
	switch kind {
	case "sync", "validate":
		return kind
	case "webhook.inbound", "webhook.outbound":
		return "webhook"
	default:
		return "test"
	}
}

type consoleData struct {
	Integrations []enlace.Integration
	Chosen       *enlace.Integration
	Kinds        []consoleKind
	Entities     []enlace.Entity
	Webhooks     *webhookOptions // nil if the adapter takes none
	Limit        int
	History      []testView
	Problem      *problem
}

type consoleKind struct {
	Name   string
	Reason string // key of why it is not offered; "" if it is
	First  bool
}

func (a *Admin) consolePage(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.showConsole(w, r, c, r.URL.Query().Get("integration"), nil)
}

func (a *Admin) showConsole(w http.ResponseWriter, r *http.Request, c *call, chosen string, p *problem) error {
	list, _, err := a.service.List(r.Context(), enlace.IntegrationQuery{Tenant: c.access.Tenant, Limit: most})
	if err != nil {
		return err
	}
	data := consoleData{Integrations: list, Limit: simulationLimit, Problem: p}
	for _, n := range a.tests.list(c.access.Tenant, chosen, 20) {
		data.History = append(data.History, n.view())
	}
	for i := range list {
		if list[i].ID == chosen {
			data.Chosen = &list[i]
		}
	}
	if data.Chosen == nil && chosen == "" && len(list) == 1 {
		data.Chosen = &list[0]
	}
	if data.Chosen != nil {
		adapter, err := a.service.Registry().Lookup(data.Chosen.Provider)
		if err != nil {
			return err
		}
		data.Webhooks = webhookOptionsOf(adapter, c)
		for i, kind := range testKinds {
			data.Kinds = append(data.Kinds, consoleKind{Name: kind, Reason: cannotTest(adapter, kind), First: i == 0})
		}
		for _, e := range adapter.Describe().Entities {
			if e.Can(enlace.OpRead) && !strings.HasSuffix(e.Name, "*") {
				data.Entities = append(data.Entities, e)
			}
		}
	}
	status := 0
	if p != nil {
		status = p.status
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "console", status: status, title: t.text("nav.console"), section: "console", live: true, data: data})
}

func (a *Admin) runTest(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	want := testRequest{kind: r.PostForm.Get("kind"), integration: r.PostForm.Get("integration"), entities: r.PostForm["entity"], limit: numberOf(r.PostForm.Get("limit"))}
	if want.kind == "webhook.inbound" {
		want.webhook = webhookTestOf(r)
	}
	if old, ok := a.tests.find(c.access.Tenant, r.PostForm.Get("again")); ok && old.kind == want.kind && old.integration.ID == want.integration {
		want.entities, want.limit, want.webhook = old.entities, old.limit, old.webhook
	}
	if want.integration == "" || !slices.Contains(testKinds, want.kind) || want.limit < 0 || want.limit > 500 {
		return newProblem(c, "validation_failed")
	}
	n, err := a.startTest(r.Context(), c, want)
	if err != nil {
		p := problemOf(c, err)
		if p.status >= 500 || p.code == "not_found" {
			return err
		}
		return a.showConsole(w, r, c, want.integration, p)
	}
	leave(w, http.StatusSeeOther, c.mount.root+"console/"+n.id)
	return nil
}

type testData struct {
	testView
	Root     string
	Median   time.Duration // of earlier ones of the same kind
	Earlier  int
	Other    *testView // to compare with
	Compared []compareGroup
	Previous []testView
	Curl     string // body of the same by the API
}

func (a *Admin) testPage(w http.ResponseWriter, r *http.Request, c *call) error {
	n, ok := a.tests.find(c.access.Tenant, r.PathValue("id"))
	if !ok {
		return newProblem(c, "not_found")
	}
	data := testData{testView: n.view(), Root: c.mount.root}
	data.Curl = curlBody(data.testView)
	var times []time.Duration
	for _, other := range a.tests.list(c.access.Tenant, data.Integration, 40) {
		v := other.view()
		if v.ID == data.ID || v.Kind != data.Kind || v.Running {
			continue
		}
		data.Previous = append(data.Previous, v)
		if v.State == "succeeded" && len(times) < 20 {
			times = append(times, v.Elapsed)
		}
	}
	t := translator(c.Language)
	if other, ok := a.tests.find(c.access.Tenant, r.URL.Query().Get("with")); ok && other.kind == n.kind && other != n {
		v := other.view()
		data.Other, data.Compared = &v, compareTests(t, data.testView, v)
	}
	if len(times) > 0 {
		slices.Sort(times)
		data.Median, data.Earlier = times[len(times)/2], len(times)
	}
	return a.show(w, r, c, page{name: "test", title: t.text("test."+data.Kind) + " · " + data.Name, section: "console", live: data.Running || data.Other == nil,
		crumbs: []crumb{{t.text("nav.console"), "console"}}, data: data})
}

func (a *Admin) cancelTest(w http.ResponseWriter, r *http.Request, c *call) error {
	n, ok := a.tests.find(c.access.Tenant, r.PathValue("id"))
	if !ok {
		return newProblem(c, "not_found")
	}
	n.cancel()
	leave(w, http.StatusSeeOther, c.mount.root+"console/"+n.id)
	return nil
}
