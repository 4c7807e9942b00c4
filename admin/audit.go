package admin

import (
	"context"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/enlace-go/enlace"
)

// asActor marks what the service does in ctx as done by this user.
func (a *Admin) asActor(ctx context.Context, c *call) context.Context {
	return enlace.WithActor(ctx, enlace.Actor{ID: c.access.User, Address: c.address, Request: c.id})
}

// addressOf is where a request comes from: the peer. What a proxy says about it is
// the host's to judge, in front of this handler.
func addressOf(r *http.Request) string {
	if address, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return address
	}
	return ""
}

// auditRefusal writes down that somebody tried what they may not.
func (a *Admin) auditRefusal(r *http.Request, c *call, grant Grants) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return
	}
	err := a.service.RecordAudit(r.Context(), enlace.AuditEntry{Tenant: c.access.Tenant, Action: "admin.refuse", Target: short(c.mount.path, 200),
		Fields: []string{grant.String()}, Result: enlace.AuditRefused, Kind: "forbidden"})
	if err != nil {
		a.logger.Error("admin refusal not audited", "request", c.id, "error", err)
	}
}

type auditData struct {
	Rows     []enlace.AuditEntry
	Filter   auditFilter
	Filtered bool
	Next     string
	First    bool
	Report   *enlace.AuditReport
	Names    map[string]string
	Export   template.URL // query of the filter, for the export
}

// auditFilter is what the trail is narrowed to; it is in the address.
type auditFilter struct{ Actor, Action, Result, Integration, From, To string }

var auditResults = []string{"done", "failed", "refused", "begun"}

func readAuditFilter(q url.Values) auditFilter {
	return auditFilter{q.Get("actor"), q.Get("action"), q.Get("result"), q.Get("integration"), q.Get("from"), q.Get("to")}
}

func (f auditFilter) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"actor": f.Actor, "action": f.Action, "result": f.Result, "integration": f.Integration, "from": f.From, "to": f.To} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// query is the filter in the service's words. Days are those of the user's zone.
func (f auditFilter) query(c *call) enlace.AuditQuery {
	q := enlace.AuditQuery{Tenant: c.access.Tenant, Actor: f.Actor, Action: f.Action, Result: enlace.AuditOutcome(f.Result), Integration: f.Integration}
	if from, err := time.ParseInLocation(time.DateOnly, f.From, location(c.Zone)); err == nil {
		q.From = from
	}
	if to, err := time.ParseInLocation(time.DateOnly, f.To, location(c.Zone)); err == nil {
		q.To = to.AddDate(0, 0, 1)
	}
	return q
}

func (a *Admin) auditPage(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.showAudit(w, r, c, nil)
}

func (a *Admin) showAudit(w http.ResponseWriter, r *http.Request, c *call, report *enlace.AuditReport) error {
	filter := readAuditFilter(r.URL.Query())
	query := filter.query(c)
	query.Cursor, query.Limit = r.URL.Query().Get("cursor"), pageSize
	rows, next, err := a.service.Audit(r.Context(), query)
	if err != nil {
		return cursorProblem(c, query.Cursor, err)
	}
	data := auditData{Rows: rows, Filter: filter, First: query.Cursor == "", Report: report, Filtered: filter != auditFilter{}, Names: a.names(r, c),
		Export: template.URL(filter.values().Encode())}
	if next != "" {
		values := filter.values()
		values.Set("cursor", next)
		data.Next = "?" + values.Encode()
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "audit", title: t.text("nav.audit"), section: "audit", live: data.First && report == nil, data: data})
}

// verifyAudit reads the whole chain and says whether it is what was written.
func (a *Admin) verifyAudit(w http.ResponseWriter, r *http.Request, c *call) error {
	report, err := a.service.VerifyAudit(r.Context(), c.access.Tenant)
	if err != nil {
		return err
	}
	return a.showAudit(w, r, c, &report)
}

// exportAudit sends the entries that match the filter as a file.
func (a *Admin) exportAudit(w http.ResponseWriter, r *http.Request, c *call) error {
	format, kind := enlace.AuditCSV, "text/csv; charset=utf-8"
	if r.URL.Query().Get("format") == "jsonl" {
		format, kind = enlace.AuditJSONLines, "application/jsonl"
	}
	out := &lateHeader{ResponseWriter: w, kind: kind, name: "audit." + string(format)}
	err := a.service.ExportAudit(r.Context(), readAuditFilter(r.URL.Query()).query(c), format, out)
	if err != nil && out.begun {
		a.logger.Error("audit export cut off", "request", c.id, "error", err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	return err
}

// lateHeader sets the headers of a file with its first byte, so that a failure
// before it can still be answered as one.
type lateHeader struct {
	http.ResponseWriter
	kind, name string
	begun      bool
}

func (w *lateHeader) Write(data []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.Header().Set("Content-Type", w.kind)
		w.Header().Set("Content-Disposition", `attachment; filename="`+w.name+`"`)
	}
	return w.ResponseWriter.Write(data)
}
