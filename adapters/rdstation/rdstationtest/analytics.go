package rdstationtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is one of the analytics (sheet 2.6).
type Report string

// The reports, named by their paths.
const (
	EmailReport      Report = "emails"
	WorkflowReport   Report = "workflow_emails"
	ConversionReport Report = "conversions"
	FunnelReport     Report = "funnel"
)

// PutAnalytics adds a row to a report, with the keys of the API (the live ones of conversions).
// day is which day's figures they are: a report shows the rows of its days. What rows of
// ConversionReport have no conversion_count is counted from the account's events.
func (a *Account) PutAnalytics(report Report, day time.Time, row map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := plain(row, localTime)
	kept[dayKey] = day.UTC().Format(time.DateOnly)
	a.analytics[string(report)] = append(a.analytics[string(report)], kept)
}

// dayKey is where a row keeps its day; answers lack it.
const dayKey = " day"

// gate refuses what the plan does not have (F57).
func (a *Account) gate(plans ...Plan) *reply {
	if slices.Contains(plans, a.options.Plan) {
		return nil
	}
	refused := flat(http.StatusForbidden, "ACCOUNT_REQUIREMENT_MISSING", "plan not Pro/Advanced")
	if a.quirks.AnalyticsPlan401 {
		refused = invalidToken()
	}
	return &refused
}

func inPeriod(at, from, to string) bool {
	day, _, _ := strings.Cut(at, "T")
	return day >= from && (to == "" || day <= to)
}

// serveReport answers with the rows of a period, up to yesterday (UTC).
func serveReport(report Report, array string, finish func(a *Account, q *request, rows []object, envelope object), plans ...Plan) func(*Account, *request) reply {
	return func(a *Account, q *request) reply {
		if refused := a.gate(plans...); refused != nil {
			return *refused
		}
		from, to := q.query.Get("start_date"), q.query.Get("end_date")
		if refused := a.checkPeriod(q.now, from, to); refused != nil {
			return *refused
		}
		yesterday := q.now.UTC().AddDate(0, 0, -1).Format(time.DateOnly)
		rows := []object{}
		for _, row := range a.analytics[string(report)] {
			if inPeriod(text(row[dayKey]), from, min(to, yesterday)) {
				shown := maps.Clone(row)
				delete(shown, dayKey)
				rows = append(rows, shown)
			}
		}
		envelope := object{"account_id": json.Number("3127000"), "query_date": object{"start_date": from, "end_date": to}, array: rows}
		finish(a, q, rows, envelope)
		return ok(envelope)
	}
}

func (a *Account) checkPeriod(now time.Time, from, to string) *reply {
	start, err := time.Parse(time.DateOnly, from)
	_, errTo := time.Parse(time.DateOnly, to)
	var refused reply
	switch {
	case from == "" || to == "":
		refused = flat(http.StatusBadRequest, "REQUIRED_PARAMETER", "start_date and end_date are required")
	case err != nil || errTo != nil || to < from:
		refused = flat(http.StatusBadRequest, "INVALID_PARAMETER", "start_date and end_date must be a period")
	case a.options.Plan == Pro && start.Before(now.UTC().AddDate(0, 0, -46)):
		refused = flat(http.StatusBadRequest, "DATE_OUT_OF_RANGE", "start_date must be within the last 45 days")
	default:
		return nil
	}
	return &refused
}

// only drops rows whose value is not one of those that the query asks for.
func only(envelope object, array, key string, values []string) {
	if len(values) == 0 {
		return
	}
	rows, _ := envelope[array].([]object)
	envelope[array] = slices.DeleteFunc(rows, func(row object) bool { return !slices.Contains(values, fmt.Sprint(row[key])) })
}

func finishEmails(_ *Account, q *request, _ []object, envelope object) {
	only(envelope, "emails", "campaign_id", q.query["campaign_id[]"])
}

func finishWorkflowEmails(_ *Account, q *request, _ []object, envelope object) {
	only(envelope, "workflow_email_statistics", "workflow_id", q.query["workflow_id[]"])
}

// finishConversions counts what rows do not tell and brings in the keys of the documentation
// where they are asked for (Q22).
func finishConversions(a *Account, q *request, rows []object, envelope object) {
	for _, row := range rows {
		if row["conversion_count"] == nil {
			row["conversion_count"] = a.countConversions(text(row["asset_identifier"]), q.query.Get("start_date"), q.query.Get("end_date"))
		}
		if a.quirks.VisitsCountStrings {
			row["visits_count"] = fmt.Sprint(row["visits_count"])
		}
	}
	types := stringsOrNone(q.query["assets_type[]"])
	only(envelope, "conversions", "assets_type", types)
	only(envelope, "conversions", "asset_id", q.query["asset_id[]"])
	envelope["assets_type"] = types
	if !a.quirks.AnalyticsDocKeys {
		return
	}
	envelope["assets_type"] = "[" + strings.Join(types, ", ") + "]"
	shown, _ := envelope["conversions"].([]object)
	for _, row := range shown {
		row["asset_type"], row["conversions_count"] = row["assets_type"], row["conversion_count"]
		delete(row, "assets_type")
		delete(row, "conversion_count")
	}
}

func (a *Account) countConversions(identifier, from, to string) int {
	count := 0
	for _, lead := range a.contacts.list {
		for _, e := range lead.events {
			if e.kind == "CONVERSION" && e.identifier == identifier && inPeriod(utcTime(e.at), from, to) {
				count++
			}
		}
	}
	return count
}

func finishFunnel(_ *Account, q *request, _ []object, envelope object) {
	envelope["grouped_by"] = orDefault(q.query.Get("grouped_by"), "daily")
	days, _ := envelope["funnel"].([]object)
	envelope["funnel"] = groupDays(days, text(envelope["grouped_by"]))
}

// groupDays sums up the days of a week, which begins on Monday, or of a month.
func groupDays(days []object, by string) []object {
	if by != "weekly" && by != "monthly" {
		return days
	}
	grouped, index := []object{}, map[string]object{}
	for _, day := range days {
		at, err := time.Parse(time.DateOnly, text(day["reference_day"]))
		if err != nil {
			continue
		}
		first := at.AddDate(0, 0, 1-at.Day())
		if by == "weekly" {
			first = at.AddDate(0, 0, -(int(at.Weekday())+6)%7)
		}
		key := first.Format(time.DateOnly)
		if index[key] == nil {
			index[key] = object{"reference_day": key}
			grouped = append(grouped, index[key])
		}
		for name, value := range day {
			if count, isNumber := number(value); isNumber {
				index[key][name] = json.Number(strconv.FormatFloat(numberOr(index[key][name], 0)+count, 'f', -1, 64))
			}
		}
	}
	return grouped
}
