package enlace_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

func ExampleWithActor() {
	service := newShopService()
	ctx := enlace.WithActor(context.Background(), enlace.Actor{ID: "ana", Address: "192.0.2.7", Request: "req-42"})
	in := newShop(service, "secret-key")
	if _, err := service.Disable(ctx, in.Ref); err != nil {
		fmt.Println(err)
		return
	}
	entries, _, err := service.Audit(ctx, enlace.AuditQuery{Tenant: "acme", Actor: "ana"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range entries {
		fmt.Println(e.Actor.ID, e.Action, e.Result, e.Actor.Request)
	}
	// Output: ana integration.disable done req-42
}

func ExampleSignalOf() {
	service := newShopService()
	stop := service.Watch(func(_ context.Context, o enlace.Observation) { // of other processes it gets signals only
		if signal, ok := enlace.SignalOf(o); ok && signal.Topic == "integrations" {
			fmt.Println(signal.Topic, signal.Action)
		}
	})
	defer stop()
	in := newShop(service, "secret-key")
	if _, err := service.Disable(context.Background(), in.Ref); err != nil {
		fmt.Println(err)
	}
	// Output:
	// integrations create
	// integrations credential.put
	// integrations connect
	// integrations disable
}

// Keep the head where nobody who can write the database can write.
func ExampleService_VerifyAudit() {
	service := newShopService()
	ctx := context.Background()
	newShop(service, "secret-key")
	kept, err := service.AuditHead(ctx, "acme")
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := service.VerifyAudit(ctx, "acme", kept)
	fmt.Println(report.OK, report.Entries, err)
	// Output: true 3 <nil>
}

func ExampleService_CheckHealth() {
	service := newShopService()
	in := newShop(service, "wrong")
	health, err := service.CheckHealth(context.Background(), in.Ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(health.Status, health.Cause)
	fmt.Println(health.Summary)
	// Output:
	// warning scopes
	// the account may not do this; check its permissions, scopes and plan
}

func ExampleService_Metrics() {
	service := newShopService()
	ctx := context.Background()
	newShop(service, "secret-key")
	metrics, err := service.Metrics(ctx, enlace.MetricsQuery{Tenant: "acme", From: time.Now().Add(-30 * 24 * time.Hour), GroupBy: enlace.GroupProvider})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(metrics.Step, metrics.Total.Requests, metrics.Integrations[0].Active)
	// Output: 24h0m0s 0 1
}

// A kill switch: every process follows within a second or two.
func ExampleService_SetFlag() {
	service := newShopService()
	ctx := context.Background()
	in := newShop(service, "secret-key")
	err := service.SetFlag(ctx, enlace.FlagIntegrations, enlace.FlagTarget{Provider: "shop"}, false, "they have an outage")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = service.Conn(ctx, in.Ref)
	fmt.Println(err)
	// Output: enlace: shop: check flag: the integration is disabled (the flag integrations is off)
}

// openFeature is the method of OpenFeature's *openfeature.Client that matters here;
// the evaluation context is what openfeature.NewEvaluationContext makes.
type openFeature interface {
	BooleanValue(ctx context.Context, flag string, fallback bool, evaluation map[string]any) (bool, error)
}

// An OpenFeature client answers enlace's flags.
func ExampleFlagsFunc() {
	var client openFeature = offForAcme{}
	flags := enlace.FlagsFunc(func(ctx context.Context, flag enlace.Flag, target enlace.FlagTarget, fallback bool) (bool, error) {
		return client.BooleanValue(ctx, "enlace."+string(flag), fallback, map[string]any{"targetingKey": target.Tenant,
			"provider": target.Provider, "integration": target.Integration, "entity": target.Entity})
	})
	for _, tenant := range []string{"acme", "other"} {
		on, err := flags.Enabled(context.Background(), enlace.FlagBulkOperations, enlace.FlagTarget{Tenant: tenant}, true)
		fmt.Println(tenant, on, err)
	}
	// Output:
	// acme false <nil>
	// other true <nil>
}

type offForAcme struct{}

func (offForAcme) BooleanValue(_ context.Context, _ string, fallback bool, evaluation map[string]any) (bool, error) {
	return fallback && evaluation["targetingKey"] != "acme", nil
}

func ExampleNewLogBuffer() {
	buffer := enlace.NewLogBuffer(1000, slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	logger := slog.New(buffer) // for Config.Logger
	ctx := enlace.WithActor(context.Background(), enlace.Actor{Request: "req-42"})
	logger.InfoContext(ctx, "refused", "authorization", "Bearer abcdef0123456789")
	lines, _ := buffer.Lines(enlace.LogQuery{Attrs: map[string]string{enlace.LogRequest: "req-42"}})
	fmt.Println(lines[0].Message, strings.Contains(fmt.Sprint(lines), "abcdef"))
	// Output: refused false
}

func ExampleService_Doctor() {
	service := newShopService()
	diagnosis, err := service.Doctor(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(diagnosis.Findings[0].Status, diagnosis.Findings[0].Check)
	fmt.Println(diagnosis.Findings[0].Fix)
	// Output:
	// warning configuration
	// leave it out in production, unless your transport checks them itself
}

func ExampleRegistry_Catalogue() {
	catalogue := enlace.NewRegistry(published{}).Catalogue()
	index, err := catalogue.Render()
	if err != nil {
		fmt.Println(err)
		return
	}
	read, err := enlace.ParseCatalogue(index)
	fmt.Println(read.Adapters[0].Name, read.Adapters[0].Version, read.Adapters[0].Publisher, err)
	// Output: crm 1.0.0 Example Ltda. <nil>
}

func ExampleService_EraseTenant() {
	service := newShopService()
	ctx := context.Background()
	newShop(service, "secret-key")
	report, err := service.EraseTenant(ctx, "acme")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Rows["integrations"], report.Rows["credentials"], report.Rows["audit"])
	// Output: 1 1 3
}

// A planned outage: checks go on, and nobody is called.
func ExampleService_SetMaintenance() {
	service := newShopService()
	ctx := context.Background()
	now := time.Now()
	window, err := service.SetMaintenance(ctx, enlace.Maintenance{Tenant: "acme", Provider: "shop", From: now, Until: now.Add(2 * time.Hour), Reason: "they move house"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(service.EndMaintenance(ctx, "acme", window.ID)) // they were faster
	// Output: <nil>
}

// What is known of a tenant, for the tenant: one JSON object in each line.
func ExampleService_ExportTenant() {
	service := newShopService()
	newShop(service, "secret-key")
	var export strings.Builder
	if err := service.ExportTenant(context.Background(), "acme", &export); err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(export.String()) {
		var entry struct {
			Kind string
			Data struct{ Name, Action string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(entry.Kind, entry.Data.Action+entry.Data.Name)
	}
	fmt.Println("secrets in it:", strings.Contains(export.String(), "secret-key"))
	// Output:
	// credential account
	// integration Shop
	// audit integration.create
	// audit integration.connect
	// audit integration.connect
	// audit tenant.export
	// secrets in it: false
}

// For another SDK. That it was given out stands in the audit trail.
func ExampleService_ValidCredential() {
	service := newShopService()
	in := newShop(service, "secret-key")
	credential, err := service.ValidCredential(enlace.WithActor(context.Background(), enlace.Actor{ID: "reports"}), in.Ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(credential.Secrets["api_key"], len(credential.Secrets["api_key"].Reveal()))
	entries, _, err := service.Audit(context.Background(), enlace.AuditQuery{Tenant: "acme", Actor: "reports"})
	fmt.Println(entries[0].Action, err)
	// Output:
	// [redacted] 10
	// credential.reveal <nil>
}

// Somebody asks why the provider's deliveries do not arrive: deliver one yourself, with
// the stored secret, and look at which step it fails; then with another secret.
func ExampleService_TestWebhook() {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	provider := fake.New(fake.Options{})
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(provider.Adapter()), Transport: provider, Store: memory.New(), Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	in, err := service.Create(ctx, enlace.NewIntegration{Provider: fake.Name, Credential: new(provider.APIKey())})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, test := range []enlace.WebhookTest{{Type: "deal.updated", Record: "7"}, {Fault: enlace.FaultWrongProof}} {
		report, err := service.TestWebhook(ctx, in.Ref, test)
		if err != nil {
			fmt.Println(err)
			return
		}
		last := report.Steps[len(report.Steps)-1]
		fmt.Println(report.OK, report.Status, last.Name, last.Reason, len(report.Events))
	}
	// Output:
	// true 200 events  1
	// true 401 proof proof_mismatch 0
}
