package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

func TestCreateAndGet(t *testing.T) {
	h := newHost(t, crm{})
	settings := map[string]string{"timeout": "5000"}
	cred := apiKey(canary)
	in, err := h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm", Name: "Main", Settings: settings,
		Features: []enlace.Feature{enlace.FeatureCRMSync}, Credential: &cred})
	if err != nil {
		t.Fatal(err)
	}
	settings["timeout"] = "1" // the caller's map is the caller's
	if in.Tenant != "acme" || len(in.ID) != 26 || in.Provider != "crm" || in.Name != "Main" || in.BaseURL != providerURL ||
		!in.Enabled || in.Status != enlace.StatusConnected || in.Version != 2 || in.CreatedAt.IsZero() || in.Settings["timeout"] != "5000" {
		t.Errorf("%+v", in)
	}
	got := must(h.Get(t.Context(), in.Ref))(t)
	got.CreatedAt, got.UpdatedAt = in.CreatedAt, in.UpdatedAt
	if diff := cmp.Diff(in, got); diff != "" {
		t.Error("Get (-want +got):\n" + diff)
	}
	other := h.create(apiKey("k"), func(n *enlace.NewIntegration) { n.Disabled = true })
	if other.Enabled || other.ID == in.ID {
		t.Errorf("%+v", other)
	}
	var actions []string
	for _, o := range h.observed() {
		switch o := o.(type) {
		case enlace.IntegrationChanged:
			if o.Ref == in.Ref {
				actions = append(actions, "integration "+o.Action)
			}
		case enlace.CredentialChanged:
			if o.Ref == in.Ref {
				actions = append(actions, "credential "+o.Action)
			}
		}
	}
	if diff := cmp.Diff([]string{"integration create", "credential put", "integration connect"}, actions); diff != "" {
		t.Error("observations (-want +got):\n" + diff)
	}
}

func TestUpdateNeedsTheVersionThatWasRead(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	mine, theirs := in, in
	theirs.Name = "theirs"
	updated := must(h.Update(t.Context(), theirs))(t)
	if updated.Version != in.Version+1 || updated.Name != "theirs" {
		t.Errorf("%+v", updated)
	}
	mine.Name = "mine"
	current, err := h.Update(t.Context(), mine)
	if !errors.Is(err, enlace.ErrConflict) {
		t.Fatalf("an update of an old version: %v, want ErrConflict", err)
	}
	if current.Name != "theirs" {
		t.Errorf("with the conflict came %q, want what is stored", current.Name)
	}
	if _, err := h.Conn(t.Context(), in.Ref); err != nil {
		t.Errorf("the credential no longer opens after an update: %v", err)
	}
	changes := observedAs[enlace.IntegrationChanged](h)
	if last := changes[len(changes)-1]; last.Action != "update" || !slices.Equal(last.Fields, []string{"name"}) {
		t.Errorf("%+v", last)
	}
}

func TestConcurrentUpdatesHaveOneWinnerEach(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 20 {
		wg.Go(func() {
			mine := in
			mine.Name = fmt.Sprint("n", i)
			_, err := h.Update(t.Context(), mine)
			switch {
			case err == nil:
				mu.Lock()
				won++
				mu.Unlock()
			case !errors.Is(err, enlace.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d of 20 updates of one version succeeded", won)
	}
}

func TestUpdateStoresOnlyWhatItSays(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	edited := in
	edited.Provider, edited.BaseURL, edited.Status, edited.StatusReason = "other", "https://evil.example.com/", enlace.StatusPending, "x"
	edited.Name, edited.Settings = "new", map[string]string{"timeout": "1000"}
	got := must(h.Update(t.Context(), edited))(t)
	if got.Provider != "crm" || got.BaseURL != in.BaseURL || got.Status != enlace.StatusConnected || got.StatusReason != "" || got.Name != "new" {
		t.Errorf("%+v", got)
	}
	bad := got
	bad.Settings = map[string]string{"timeout": "x"}
	if _, err := h.Update(t.Context(), bad); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a bad setting: %v", err)
	}
}

func TestUpdateToAnotherHostMakesItPending(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey(canary))
	in.Settings = map[string]string{"apiUrl": "https://other.example.com/v2"}
	moved := must(h.Update(t.Context(), in))(t)
	if moved.Status != enlace.StatusPending || moved.StatusReason == "" || moved.BaseURL != "https://other.example.com/v2/" {
		t.Errorf("%+v", moved)
	}
	if _, err := h.Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrKey) {
		t.Errorf("the old credential at the new host: %v, want ErrKey", err)
	}
	again := must(h.Connect(t.Context(), in.Ref, apiKey("new")))(t)
	if again.Status != enlace.StatusConnected || again.StatusReason != "" {
		t.Errorf("%+v", again)
	}
	if err := h.open(again).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Error(err)
	}
	// Another path of the same host is fine.
	again.Settings = map[string]string{"apiUrl": "https://other.example.com/v3"}
	if same := must(h.Update(t.Context(), again))(t); same.Status != enlace.StatusConnected {
		t.Errorf("%+v", same)
	}
	h.open(again)
}

func TestEnableAndDisable(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	off := must(h.Disable(t.Context(), in.Ref))(t)
	if off.Enabled || off.Version != in.Version+1 {
		t.Errorf("%+v", off)
	}
	if _, err := h.Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrDisabled) {
		t.Errorf("Conn: %v", err)
	}
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: &notebook{}}); !errors.Is(err, enlace.ErrDisabled) {
		t.Errorf("Sync: %v", err)
	}
	if _, err := h.ValidCredential(t.Context(), in.Ref); !errors.Is(err, enlace.ErrDisabled) {
		t.Errorf("ValidCredential: %v", err)
	}
	if n := len(h.provider.seen("")); n != 0 {
		t.Errorf("%d requests of a disabled integration", n)
	}
	if on := must(h.Enable(t.Context(), in.Ref))(t); !on.Enabled {
		t.Errorf("%+v", on)
	}
	h.open(in)
}

func TestDeleteRemovesCredentialAndCheckpoints(t *testing.T) {
	h := newHost(t, crm{})
	h.provider.add("companies", 3)
	in, other := h.create(apiKey("k")), h.create(apiKey("k"))
	var runs []string
	for _, i := range []enlace.Integration{in, other} {
		result, err := h.Sync(t.Context(), i.Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: &notebook{}})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, result.RunID)
	}
	if err := h.Delete(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get(t.Context(), in.Ref); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if _, err := h.store.LoadCredential(t.Context(), enlace.CredentialKey{Ref: in.Ref, Name: "account"}); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("the credential is still there: %v", err)
	}
	if cp, _ := h.store.LoadCheckpoint(t.Context(), in.Ref, "companies"); cp != (enlace.Checkpoint{}) {
		t.Errorf("the checkpoint is still there: %+v", cp)
	}
	if cp, _ := h.store.LoadCheckpoint(t.Context(), other.Ref, "companies"); cp.Mark == "" {
		t.Error("the other integration's checkpoint is gone too")
	}
	h.open(other)
	if run, err := h.SyncRun(t.Context(), "acme", runs[0]); err != nil || run.State != enlace.RunComplete {
		t.Errorf("the run's record: %+v, %v", run, err)
	}
	if err := h.Delete(t.Context(), in.Ref); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("a second Delete: %v", err)
	}
}

func TestDeleteCanBeCalledAgain(t *testing.T) {
	for _, broken := range []string{"DeleteCredential", "DeleteCheckpoints", "DeleteIntegration"} {
		fail := true
		h := newHost(t, crm{}, failing(func(_ context.Context, op string) error {
			if fail && op == broken {
				return io.ErrUnexpectedEOF
			}
			return nil
		}))
		in := h.create(apiKey("k"))
		if err := h.Delete(t.Context(), in.Ref); !errors.Is(err, enlace.ErrStore) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v, want ErrStore and the cause", broken, err)
		}
		fail = false
		if err := h.Delete(t.Context(), in.Ref); err != nil {
			t.Errorf("%s, again: %v", broken, err)
		}
	}
}

func TestListPages(t *testing.T) {
	h := newHost(t, crm{})
	var want []string
	for range 7 {
		want = append(want, h.create(apiKey("k")).ID)
	}
	slices.Sort(want)
	h.create(apiKey("k"), func(n *enlace.NewIntegration) { n.Tenant = "other" })
	var got []string
	q := enlace.IntegrationQuery{Tenant: "acme", Limit: 3}
	for pages := 1; ; pages++ {
		list, next, err := h.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range list {
			got = append(got, in.ID)
		}
		if next == "" {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		q.Cursor = next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n" + diff)
	}
	if _, _, err := h.List(t.Context(), enlace.IntegrationQuery{Tenant: "acme", Cursor: "no cursor"}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a bad cursor: %v, want ErrInvalid", err)
	}
	if list, _, err := h.List(t.Context(), enlace.IntegrationQuery{Tenant: "acme", Provider: "another"}); err != nil || len(list) != 0 {
		t.Errorf("another provider's: %v, %v", list, err)
	}
}

// What exists for another tenant does not exist.
func TestTenantsAreIsolated(t *testing.T) {
	h := newHost(t, crm{auth: []enlace.AuthScheme{headerKey, codeScheme}}, withApp)
	h.provider.add("companies", 3)
	in := h.create(apiKey("k"))
	result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: &notebook{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, foreign := t.Context(), enlace.Ref{Tenant: "evil", ID: in.ID}
	stolen := in
	stolen.Tenant = "evil"
	before := len(h.provider.seen(""))
	for name, call := range map[string]func() error{
		"Get":        func() error { _, err := h.Get(ctx, foreign); return err },
		"Update":     func() error { _, err := h.Update(ctx, stolen); return err },
		"Enable":     func() error { _, err := h.Enable(ctx, foreign); return err },
		"Disable":    func() error { _, err := h.Disable(ctx, foreign); return err },
		"Delete":     func() error { return h.Delete(ctx, foreign) },
		"Connect":    func() error { _, err := h.Connect(ctx, foreign, apiKey("x")); return err },
		"Disconnect": func() error { _, err := h.Disconnect(ctx, foreign); return err },
		"Conn":       func() error { _, err := h.Conn(ctx, foreign); return err },
		"BeginAuth":  func() error { _, err := h.BeginAuth(ctx, foreign, "https://app.example.com/cb"); return err },
		"ValidCredential": func() error {
			_, err := h.ValidCredential(ctx, foreign)
			return err
		},
		"Sync": func() error { _, err := h.Sync(ctx, foreign, enlace.SyncOptions{Sink: &notebook{}}); return err },
		"TestConnection": func() error {
			_, err := h.TestConnection(ctx, enlace.ConnectionTest{Ref: foreign})
			return err
		},
		"Pages": func() error {
			for _, err := range h.Pages(ctx, foreign, enlace.PullRequest{Entity: "companies"}) {
				return err
			}
			return nil
		},
		"Records": func() error {
			for _, err := range h.Records(ctx, foreign, enlace.PullRequest{Entity: "companies"}) {
				return err
			}
			return nil
		},
		"Run": func() error { _, err := h.SyncRun(ctx, "evil", result.RunID); return err },
	} {
		if err := call(); !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if list, _, err := h.List(ctx, enlace.IntegrationQuery{Tenant: "evil"}); err != nil || len(list) != 0 {
		t.Errorf("List: %v, %v", list, err)
	}
	if list, _, err := h.Runs(ctx, enlace.RunQuery{Tenant: "evil", Integration: in.ID}); err != nil || len(list) != 0 {
		t.Errorf("Runs: %v, %v", list, err)
	}
	if _, err := h.Safe().Get(ctx, enlace.Place{CredentialKey: enlace.CredentialKey{Ref: foreign, Name: "account"}, Host: "crm.example.com"}); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("Safe.Get: %v", err)
	}
	if after := must(h.Get(ctx, in.Ref))(t); after.Version != in.Version || len(h.provider.seen("")) != before {
		t.Error("something was changed or requested")
	}
}

func TestConnectAndDisconnect(t *testing.T) {
	h := newHost(t, crm{})
	in := must(h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm"}))(t)
	if in.Status != enlace.StatusPending {
		t.Errorf("%+v", in)
	}
	if _, err := h.Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("Conn without a credential: %v", err)
	}
	if _, err := h.Connect(t.Context(), in.Ref, enlace.Credential{}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("Connect without secrets: %v", err)
	}
	if in = must(h.Connect(t.Context(), in.Ref, apiKey("k")))(t); in.Status != enlace.StatusConnected {
		t.Errorf("%+v", in)
	}
	h.open(in)
	if in = must(h.Disconnect(t.Context(), in.Ref))(t); in.Status != enlace.StatusPending || in.StatusReason == "" {
		t.Errorf("%+v", in)
	}
	if _, err := h.Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("Conn after Disconnect: %v", err)
	}
	var last enlace.CredentialChanged
	for _, o := range observedAs[enlace.CredentialChanged](h) {
		last = o
	}
	if last.Action != "delete" {
		t.Errorf("%+v", last)
	}
}

// noTransport leaves the service with its own guarded way to the network.
func noTransport(c *enlace.Config) { c.Transport = nil }

func allowLoopback(c *enlace.Config) {
	c.Transport = nil
	c.Egress.AllowPrefixes = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

func TestPrivateAddressesAreBlockedBeforeAnythingIsStored(t *testing.T) {
	h := newHost(t, crm{auth: []enlace.AuthScheme{headerKey, enlace.SecretURL{}}}, noTransport)
	in := h.create(apiKey("k"))
	for _, address := range []string{
		"https://127.0.0.1/", "http://127.0.0.1:8080/", "https://10.0.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest/",
		"https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://0.0.0.0/", "https://localhost/", "http://localhost:9000/", "https://100.64.0.1/",
		"http://crm.example.com/", "https://8.8.8.8:22/", "https://[fd00::1]/",
	} {
		cred := apiKey("k")
		_, err := h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm", Settings: map[string]string{"apiUrl": address}, Credential: &cred})
		if !errors.Is(err, enlace.ErrBlocked) {
			t.Errorf("Create with %s: %v, want ErrBlocked", address, err)
		}
		edited := in
		edited.Settings = map[string]string{"apiUrl": address}
		if _, err := h.Update(t.Context(), edited); !errors.Is(err, enlace.ErrBlocked) {
			t.Errorf("Update to %s: %v, want ErrBlocked", address, err)
		}
		secretURL := enlace.Credential{Scheme: "secret_url", Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(address + canary + "/")}}
		_, err = h.Connect(t.Context(), in.Ref, secretURL)
		if !errors.Is(err, enlace.ErrBlocked) {
			t.Errorf("Connect with %s: %v, want ErrBlocked", address, err)
		}
		checkNoLeak(t, "the error", fmt.Sprint(err), canary)
		report, err := h.TestConnection(t.Context(), enlace.ConnectionTest{Provider: "crm", Credential: cred, Settings: map[string]string{"apiUrl": address}})
		if err != nil || report.OK || len(report.Steps) != 1 || !errors.Is(report.Steps[0].Err, enlace.ErrBlocked) {
			t.Errorf("TestConnection with %s: %+v, %v", address, report, err)
		}
	}
	list, _, _ := h.List(t.Context(), enlace.IntegrationQuery{Tenant: "acme"})
	if len(list) != 1 || list[0].Version != in.Version {
		t.Errorf("something was stored: %+v", list)
	}
}

// localServer is the provider on the loopback.
func localServer(t *testing.T, p *provider) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server
}

func TestLoopbackIsCalledOnlyIfAllowed(t *testing.T) {
	h := newHost(t, crm{}, allowLoopback)
	h.provider.add("companies", 25)
	server := localServer(t, h.provider)
	in := h.create(apiKey("k"), with("apiUrl", server.URL))
	book := &notebook{}
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: book}); err != nil || len(book.records) != 25 {
		t.Fatalf("%d records, %v", len(book.records), err)
	}
	// The same store under a stricter service: the stored address is checked again.
	h.config.Egress = enlace.Egress{}
	if _, err := h.restart().Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrBlocked) {
		t.Errorf("%v, want ErrBlocked", err)
	}
}

// A name that is allowed may resolve to an address that is not: what counts is
// what is dialled.
func TestAddressIsCheckedWhenItIsDialled(t *testing.T) {
	h := newHost(t, crm{}, func(c *enlace.Config) {
		c.Transport = nil
		c.Egress.AllowPrefixes = []netip.Prefix{netip.MustParsePrefix("::1/128")} // lets "localhost" through before dialling
	})
	v4 := localServer(t, h.provider) // listens on 127.0.0.1 only
	port := must(url.Parse(v4.URL))(t).Port()
	in := h.create(apiKey(canary), with("apiUrl", "http://localhost:"+port), with("retryAttempts", "0"))
	err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil)
	if !errors.Is(err, enlace.ErrBlocked) && !errors.Is(err, enlace.ErrUnavailable) {
		t.Errorf("%v, want ErrBlocked", err)
	}
	if n := len(h.provider.seen("")); n != 0 {
		t.Errorf("%d requests arrived at an address that is not allowed", n)
	}
	// A redirect to another place does not lead there either.
	allowed := newHost(t, crm{}, allowLoopback)
	server := localServer(t, allowed.provider)
	allowed.provider.setFault(times(9, "ping", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/"+canary, http.StatusFound)
	}))
	err = allowed.open(allowed.create(apiKey(canary), with("apiUrl", server.URL))).Do(t.Context(), enlace.Call{Path: "ping"}, nil)
	if !errors.Is(err, enlace.ErrMoved) {
		t.Errorf("a redirect to another host: %v, want ErrMoved", err)
	}
	checkNoLeak(t, "the error", fmt.Sprint(err), canary)
}

func TestStoreFailuresAreErrStore(t *testing.T) {
	broken := ""
	h := newHost(t, crm{}, failing(func(_ context.Context, op string) error {
		if op == broken {
			return io.ErrUnexpectedEOF
		}
		return nil
	}))
	in := h.create(apiKey("k"))
	ctx := t.Context()
	for op, calls := range map[string][]func() error{
		"CreateIntegration": {func() error {
			_, err := h.Create(ctx, enlace.NewIntegration{Tenant: "acme", Provider: "crm"})
			return err
		}},
		"Integration": {
			func() error { _, err := h.Get(ctx, in.Ref); return err },
			func() error { _, err := h.Conn(ctx, in.Ref); return err },
			func() error { _, err := h.Enable(ctx, in.Ref); return err },
			func() error {
				_, err := h.TestConnection(ctx, enlace.ConnectionTest{Ref: in.Ref})
				return err
			},
		},
		"Integrations":      {func() error { _, _, err := h.List(ctx, enlace.IntegrationQuery{}); return err }},
		"UpdateIntegration": {func() error { _, err := h.Disable(ctx, in.Ref); return err }, func() error { _, err := h.Update(ctx, in); return err }},
		"LoadCredential": { // by another process, which has not opened it before
			func() error { _, err := h.restart().Conn(ctx, in.Ref); return err },
			func() error { _, err := h.restart().Update(ctx, in); return err },
		},
		"UpdateCredential": {func() error { _, err := h.Connect(ctx, in.Ref, apiKey("x")); return err }},
		"DeleteCredential": {func() error { _, err := h.Disconnect(ctx, in.Ref); return err }},
		"Run":              {func() error { _, err := h.SyncRun(ctx, "acme", "x"); return err }},
		"Runs":             {func() error { _, _, err := h.Runs(ctx, enlace.RunQuery{Tenant: "acme"}); return err }},
	} {
		broken = op
		for i, call := range calls {
			err := call()
			if !errors.Is(err, enlace.ErrStore) || !errors.Is(err, io.ErrUnexpectedEOF) || enlace.KindLabel(err) != "store" {
				t.Errorf("%s %d: %v (%s), want ErrStore with its cause", op, i, err, enlace.KindLabel(err))
			}
		}
	}
	broken = ""
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.Get(ended, in.Ref); !errors.Is(err, enlace.ErrCanceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v, want ErrCanceled and context.Canceled", err)
	}
}

// Whoever changes the status of an integration must not lose somebody's edit.
func TestChangesMeetOtherWriters(t *testing.T) {
	var h *host
	var rival func(context.Context)
	h = newHost(t, crm{}, failing(func(ctx context.Context, op string) error {
		if op == "Transact" && rival != nil {
			edit := rival
			rival = nil
			edit(ctx)
		}
		return nil
	}))
	in := h.create(apiKey("k"))
	rival = func(ctx context.Context) {
		row, _ := h.store.Integration(ctx, in.Ref)
		row.Name = "renamed by a rival"
		if err := h.store.UpdateIntegration(ctx, row); err != nil {
			t.Fatal(err)
		}
	}
	got := must(h.Disable(t.Context(), in.Ref))(t)
	if got.Enabled || got.Name != "renamed by a rival" {
		t.Errorf("%+v", got)
	}
}

func TestSecretURLKeepsOnlyItsOrigin(t *testing.T) {
	h := newHost(t, crm{auth: []enlace.AuthScheme{enlace.SecretURL{Pattern: `/rest/[0-9]+/[^/]+/?`, Help: "https://portal/rest/1/secret/"}}})
	for text, good := range map[string]bool{
		"https://acme.example.com/rest/1/" + canary[:8] + "/": true, " https://acme.example.com/rest/1/" + canary[:8] + "\n": true,
		"https://acme.example.com/other/" + canary[:8]: false, "acme.example.com/rest/1/" + canary[:8]: false,
		"https://acme.example.com/rest/1/" + canary[:8] + "/?x=" + canary[:8]: false, "https://u:" + canary[:8] + "@acme.example.com/rest/1/a/": false,
		"https://acme.example.com/rest/1/" + canary[:8] + "/%zz": false, "": false,
	} {
		cred := enlace.Credential{Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(text)}}
		in, err := h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm", Credential: &cred})
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil {
			if !errors.Is(err, enlace.ErrInvalid) || strings.Contains(err.Error(), canary[:8]) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if in.BaseURL != "https://acme.example.com" {
			t.Errorf("base URL %q", in.BaseURL)
		}
	}
}

// While a key is missing nothing is lost: an edit keeps where the account is.
func TestUpdateWhileTheKeyIsMissing(t *testing.T) {
	h := newHost(t, crm{auth: []enlace.AuthScheme{enlace.SecretURL{}}, base: "https://{portal}/rest/", fields: []enlace.Field{{Name: "portal", Kind: enlace.FieldHost}}})
	in := h.create(enlace.Credential{Secrets: map[string]enlace.Secret{"url": enlace.NewSecret("https://acme.example.com/rest/1/secret/")}})
	keys := h.config.Keys
	h.config.Keys = newKeys(t)
	in.Name = "renamed"
	got, err := h.restart().Update(t.Context(), in)
	if err != nil || got.Name != "renamed" || got.BaseURL != in.BaseURL || got.Status != enlace.StatusConnected {
		t.Errorf("%+v, %v", got, err)
	}
	h.config.Keys = keys
	if _, err := h.restart().Conn(t.Context(), in.Ref); err != nil {
		t.Errorf("once the key is back: %v", err)
	}
}
