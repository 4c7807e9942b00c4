package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
)

var generalChecks = []check{
	{"TenantIsolation", tenantIsolation},
	{"CaseSensitiveIDs", caseSensitiveIDs},
	{"EndedContext", endedContext},
	{"ManyWriters", manyWriters},
}

// fill stores one of everything under the same ids and returns the integration.
func fill(t *testing.T, s enlace.Store, tenant, id string) enlace.Integration {
	t.Helper()
	const rule = "the same ids may exist for several tenants, and in several spellings"
	in := integration(tenant, id)
	in.Name = tenant + "'s " + id
	noError(t, rule, s.CreateIntegration(t.Context(), in))
	noError(t, rule, put(t.Context(), s, key(tenant, id, "account"), in.Name))
	noError(t, rule, s.SaveCheckpoint(t.Context(), in.Ref, "deals", enlace.Checkpoint{Mark: enlace.Cursor(in.Name)}))
	noError(t, rule, s.SaveRun(t.Context(), run(tenant, id, id, base)))
	return in
}

// intact notes a failure unless everything is as fill has stored it, and is all
// that the tenant has.
func intact(t *testing.T, rule string, s enlace.Store, in enlace.Integration, all int) {
	t.Helper()
	got, err := s.Integration(t.Context(), in.Ref)
	noError(t, rule, err)
	equal(t, rule, got, in)
	holds(t, rule, s, enlace.CredentialKey{Ref: in.Ref, Name: "account"}, in.Name)
	cp, err := s.LoadCheckpoint(t.Context(), in.Ref, "deals")
	noError(t, rule, err)
	equal(t, rule, withoutTime(cp), enlace.Checkpoint{Mark: enlace.Cursor(in.Name), Version: 1})
	record, err := s.Run(t.Context(), in.Tenant, in.ID)
	noError(t, rule, err)
	equal(t, rule, record, run(in.Tenant, in.ID, in.ID, base))
	runs, _, err := s.Runs(t.Context(), enlace.RunQuery{Tenant: in.Tenant, Integration: in.ID})
	noError(t, rule, err)
	equal(t, rule, runs, []enlace.Run{record})

	equal(t, rule, len(listIntegrations(t, s, enlace.IntegrationQuery{Tenant: in.Tenant})), all)
	equal(t, rule, len(listIntegrations(t, s, enlace.IntegrationQuery{Tenant: in.Tenant, Provider: in.Provider})), all)
	equal(t, rule, len(listRuns(t, s, enlace.RunQuery{Tenant: in.Tenant})), all)
	equal(t, rule, len(keysOf(t, s, in.Tenant)), all)
}

func tenantIsolation(t *testing.T, s enlace.Store) {
	const rule = "a tenant neither sees nor changes another tenant's rows"
	first := fill(t, s, "acme", "one")
	stranger := ref("stranger", "one")
	for _, tenant := range []string{"stranger", "", "acme/", "acme%", "acme_"} {
		_, err := s.Integration(t.Context(), ref(tenant, "one"))
		wantError(t, rule, err, enlace.ErrNotFound)
		_, err = s.Run(t.Context(), tenant, "one")
		wantError(t, rule, err, enlace.ErrNotFound)
		holds(t, rule, s, key(tenant, "one", "account"), "")
		cp, err := s.LoadCheckpoint(t.Context(), ref(tenant, "one"), "deals")
		noError(t, rule, err)
		equal(t, rule, cp, enlace.Checkpoint{})
		equal(t, rule, len(listIntegrations(t, s, enlace.IntegrationQuery{Tenant: tenant})), 0)
		equal(t, rule, len(listIntegrations(t, s, enlace.IntegrationQuery{Tenant: tenant, Provider: "fake"})), 0)
		equal(t, rule, len(listRuns(t, s, enlace.RunQuery{Tenant: tenant})), 0)
		equal(t, rule, len(listRuns(t, s, enlace.RunQuery{Tenant: tenant, Integration: "one"})), 0)
		equal(t, rule, len(keysOf(t, s, tenant)), 0)
	}

	in := first
	in.Ref = stranger
	wantError(t, rule, s.UpdateIntegration(t.Context(), in), enlace.ErrNotFound)
	wantError(t, rule, s.DeleteIntegration(t.Context(), stranger, 1), enlace.ErrNotFound)
	wantError(t, rule, s.SaveCheckpoint(t.Context(), stranger, "deals", enlace.Checkpoint{Version: 1}), enlace.ErrConflict)
	noError(t, rule, s.DeleteCheckpoints(t.Context(), stranger))
	noError(t, rule, s.DeleteCredential(t.Context(), key("stranger", "one", "account")))
	noError(t, rule, update(t.Context(), s, key("stranger", "one", "account"), func(cur string, _ bool) string {
		equal(t, rule, cur, "")
		return ""
	}))
	intact(t, rule, s, first, 1)

	second, nobody := fill(t, s, "stranger", "one"), fill(t, s, "", "one")
	intact(t, rule, s, first, 1)
	intact(t, rule, s, second, 1)
	intact(t, rule, s, nobody, 1)
	noError(t, rule, s.DeleteCredential(t.Context(), key("stranger", "one", "account")))
	noError(t, rule, s.DeleteCheckpoints(t.Context(), second.Ref))
	noError(t, rule, s.DeleteIntegration(t.Context(), second.Ref, 1))
	intact(t, rule, s, first, 1)
	intact(t, rule, s, nobody, 1)
}

func caseSensitiveIDs(t *testing.T, s enlace.Store) {
	const rule = "ids are case-sensitive"
	lower, upper, tenant := fill(t, s, "acme", "one"), fill(t, s, "acme", "ONE"), fill(t, s, "ACME", "one")
	intact(t, rule, s, lower, 2)
	intact(t, rule, s, upper, 2)
	intact(t, rule, s, tenant, 1)
	noError(t, rule, s.DeleteCredential(t.Context(), key("acme", "ONE", "account")))
	noError(t, rule, s.DeleteCheckpoints(t.Context(), upper.Ref))
	noError(t, rule, s.DeleteIntegration(t.Context(), upper.Ref, 1))
	holds(t, rule, s, key("acme", "one", "account"), lower.Name)
	got, err := s.Integration(t.Context(), lower.Ref)
	noError(t, rule, err)
	equal(t, rule, got, lower)
	intact(t, rule, s, tenant, 1)
}

func endedContext(t *testing.T, s enlace.Store) {
	in := fill(t, s, "acme", "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	changed := in
	changed.Name = "changed"
	_, integrationErr := s.Integration(ctx, in.Ref)
	_, _, integrationsErr := s.Integrations(ctx, enlace.IntegrationQuery{Tenant: "acme"})
	_, loadErr := s.LoadCredential(ctx, account)
	_, checkpointErr := s.LoadCheckpoint(ctx, in.Ref, "deals")
	_, runErr := s.Run(ctx, "acme", "one")
	_, _, runsErr := s.Runs(ctx, enlace.RunQuery{Tenant: "acme"})
	for method, err := range map[string]error{
		"CreateIntegration": s.CreateIntegration(ctx, integration("acme", "two")),
		"Integration":       integrationErr,
		"Integrations":      integrationsErr,
		"UpdateIntegration": s.UpdateIntegration(ctx, changed),
		"DeleteIntegration": s.DeleteIntegration(ctx, in.Ref, 1),
		"LoadCredential":    loadErr,
		"UpdateCredential":  put(ctx, s, account, "changed"),
		"DeleteCredential":  s.DeleteCredential(ctx, account),
		"LoadCheckpoint":    checkpointErr,
		"SaveCheckpoint":    s.SaveCheckpoint(ctx, in.Ref, "deals", enlace.Checkpoint{Version: 1}),
		"DeleteCheckpoints": s.DeleteCheckpoints(ctx, in.Ref),
		"SaveRun":           s.SaveRun(ctx, run("acme", "two", "one", base)),
		"Run":               runErr,
		"Runs":              runsErr,
	} {
		wantError(t, method+" fails with the error of a context that has ended", err, context.Canceled)
		for _, kind := range []error{enlace.ErrNotFound, enlace.ErrConflict, enlace.ErrNoCredential, enlace.ErrInvalid} {
			if errors.Is(err, kind) {
				t.Errorf("the error of an ended context is no answer: that of %s matches %q", method, kind)
			}
		}
	}
	intact(t, "a call whose context had ended before changes nothing", s, in, 1)
}

func manyWriters(t *testing.T, s enlace.Store) {
	const rule = "many may write different rows at the same time"
	together(writers, func(w int) {
		id := fmt.Sprintf("%02d", w)
		for _, err := range []error{
			s.CreateIntegration(t.Context(), integration("acme", id)),
			put(t.Context(), s, key("acme", id, "account"), "x"),
			s.SaveCheckpoint(t.Context(), ref("acme", id), "deals", enlace.Checkpoint{}),
			s.SaveRun(t.Context(), run("acme", id, id, base)),
			s.UpdateIntegration(t.Context(), integration("acme", id)),
		} {
			if err != nil {
				t.Errorf("%s: %v", rule, err)
			}
		}
	})
	equal(t, rule, len(listIntegrations(t, s, enlace.IntegrationQuery{Tenant: "acme"})), writers)
	equal(t, rule, len(listRuns(t, s, enlace.RunQuery{Tenant: "acme"})), writers)
	equal(t, rule, len(keysOf(t, s, "acme")), writers)
}
