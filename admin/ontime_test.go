package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/store/memory"
)

// stuck is a store of which no read gets through once it has a mood: "fail", "hang" until
// nobody waits any more, or "deaf" for half a minute whoever waits.
type stuck struct {
	enlace.Store
	mood  atomic.Value
	asked atomic.Int64 // reads while it has a mood
}

func (s *stuck) trouble(ctx context.Context) error {
	if s.mood.Load() != nil {
		s.asked.Add(1)
	}
	switch s.mood.Load() {
	case "fail":
		return errors.New("the disk is gone")
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "deaf":
		time.Sleep(30 * time.Second)
	}
	return nil
}

// read is one read of a store in trouble.
func read[Q, T any](s *stuck, ctx context.Context, q Q, do func(context.Context, Q) (T, error)) (T, error) {
	if err := s.trouble(ctx); err != nil {
		return *new(T), err
	}
	return do(ctx, q)
}

// list is read for a page of a list.
func list[Q, T any](s *stuck, ctx context.Context, q Q, do func(context.Context, Q) (T, string, error)) (T, string, error) {
	if err := s.trouble(ctx); err != nil {
		return *new(T), "", err
	}
	return do(ctx, q)
}

// byID is read for one row of a tenant.
func byID[T any](s *stuck, ctx context.Context, tenant, id string, do func(ctx context.Context, tenant, id string) (T, error)) (T, error) {
	if err := s.trouble(ctx); err != nil {
		return *new(T), err
	}
	return do(ctx, tenant, id)
}

func (s *stuck) Integration(ctx context.Context, q enlace.Ref) (enlace.Integration, error) {
	return read(s, ctx, q, s.Store.Integration)
}

func (s *stuck) Integrations(ctx context.Context, q enlace.IntegrationQuery) ([]enlace.Integration, string, error) {
	return list(s, ctx, q, s.Store.Integrations)
}

func (s *stuck) IntegrationCounts(ctx context.Context, q string) ([]enlace.IntegrationCount, error) {
	return read(s, ctx, q, s.Store.IntegrationCounts)
}

func (s *stuck) Run(ctx context.Context, tenant, id string) (enlace.Run, error) {
	return byID(s, ctx, tenant, id, s.Store.Run)
}

func (s *stuck) Runs(ctx context.Context, q enlace.RunQuery) ([]enlace.Run, string, error) {
	return list(s, ctx, q, s.Store.Runs)
}

func (s *stuck) Schedule(ctx context.Context, tenant, id string) (enlace.Schedule, error) {
	return byID(s, ctx, tenant, id, s.Store.Schedule)
}

func (s *stuck) Schedules(ctx context.Context, q enlace.ScheduleQuery) ([]enlace.Schedule, string, error) {
	return list(s, ctx, q, s.Store.Schedules)
}

func (s *stuck) Health(ctx context.Context, q enlace.Ref) (enlace.Health, error) {
	return read(s, ctx, q, s.Store.Health)
}

func (s *stuck) HealthList(ctx context.Context, q enlace.HealthQuery) ([]enlace.Health, string, error) {
	return list(s, ctx, q, s.Store.HealthList)
}

func (s *stuck) HealthChanges(ctx context.Context, q enlace.HealthChangeQuery) ([]enlace.HealthChange, string, error) {
	return list(s, ctx, q, s.Store.HealthChanges)
}

func (s *stuck) Maintenances(ctx context.Context, tenant string, at time.Time) ([]enlace.Maintenance, error) {
	return read(s, ctx, at, func(ctx context.Context, at time.Time) ([]enlace.Maintenance, error) {
		return s.Store.Maintenances(ctx, tenant, at)
	})
}

func (s *stuck) Metrics(ctx context.Context, q enlace.MetricChunkQuery) ([]enlace.MetricChunk, error) {
	return read(s, ctx, q, s.Store.Metrics)
}

func (s *stuck) AuditEntries(ctx context.Context, q enlace.AuditQuery) ([]enlace.AuditEntry, string, error) {
	return list(s, ctx, q, s.Store.AuditEntries)
}

func (s *stuck) FlagRules(ctx context.Context) ([]enlace.FlagRule, error) {
	return read(s, ctx, "", func(ctx context.Context, _ string) ([]enlace.FlagRule, error) { return s.Store.FlagRules(ctx) })
}

func (s *stuck) Delivery(ctx context.Context, tenant, id string) (enlace.StoredDelivery, error) {
	return byID(s, ctx, tenant, id, s.Store.Delivery)
}

func (s *stuck) Deliveries(ctx context.Context, q enlace.DeliveryQuery) ([]enlace.StoredDelivery, string, error) {
	return list(s, ctx, q, s.Store.Deliveries)
}

func (s *stuck) DeadDeliveries(ctx context.Context, tenant, integration string) ([]enlace.DeadDeliveryGroup, error) {
	return byID(s, ctx, tenant, integration, s.Store.DeadDeliveries)
}

func (s *stuck) Outgoing(ctx context.Context, q enlace.OutgoingQuery) ([]enlace.OutgoingChange, string, error) {
	return list(s, ctx, q, s.Store.Outgoing)
}

func (s *stuck) LoadOutgoing(ctx context.Context, ref enlace.Ref, entity string, ids []string) ([]enlace.OutgoingChange, error) {
	return read(s, ctx, ids, func(ctx context.Context, ids []string) ([]enlace.OutgoingChange, error) {
		return s.Store.LoadOutgoing(ctx, ref, entity, ids)
	})
}

func (s *stuck) Conflicts(ctx context.Context, q enlace.ConflictQuery) ([]enlace.ConflictRow, string, error) {
	return list(s, ctx, q, s.Store.Conflicts)
}

func (s *stuck) Mapping(ctx context.Context, q enlace.MappingKey) (enlace.MappingVersion, error) {
	return read(s, ctx, q, s.Store.Mapping)
}

func (s *stuck) Mappings(ctx context.Context, q enlace.MappingQuery) ([]enlace.MappingVersion, string, error) {
	return list(s, ctx, q, s.Store.Mappings)
}

func (s *stuck) RecordStates(ctx context.Context, q enlace.RecordQuery) ([]enlace.RecordState, string, error) {
	return list(s, ctx, q, s.Store.RecordStates)
}

func (s *stuck) RefusedRecords(ctx context.Context, q enlace.RefusedQuery) ([]enlace.RefusedRecord, string, error) {
	return list(s, ctx, q, s.Store.RefusedRecords)
}

func (s *stuck) RefusedRecord(ctx context.Context, q enlace.RefusedKey) (enlace.RefusedRecord, error) {
	return read(s, ctx, q, s.Store.RefusedRecord)
}

func (s *stuck) MissedRecords(ctx context.Context, q enlace.MissedQuery) ([]enlace.MissedRecord, string, error) {
	return list(s, ctx, q, s.Store.MissedRecords)
}

// storeless are the pages and reads that need nothing of the store, with their statuses.
var storeless = map[string]int{
	"/new": 200, "/new/{provider}": 200, "/console/{id}": 404, "/plans/{id}": 404, "/logs": 200, "/doctor": 200, "/api": 200, "/settings": 200,
	"/api/v1/providers": 200, "/api/v1/providers/{id}": 200, "/api/v1/plans/{id}": 404, "/api/v1/logs": 200, "/api/v1/runs/{id}/undo": 404,
}

// TestStoreInTrouble: every page and every read of the API is answered within two seconds while
// the store fails, hangs, or does not even listen to its context: with what there is of the
// page, or with 503 and when to try again. Close waits for what is left. The time is virtual.
func TestStoreInTrouble(t *testing.T) {
	documents, err := apiDocuments()
	if err != nil {
		t.Fatal(err)
	}
	patterns := admin.GetRoutes()
	for path, item := range documents[0].Paths.Map() {
		if item.Get != nil {
			patterns = append(patterns, "/api/v1"+path)
		}
	}
	slices.Sort(patterns)
	for _, mood := range []string{"fail", "hang", "deaf"} {
		t.Run(mood, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &stuck{Store: memory.New()}
				service, handler := newBare(t, store, admin.Options{Logs: enlace.NewLogBuffer(10, nil)})
				in, err := service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Name: "Vendas"})
				if err != nil {
					t.Fatal(err)
				}
				store.mood.Store(mood)
				for i, pattern := range patterns {
					if pattern == "/live" || pattern == "/api/v1/events" {
						continue // streams of what happens in this process
					}
					path := strings.NewReplacer("/{$}", "/", "{provider}", fake.Name, "{entity}", "contacts", "{number}", "1").Replace(pattern)
					path = strings.Replace(path, "{id}", in.ID, 1) + "?integration=" + in.ID + "&entity=contacts&record=1&id=1"
					if pattern == "/api/v1/providers/{id}" {
						path = "/api/v1/providers/" + fake.Name
					}
					r := httptest.NewRequest(http.MethodGet, path, nil)
					r.Header.Set("Test-User", string(rune('a'+i)))
					w := httptest.NewRecorder()
					began := time.Now()
					handler.ServeHTTP(w, r)
					if took := time.Since(began); took > 2*time.Second {
						t.Errorf("%s: answered after %s", pattern, took)
					}
					if status, ok := storeless[pattern]; ok {
						if w.Code != status {
							t.Errorf("%s: status %d, want %d", pattern, w.Code, status)
						}
						continue
					}
					partly := w.Code == http.StatusOK && strings.Contains(w.Body.String(), "This data is not available now")
					refused := w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != ""
					if !refused && !partly {
						t.Errorf("%s: status %d, Retry-After %q\n%.300s", pattern, w.Code, w.Header().Get("Retry-After"), w.Body)
					}
					if isAPI := strings.HasPrefix(pattern, "/api/"); isAPI && !strings.Contains(w.Body.String(), `"code":"store_unavailable"`) {
						t.Errorf("%s: %s", pattern, w.Body)
					} else if !isAPI && (!strings.Contains(w.Body.String(), `<nav`) || refused && !strings.Contains(w.Body.String(), "Try again")) {
						t.Errorf("%s: no shell around, or no way on\n%.300s", pattern, w.Body)
					}
				}
				store.mood.Store("")
				handler.Close()
			})
		})
	}
}

// TestDeafStoreAndMany: what goes on behind a store that does not listen is bounded, and who
// finds no room is answered in time as well. The time is virtual.
func TestDeafStoreAndMany(t *testing.T) {
	const most = 256
	synctest.Test(t, func(t *testing.T) {
		store := &stuck{Store: memory.New()}
		_, handler := newBare(t, store, admin.Options{})
		store.mood.Store("deaf")
		var asking sync.WaitGroup
		for i := range most + 50 {
			asking.Go(func() {
				r := httptest.NewRequest(http.MethodGet, "/api/v1/schedules", nil)
				r.Header.Set("Test-User", strconv.Itoa(i))
				w := httptest.NewRecorder()
				began := time.Now()
				handler.ServeHTTP(w, r)
				if took := time.Since(began); w.Code != http.StatusServiceUnavailable || took > 2*time.Second {
					t.Errorf("status %d after %s", w.Code, took)
				}
			})
		}
		asking.Wait()
		if n := store.asked.Load(); n != most {
			t.Errorf("%d reads go on, want %d", n, most)
		}
		began := time.Now()
		handler.Close()
		if waited := time.Since(began); waited < 27*time.Second || waited > 30*time.Second {
			t.Errorf("Close has waited for %s", waited)
		}
		store.mood.Store("")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/schedules", nil))
		if w.Code != http.StatusOK {
			t.Errorf("when the store is back: status %d", w.Code)
		}
	})
}
