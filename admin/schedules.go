package admin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

type schedulesData struct {
	Rows        []scheduleRow
	Integration string // the list is narrowed to it; empty for all
	Names       map[string]string
	Form        scheduleForm
	Next        string
	First       bool
}

type scheduleRow struct {
	enlace.Schedule
	Name    string // of the integration
	State   string // "active" or "paused"
	Skipped string // why the last time passed without a run, in words; empty if it did not
}

// scheduleForm is a schedule as a form shows it.
type scheduleForm struct {
	Integration, Spec, Zone, Entities, CatchUp string
	Jitter                                     string // minutes
	Full                                       bool
	Version                                    int64 // 0 for a new one
	Zones                                      []string
	Faults                                     []formFault
}

// maxJitter bounds what a form may ask for.
const maxJitter = 24 * time.Hour

func (a *Admin) scheduleList(w http.ResponseWriter, r *http.Request, c *call) error {
	form := scheduleForm{Integration: r.URL.Query().Get("integration"), Zone: c.Zone}
	return a.showSchedules(w, r, c, form, 0)
}

func (a *Admin) showSchedules(w http.ResponseWriter, r *http.Request, c *call, form scheduleForm, status int) error {
	q := r.URL.Query()
	query := enlace.ScheduleQuery{Tenant: c.access.Tenant, Integration: q.Get("integration"), Cursor: q.Get("cursor"), Limit: pageSize}
	list, next, err := a.service.Schedules(r.Context(), query)
	if err != nil {
		return cursorProblem(c, query.Cursor, err)
	}
	t := translator(c.Language)
	form.Zones = zoneNames
	data := schedulesData{Integration: query.Integration, Names: a.names(r, c), Form: form, First: query.Cursor == ""}
	for _, s := range list {
		data.Rows = append(data.Rows, newScheduleRow(t, s, data.Names))
	}
	if next != "" {
		data.Next = "?" + url.Values{"cursor": {next}, "integration": {query.Integration}}.Encode()
	}
	return a.show(w, r, c, page{name: "schedules", status: status, title: t.text("nav.schedules"), section: "schedules", live: data.First && status == 0, data: data})
}

func newScheduleRow(t translator, s enlace.Schedule, names map[string]string) scheduleRow {
	row := scheduleRow{Schedule: s, Name: names[s.Ref.ID], State: "active"}
	if row.Name == "" {
		row.Name = s.Ref.ID
	}
	if s.Paused {
		row.State = "paused"
	}
	if s.LastSkip != "" {
		row.Skipped = t.optional("schedule.skip."+s.LastSkip, t.optional("kind."+s.LastSkip, s.LastSkip))
	}
	return row
}

type scheduleData struct {
	scheduleRow
	Times []time.Time // the next ones, without jitter; none while it is paused
	Form  scheduleForm
}

// shownTimes is how many of the next times a schedule's page tells.
const shownTimes = 5

func (a *Admin) schedulePage(w http.ResponseWriter, r *http.Request, c *call) error {
	s, err := a.service.Schedule(r.Context(), c.access.Tenant, r.PathValue("id"))
	if err != nil {
		return err
	}
	return a.showSchedule(w, r, c, s, formOf(s), 0)
}

func (a *Admin) showSchedule(w http.ResponseWriter, r *http.Request, c *call, s enlace.Schedule, form scheduleForm, status int) error {
	t := translator(c.Language)
	form.Zones = zoneNames
	data := scheduleData{scheduleRow: newScheduleRow(t, s, a.names(r, c)), Form: form}
	for at := time.Now(); !s.Paused && len(data.Times) < shownTimes; {
		next, err := s.NextTime(at)
		if err != nil {
			break
		}
		data.Times, at = append(data.Times, next), next
	}
	return a.show(w, r, c, page{name: "schedule", status: status, title: t.text("schedule.of", data.Name), section: "schedules",
		crumbs: []crumb{{t.text("nav.schedules"), "schedules"}}, data: data})
}

func formOf(s enlace.Schedule) scheduleForm {
	f := scheduleForm{Integration: s.Ref.ID, Spec: s.Spec, Zone: s.Zone, Entities: strings.Join(s.Options.Entities, ", "), CatchUp: string(s.CatchUp),
		Full: s.Options.Full, Version: s.Version}
	if s.Jitter > 0 {
		f.Jitter = strconv.FormatFloat(s.Jitter.Minutes(), 'f', -1, 64)
	}
	return f
}

// readSchedule puts what a form has sent into a schedule. Options that the form does
// not show stay as they are.
func readSchedule(form url.Values, s enlace.Schedule) (enlace.Schedule, error) {
	s.Spec, s.Zone, s.CatchUp = strings.TrimSpace(form.Get("spec")), strings.TrimSpace(form.Get("zone")), enlace.CatchUp(form.Get("catch_up"))
	s.Options.Full, s.Options.Entities = form.Get("full") != "", namesIn(form.Get("entities"))
	minutes, err := strconv.ParseFloat(strings.TrimSpace(form.Get("jitter")), 64)
	if text := strings.TrimSpace(form.Get("jitter")); text != "" && (err != nil || minutes < 0 || minutes > maxJitter.Minutes()) {
		return s, &enlace.ValidationError{Faults: []enlace.Fault{{Field: "jitter", Problem: "out of range", Allowed: "a whole number from 0 to 1440"}}}
	}
	s.Jitter = time.Duration(minutes * float64(time.Minute))
	return s, nil
}

// namesIn are the words between commas and spaces.
func namesIn(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func (f *scheduleForm) fill(form url.Values) {
	f.Integration, f.Spec, f.Zone, f.Entities = form.Get("integration"), form.Get("spec"), form.Get("zone"), form.Get("entities")
	f.CatchUp, f.Jitter, f.Full = form.Get("catch_up"), form.Get("jitter"), form.Get("full") != ""
}

// mark says what of the form was refused, at the fields that it has.
func (f *scheduleForm) mark(t translator, p *problem) {
	for _, fault := range p.faults {
		field := strings.ToLower(fault.field)
		if fault.code == "unknown_entity" {
			field = "entities"
		}
		entry := formFault{Label: fault.field, Problem: fault.detail}
		if slices.Contains([]string{"spec", "zone", "entities", "jitter"}, field) {
			entry.Field, entry.Label = field, t.text("schedule."+field)
		}
		f.Faults = append(f.Faults, entry)
	}
	if len(p.faults) == 0 {
		f.Faults = append(f.Faults, formFault{Label: p.title, Problem: p.detail})
	}
}

func (a *Admin) createSchedule(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	s, err := readSchedule(r.PostForm, enlace.Schedule{Ref: c.integrationRef(r.PostForm.Get("integration"))})
	if err == nil {
		_, err = a.service.SaveSchedule(r.Context(), s)
	}
	if err != nil {
		p := problemOf(c, err)
		if p.status >= 500 {
			return err
		}
		var form scheduleForm
		form.fill(r.PostForm)
		form.mark(translator(c.Language), p)
		return a.showSchedules(w, r, c, form, p.status)
	}
	query := url.Values{"done": {"schedule.save"}}
	if narrowed := r.URL.Query().Get("integration"); narrowed != "" {
		query.Set("integration", narrowed)
	}
	leave(w, http.StatusSeeOther, c.mount.root+"schedules?"+query.Encode())
	return nil
}

// changeSchedule saves, pauses, resumes or deletes one schedule.
func (a *Admin) changeSchedule(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	s, err := a.service.Schedule(r.Context(), c.access.Tenant, r.PathValue("id"))
	if err != nil {
		return err
	}
	read := s
	if s.Version, err = strconv.ParseInt(r.PostForm.Get("version"), 10, 64); err != nil {
		return newProblem(c, "version_required")
	}
	do := r.PostForm.Get("do")
	switch do {
	case "save":
		if s, err = readSchedule(r.PostForm, s); err == nil {
			_, err = a.service.SaveSchedule(r.Context(), s)
		}
		if p := problemOf(c, err); err != nil && p.status < 500 && !errors.Is(err, enlace.ErrConflict) {
			form := formOf(read)
			form.fill(r.PostForm)
			form.mark(translator(c.Language), p)
			return a.showSchedule(w, r, c, read, form, p.status)
		}
	case "pause", "resume":
		s.Paused = do == "pause"
		_, err = a.service.SaveSchedule(r.Context(), s)
	case "delete":
		err = a.service.DeleteSchedule(r.Context(), s.Ref.Tenant, s.ID)
	default:
		err = newProblem(c, "validation_failed")
	}
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"schedules?done=schedule."+do)
	return nil
}
