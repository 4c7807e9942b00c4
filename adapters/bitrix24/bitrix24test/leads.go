package bitrix24test

import "time"

// convertLead makes a deal of a lead that was just added, and a contact of who it names, where
// the portal works without leads (sheet 5.1, Q33). The lead is gone then, without an event.
func (c *call) convertLead(t *entityType, id int64) {
	p := c.portal
	if t.id != Lead || !p.quirks.SimpleCRM {
		return
	}
	lead := &record{}
	p.tables[Lead].load(id, lead)
	deal := c.draft(p.types[Deal], universalNames, nil)
	for _, name := range []string{
		"title", "opportunity", "currencyId", "assignedById", "sourceId", "sourceDescription", "comments", "originatorId", "originId",
		"utmSource", "utmMedium", "utmCampaign", "utmContent", "utmTerm", "companyId",
	} {
		deal.values[deal.typ.byUniversal[name]] = lead.current(t.byUniversal[name])
	}
	deal.values[deal.typ.byUniversal["leadId"]] = id
	deal.linked = lead.bindings()
	if contact := c.leadContact(lead); contact > 0 {
		deal.linked = append(deal.linked, binding{id: contact, sort: int64(len(deal.linked)+1) * 10})
	}
	deal.linked = promote(deal.linked)
	deal.add(newArray())
	if !p.quirks.KeepConvertedLeads {
		p.remove(p.tables[Lead], id)
		return
	}
	p.change(p.tables[Lead], id, map[*field]any{t.byUniversal["stageId"]: "CONVERTED", t.byUniversal["stageSemanticId"]: "S", t.byUniversal["dateClosed"]: time.Now().Unix()})
	p.announce(verbUpdate, t, id, c.actor())
}

// leadContact adds the contact that a lead names, or returns 0 if it names none.
func (c *call) leadContact(lead *record) int64 {
	contact := c.draft(c.portal.types[Contact], universalNames, nil)
	for _, name := range []string{"name", "secondName", "lastName", "honorific", "post", "birthdate"} {
		contact.values[contact.typ.byUniversal[name]] = lead.current(lead.typ.byUniversal[name])
	}
	contact.values[contact.typ.byUniversal["leadId"]] = lead.id
	for _, point := range lead.multifields() {
		point.ID = 0
		contact.points, contact.touchedPoints = append(contact.points, point), true
	}
	id, err := contact.add(newArray())
	if err != nil {
		return 0
	}
	return id
}
