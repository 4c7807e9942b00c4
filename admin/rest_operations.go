package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
)

type healthBody struct {
	IntegrationID  string            `json:"integrationId"`
	Provider       string            `json:"provider"`
	Status         string            `json:"status" enum:"healthy,warning,error,unknown"`
	Cause          string            `json:"cause,omitempty"`
	Summary        string            `json:"summary,omitempty"`
	ResponseTimeMS float64           `json:"responseTimeMs"`
	CheckedAt      *time.Time        `json:"checkedAt,omitempty"`
	Since          *time.Time        `json:"since,omitempty"`
	Checks         []healthCheckBody `json:"checks"`
}

type healthCheckBody struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func healthBodyOf(t translator, h enlace.Health) healthBody {
	b := healthBody{IntegrationID: h.Ref.ID, Provider: h.Provider, Status: string(h.Status), Cause: string(h.Cause), Summary: spokenHealth(t, h),
		ResponseTimeMS: milliseconds(h.ResponseTime), CheckedAt: optionalTime(h.CheckedAt), Since: optionalTime(h.Since), Checks: []healthCheckBody{}}
	for _, c := range h.Checks {
		b.Checks = append(b.Checks, healthCheckBody{c.Name, string(c.Status), c.Detail})
	}
	return b
}

func optionalTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

type metricBody struct {
	At        time.Time `json:"at"`
	Requests  int64     `json:"requests"`
	Failures  int64     `json:"failures"`
	Throttled int64     `json:"throttled"`
	P50MS     float64   `json:"p50Ms"`
	P95MS     float64   `json:"p95Ms"`
	P99MS     float64   `json:"p99Ms"`
	Syncs     int64     `json:"syncs"`
	Records   int64     `json:"records"`
	Pushed    int64     `json:"pushed"`
	Received  int64     `json:"deliveries"`
	Dead      int64     `json:"dead"`
}

func metricBodyOf(p enlace.MetricPoint) metricBody {
	return metricBody{p.At.UTC(), p.Requests, p.Failures, p.Throttled, milliseconds(p.P50), milliseconds(p.P95), milliseconds(p.P99), p.Syncs, p.Records, p.Pushed, p.Deliveries, p.Dead}
}

type metricSeriesBody struct {
	Name   string       `json:"name" doc:"Provider or integration; empty for the whole"`
	Total  metricBody   `json:"total"`
	Points []metricBody `json:"points"`
}

type metricsBody struct {
	From   time.Time          `json:"from"`
	To     time.Time          `json:"to"`
	Step   string             `json:"step"`
	Total  metricBody         `json:"total"`
	Series []metricSeriesBody `json:"series"`
}

type deliveryBody struct {
	ID            string    `json:"id"`
	IntegrationID string    `json:"integrationId"`
	State         string    `json:"state"`
	Signed        bool      `json:"signed"`
	Attempts      int       `json:"attempts"`
	ReceivedAt    time.Time `json:"receivedAt"`
	Types         []string  `json:"types"`
	Code          string    `json:"code,omitempty"`
}

func deliveryBodyOf(d enlace.StoredDelivery) deliveryBody {
	return deliveryBody{d.ID, d.Ref.ID, string(d.State), d.Signed, d.Attempts, d.ReceivedAt.UTC(), orEmpty(d.Types), d.Kind}
}

// operationOperations are what is read about health, metrics, audit and webhooks.
func (api *api) operationOperations() {
	type healthList struct {
		paging.Page
		Sort   string `query:"sort" enum:"integrationId" doc:"The order there is"`
		Status string `query:"status" enum:"healthy,warning,error,unknown"`
	}
	probes := map[string]*huma.Response{}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/health", OperationID: "listHealth", Summary: "Health of the integrations", Tags: []string{"health"}, Responses: probes, Middlewares: api.instead(api.healthProbe),
		Description: `With "?probe=live" or "?probe=ready" it says of the process in one word whether it is there, and whether it can read its store: 200 or 503.`},
		func(ctx context.Context, c *call, in *healthList) ([]healthBody, string, error) {
			list, next, err := api.service.HealthList(ctx, enlace.HealthQuery{Tenant: c.access.Tenant, Status: enlace.HealthStatus(in.Status), Cursor: in.Cursor, Limit: in.Limit})
			return each(list, func(h enlace.Health) healthBody { return healthBodyOf(translator(c.Language), h) }), next, err
		})
	api.describeProbes(probes)
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}/health", OperationID: "getHealth", Summary: "Health of an integration", Tags: []string{"health"}},
		func(ctx context.Context, c *call, in *idInput) (*struct{ Body healthBody }, error) {
			h, err := api.service.Health(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			return &struct{ Body healthBody }{healthBodyOf(translator(c.Language), h)}, nil
		})

	type metricsInput struct {
		Range       string `query:"range" enum:"1h,6h,24h,7d,30d" default:"24h"`
		Group       string `query:"group" enum:"integration,provider"`
		Integration string `query:"integration" maxLength:"64"`
		Provider    string `query:"provider" maxLength:"64"`
	}
	metrics := map[string]*huma.Response{}
	operation(api, GrantViewMetrics, huma.Operation{Method: "GET", Path: "/metrics", OperationID: "getMetrics", Summary: "Metrics of a range", Tags: []string{"metrics"}, Responses: metrics,
		Errors: []int{http.StatusNotAcceptable}, Middlewares: api.instead(api.otherMetrics),
		Description: `With "Accept: text/csv" the same as a file. "Accept: text/plain" answers in Prometheus's format with what this process has done since it began, for all tenants together; it needs the grant "diagnose".`},
		func(ctx context.Context, c *call, in *metricsInput) (*struct{ Body metricsBody }, error) {
			query, _ := metricsQuery(c, func(name string) string {
				return map[string]string{"range": in.Range, "integration": in.Integration, "provider": in.Provider}[name]
			})
			query.GroupBy = enlace.MetricGroup(in.Group)
			m, err := api.service.Metrics(ctx, query)
			if err != nil {
				return nil, err
			}
			body := metricsBody{From: m.From.UTC(), To: m.To.UTC(), Step: m.Step.String(), Total: metricBodyOf(m.Total), Series: []metricSeriesBody{}}
			for _, s := range m.Series {
				one := metricSeriesBody{Name: s.Name, Total: metricBodyOf(s.Total), Points: []metricBody{}}
				for _, p := range s.Points {
					one.Points = append(one.Points, metricBodyOf(p))
				}
				body.Series = append(body.Series, one)
			}
			return &struct{ Body metricsBody }{body}, nil
		})
	metrics["200"].Content["text/csv"], metrics["200"].Content["text/plain"] = textMedia(), textMedia()

	type auditInput struct {
		paging.Page
		Sort        string `query:"sort" enum:"-seq,seq" default:"-seq" doc:"Newest or oldest first"`
		Actor       string `query:"actor" maxLength:"200"`
		Action      string `query:"action" maxLength:"100"`
		Result      string `query:"outcome" enum:"done,failed,refused,begun"`
		Integration string `query:"integration" maxLength:"64"`
	}
	listOperation(api, GrantViewAudit, huma.Operation{Method: "GET", Path: "/audit", OperationID: "listAudit", Summary: "Audit trail, newest first", Tags: []string{"audit"}},
		func(ctx context.Context, c *call, in *auditInput) ([]enlace.AuditEntry, string, error) {
			return api.service.Audit(ctx, enlace.AuditQuery{Tenant: c.access.Tenant, Actor: in.Actor, Action: in.Action, Result: enlace.AuditOutcome(in.Result),
				Integration: in.Integration, OldestFirst: in.Sort == "seq", Cursor: in.Cursor, Limit: in.Limit})
		})

	type deliveryInput struct {
		paging.Page
		Sort        string `query:"sort" enum:"-receivedAt" doc:"The order there is"`
		Integration string `query:"integration" maxLength:"64"`
		State       string `query:"state" enum:"received,processing,failed,done,dead"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/webhooks/deliveries", OperationID: "listDeliveries", Summary: "Webhook deliveries, newest first", Tags: []string{"webhooks"}},
		func(ctx context.Context, c *call, in *deliveryInput) ([]deliveryBody, string, error) {
			list, next, err := api.service.Deliveries(ctx, enlace.DeliveryQuery{Tenant: c.access.Tenant, Integration: in.Integration, State: enlace.DeliveryState(in.State), Cursor: in.Cursor, Limit: in.Limit})
			return each(list, deliveryBodyOf), next, err
		})
	operation(api, GrantReplay, huma.Operation{Method: "POST", Path: "/webhooks/deliveries/{id}/replay", OperationID: "replayDelivery", Summary: "Process a delivery anew", Tags: []string{"webhooks"},
		DefaultStatus: http.StatusAccepted},
		func(ctx context.Context, c *call, in *idInput) (*struct{}, error) {
			n, err := api.service.ReplayDeliveries(ctx, enlace.Replay{Tenant: c.access.Tenant, IDs: []string{in.ID}})
			if err == nil && n == 0 {
				err = newProblem(c, "conflict")
			}
			return nil, err
		})
}
