package enlace_test

import (
	"context"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// TestWatch: a watcher sees what happens beside the configured observer, and
// nothing once it has stopped.
func TestWatch(t *testing.T) {
	keys, err := enlace.NewKeyring(must(enlace.ParseKey(enlace.GenerateKey()))(t))
	if err != nil {
		t.Fatal(err)
	}
	var configured, watched []enlace.Observation
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(fake.New(fake.Options{}).Adapter()), Store: memory.New(), Keys: keys,
		Observer: created(&configured)})
	if err != nil {
		t.Fatal(err)
	}
	stop := service.Watch(created(&watched))
	create := func() {
		t.Helper()
		if _, err := service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name}); err != nil {
			t.Fatal(err)
		}
	}
	create()
	stop()
	stop()
	create()
	if len(configured) != 2 || len(watched) != 1 {
		t.Errorf("configured saw %d, want 2; watcher saw %d, want 1", len(configured), len(watched))
	}
}

// created is an observer that keeps the integrations that were created.
func created(all *[]enlace.Observation) enlace.Observer {
	return func(_ context.Context, o enlace.Observation) {
		if _, ok := o.(enlace.IntegrationChanged); ok {
			*all = append(*all, o)
		}
	}
}
