package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
)

// instead makes a middleware that answers some requests of an operation in another form
// than JSON. serve says whether it has answered.
func (api *api) instead(serve func(w http.ResponseWriter, r *http.Request, c *call) (bool, error)) huma.Middlewares {
	return huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		c := callOf(r.Context())
		served, err := serve(w, r, c)
		switch {
		case err != nil:
			writeProblem(w, r, c, problemOf(c, api.refused(c, err)))
		case !served:
			next(ctx)
		}
	}}
}

// textMedia describes an answer that is not JSON.
func textMedia() *huma.MediaType { return &huma.MediaType{Schema: &huma.Schema{Type: "string"}} }

// accepts says whether the caller takes one of the kinds; without a header it takes all.
func accepts(r *http.Request, kinds ...string) bool {
	header := strings.Join(r.Header.Values("Accept"), ",")
	if header == "" {
		return true
	}
	for entry := range strings.SplitSeq(header, ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(entry), ";")
		if kind == "*/*" || slices.Contains(kinds, kind) || slices.Contains(kinds, strings.TrimSuffix(kind, "*")) {
			return true
		}
	}
	return false
}

// asksFor says whether the caller names a kind before any other.
func asksFor(r *http.Request, kinds ...string) bool {
	first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	kind, _, _ := strings.Cut(strings.TrimSpace(first), ";")
	return slices.Contains(kinds, kind)
}

// otherMetrics answers with Prometheus's text or with CSV. The text is that of the whole
// process, which is nothing for one tenant of several.
func (api *api) otherMetrics(w http.ResponseWriter, r *http.Request, c *call) (bool, error) {
	switch {
	case asksFor(r, "text/plain", "application/openmetrics-text"):
		if !c.may(GrantDiagnose) {
			return false, newProblem(c, "forbidden")
		}
		api.service.MetricsHandler().ServeHTTP(w, r)
		return true, nil
	case asksFor(r, "text/csv"):
		return true, api.metricsCSV(w, r, c)
	case !accepts(r, "application/json", "application/"):
		return false, newProblem(c, "not_acceptable")
	default:
		return false, nil
	}
}

// auditOperations are the trail as a file, and the proof that nobody has changed it.
func (api *api) auditOperations() {
	tags := []string{"audit"}
	type exportInput struct {
		Format string `query:"format" enum:"csv,jsonl" default:"csv"`
		Actor  string `query:"actor" maxLength:"200"`
		Action string `query:"action" maxLength:"100"`
		Result string `query:"result" enum:"done,failed,refused,begun"`
		From   string `query:"from" maxLength:"10" doc:"A day: 2026-11-28"`
		To     string `query:"to" maxLength:"10"`
	}
	operation(api, GrantViewAudit, huma.Operation{Method: "GET", Path: "/audit/export", OperationID: "exportAudit", Summary: "The audit trail as a file", Tags: tags,
		Responses: map[string]*huma.Response{"200": {Description: "The entries", Content: map[string]*huma.MediaType{"text/csv": textMedia(), "application/jsonl": textMedia()}}}},
		func(context.Context, *call, *exportInput) (*huma.StreamResponse, error) {
			return streamed(api, api.exportAudit), nil
		})
	operation(api, GrantViewAudit, huma.Operation{Method: "POST", Path: "/audit/verify", OperationID: "verifyAudit", Summary: "Read the whole chain and say whether it is what was written", Tags: tags},
		func(ctx context.Context, c *call, _ *struct{}) (*struct{ Body auditReportBody }, error) {
			report, err := api.service.VerifyAudit(ctx, c.access.Tenant)
			if err != nil {
				return nil, err
			}
			return &struct{ Body auditReportBody }{auditReportBody{report.OK, report.Entries, report.Bad, report.Reason}}, nil
		})
}

type auditReportBody struct {
	OK      bool   `json:"ok"`
	Entries int64  `json:"entries" doc:"That were read and are good"`
	Bad     int64  `json:"bad,omitempty" doc:"Number of the first entry that is not what was written"`
	Reason  string `json:"reason,omitempty"`
}

type logBody struct {
	Seq     uint64            `json:"seq" doc:"Grows with each line"`
	At      time.Time         `json:"at"`
	Level   string            `json:"level" enum:"debug,info,warn,error"`
	Message string            `json:"message"`
	Attrs   map[string]string `json:"attrs"`
}

func logBodyOf(line enlace.LogRecord) logBody {
	level := "debug"
	for _, name := range logLevelNames {
		if line.Level >= logLevels[name] {
			level = name
		}
	}
	return logBody{line.Seq, line.At.UTC(), level, line.Message, line.Attrs}
}

type logInput struct {
	paging.Selection
	Level       string `query:"level" enum:"debug,info,warn,error" default:"info" doc:"At least"`
	Text        string `query:"q" maxLength:"200"`
	Integration string `query:"integration" maxLength:"64"`
	Request     string `query:"requestId" maxLength:"64"`
	From        string `query:"from" maxLength:"40" doc:"RFC 3339"`
	To          string `query:"to" maxLength:"40" doc:"RFC 3339"`
	After       uint64 `query:"after" doc:"Only lines behind this seq"`
	Limit       int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// query is what the input selects. A tenant never sees lines of another one, or of none.
func (in logInput) query(c *call) (enlace.LogQuery, func(enlace.LogRecord) bool, error) {
	q := enlace.LogQuery{Level: slog.LevelInfo, Text: in.Text, After: in.After, Limit: in.Limit, Attrs: map[string]string{}}
	if level, ok := logLevels[in.Level]; ok {
		q.Level = level
	}
	for name, value := range map[string]string{enlace.LogTenant: c.access.Tenant, enlace.LogIntegration: in.Integration, enlace.LogRequest: in.Request} {
		if value != "" {
			q.Attrs[name] = value
		}
	}
	from, to := time.Time{}, time.Time{}
	for text, into := range map[*string]*time.Time{&in.From: &from, &in.To: &to} {
		if *text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, *text)
		if err != nil {
			return q, nil, newProblem(c, "bad_request")
		}
		*into = at
	}
	return q, func(line enlace.LogRecord) bool {
		return line.Attrs[enlace.LogTenant] == c.access.Tenant && (from.IsZero() || !line.At.Before(from)) && (to.IsZero() || line.At.Before(to))
	}, nil
}

func (api *api) logOperations() {
	responses := map[string]*huma.Response{}
	listOperation(api, GrantViewLogs, huma.Operation{Method: "GET", Path: "/logs", OperationID: "listLogs", Summary: "The last log lines, newest first, or a stream of them", Tags: []string{"logs"}, Errors: []int{http.StatusNotFound},
		Description: `With "Accept: text/event-stream" it goes on: events "log" with a line as data and its seq as id, and "gap" where lines were lost.`, Responses: responses, Middlewares: api.instead(api.followLogs)},
		func(_ context.Context, c *call, in *logInput) ([]logBody, string, error) {
			if api.options.Logs == nil {
				return nil, "", newProblem(c, "not_found")
			}
			query, mine, err := in.query(c)
			if err != nil {
				return nil, "", err
			}
			lines, _ := api.options.Logs.Lines(query)
			var bodies []logBody
			for _, line := range slices.Backward(lines) {
				if mine(line) {
					bodies = append(bodies, logBodyOf(line))
				}
			}
			return bodies, "", nil
		})
	responses["200"].Content["text/event-stream"] = textMedia()
}

// followedLines bounds how many lines are written at once.
const followedLines = 200

// followLogs streams lines as they come, to whoever asks for a stream.
func (api *api) followLogs(w http.ResponseWriter, r *http.Request, c *call) (bool, error) {
	if !asksFor(r, "text/event-stream") {
		return false, nil
	}
	logs := api.options.Logs
	if logs == nil {
		return false, newProblem(c, "not_found")
	}
	q := r.URL.Query()
	in := logInput{Level: q.Get("level"), Text: short(q.Get("q"), 200), Integration: q.Get("integration"), Request: q.Get("requestId"), Limit: followedLines}
	query, mine, err := in.query(c)
	if err != nil {
		return false, err
	}
	if last := numberOf(r.Header.Get("Last-Event-ID")); last > 0 {
		query.After = uint64(last)
	} else if after := numberOf(q.Get("after")); after > 0 {
		query.After = uint64(after)
	} else if lines, _ := logs.Lines(enlace.LogQuery{Level: slog.LevelDebug - 100, Limit: 1}); len(lines) > 0 {
		query.After = lines[0].Seq
	}
	return true, api.streaming(w, r, c, GrantViewLogs, func(ctx context.Context, out *eventWriter, _ *stream) bool {
		wait, cancel := context.WithTimeout(ctx, heartbeat)
		err := logs.Wait(wait, query.After)
		cancel()
		if err != nil {
			out.comment("beat")
			return ctx.Err() == nil
		}
		newest := query.After
		if all, _ := logs.Lines(enlace.LogQuery{Level: slog.LevelDebug - 100, Limit: 1}); len(all) > 0 {
			newest = all[0].Seq
		}
		lines, lost := logs.Lines(query)
		if lost {
			out.number = query.After
			out.event("gap", struct{}{})
		}
		for _, line := range lines {
			if mine(line) {
				out.number = line.Seq
				out.event("log", logBodyOf(line))
			}
			newest = max(newest, line.Seq)
		}
		query.After = newest
		return pause(ctx, gatherSignals)
	})
}

// readiness is whether the store could be read lately. Everybody who asks within a second
// gets the same answer, so that nobody keeps the store busy by asking.
type readiness struct {
	mu sync.Mutex
	at time.Time
	ok bool
}

const readinessLife = time.Second

func (a *Admin) ready(ctx context.Context, c *call) bool {
	a.readiness.mu.Lock()
	defer a.readiness.mu.Unlock()
	if time.Since(a.readiness.at) >= readinessLife {
		list := read(a, context.WithoutCancel(ctx), c, func(ctx context.Context) ([]enlace.Integration, error) {
			found, _, err := a.service.List(ctx, enlace.IntegrationQuery{Tenant: c.access.Tenant, Limit: 1})
			return found, err
		})
		a.readiness.ok = list().Problem == nil
		a.readiness.at = time.Now()
	}
	return a.readiness.ok
}

// healthProbe is what load balancers and the like ask: whether this process is there, and
// whether it can read its store.
func (a *Admin) healthProbe(w http.ResponseWriter, r *http.Request, c *call) (bool, error) {
	kind := r.URL.Query().Get("probe")
	if kind != "live" && kind != "ready" {
		return false, nil
	}
	status, word := http.StatusOK, "pass"
	if kind == "ready" && !a.ready(r.Context(), c) {
		status, word = http.StatusServiceUnavailable, "fail"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return true, json.NewEncoder(w).Encode(probeBody{word})
}

type probeBody struct {
	Status string `json:"status" enum:"pass,fail"`
}

// describeProbes adds what probes are answered to the description of the list.
func (api *api) describeProbes(responses map[string]*huma.Response) {
	probe := huma.SchemaFromType(api.huma.OpenAPI().Components.Schemas, typeOf[probeBody]())
	list := responses["200"].Content["application/json"]
	responses["200"].Content["application/json"] = &huma.MediaType{Schema: &huma.Schema{OneOf: []*huma.Schema{list.Schema, probe}}}
	responses["503"].Content["application/json"] = &huma.MediaType{Schema: probe}
}
