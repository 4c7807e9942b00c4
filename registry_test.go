package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

// bare is an adapter that describes itself and pulls nothing.
type bare struct{ d enlace.Descriptor }

func (b bare) Describe() enlace.Descriptor { return b.d }
func (b bare) Pull(context.Context, *enlace.Conn, enlace.PullRequest) (enlace.Page, error) {
	return enlace.Page{Done: true}, nil
}

func named(name string) bare {
	return bare{enlace.Descriptor{Name: name, Auth: []enlace.AuthScheme{headerKey}}}
}

// mute describes itself and can do nothing.
type mute struct{ d enlace.Descriptor }

func (m mute) Describe() enlace.Descriptor { return m.d }

func names(all iter.Seq2[string, enlace.IntegrationAdapter]) []string {
	var list []string
	for name := range all {
		list = append(list, name)
	}
	return list
}

func TestRegistryRegisterReplaceRemove(t *testing.T) {
	var r enlace.Registry // the zero value is ready
	if _, err := r.Lookup("a"); !errors.Is(err, enlace.ErrUnknownProvider) {
		t.Errorf("Lookup in an empty registry: %v, want ErrUnknownProvider", err)
	}
	if err := r.Remove("a"); !errors.Is(err, enlace.ErrUnknownProvider) {
		t.Errorf("Remove of nothing: %v, want ErrUnknownProvider", err)
	}
	first := named("a")
	if err := r.Register(first); err != nil {
		t.Fatal(err)
	}
	err := r.Register(named("a"))
	if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrDuplicate) || e.Provider != "a" {
		t.Errorf("second Register: %v, want ErrDuplicate that names the provider", err)
	}
	second := bare{enlace.Descriptor{Name: "a", Title: "second", Auth: []enlace.AuthScheme{headerKey}}}
	if err := r.Replace(second); err != nil {
		t.Fatal(err)
	}
	a := must(r.Lookup("a"))(t)
	if a.Describe().Title != "second" {
		t.Error("Replace left the first adapter in place")
	}
	if err := r.Replace(named("b")); err != nil {
		t.Errorf("Replace of a new name: %v", err)
	}
	if err := r.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lookup("a"); !errors.Is(err, enlace.ErrUnknownProvider) {
		t.Errorf("Lookup after Remove: %v", err)
	}
}

func TestRegistryAllIsSortedAndASnapshot(t *testing.T) {
	r := enlace.NewRegistry(named("c"), named("a"), named("b"))
	var seen []string
	for name, a := range r.All() {
		if a.Describe().Name != name {
			t.Errorf("%s comes with the adapter %s", name, a.Describe().Name)
		}
		if len(seen) == 0 { // changes inside the loop neither block nor show
			if err := errors.Join(r.Remove("b"), r.Register(named("d"))); err != nil {
				t.Fatal(err)
			}
		}
		seen = append(seen, name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, seen); diff != "" {
		t.Error("names of the loop (-want +got):\n" + diff)
	}
	if diff := cmp.Diff([]string{"a", "c", "d"}, names(r.All())); diff != "" {
		t.Error("names afterwards (-want +got):\n" + diff)
	}
	for name := range r.All() {
		if name != "a" {
			t.Errorf("the loop went on to %s after its break", name)
		}
		break
	}
}

func TestNewRegistryPanicsOnMistakesOfTheProgram(t *testing.T) {
	for name, adapters := range map[string][]enlace.IntegrationAdapter{
		"nil":       {nil},
		"duplicate": {named("a"), named("a")},
		"invalid":   {named("Not A Name")},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			enlace.NewRegistry(adapters...)
		})
	}
}

func TestRegisterNamesEveryFaultOfADescriptor(t *testing.T) {
	read := []enlace.Operation{enlace.OpRead}
	auth := []enlace.AuthScheme{headerKey}
	for name, test := range map[string]struct {
		adapter enlace.IntegrationAdapter
		faults  []string // "Field: part of the problem"
	}{
		"nil adapter":     {nil, []string{"adapter: nil"}},
		"no name":         {named(""), []string{"Name: "}},
		"upper case":      {named("CRM"), []string{"Name: "}},
		"begins by digit": {named("1crm"), []string{"Name: "}},
		"begins by _":     {named("_crm"), []string{"Name: "}},
		"dash":            {named("my-crm"), []string{"Name: "}},
		"too long":        {named(strings.Repeat("a", 65)), []string{"Name: "}},
		"no auth":         {bare{enlace.Descriptor{Name: "a"}}, []string{"Auth: missing"}},
		"can do nothing":  {mute{enlace.Descriptor{Name: "a", Auth: auth}}, []string{"capabilities: "}},
		"reserved entity": {bare{enlace.Descriptor{Name: "a", Auth: auth, Entities: []enlace.Entity{{Name: "all"}}}}, []string{`Entities: name "all"`}},
		"empty entity":    {bare{enlace.Descriptor{Name: "a", Auth: auth, Entities: []enlace.Entity{{}}}}, []string{`Entities: name ""`}},
		"double entity":   {bare{enlace.Descriptor{Name: "a", Auth: auth, Entities: []enlace.Entity{{Name: "x"}, {Name: "x"}}}}, []string{`Entities: name "x"`}},
		"unknown parent": {bare{enlace.Descriptor{Name: "a", Auth: auth,
			Entities: []enlace.Entity{{Name: "x", Parents: []string{"y"}}}}}, []string{`Entities: parent "y" of x`}},
		"common setting": {bare{enlace.Descriptor{Name: "a", Auth: auth, Settings: []enlace.Field{{Name: "timeout"}}}}, []string{`Settings: "timeout"`}},
		"everything at once": {mute{enlace.Descriptor{Name: "A!", Entities: []enlace.Entity{{Name: "x", Operations: read}, {Name: "all", Parents: []string{"z"}}},
			Settings: []enlace.Field{{Name: "apiUrl"}}}},
			[]string{"Name: ", "Auth: missing", "capabilities: ", "Entities: x can be read", `Entities: name "all"`, `Entities: parent "z"`, `Settings: "apiUrl"`}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, register := range []func(enlace.IntegrationAdapter) error{(&enlace.Registry{}).Register, (&enlace.Registry{}).Replace} {
				err := register(test.adapter)
				v, ok := errors.AsType[*enlace.ValidationError](err)
				if !ok || !errors.Is(err, enlace.ErrInvalid) {
					t.Fatalf("got %v, want a *ValidationError", err)
				}
				if len(v.Faults) != len(test.faults) {
					t.Errorf("%d faults, want %d: %v", len(v.Faults), len(test.faults), err)
				}
				for _, want := range test.faults {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is not in %v", want, err)
					}
				}
			}
		})
	}
	longest := named("a" + strings.Repeat("_9", 31) + "z")
	if err := (&enlace.Registry{}).Register(longest); err != nil {
		t.Errorf("a good name of 64 bytes: %v", err)
	}
}

func TestRegistryConcurrentUse(t *testing.T) {
	r := enlace.NewRegistry(named("fixed"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := fmt.Sprintf("own%d", i)
			for range 200 {
				if err := r.Register(named(own)); err != nil {
					t.Error(err)
				}
				_ = r.Register(named("shared")) // one of them wins each time
				if _, err := r.Lookup("fixed"); err != nil {
					t.Error(err)
				}
				last := ""
				for name := range r.All() {
					if name <= last {
						t.Errorf("%q after %q", name, last)
					}
					last = name
				}
				if err := errors.Join(r.Replace(named(own)), r.Remove(own)); err != nil {
					t.Error(err)
				}
				_ = r.Remove("shared")
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]string{"fixed"}, names(r.All())); diff != "" {
		t.Error("left over (-want +got):\n" + diff)
	}
}

// able has every capability.
type able struct{ bare }

func (able) Pages(context.Context, *enlace.Conn, enlace.PullRequest) iter.Seq2[enlace.Page, error] {
	return func(func(enlace.Page, error) bool) {}
}
func (able) Fetch(context.Context, *enlace.Conn, string, []string) ([]enlace.Record, error) {
	return nil, nil
}
func (able) Push(context.Context, *enlace.Conn, enlace.Mutation) (enlace.Ack, error) {
	return enlace.Ack{}, nil
}
func (able) PushBatch(context.Context, *enlace.Conn, []enlace.Mutation) ([]enlace.PushResult, error) {
	return nil, nil
}
func (able) MaxBatch() int             { return 1 }
func (able) Verifier() enlace.Verifier { return enlace.Unverified{} }
func (able) ParseWebhook(context.Context, enlace.Delivery) ([]enlace.Event, error) {
	return nil, nil
}
func (able) EnsureWebhook(context.Context, *enlace.Conn, string, enlace.Secret) error { return nil }
func (able) RemoveWebhook(context.Context, *enlace.Conn, string) error                { return nil }
func (able) AnswerChallenge(http.ResponseWriter, *http.Request, []byte) bool          { return false }
func (able) CheckHealth(context.Context, *enlace.Conn) error                          { return nil }
func (able) Authorize(*http.Request, enlace.Credential) error                         { return nil }
func (able) Refresh(context.Context, *http.Client, *url.URL, enlace.Credential) (enlace.Credential, error) {
	return enlace.Credential{}, nil
}
func (able) DescribeFields(context.Context, *enlace.Conn, string) ([]enlace.RecordField, error) {
	return nil, nil
}
func (able) Classify(int, http.Header, []byte) error { return enlace.ErrDefault }
func (able) Relocated(string, string) bool           { return false }

// wrapper changes the title and forwards nothing else.
type wrapper struct{ inner enlace.IntegrationAdapter }

func (w wrapper) Describe() enlace.Descriptor {
	d := w.inner.Describe()
	d.Title = "wrapped"
	return d
}
func (w wrapper) Unwrap() enlace.IntegrationAdapter { return w.inner }

func TestCapabilities(t *testing.T) {
	const all = "pull,stream_pages,fetch,push,push_batch,receive_webhooks,register_webhooks,answer_challenges,check_health,authenticate,classify,describe_fields,relocate"
	for name, test := range map[string]struct {
		adapter enlace.IntegrationAdapter
		want    string
	}{
		"none":            {mute{}, ""},
		"one":             {named("a"), "pull"},
		"all":             {able{named("a")}, all},
		"wrapped":         {wrapper{able{named("a")}}, all},
		"wrapped twice":   {wrapper{wrapper{able{named("a")}}}, all},
		"wraps one":       {wrapper{named("a")}, "pull"},
		"wraps nothing":   {wrapper{mute{}}, ""},
		"wraps nil":       {struct{ wrapper }{}, ""},
		"nil":             {nil, ""},
		"of these tests":  {crm{}, "pull,check_health,classify"},
		"own before base": {struct{ wrapper }{wrapper{crm{}}}, "pull,check_health,classify"},
	} {
		if got := enlace.CapabilitiesOf(test.adapter).String(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	c := enlace.CapabilitiesOf(crm{})
	if !c.Has(enlace.CanPull|enlace.CanClassify) || c.Has(enlace.CanPull|enlace.CanPush) {
		t.Error("Has must ask for every capability")
	}
}

func TestWrappedAdapterPullsThroughTheInnerOne(t *testing.T) {
	h := newHost(t, wrapper{crm{}})
	h.provider.add("companies", 3)
	in := h.create(apiKey("k"))
	if in.Name != "wrapped" {
		t.Errorf("name %q, want the wrapper's title", in.Name)
	}
	n := 0
	for _, err := range h.Records(t.Context(), in.Ref, enlace.PullRequest{Entity: "companies"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

// A run that has begun goes on with the adapter it began with.
func TestRemovedAdapterFinishesItsRun(t *testing.T) {
	h := newHost(t, crm{})
	h.provider.add("companies", 25)
	in := h.create(apiKey("k"))
	book := &notebook{before: func(enlace.Batch) error {
		_ = h.Registry().Remove("crm")
		return nil
	}}
	result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: book})
	if err != nil || !result.Complete || len(book.records) != 25 {
		t.Errorf("%d records, complete %t, %v", len(book.records), result.Complete, err)
	}
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: book}); !errors.Is(err, enlace.ErrUnknownProvider) {
		t.Errorf("next run: %v, want ErrUnknownProvider", err)
	}
	if err := h.Registry().Register(crm{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: book}); err != nil {
		t.Errorf("once the adapter is back: %v", err)
	}
}

func TestDescriptorEntityFamilies(t *testing.T) {
	d := crm{}.Describe()
	for name, want := range map[string]bool{
		"contacts": true, "custom_7": true, "custom_": false, "custom_*": false, "custom": false, "": false, "all": false, "Contacts": false,
	} {
		e, ok := d.Entity(name)
		if ok != want {
			t.Errorf("Entity(%q) = %t, want %t", name, ok, want)
		}
		if ok && e.Name != name {
			t.Errorf("Entity(%q) is named %q", name, e.Name)
		}
	}
}

// What is wrong with schemes and settings is found before anybody uses them.
func TestDescriptorFaultsOfSchemesAndSettings(t *testing.T) {
	bad := crm{
		auth: []enlace.AuthScheme{enlace.APIKey{}, enlace.APIKey{Place: enlace.Placement{Header: "A", Query: "b"}},
			enlace.SecretURL{Pattern: "("}, enlace.CustomAuth{}},
		fields: []enlace.Field{{Name: "a", Pattern: "("}, {Name: "b", Kind: enlace.FieldInteger, Default: "many"}, {Name: "b"}, {Name: "timeout"}},
	}
	var v *enlace.ValidationError
	if err := new(enlace.Registry).Register(bad); !errors.As(err, &v) || len(v.Faults) != 9 {
		t.Errorf("%v, want nine faults", err)
	}
}
