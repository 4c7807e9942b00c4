package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace/internal/redact"
)

// maxInspect bounds what InspectDelivery shows of a body, in bytes.
const maxInspect = 64 << 10

// Deliveries returns a page of a tenant's stored deliveries, newest first, and the cursor
// of the next one, which is empty after the last. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) Deliveries(ctx context.Context, q DeliveryQuery) ([]StoredDelivery, string, error) {
	list, next, err := s.store.Deliveries(ctx, q)
	return list, next, wrap("deliveries", ErrStore, err)
}

// DeadDeliveries counts what was given up, by integration and cause, most first. integration
// is empty for all of the tenant. [Service.Deliveries] with the state and kind lists them.
func (s *Service) DeadDeliveries(ctx context.Context, tenant, integration string) ([]DeadDeliveryGroup, error) {
	groups, err := s.store.DeadDeliveries(ctx, tenant, integration)
	return groups, wrap("dead letters", ErrStore, err)
}

// InspectedDelivery is a stored delivery with what was sent, redacted for people.
type InspectedDelivery struct {
	StoredDelivery
	Method string      `json:"method"` // empty for events that were fetched
	Path   string      `json:"path"`
	Query  url.Values  `json:"query,omitempty"`
	Header http.Header `json:"header,omitempty"`
	// Body is the body without secrets: those of the integration, and what looks like
	// one by its name. It is at most 64 KiB long.
	Body string `json:"body"`
	// Events are what the adapter reads in it; their payloads are left out.
	Events []Event `json:"events,omitempty"`
	// Unreadable says why there are no events, if the adapter cannot read it.
	Unreadable string `json:"unreadable,omitempty"`
}

// InspectDelivery opens a stored delivery for a person to look at. Errors: ErrNotFound, ErrKey, ErrStore.
func (s *Service) InspectDelivery(ctx context.Context, tenant, id string) (InspectedDelivery, error) {
	stored, d, err := s.openDelivery(ctx, tenant, id)
	if err != nil {
		return InspectedDelivery{}, err
	}
	entry := audit("delivery.view", stored.Ref)
	entry.Target, entry.Result = id, AuditDone
	if err := s.RecordAudit(ctx, entry); err != nil {
		return InspectedDelivery{}, err
	}
	clean, err := s.deliveryRedactor(ctx, stored.Ref)
	if err != nil {
		return InspectedDelivery{}, err
	}
	stored.Sealed = Sealed{}
	out := InspectedDelivery{StoredDelivery: stored, Method: d.Method, Path: clean(d.URL.Path), Query: url.Values{}, Header: http.Header{}}
	for name, values := range d.URL.Query() {
		out.Query[name] = cleanAll(values, clean)
	}
	for name, values := range d.Header {
		out.Header[name] = cleanAll(values, clean)
	}
	body := d.Body[:min(len(d.Body), maxInspect)]
	if out.Body = "(not text)"; utf8.Valid(body) || len(d.Body) > maxInspect {
		out.Body = redactBody(string(body), isForm(d.Header), clean)
	}
	out.Events, out.Unreadable = s.inspectEvents(ctx, stored, d, clean)
	return out, nil
}

func cleanAll(values []string, clean func(string) string) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = clean(v)
	}
	return all
}

// deliveryRedactor knows the secrets of the integration.
func (s *Service) deliveryRedactor(ctx context.Context, ref Ref) (func(string) string, error) {
	var secrets []string
	if in, err := s.Get(ctx, ref); err == nil {
		for _, p := range []Place{webhookPlace(ref), place(in)} {
			c, err := s.safe.Get(ctx, p)
			if err != nil && !errors.Is(err, ErrNoCredential) && !errors.Is(err, ErrKey) {
				return nil, err
			}
			secrets = append(secrets, c.all()...)
		}
	}
	return redact.New(secrets...).String, nil
}

// redactBody masks the values of fields whose names tell that they are secrets, and the
// integration's own wherever they stand.
func redactBody(body string, form bool, clean func(string) string) string {
	if form {
		values, err := url.ParseQuery(body)
		if err != nil {
			return "(not a form)"
		}
		for name := range values {
			if secretName(name) {
				values[name] = []string{redacted}
			}
		}
		return clean(values.Encode())
	}
	var tree any
	if json.Unmarshal([]byte(body), &tree) != nil {
		return redact.Text(clean(body))
	}
	if !treeHasSecrets(tree) {
		return clean(body) // as it was written
	}
	masked, _ := json.Marshal(maskTree(tree)) // what was JSON is JSON
	return clean(string(masked))
}

// secretName says whether a field is a secret by its name.
func secretName(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"token", "secret", "password", "passwd", "api_key", "apikey", "authorization", "signature", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

func treeHasSecrets(tree any) bool {
	switch tree := tree.(type) {
	case map[string]any:
		for name, value := range tree {
			if _, text := value.(string); (text && secretName(name)) || treeHasSecrets(value) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(tree, treeHasSecrets)
	}
	return false
}

func maskTree(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		masked := make(map[string]any, len(tree))
		for name, value := range tree {
			if _, text := value.(string); text && secretName(name) {
				masked[name] = redacted
			} else {
				masked[name] = maskTree(value)
			}
		}
		return masked
	case []any:
		masked := make([]any, len(tree))
		for i, value := range tree {
			masked[i] = maskTree(value)
		}
		return masked
	default:
		return tree
	}
}

func (s *Service) inspectEvents(ctx context.Context, stored StoredDelivery, d Delivery, clean func(string) string) ([]Event, string) {
	adapter, err := s.config.Registry.Lookup(stored.Provider)
	if err != nil {
		return nil, err.Error()
	}
	events, err := polledEvents(d)
	if d.Method != "" {
		events, err = parseWebhook(ctx, adapter, d)
	}
	if err != nil {
		return nil, redact.Text(clean(err.Error()))
	}
	for i := range events {
		events[i].Payload, events[i].Record.Data = nil, nil
	}
	return events, ""
}

func (s *Service) openDelivery(ctx context.Context, tenant, id string) (StoredDelivery, Delivery, error) {
	stored, err := s.store.Delivery(ctx, tenant, id)
	if err != nil {
		return StoredDelivery{}, Delivery{}, wrap("delivery", ErrStore, err)
	}
	data, err := s.safe.OpenRecord(ctx, deliveryPlace(stored), stored.Sealed.Data)
	if err != nil {
		return StoredDelivery{}, Delivery{}, err
	}
	d, err := unmarshalDelivery(stored.Ref, data)
	return stored, d, wrap("open delivery", ErrKey, err)
}

// EditDelivery replaces the body of a stored delivery by what edit makes of it, so that
// [Service.ReplayDeliveries] can bring it to a good end. edit gets the body as it came,
// secrets included, and runs outside of any transaction. The audit log has an entry.
//
// Errors: ErrNotFound; ErrConflict if the delivery is at work or has changed meanwhile;
// ErrInvalid for a body beyond WebhookConfig.MaxBody; that of edit; ErrKey, ErrStore.
func (s *Service) EditDelivery(ctx context.Context, tenant, id string, edit func(body []byte) ([]byte, error)) (StoredDelivery, error) {
	stored, d, err := s.openDelivery(ctx, tenant, id)
	if err != nil {
		return StoredDelivery{}, err
	}
	if d.Body, err = edit(d.Body); err != nil {
		return StoredDelivery{}, err
	}
	if int64(len(d.Body)) > s.webhooks.MaxBody {
		return StoredDelivery{}, &ValidationError{Faults: []Fault{{Field: "body", Problem: "too large", Allowed: "WebhookConfig.MaxBody bytes"}}}
	}
	sealed, err := s.safe.SealRecord(ctx, deliveryPlace(stored), marshalDelivery(d))
	if err != nil {
		return StoredDelivery{}, err
	}
	return s.changeDelivery(ctx, tenant, id, "edit", func(cur *StoredDelivery) error {
		if cur.State == DeliveryProcessing || cur.State != stored.State || cur.Replays != stored.Replays {
			return &Error{Op: "edit delivery", Kind: ErrConflict}
		}
		cur.Sealed, cur.Edited = sealed, true
		return nil
	})
}

// DiscardDelivery gives up a delivery that is received or failed: it is dead, and can be
// replayed. Errors: ErrNotFound, ErrConflict if it is at work or finished, ErrStore.
func (s *Service) DiscardDelivery(ctx context.Context, tenant, id string) (StoredDelivery, error) {
	return s.changeDelivery(ctx, tenant, id, "discard", func(cur *StoredDelivery) error {
		if cur.State != DeliveryReceived && cur.State != DeliveryFailed {
			return &Error{Op: "discard delivery", Kind: ErrConflict}
		}
		cur.State, cur.FinishedAt, cur.Kind, cur.Error = DeliveryDead, time.Now(), "discarded", "given up by hand"
		return nil
	})
}

// changeDelivery changes a delivery together with its audit entry.
func (s *Service) changeDelivery(ctx context.Context, tenant, id, action string, change func(*StoredDelivery) error) (StoredDelivery, error) {
	var changed StoredDelivery
	first, err := s.store.Delivery(ctx, tenant, id)
	if err != nil {
		return StoredDelivery{}, wrap("delivery", ErrStore, err)
	}
	entry := audit("delivery."+action, first.Ref)
	entry.Target = id
	err = s.audited(ctx, entry, func(ctx context.Context) error {
		cur, err := s.store.Delivery(ctx, tenant, id)
		if err != nil {
			return wrap("delivery", ErrStore, err)
		}
		from := cur.State
		cur.Sealed = Sealed{} // as it is, unless change says otherwise
		if err := change(&cur); err != nil {
			return err
		}
		changed = cur
		return wrap(action+" delivery", ErrStore, s.store.UpdateDelivery(ctx, cur, from))
	})
	if err != nil {
		return StoredDelivery{}, err
	}
	changed.Sealed = Sealed{}
	s.observe(ctx, DeliveryChanged{Ref: changed.Ref, Provider: changed.Provider, DeliveryID: id, Action: action})
	return changed, nil
}

// Replay says which deliveries are to be processed anew.
type Replay struct {
	Tenant string
	// IDs names them; if it is empty Integration, State and Kind choose, of which at
	// least State must be given: DeliveryDead, DeliveryDone or DeliveryFailed.
	IDs         []string
	Integration string
	State       DeliveryState
	Kind        string
	// PerSecond spreads them in time; 0 is 10. They become due in the order in
	// which they came.
	PerSecond float64
	// Limit is how many at most; 0 is 1,000, more than 10,000 is 10,000.
	Limit int
}

// ReplayDeliveries has finished or failed deliveries processed anew, in the order in which
// they came. Each gets a key of its own ([ReceivedEvent.Key]), so that handlers see its
// events again although they were handled before. It returns how many there are. One that
// is at work, or to be worked on anyway, is left out. Each has an entry in the audit log.
//
// Errors: ErrInvalid if nothing chooses; ErrStore, with the number of those before it.
func (s *Service) ReplayDeliveries(ctx context.Context, r Replay) (int, error) {
	ids, err := s.replayed(ctx, r)
	if err != nil {
		return 0, err
	}
	perSecond := r.PerSecond
	if perSecond <= 0 {
		perSecond = 10
	}
	start, count := time.Now(), 0
	refs := map[Ref]bool{}
	for _, id := range ids {
		due := start.Add(time.Duration(float64(count) / perSecond * float64(time.Second)))
		d, err := s.changeDelivery(ctx, r.Tenant, id, "replay", func(cur *StoredDelivery) error {
			if cur.State != DeliveryDead && cur.State != DeliveryDone && cur.State != DeliveryFailed {
				return &Error{Op: "replay delivery", Kind: ErrConflict}
			}
			cur.State, cur.FinishedAt, cur.NextAt, cur.Attempts, cur.Kind, cur.Error = DeliveryReceived, time.Time{}, due, 0, "", ""
			cur.Replays++
			return nil
		})
		if isKind(err, ErrConflict) || (isKind(err, ErrNotFound) && len(r.IDs) == 0) {
			continue
		}
		if err != nil {
			return count, err
		}
		refs[d.Ref] = true
		count++
	}
	err = s.wake(ctx, slices.Collect(maps.Keys(refs))...)
	return count, wrap("replay deliveries", ErrStore, err)
}

// replayed collects the ids that a replay chooses, oldest first.
func (s *Service) replayed(ctx context.Context, r Replay) ([]string, error) {
	limit := r.Limit
	if limit <= 0 {
		limit = 1_000
	}
	limit = min(limit, 10_000)
	if len(r.IDs) > 0 {
		ids := slices.Clone(r.IDs)
		slices.Sort(ids)
		ids = slices.Compact(ids)
		return ids[:min(len(ids), limit)], nil
	}
	if r.State != DeliveryDead && r.State != DeliveryDone && r.State != DeliveryFailed {
		return nil, &ValidationError{Faults: []Fault{{Field: "State", Problem: "missing, or not one that can be replayed", Allowed: "dead, done, failed; or IDs"}}}
	}
	var ids []string
	q := DeliveryQuery{Tenant: r.Tenant, Integration: r.Integration, State: r.State, Kind: r.Kind, Limit: 1000}
	for {
		page, next, err := s.store.Deliveries(ctx, q)
		if err != nil {
			return nil, wrap("deliveries", ErrStore, err)
		}
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	slices.Reverse(ids) // oldest first
	return ids[:min(len(ids), limit)], nil
}
