package rdstationtest

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Limit is how many requests may come in a period: per lead, or per account and shared by all of
// its applications (F41).
type Limit struct {
	Max     int
	Per     time.Duration
	PerLead bool
}

// Limits are the limits by name. A name that is missing has no limit.
type Limits map[string]Limit

// The names of the limits (sheet 6.1 and 6.4).
const (
	LimitContacts        = "contacts"                  // GET, POST, PATCH, DELETE of contacts and their events
	LimitPatchLead       = "contacts.patch lead"       // PATCH of one contact
	LimitTag             = "tag"                       // POST /tag
	LimitTagLead         = "tag lead"                  // POST /tag of one contact
	LimitFunnel          = "funnel"                    // GET and PUT of funnels
	LimitFunnelLead      = "funnel lead"               // of one contact
	LimitSegmentations   = "segmentations"             // the list and the contacts
	LimitEvents          = "events"                    // requests to /platform/events, its batch and /platform/conversions
	LimitEventsLead      = "events lead"               // events for one e-mail
	LimitFields          = "fields"                    // custom fields
	LimitWebhooks        = "webhooks"                  // their administration
	LimitAnalyticsEmails = "analytics.emails"          // GET /platform/analytics/emails
	LimitAnalyticsFlows  = "analytics.workflow_emails" // GET /platform/analytics/workflow_emails
	LimitAnalyticsFunnel = "analytics.funnel"          // GET /platform/analytics/funnel
	LimitAnalyticsAssets = "analytics.conversions"     // GET /platform/analytics/conversions
	LimitWorkflows       = "workflows"                 // the list
	LimitWorkflow        = "workflow"                  // one by its id
	LimitWorkflowLeads   = "workflow.leads"            // inserting leads
	LimitEmails          = "emails"                    // list and single ones
	LimitLandingPages    = "landing_pages"             // the list
	LimitPopups          = "popups"                    // the list
	LimitForms           = "forms"                     // GET /platform/embeddables
	LimitCRMv1           = "crm v1"                    // everything of the CRM v1
	LimitCRMv2           = "crm v2"                    // everything of the CRM v2
)

// PlanLimits returns the documented limits of a plan.
func PlanLimits(plan Plan) Limits {
	const day = 24 * time.Hour
	pick := func(small, pro, advanced int) int {
		switch plan {
		case Advanced:
			return advanced
		case Pro:
			return pro
		default:
			return small
		}
	}
	return Limits{
		LimitContacts:        {Max: pick(120, 120, 500), Per: time.Minute},
		LimitPatchLead:       {Max: 24, Per: day, PerLead: true},
		LimitTag:             {Max: 15_000, Per: day},
		LimitTagLead:         {Max: 24, Per: day, PerLead: true},
		LimitFunnel:          {Max: 1_000_000, Per: day},
		LimitFunnelLead:      {Max: 24, Per: day, PerLead: true},
		LimitSegmentations:   {Max: pick(120, 120, 240), Per: time.Minute},
		LimitEvents:          {Max: pick(120, 120, 500), Per: time.Minute},
		LimitEventsLead:      {Max: 120, Per: day, PerLead: true},
		LimitFields:          {Max: 1_000_000, Per: day},
		LimitWebhooks:        {Max: 1_000_000, Per: day},
		LimitAnalyticsEmails: {Max: 60, Per: time.Hour},
		LimitAnalyticsFlows:  {Max: 60, Per: time.Hour},
		LimitAnalyticsFunnel: {Max: 60, Per: time.Hour},
		LimitAnalyticsAssets: {Max: 60, Per: time.Hour},
		LimitWorkflows:       {Max: 40, Per: time.Hour},
		LimitWorkflow:        {Max: pick(1, 5, 15), Per: time.Hour},
		LimitWorkflowLeads:   {Max: pick(1, 10, 100), Per: time.Hour},
		LimitEmails:          {Max: 60, Per: time.Hour},
		LimitLandingPages:    {Max: 60, Per: time.Hour},
		LimitPopups:          {Max: 60, Per: time.Hour},
		LimitForms:           {Max: 60, Per: time.Hour},
		LimitCRMv1:           {Max: 120, Per: time.Minute},
		LimitCRMv2:           {Max: 120, Per: time.Minute},
	}
}

type limitKey struct{ class, lead string }

// window is the requests of one period. Fixed ones start with their first request.
type window struct {
	start time.Time
	count int
	times []time.Time // of sliding ones
}

type limiter struct {
	limits  Limits
	sliding bool
	windows map[limitKey]*window
}

// maxWindows bounds the leads that are remembered; beyond it all windows that ended go.
const maxWindows = 100_000

func (l *limiter) window(key limitKey, now time.Time) *window {
	limit, w := l.limits[key.class], l.windows[key]
	if w == nil {
		if len(l.windows) >= maxWindows {
			l.forget(now)
		}
		w = &window{}
		l.windows[key] = w
	}
	if l.sliding {
		for len(w.times) > 0 && now.Sub(w.times[0]) >= limit.Per {
			w.times = w.times[1:]
		}
		if w.count = len(w.times); w.count > 0 {
			w.start = w.times[0]
		}
	} else if w.count > 0 && now.Sub(w.start) >= limit.Per {
		w.count = 0
	}
	return w
}

func (l *limiter) forget(now time.Time) {
	for key, w := range l.windows {
		if now.Sub(w.start) >= l.limits[key.class].Per {
			delete(l.windows, key)
		}
	}
}

// take counts a request against all of its limits, or returns the one that is used up and the
// time until it lets something pass again.
func (l *limiter) take(now time.Time, keys ...limitKey) (full *limitKey, left time.Duration) {
	for _, key := range keys {
		limit, limited := l.limits[key.class]
		if !limited {
			continue
		}
		if w := l.window(key, now); w.count >= limit.Max {
			return &key, w.start.Add(limit.Per).Sub(now)
		}
	}
	for _, key := range keys {
		if _, limited := l.limits[key.class]; !limited {
			continue
		}
		w := l.window(key, now)
		if w.count == 0 {
			w.start = now
		}
		w.count++
		if l.sliding {
			w.times = append(w.times, now)
		}
	}
	return nil, 0
}

// limit counts a request and refuses it if a limit is used up.
func (a *Account) limit(q *request) *reply {
	keys := []limitKey{}
	for _, class := range q.route.classes {
		keys = append(keys, limitKey{class: class})
	}
	if q.route.lead != "" {
		if a.quirks.ContactsIncludeLeads && q.route.lead != LimitPatchLead {
			keys = append(keys, limitKey{class: LimitContacts})
		}
		keys = append(keys, limitKey{q.route.lead, a.leadKey(q.vars[0])})
	}
	return a.takeLimits(q, keys)
}

func (a *Account) takeLimits(q *request, keys []limitKey) *reply {
	full, left := a.limits.take(q.now, keys...)
	if full == nil {
		for _, key := range keys {
			if _, limited := a.limits.limits[key.class]; limited {
				a.stats.limit(key.class, true)
			}
		}
		return nil
	}
	a.stats.limit(full.class, false)
	refused := a.tooMany(q.route.surface, *full, left)
	return &refused
}

// tooMany is the answer of a limit (sheet 6.2).
func (a *Account) tooMany(s surface, key limitKey, left time.Duration) reply {
	limit, seconds := a.limits.limits[key.class], int(math.Ceil(left.Seconds()))
	const exceeded = "API rate limit exceeded"
	switch s {
	case crmV1Surface:
		return flat(http.StatusTooManyRequests, "RATE_LIMIT_EXCEDDED", "API usage limit exceeded")
	case crmSurface:
		answer := reply{status: http.StatusTooManyRequests, body: object{"message": exceeded}}
		if a.quirks.CRMLimitErrors {
			answer.body = object{"errors": []object{problem("RATE_LIMIT_EXCEDDED", exceeded)}}
		}
		return answer.with("Retry-After", strconv.Itoa(seconds))
	}
	style := a.quirks.LimitStyle
	if style == LimitByScope && limit.PerLead {
		style = LimitCounter
	}
	switch style {
	case LimitGeneric:
		return flat(http.StatusTooManyRequests, "RATE_LIMIT_EXCEDDED", "API usage limit exceeded")
	case LimitCounter:
		return a.counters(limit, key, seconds)
	default:
		return reply{status: http.StatusTooManyRequests, body: object{"message": exceeded}}.
			with("ratelimit-limit-quotas", strconv.Itoa(limit.Max)).with("retry-after-quotas", strconv.Itoa(seconds))
	}
}

func (a *Account) counters(limit Limit, key limitKey, seconds int) reply {
	name, subject := "lead_limiter", key.lead
	if !limit.PerLead {
		name, subject = "account_limiter", strconv.FormatInt(a.options.AccountID, 10)
	}
	if a.quirks.MillisecondsLeft {
		seconds *= 1000
	}
	return reply{status: http.StatusTooManyRequests, body: object{
		"error": fmt.Sprintf("'%s' rate limit exceeded for %d second(s) period for key '%s'", name, int(limit.Per.Seconds()), subject),
		"max":   limit.Max, "usage": limit.Max + 1, "remaining_time": seconds,
	}}
}
