package bitrix24test

import (
	"fmt"
	"slices"
)

// entityTypes builds the schema of a portal: the subset of fields that synchronisation works with
// (sheet 5.3), with values for seeded records.
func entityTypes(smart []SmartType, userFields []UserField) map[int]*entityType {
	types := map[int]*entityType{}
	add := func(id int, code, title, ufEntity string, fields []*field) {
		types[id] = newEntityType(id, code, title, ufEntity, fields, userFields)
	}
	add(Lead, "lead", "Lead", "CRM_LEAD", leadFields())
	add(Deal, "deal", "Deal", "CRM_DEAL", dealFields())
	add(Contact, "contact", "Contact", "CRM_CONTACT", contactFields())
	add(Company, "company", "Company", "CRM_COMPANY", companyFields())
	add(Quote, "", "Quote", "CRM_QUOTE", itemFields("Quote #"))
	add(SmartInvoice, "", "Invoice", "CRM_SMART_INVOICE", itemFields("Invoice #"))
	for _, t := range smart {
		if t.EntityTypeID < 128 || types[t.EntityTypeID] != nil {
			panic(fmt.Sprintf("bitrix24test: %d is no free entity type id of a smart process (128 and above)", t.EntityTypeID))
		}
		add(t.EntityTypeID, "", t.Title, fmt.Sprintf("CRM_%d", t.ID), itemFields(t.Title+" #"))
	}
	return types
}

func contactFields() []*field {
	return slices.Concat(headFields(), []*field{
		text("HONORIFIC", "honorific", "crm_status", nil),
		text("NAME", "name", "string", seededFirstName),
		text("SECOND_NAME", "secondName", "string", seededSecondName),
		text("LAST_NAME", "lastName", "string", seededLastName),
		number("BIRTHDATE", "birthdate", "date", kindDate, seededBirthday),
		text("POST", "post", "string", seededPost),
		fixed(text("TYPE_ID", "typeId", "crm_status", constant("CLIENT"))),
		number("COMPANY_ID", "companyId", "crm_company", kindLink, seededLink(1)),
		{universal: "companyIds", typ: "crm_company", kind: kindInts, ints: fromLink("companyId")},
		number("LEAD_ID", "leadId", "crm_lead", kindInt, nil),
		fixed(flag("EXPORT", "export", constantNumber(1))),
		text("ORIGIN_VERSION", "originVersion", "string", nil),
	}, hasFields(), tailFields(), multifields())
}

func companyFields() []*field {
	return slices.Concat(headFields(), []*field{
		text("TITLE", "title", "string", seededCompanyTitle),
		fixed(text("COMPANY_TYPE", "typeId", "crm_status", constant("CUSTOMER"))),
		fixed(text("INDUSTRY", "industry", "crm_status", constant("IT"))),
		fixed(text("EMPLOYEES", "employees", "crm_status", constant("EMPLOYEES_1"))),
		number("REVENUE", "revenue", "double", kindMoney, seededNumber(21, 9_000_000_00)),
		fixed(text("CURRENCY_ID", "currencyId", "crm_currency", constant("EUR"))),
		text("BANKING_DETAILS", "bankingDetails", "string", nil),
		fixed(flag("IS_MY_COMPANY", "isMyCompany", constantNumber(0))),
		number("LEAD_ID", "leadId", "crm_lead", kindInt, nil),
		{universal: "contactIds", typ: "crm_contact", kind: kindInts, fixed: true},
		text("ORIGIN_VERSION", "originVersion", "string", nil),
	}, hasFields(), tailFields(), multifields())
}

func dealFields() []*field {
	return slices.Concat(headFields(), []*field{
		text("TITLE", "title", "string", seededNumbered("Deal #")),
		fixed(text("TYPE_ID", "typeId", "crm_status", constant("SALE"))),
		fixed(number("CATEGORY_ID", "categoryId", "crm_category", kindInt, constantNumber(0))),
		fixed(text("STAGE_ID", "stageId", "crm_status", constant("NEW"))),
		readOnly(fixed(text("STAGE_SEMANTIC_ID", "stageSemanticId", "string", constant("P")))),
		number("OPPORTUNITY", "opportunity", "double", kindMoney, seededNumber(22, 5_000_000)),
		fixed(text("CURRENCY_ID", "currencyId", "crm_currency", constant("EUR"))),
		fixed(flag("IS_MANUAL_OPPORTUNITY", "isManualOpportunity", constantNumber(0))),
		fixed(number("TAX_VALUE", "taxValue", "double", kindMoney, constantNumber(0))),
		number("PROBABILITY", "probability", "integer", kindInt, seededNumber(23, 100)),
		number("BEGINDATE", "begindate", "date", kindDate, seededDay(24)),
		number("CLOSEDATE", "closedate", "date", kindDate, seededDay(25)),
		fixed(flag("CLOSED", "closed", constantNumber(0))),
		number("COMPANY_ID", "companyId", "crm_company", kindLink, seededLink(2)),
		number("CONTACT_ID", "contactId", "crm_contact", kindLink, seededLink(3)),
		{universal: "contactIds", typ: "crm_contact", kind: kindInts, ints: fromLink("contactId")},
		number("LEAD_ID", "leadId", "crm_lead", kindInt, nil),
		number("QUOTE_ID", "quoteId", "crm_quote", kindInt, nil),
	}, movedFields(), tailFields())
}

func leadFields() []*field {
	return slices.Concat(headFields(), []*field{
		text("TITLE", "title", "string", seededNumbered("Lead #")),
		text("HONORIFIC", "honorific", "crm_status", nil),
		text("NAME", "name", "string", seededFirstName),
		text("SECOND_NAME", "secondName", "string", seededSecondName),
		text("LAST_NAME", "lastName", "string", seededLastName),
		text("COMPANY_TITLE", "companyTitle", "string", seededCompanyTitle),
		number("BIRTHDATE", "birthdate", "date", kindDate, seededBirthday),
		text("POST", "post", "string", seededPost),
		fixed(text("STATUS_ID", "stageId", "crm_status", constant("NEW"))),
		readOnly(fixed(text("STATUS_SEMANTIC_ID", "stageSemanticId", "string", constant("P")))),
		text("STATUS_DESCRIPTION", "statusDescription", "string", nil),
		number("OPPORTUNITY", "opportunity", "double", kindMoney, seededNumber(26, 500_000)),
		fixed(text("CURRENCY_ID", "currencyId", "crm_currency", constant("EUR"))),
		fixed(flag("IS_MANUAL_OPPORTUNITY", "isManualOpportunity", constantNumber(0))),
		fixed(flag("IS_RETURN_CUSTOMER", "isReturnCustomer", constantNumber(0))),
		readOnly(number("DATE_CLOSED", "dateClosed", "datetime", kindTime, nil)),
		number("COMPANY_ID", "companyId", "crm_company", kindLink, nil),
		number("CONTACT_ID", "contactId", "crm_contact", kindLink, nil),
		{universal: "contactIds", typ: "crm_contact", kind: kindInts, ints: fromLink("contactId")},
	}, hasFields(), movedFields(), tailFields(), multifields())
}

// itemFields are those of quotes, new invoices and smart processes, which have no classic methods here.
func itemFields(title string) []*field {
	fields := slices.Concat(headFields(), []*field{
		text("TITLE", "title", "string", seededNumbered(title)),
		text("XML_ID", "xmlId", "string", nil),
		fixed(number("CATEGORY_ID", "categoryId", "crm_category", kindInt, constantNumber(0))),
		fixed(text("STAGE_ID", "stageId", "crm_status", constant("NEW"))),
		number("OPPORTUNITY", "opportunity", "double", kindMoney, seededNumber(27, 5_000_000)),
		fixed(text("CURRENCY_ID", "currencyId", "crm_currency", constant("EUR"))),
		fixed(flag("IS_MANUAL_OPPORTUNITY", "isManualOpportunity", constantNumber(0))),
		number("BEGINDATE", "begindate", "date", kindDate, seededDay(28)),
		number("CLOSEDATE", "closedate", "date", kindDate, seededDay(29)),
		number("COMPANY_ID", "companyId", "crm_company", kindLink, seededLink(4)),
		number("CONTACT_ID", "contactId", "crm_contact", kindLink, seededLink(5)),
		{universal: "contactIds", typ: "crm_contact", kind: kindInts, ints: fromLink("contactId")},
	}, movedFields(), tailFields())
	return fields
}

func headFields() []*field {
	id := number("ID", "id", "integer", kindInt, func(r *record) (int64, bool) { return r.id, true })
	created := number("DATE_CREATE", "createdTime", "datetime", kindTime, func(r *record) (int64, bool) { return r.created, true })
	updated := number("DATE_MODIFY", "updatedTime", "datetime", kindTime, func(r *record) (int64, bool) { return r.updated, true })
	fields := []*field{
		id, created, updated,
		fixed(number("CREATED_BY_ID", "createdBy", "user", kindInt, constantNumber(1))),
		fixed(number("MODIFY_BY_ID", "updatedBy", "user", kindInt, constantNumber(1))),
	}
	for _, f := range fields {
		f.readOnly = true
	}
	return append(fields,
		fixed(number("ASSIGNED_BY_ID", "assignedById", "user", kindInt, constantNumber(1))),
		fixed(flag("OPENED", "opened", constantNumber(1))),
	)
}

func tailFields() []*field {
	return []*field{
		text("SOURCE_ID", "sourceId", "crm_status", seededSource),
		text("SOURCE_DESCRIPTION", "sourceDescription", "string", nil),
		{classic: "COMMENTS", universal: "comments", typ: "string", kind: kindText, text: seededComment},
		text("ORIGINATOR_ID", "originatorId", "string", nil),
		text("ORIGIN_ID", "originId", "string", nil),
		readOnly(number("LAST_ACTIVITY_TIME", "lastActivityTime", "datetime", kindTime, func(r *record) (int64, bool) { return r.updated, true })),
		readOnly(fixed(number("LAST_ACTIVITY_BY", "lastActivityBy", "user", kindInt, constantNumber(1)))),
		text("UTM_SOURCE", "utmSource", "string", nil),
		text("UTM_MEDIUM", "utmMedium", "string", nil),
		text("UTM_CAMPAIGN", "utmCampaign", "string", nil),
		text("UTM_CONTENT", "utmContent", "string", nil),
		text("UTM_TERM", "utmTerm", "string", nil),
		{universal: "entityTypeId", typ: "integer", kind: kindInt, readOnly: true, fixed: true,
			number: func(r *record) (int64, bool) { return int64(r.typ.id), true }},
	}
}

func movedFields() []*field {
	return []*field{
		readOnly(number("MOVED_TIME", "movedTime", "datetime", kindTime, func(r *record) (int64, bool) { return r.created, true })),
		readOnly(fixed(number("MOVED_BY_ID", "movedBy", "user", kindInt, constantNumber(1)))),
	}
}

// hasFields tell which multifields a record has; multifields holds the values.
func hasFields() []*field {
	has := func(place int) func(*record) (int64, bool) {
		return func(r *record) (int64, bool) { return truth(r.flatValue(place) != ""), true }
	}
	fields := []*field{flag("HAS_PHONE", "hasPhone", has(flatPhone)), flag("HAS_EMAIL", "hasEmail", has(flatEmail)), fixed(flag("HAS_IMOL", "hasImol", has(flatImol)))}
	for _, f := range fields {
		f.readOnly = true
	}
	return fields
}

func multifields() []*field {
	fields := []*field{}
	for _, typeID := range []string{"PHONE", "EMAIL", "WEB", "IM", "LINK"} {
		fields = append(fields, &field{classic: typeID, typ: "crm_multifield", kind: kindMulti})
	}
	for place, flat := range flatFields {
		seldom := place == flatPhoneWork || place == flatPhoneMailing || place == flatEmailMailing || place == flatImol // not in seededPoints
		fields = append(fields, &field{universal: flat.name, typ: "string", kind: kindFlat, readOnly: true, plain: true, fixed: seldom,
			text: func(dst []byte, r *record) []byte { return append(dst, r.flatValue(place)...) }})
	}
	return append(fields, &field{universal: "fm", typ: "crm_multifield", kind: kindFM})
}

func text(classic, universal, typ string, value func([]byte, *record) []byte) *field {
	return &field{classic: classic, universal: universal, typ: typ, kind: kindText, text: value, fixed: value == nil, plain: true}
}

func number(classic, universal, typ string, kind kind, value func(*record) (int64, bool)) *field {
	return &field{classic: classic, universal: universal, typ: typ, kind: kind, number: value, fixed: value == nil}
}

func flag(classic, universal string, value func(*record) (int64, bool)) *field {
	return &field{classic: classic, universal: universal, typ: "char", kind: kindFlag, number: value}
}

// readOnly marks a field that the portal sets itself.
func readOnly(f *field) *field {
	f.readOnly = true
	return f
}

// fixed marks a field that has the same value in all seeded records.
func fixed(f *field) *field {
	f.fixed = true
	return f
}
