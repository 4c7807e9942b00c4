package rdstationtest

import (
	"net/http"
	"slices"
	"time"
)

var lifecycleStages = []string{"Lead", "Qualified Lead", "Client"}

func serveFunnel(a *Account, q *request) reply {
	lead := a.find(a.parseIdentifier(q.vars[0]))
	if lead == nil || a.quirks.FunnelNotFound && !lead.funnel.touched {
		return leadNotFound()
	}
	return ok(lead.funnel.render())
}

func (f *funnel) render() object {
	var owner any
	if f.owner != "" {
		owner = f.owner
	}
	return object{"lifecycle_stage": f.stage, "opportunity": f.opportunity, "contact_owner_email": owner, "fit": f.fit, "interest": f.interest}
}

// servePutFunnel changes the stage, the mark or the owner (F26). null and "null" clear the owner.
func servePutFunnel(a *Account, q *request) reply {
	lead := a.find(a.parseIdentifier(q.vars[0]))
	if lead == nil {
		return leadNotFound()
	}
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	stage, mark, owner := lead.funnel.stage, lead.funnel.opportunity, lead.funnel.owner
	problems := fieldErrors{}
	if value, given := body["lifecycle_stage"]; given {
		if stage = text(value); !slices.Contains(lifecycleStages, stage) {
			problems.add("lifecycle_stage", "INCLUSION", "invalid options, the valid options are: [Lead, Qualified Lead, Client]")
		}
	}
	if value, given := body["opportunity"]; given {
		var isBool bool
		if mark, isBool = value.(bool); !isBool {
			problems.add("opportunity", "MUST_BE_BOOLEAN", "Opportunity must be boolean.")
		}
	}
	if value, given := body["contact_owner_email"]; given {
		owner = a.checkOwner(value, problems)
	}
	if len(problems) > 0 {
		return problems.reply(http.StatusBadRequest)
	}
	lead.funnel.owner = owner
	a.moveFunnel(lead, stage, mark, q.now, !a.quirks.QuietAPIMarks)
	return ok(lead.funnel.render())
}

func (a *Account) checkOwner(value any, problems fieldErrors) string {
	owner, isText := value.(string)
	switch {
	case value == nil || owner == "null":
		return ""
	case !isText || !emailPattern.MatchString(owner):
		problems.add("contact_owner_email", "INVALID_EMAIL_FORMAT", "contact_owner_email has an invalid format")
	case !slices.ContainsFunc(a.options.Users, func(u User) bool { return u.Email == owner }):
		problems.add("contact_owner_email", "INVALID_USER", "The user "+owner+" was not found in your account.")
	}
	return owner
}

// moveFunnel changes a contact's stage and mark. A new mark is told to webhooks if tell is set.
func (a *Account) moveFunnel(lead *contact, stage string, mark bool, now time.Time, tell bool) {
	f := &lead.funnel
	if f.stage != stage || f.opportunity != mark {
		f.oldStage, f.oldOpportunity, f.existing = f.stageAt(now, a.options.SegmentDelay), f.opportunityAt(now, a.options.SegmentDelay), true
		f.changed = now
	}
	marked := mark && !f.opportunity
	f.stage, f.opportunity, f.touched = stage, mark, true
	a.contacts.version++
	if marked && tell {
		a.tellContact("WEBHOOK.MARKED_OPPORTUNITY", "default", lead, now)
	}
}

// stageAt is the stage that segmentations know of, which lag behind (F31).
func (f *funnel) stageAt(now time.Time, delay time.Duration) string {
	if f.existing && now.Before(f.changed.Add(delay)) {
		return f.oldStage
	}
	return f.stage
}

func (f *funnel) opportunityAt(now time.Time, delay time.Duration) bool {
	if f.existing && now.Before(f.changed.Add(delay)) {
		return f.oldOpportunity
	}
	return f.opportunity
}

// MarkOpportunity marks a contact as a user of the product does, which webhooks hear of. It
// returns false if there is no contact with that uuid.
func (a *Account) MarkOpportunity(uuid string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	lead := a.contacts.byUUID[uuid]
	if lead != nil {
		a.moveFunnel(lead, lead.funnel.stage, true, a.now(), true)
	}
	return lead != nil
}
